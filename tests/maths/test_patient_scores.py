"""Scores of bootstrap samples of patients against scikit-learn on the same images."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

from s4mi.maths.bootstrap import patient_interval
from s4mi.maths.classification_metrics import score_multiclass, score_multilabel
from s4mi.maths.paired import paired_patients
from s4mi.maths.patient_scores import (
    COUNTED,
    PairedPredictions,
    paired_patient_scores,
    patient_score,
    ratios_of_counts,
    score_of_counts,
    scores_without_each,
)
from s4mi.maths.patient_scores import _counts as counts_of


def labels(n: int, k: int, *, right: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) truth and predictions, of which a share of about `right` is correct."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    return truth, np.where(rng.random(n) < right, truth, rng.integers(0, k, n))


def one_hot(indices: np.ndarray, k: int) -> np.ndarray:
    return np.eye(k, dtype=bool)[indices]


def several(n: int, k: int, *, right: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, k)) < np.linspace(0.1, 0.5, k)
    return truth, np.where(rng.random((n, k)) < right, truth, ~truth)


def counted(name: str, truth: np.ndarray, answers: np.ndarray, *, multilabel: bool) -> float:
    each = counts_of(truth, answers, np.arange(len(truth)), len(truth))
    return float(score_of_counts(name, each.sum(axis=0), multilabel=multilabel))


def test_scores_of_one_label_are_those_of_scikit_learn() -> None:
    truth, given = labels(300, 4, right=0.6, seed=0)
    a, b = one_hot(truth, 4), one_hot(given, 4)
    expected = {
        "f1_macro": f1_score(truth, given, average="macro"),
        "f1_micro": accuracy_score(truth, given),
        "recall_micro": accuracy_score(truth, given),
        "recall_macro": recall_score(truth, given, average="macro"),
        "balanced_accuracy": balanced_accuracy_score(truth, given),
    }
    assert {name: counted(name, a, b, multilabel=False) for name in COUNTED} == pytest.approx(expected)


def test_scores_of_several_labels_are_those_of_scikit_learn() -> None:
    truth, given = several(300, 5, right=0.8, seed=1)
    expected = {
        "f1_macro": f1_score(truth, given, average="macro"),
        "f1_micro": f1_score(truth, given, average="micro"),
        "recall_micro": recall_score(truth, given, average="micro"),
        "recall_macro": recall_score(truth, given, average="macro"),
        "balanced_accuracy": np.mean([balanced_accuracy_score(truth[:, i], given[:, i]) for i in range(5)]),
    }
    assert {name: counted(name, truth, given, multilabel=True) for name in COUNTED} == pytest.approx(expected)


def test_scores_with_missing_classes_are_those_of_a_record() -> None:
    truth, given = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 1, 0])  # class 2 is only predicted, class 3 absent
    probabilities = torch.eye(4)[torch.from_numpy(given)]
    record = score_multiclass(probabilities, torch.from_numpy(truth), list("abcd"), majority=0)
    for name in COUNTED:
        mine = counted(name, one_hot(truth, 4), one_hot(given, 4), multilabel=False)
        assert mine == pytest.approx(getattr(record, name)), name
    shown, answered = np.zeros((4, 3), bool), np.zeros((4, 3), bool)
    shown[0, 0] = answered[0, 0] = answered[1, 1] = shown[2, 0] = True
    record = score_multilabel(
        torch.from_numpy(answered).float(), torch.from_numpy(shown).long(), list("abc"), majority=torch.zeros(3)
    )
    for name in COUNTED:
        assert counted(name, shown, answered, multilabel=True) == pytest.approx(getattr(record, name)), name


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("name", COUNTED)
def test_a_score_is_the_mean_of_its_ratios(name: str, multilabel: bool) -> None:
    if multilabel:
        truth, given = several(75, 3, right=0.7, seed=2)
    else:
        truth, given = (one_hot(each, 3) for each in labels(75, 3, right=0.5, seed=2))
    counts = counts_of(truth, given, np.arange(75) // 3, 25)
    parts, wholes, jaccard = ratios_of_counts(name, counts, multilabel=multilabel)
    ratios = parts.sum(axis=0) / wholes.sum(axis=0)
    ratios = 2 * ratios / (1 + ratios) if jaccard else ratios
    assert ratios.mean() == pytest.approx(counted(name, truth, given, multilabel=multilabel))


def test_without_each_patient_the_score_is_scikit_learns_of_the_others() -> None:
    truth, given = labels(30, 3, right=0.6, seed=2)
    patients = np.array([f"p{i % 10}" for i in range(30)])
    made = scores_without_each("f1_macro", one_hot(truth, 3), one_hot(given, 3), list(patients), multilabel=False)
    for name, score in made.items():
        rest = patients != name
        assert score == pytest.approx(f1_score(truth[rest], given[rest], average="macro"))
    assert sorted(made) == sorted(set(patients))


def test_without_each_patient_unknown_labels_count_neither_way() -> None:
    truth, given = several(30, 3, right=0.7, seed=4)
    known = np.random.default_rng(5).random(truth.shape) < 0.8
    patients = [f"p{n % 10}" for n in range(30)]
    made = [
        scores_without_each("f1_macro", truth, each, patients, multilabel=True, known=known)
        for each in (given, np.where(known, given, ~given))
    ]
    assert made[0] == made[1]
    rest = np.array(patients) != "p3"
    of_classes = [f1_score(truth[rest & k, c], given[rest & k, c]) for c, k in enumerate(known.T)]
    assert made[0]["p3"] == pytest.approx(np.mean(of_classes))


def test_with_many_patients_it_is_scipys_percentile_interval() -> None:
    truth, given = labels(600, 3, right=0.6, seed=3)

    def macro(rows: np.ndarray) -> float:
        seen = np.bincount(3 * truth[rows] + given[rows], minlength=9).reshape(3, 3)
        return float(np.mean(2 * np.diag(seen) / (seen.sum(axis=0) + seen.sum(axis=1))))

    assert macro(np.arange(600)) == pytest.approx(f1_score(truth, given, average="macro"))
    drawn = scipy.stats.bootstrap(
        (np.arange(600),), macro, vectorized=False, method="percentile", n_resamples=4000, rng=np.random.default_rng(0)
    ).confidence_interval
    names = [f"i{i}" for i in range(600)]
    made = patient_score(
        "f1_macro", one_hot(truth, 3), one_hot(given, 3), names, multilabel=False, rng=np.random.default_rng(0)
    )
    half = (drawn.high - drawn.low) / 2
    assert made.low == pytest.approx(drawn.low, abs=0.12 * half)
    assert made.high == pytest.approx(drawn.high, abs=0.12 * half)


def test_accuracy_has_the_interval_of_a_mean_over_images() -> None:
    truth, given = labels(120, 3, right=0.6, seed=4)
    patients = [f"p{i // 3}" for i in range(120)]
    made = patient_score(
        "recall_micro", one_hot(truth, 3), one_hot(given, 3), patients, multilabel=False, rng=np.random.default_rng(1)
    )
    mean = patient_interval((truth == given).astype(float), patients, rng=np.random.default_rng(1))
    assert (made.mean, made.low, made.high, made.n) == pytest.approx((mean.mean, mean.low, mean.high, mean.n))


def test_images_of_one_patient_give_a_wider_interval_than_as_many_patients() -> None:
    truth, given = (np.repeat(each, 4) for each in labels(50, 3, right=0.6, seed=6))
    a, b = one_hot(truth, 3), one_hot(given, 3)
    widths = [
        patient_score("f1_macro", a, b, names, multilabel=False, rng=np.random.default_rng(0)).half_width
        for names in ([f"p{i // 4}" for i in range(200)], [f"i{i}" for i in range(200)])
    ]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.2), "four images alike are one"


def test_one_patient_has_no_interval_and_no_test() -> None:
    a = one_hot(np.array([0, 1]), 2)
    made = patient_score("f1_macro", a, a, ["p", "p"], multilabel=False, rng=np.random.default_rng(0))
    assert (made.mean, made.low, made.high, made.n) == (1.0, None, None, 1)
    pair = PairedPredictions(a, a, ~a, ["p", "p"])
    assert paired_patient_scores("f1_macro", [pair], multilabel=False, rng=np.random.default_rng(0)).p is None


def test_p_is_the_share_of_all_exchanges_that_are_as_far_apart() -> None:
    """Naively, over two seeds, by scikit-learn on the exchanged rows of each set of patients."""
    g, rng = 6, np.random.default_rng(7)
    pairs, naive = [], []
    for seed in range(2):
        truth, one = labels(18, 3, right=0.9, seed=seed)
        _, other = labels(18, 3, right=0.3, seed=seed + 10)
        patients = np.array([f"p{i % g}" for i in range(18)])
        naive.append((truth, one, other, patients))
        pairs.append(PairedPredictions(one_hot(truth, 3), one_hot(one, 3), one_hot(other, 3), list(patients)))

    def apart(changed: tuple[bool, ...]) -> float:
        between = []
        for truth, one, other, patients in naive:
            rows = np.isin(patients, [f"p{i}" for i in range(g) if changed[i]])
            a, b = np.where(rows, other, one), np.where(rows, one, other)
            between.append(f1_score(truth, a, average="macro") - f1_score(truth, b, average="macro"))
        return float(np.mean(between))

    every = [abs(apart(changed)) for changed in itertools.product((False, True), repeat=g)]
    made = paired_patient_scores("f1_macro", pairs, multilabel=False, rng=rng)
    assert made.difference.mean == pytest.approx(apart((False,) * g))
    assert made.difference.n == g
    ties = sum(abs(far - every[0]) < 1e-12 for far in every)  # two of them are the observed one and its mirror
    beyond = sum(far > every[0] + 1e-12 for far in every)
    assert made.p == pytest.approx((beyond + 2 + (ties - 2) / 2) / 2**g)


@pytest.mark.parametrize("g", [9, 40])
def test_for_accuracy_it_is_the_sign_flip_permutation_test_with_half_of_the_ties(g: int) -> None:
    truth, one = labels(3 * g, 3, right=0.8, seed=8)
    _, other = labels(3 * g, 3, right=0.5, seed=9)
    patients = [f"p{i % g:02}" for i in range(3 * g)]
    pair = PairedPredictions(one_hot(truth, 3), one_hot(one, 3), one_hot(other, 3), patients)
    made = paired_patient_scores("recall_micro", [pair], multilabel=False, rng=np.random.default_rng(0))
    differences = (one == truth).astype(float) - (other == truth)
    flips = paired_patients(differences, patients, rng=np.random.default_rng(0))
    assert made.difference.mean == pytest.approx(flips.difference.mean)
    sums = np.bincount(np.arange(3 * g) % g, weights=differences)
    signs = np.random.default_rng(1).choice((-1, 1), size=(200_000, g))
    ties = float((np.abs(np.abs(signs @ sums) - abs(sums.sum())) < 1e-9).mean())
    assert made.p == pytest.approx(flips.p - ties / 2, abs=0.02)
    assert g > 9 or made.p < flips.p


def test_a_technique_does_not_differ_from_itself() -> None:
    truth, given = (one_hot(each, 3) for each in labels(60, 3, right=0.6, seed=11))
    pair = PairedPredictions(truth, given, given, [f"i{i}" for i in range(60)])
    made = paired_patient_scores("f1_macro", [pair], multilabel=False, rng=np.random.default_rng(0))
    assert (made.difference.mean, made.p) == (0, 1)
    assert -0.05 < made.difference.low < 0 < made.difference.high < 0.05, "other patients may tell them apart"


def test_under_the_null_hypothesis_p_is_uniform_or_larger() -> None:
    found = []
    for seed in range(200):
        rng = np.random.default_rng(1000 + seed)
        truth = rng.integers(0, 3, 40)
        one, other = (np.where(rng.random(40) < 0.6, truth, rng.integers(0, 3, 40)) for _ in range(2))
        pair = PairedPredictions(one_hot(truth, 3), one_hot(one, 3), one_hot(other, 3), [f"i{i}" for i in range(40)])
        found.append(paired_patient_scores("f1_macro", [pair], multilabel=False, rng=rng, draws=300).p)
    assert scipy.stats.binomtest(int((np.array(found) <= 0.1).sum()), 200, 0.1, alternative="greater").pvalue > 0.01


def test_the_coverage_of_the_interval_is_nearly_its_level() -> None:
    """Three common classes, patients of 1 to 4 images who are easy or hard."""

    def world(g: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
        rng = np.random.default_rng(seed)
        of = np.repeat(np.arange(g), rng.integers(1, 5, g))
        truth, skill = rng.integers(0, 3, g)[of], np.clip(rng.normal(0.7, 0.2, g), 0, 1)[of]
        given = np.where(rng.random(len(of)) < skill, truth, rng.integers(0, 3, len(of)))
        return one_hot(truth, 3), one_hot(given, 3), [f"p{p}" for p in of]

    truth, given, _ = world(50_000, 0)
    score, held = counted("f1_macro", truth, given, multilabel=False), 0
    for seed in range(1, 201):
        some = patient_score("f1_macro", *world(60, seed), multilabel=False, rng=np.random.default_rng(seed), draws=400)
        held += some.low <= score <= some.high
    assert scipy.stats.binomtest(held, 200, 0.95, alternative="less").pvalue > 0.01
    assert held < 200


def test_blocks_change_other_draws_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, given = (one_hot(each, 3) for each in labels(60, 3, right=0.6, seed=12))
    names = [f"i{i}" for i in range(60)]
    whole = patient_score("f1_macro", truth, given, names, multilabel=False, rng=np.random.default_rng(0))
    monkeypatch.setattr("s4mi.maths.ratio_bootstrap._BLOCK", 60 * 700)
    parts = patient_score("f1_macro", truth, given, names, multilabel=False, rng=np.random.default_rng(0))
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.02)


def test_invalid_input_is_refused() -> None:
    a, rng = one_hot(np.array([0, 1]), 2), np.random.default_rng(0)
    with pytest.raises(ValueError, match="auroc is not a score of counts; choose from f1_macro"):
        patient_score("auroc", a, a, ["p", "q"], multilabel=False, rng=rng)
    with pytest.raises(ValueError, match="at least one image"):
        patient_score("f1_macro", a[:0], a[:0], [], multilabel=False, rng=rng)
    with pytest.raises(ValueError, match=r"truth and predictions must both be \(N, K\)"):
        patient_score("f1_macro", a, a[:, :1], ["p", "q"], multilabel=False, rng=rng)
    with pytest.raises(ValueError, match="at least one pair"):
        paired_patient_scores("f1_macro", [], multilabel=False, rng=rng)
