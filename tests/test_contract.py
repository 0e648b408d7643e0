from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from s4mi.contract import Batch, Classifier, Losses, Method, Pretrainer, Segmenter, ViewSpec


@settings(deadline=None, max_examples=25)
@given(values=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=5))
def test_losses_are_a_mapping_of_terms_with_their_sum(values: list[float]) -> None:
    terms = {f"term{i}": torch.tensor(value) for i, value in enumerate(values)}
    losses = Losses(**terms)
    assert isinstance(losses, Mapping)
    assert dict(losses) == terms
    assert list(losses) == list(terms)  # in the order given
    assert len(losses) == len(values)
    assert losses.total.shape == ()
    assert losses.total.item() == pytest.approx(sum(values), abs=1e-3)


def test_the_total_has_the_gradient_of_every_term() -> None:
    weight = torch.tensor(3.0, requires_grad=True)
    Losses(square=weight.square(), line=2 * weight).total.backward()
    assert weight.grad == 2 * 3 + 2


def test_a_loss_without_terms_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one term"):
        Losses()


def test_terms_of_two_precisions_add_up() -> None:
    total = Losses(half=torch.tensor(0.5, dtype=torch.bfloat16), whole=torch.tensor(1.0)).total
    assert (total.item(), total.dtype) == (1.5, torch.float32)


def test_a_batch_says_what_it_lacks() -> None:
    batch = Batch(torch.zeros(1, 3, 2, 2), torch.zeros(1))
    with pytest.raises(AssertionError, match="without labels"):
        _ = batch.known_labels
    with pytest.raises(AssertionError, match="without masks"):
        _ = batch.known_masks
    full = Batch(batch.images, batch.rows, labels=torch.ones(1), masks=torch.zeros(1, 2, 2))
    assert full.known_labels is full.labels
    assert full.known_masks is full.masks


@pytest.mark.parametrize("kind", [Method, Classifier, Segmenter, Pretrainer])
def test_a_contract_is_no_method(kind: type[Method]) -> None:
    with pytest.raises(TypeError, match="abstract"):
        kind()


@pytest.mark.parametrize(
    "settings",
    [
        {"rotation": -1},
        {"rotation": 181},
        {"scale": (0.0, 1.0)},
        {"scale": (0.8, 0.5)},
        {"scale": (0.5, 1.1)},
        {"scale": (0.5,)},
        {"translation": 1.5},
        {"brightness": 1},
        {"contrast": -0.1},
        {"saturation": 1},
        {"hue": 0.6},
        {"blur": 2},
        {"shear": 0.1},
        {"rotation": float("nan")},
        {"scale": (float("nan"), 1.0)},
    ],
)
def test_a_view_that_makes_no_sense_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        ViewSpec.model_validate(settings)


def test_the_bounds_of_a_view_are_allowed() -> None:
    spec = ViewSpec(rotation=180, scale=(1e-3, 1), translation=1, hue=0.5, blur=1, brightness=0)
    assert spec.scale == (1e-3, 1)
    assert ViewSpec().scale == (1, 1)
