"""The baseline of multi-label tasks has the F1 of scikit-learn, and no other constant prediction has a better one."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import f1_score

from s4mi.maths.all_positive import all_positive_f1_macro
from s4mi.maths.classification_metrics import score_multilabel

truths = arrays.arrays(
    np.int64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.sampled_from((-1, 0, 0, 0, 1))
).filter(lambda truth: bool((truth >= 0).any()))


def confusion(truth: np.ndarray) -> list[list[int]]:
    """As a record has it, whatever was predicted."""
    probabilities = torch.from_numpy(np.random.default_rng(0).random(truth.shape)).float()
    names = [f"c{k}" for k in range(truth.shape[1])]
    never = torch.zeros(truth.shape[1])
    return score_multilabel(probabilities, torch.from_numpy(truth), names, majority=never).confusion


@given(truths)
def test_it_is_the_f1_of_scikit_learn_over_the_known_labels(truth: np.ndarray) -> None:
    occurring = [column[column >= 0] for column in truth.T if (column == 1).any()]
    expected = [f1_score(one, np.ones_like(one)) for one in occurring]
    assert all_positive_f1_macro(confusion(truth)) == pytest.approx(np.mean(expected) if expected else 0.0)


@given(truths)
def test_no_prediction_that_ignores_the_image_is_better(truth: np.ndarray) -> None:
    names = [f"c{k}" for k in range(truth.shape[1])]
    best = max(
        score_multilabel(
            torch.tensor(answer).float().expand(truth.shape), torch.from_numpy(truth), names,
            majority=torch.zeros(len(names)),
        ).f1_macro
        for answer in product((0, 1), repeat=len(names))
    )  # fmt: skip
    assert all_positive_f1_macro(confusion(truth)) == pytest.approx(best)


def test_by_hand() -> None:
    # 2 of 10 images: 2 · 0.2 / 1.2 = 1/3; 5 of 10: 2 · 0.5 / 1.5 = 2/3
    assert all_positive_f1_macro([[8, 0, 1, 1], [0, 5, 5, 0]]) == pytest.approx(0.5)
    assert all_positive_f1_macro([[8, 0, 1, 1], [0, 0, 0, 0]]) == pytest.approx(1 / 3)
    # 9 of 10 images, and a class that none of them shows: 2 · 0.9 / 1.9
    assert all_positive_f1_macro([[10, 0, 9, 81], [100, 0, 0, 0]]) == pytest.approx(1.8 / 1.9)
    assert all_positive_f1_macro([[3, 1, 0, 0]]) == 0
    assert all_positive_f1_macro([]) == 0
