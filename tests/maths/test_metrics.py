import math
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch import Tensor

from s4mi.maths.classification_metrics import score_multiclass, score_multilabel
from s4mi.maths.segmentation_metrics import SegmentationTally, confusion, scores_of_confusion
from s4mi.records import IGNORE, ClassificationScores

seeds = st.integers(0, 2**20)
CLASSES = ("a", "b", "c", "d")


def answers(seed: int, *, n: int = 40, present: Sequence[int] = (0, 1, 2, 3)) -> tuple[Tensor, Tensor]:
    """(N, 4) probabilities and (N,) truth of the `present` classes only."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.tensor(present)[torch.randint(len(present), (n,), generator=generator)]
    logits = torch.randn(n, 4, generator=generator) + torch.nn.functional.one_hot(truth, 4)
    return logits.softmax(dim=1), truth


def expected_calibration_error(confidence: Tensor, right: Tensor) -> float:
    """Σ_bins n_b / n · |accuracy_b - confidence_b| over 15 equal bins."""
    bins = (confidence.double() * 15).floor().clamp_max(14)
    error = 0.0
    for b in range(15):
        inside = bins == b
        if inside.any():
            gap = right[inside].double().mean() - confidence[inside].double().mean()
            error += inside.double().mean().item() * abs(gap.item())
    return error


@settings(deadline=None, max_examples=20)
@given(seed=seeds, present=st.sampled_from([(0, 1, 2, 3), (0, 2), (3,), (1, 2, 3)]))
def test_multiclass_scores_are_those_of_sklearn(seed: int, present: tuple[int, ...]) -> None:
    probabilities, truth = answers(seed, present=present)
    scores = score_multiclass(probabilities, truth, CLASSES, majority=0)
    y, p, there = truth.numpy(), probabilities.argmax(1).numpy(), np.unique(truth.numpy())
    assert scores.images == 40
    assert scores.f1_micro == pytest.approx(sk.f1_score(y, p, average="micro"))
    assert scores.f1_macro == pytest.approx(
        sk.f1_score(y, p, average="macro")
    )  # of classes that occur or were predicted
    assert scores.recall_micro == pytest.approx(sk.accuracy_score(y, p))
    assert scores.recall_macro == pytest.approx(sk.recall_score(y, p, average="macro", labels=there, zero_division=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn warns about predictions of absent classes
        assert scores.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(y, p))
    assert scores.confusion == sk.confusion_matrix(y, p, labels=range(4)).tolist()
    assert scores.calibration_error == pytest.approx(
        expected_calibration_error(probabilities.amax(1), torch.from_numpy(y == p)), abs=1e-5
    )
    _check_ranking(scores, probabilities, torch.nn.functional.one_hot(truth, 4))


def test_auroc_of_all_classes_is_the_macro_mean_of_one_against_the_rest() -> None:
    probabilities, truth = answers(5)
    scores = score_multiclass(probabilities, truth, CLASSES, majority=0)
    expected = sk.roc_auc_score(truth, probabilities.double(), multi_class="ovr", average="macro")
    assert scores.auroc == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, rare=st.booleans())
def test_multilabel_scores_are_those_of_sklearn(seed: int, rare: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    often = torch.tensor([0.0, 0.1, 0.5, 1.0]) if rare else torch.tensor([0.2, 0.4, 0.5, 0.7])
    truth = (torch.rand(40, 4, generator=generator) < often).long()
    probabilities = (torch.randn(40, 4, generator=generator) + 2 * truth - 1).sigmoid()
    scores = score_multilabel(probabilities, truth, CLASSES, majority=torch.zeros(4))
    y, p = truth.numpy(), (probabilities > 0.5).long().numpy()
    shown, given_or_shown = y.any(0), y.any(0) | p.any(0)
    assert scores.f1_micro == pytest.approx(sk.f1_score(y, p, average="micro"))
    f1 = sk.f1_score(y, p, average=None, zero_division=0)
    assert scores.f1_macro == pytest.approx(f1[given_or_shown].mean())
    assert scores.recall_micro == pytest.approx(sk.recall_score(y, p, average="micro"))
    recall = sk.recall_score(y, p, average=None, zero_division=0)
    assert scores.recall_macro == pytest.approx(recall[shown].mean())
    both = [k for k in range(4) if 0 < y[:, k].sum() < len(y)]
    balanced = np.mean([sk.balanced_accuracy_score(y[:, k], p[:, k]) for k in both])
    assert scores.balanced_accuracy == pytest.approx(balanced)
    assert scores.confusion == [sk.confusion_matrix(y[:, k], p[:, k], labels=[0, 1]).ravel().tolist() for k in range(4)]
    assert scores.calibration_error == pytest.approx(
        expected_calibration_error(probabilities.flatten(), truth.flatten()), abs=1e-5
    )
    _check_ranking(scores, probabilities, truth)


def _check_ranking(scores: ClassificationScores, probabilities: Tensor, shows: Tensor) -> None:
    """Each class against the rest, and means over the classes with both positives and negatives."""
    auroc, precision = [], []
    for k, one in enumerate(scores.per_class.values()):
        y, p = shows[:, k].numpy(), probabilities[:, k].double().numpy()
        assert one.support == y.sum()
        if 0 < y.sum() < len(y):
            auroc.append(sk.roc_auc_score(y, p))
            precision.append(sk.average_precision_score(y, p))
            assert one.auroc == pytest.approx(auroc[-1], abs=1e-6)
            assert one.average_precision == pytest.approx(precision[-1], abs=1e-6)
        else:
            assert one.auroc is None
            assert one.average_precision is None
    assert scores.auroc == (pytest.approx(np.mean(auroc), abs=1e-6) if auroc else None)
    assert scores.average_precision == (pytest.approx(np.mean(precision), abs=1e-6) if precision else None)


def test_scores_of_each_class_are_those_of_sklearn_and_none_where_undefined() -> None:
    truth = torch.tensor([0, 0, 1, 1, 1])
    probabilities = torch.nn.functional.one_hot(torch.tensor([0, 1, 1, 1, 2]), 4).float()
    scores = score_multiclass(probabilities, truth, CLASSES, majority=1).per_class
    assert (scores["a"].precision, scores["a"].recall, scores["a"].f1) == pytest.approx((1, 1 / 2, 2 / 3))
    assert (scores["b"].precision, scores["b"].recall, scores["b"].f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    # absent but predicted: precision and F1 but no recall; neither: no score
    assert (scores["c"].precision, scores["c"].recall, scores["c"].f1) == (0, None, 0)
    assert (scores["d"].precision, scores["d"].recall, scores["d"].f1) == (None, None, None)


def test_calibration_error_by_hand() -> None:
    # all four in the bin of 0.7, of which three are right: |3/4 - 0.7| = 0.05
    probabilities = torch.tensor([[0.7, 0.3]] * 4)
    scores = score_multiclass(probabilities, torch.tensor([0, 0, 0, 1]), ("a", "b"), majority=0)
    assert scores.calibration_error == pytest.approx(0.05, abs=1e-6)


def test_f1_of_always_predicting_the_majority_by_hand() -> None:
    probabilities, truth = torch.eye(2)[[0, 1, 1, 1]], torch.tensor([0, 1, 1, 1])
    # always predicting b: F1 of b is 2·3 / (2·3 + 1) and of a is 0
    assert score_multiclass(probabilities, truth, ("a", "b"), majority=1).majority_f1_macro == pytest.approx(3 / 7)
    # always predicting a: 2·1 / (2·1 + 3) and 0
    assert score_multiclass(probabilities, truth, ("a", "b"), majority=0).majority_f1_macro == pytest.approx(1 / 5)


def test_f1_of_the_majority_of_each_label_by_hand() -> None:
    truth = torch.tensor([[1, 0], [1, 1], [0, 0]])
    scores = score_multilabel(truth.float(), truth, ("a", "b"), majority=torch.tensor([True, False]))
    # a is always predicted: 2·2 / (2·2 + 1); b never: 0
    assert scores.majority_f1_macro == pytest.approx(2 / 5)


def test_classes_without_an_image_still_have_finite_scores() -> None:
    scores = score_multilabel(torch.full((3, 2), 0.2), torch.zeros(3, 2), ("a", "b"), majority=torch.zeros(2))
    assert (scores.recall_macro, scores.balanced_accuracy, scores.f1_macro) == (0, 0, 0)
    assert ClassificationScores.model_validate_json(scores.model_dump_json()) == scores


def masks(seed: int, *, classes: int = 3, holes: bool = True) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(12, 10) predicted classes and truth with some pixels ignored."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=(12, 10)).astype(np.uint8)
    predicted = np.where(rng.random(truth.shape) < 0.5, truth, rng.integers(classes, size=truth.shape))
    if holes:
        truth[rng.random(truth.shape) < 0.2] = IGNORE
    return predicted.astype(np.uint8), truth


@settings(deadline=None, max_examples=20)
@given(seed=seeds, classes=st.integers(2, 5))
def test_confusion_counts_annotated_pixels(seed: int, classes: int) -> None:
    predicted, truth = masks(seed, classes=classes)
    counts = confusion(torch.from_numpy(predicted).long(), torch.from_numpy(truth).long(), classes)
    known = truth != IGNORE
    assert counts.tolist() == sk.confusion_matrix(truth[known], predicted[known], labels=range(classes)).tolist()


@settings(deadline=None, max_examples=20)
@given(seed=seeds, classes=st.integers(2, 4), images=st.integers(1, 3))
def test_pooled_scores_are_those_of_all_pixels_together(seed: int, classes: int, images: int) -> None:
    tally = SegmentationTally(["background", *"abc"[: classes - 1]], distances=False)
    pairs = [masks(seed + i, classes=classes) for i in range(images)]
    for predicted, truth in pairs:
        tally.add(predicted, truth)
    scores = tally.scores()
    truth = np.concatenate([truth.ravel() for _, truth in pairs])
    predicted = np.concatenate([predicted.ravel() for predicted, _ in pairs])[truth != IGNORE]
    truth = truth[truth != IGNORE]
    foreground = range(1, classes)
    iou = sk.jaccard_score(truth, predicted, average=None, labels=range(classes))
    dice = sk.f1_score(truth, predicted, average=None, labels=range(classes))
    assert scores.images == images
    assert scores.iou == pytest.approx(iou[1:].mean())
    assert scores.dice == pytest.approx(dice[1:].mean())
    assert scores.pixel_accuracy == pytest.approx((truth == predicted).mean())
    assert [one.iou for one in scores.per_class.values()] == pytest.approx(iou.tolist())
    assert [one.dice for one in scores.per_class.values()] == pytest.approx(dice.tolist())
    assert [one.support for one in scores.per_class.values()] == np.bincount(truth, minlength=classes).tolist()
    assert scores.hd95 is None
    quick = scores_of_confusion(sk.confusion_matrix(truth, predicted, labels=[0, *foreground]))
    assert quick == {"iou": scores.iou, "dice": scores.dice, "pixel_accuracy": scores.pixel_accuracy}


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_predictions_of_ignored_pixels_change_no_score(seed: int) -> None:
    predicted, truth = masks(seed)
    other = np.where(truth == IGNORE, (predicted + 1) % 3, predicted).astype(np.uint8)
    tallies = [SegmentationTally(["background", "a", "b"]) for _ in range(2)]
    tallies[0].add(predicted, truth)
    tallies[1].add(other, truth)
    assert tallies[0].scores() == tallies[1].scores()


FULL, HALF, NONE = "full", "half", "none"


def painted(area: str) -> NDArray[np.uint8]:
    """A 6 × 8 mask with foreground everywhere, in its upper half, or nowhere."""
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[: {FULL: 6, HALF: 3, NONE: 0}[area]] = 1
    return mask


@pytest.mark.parametrize(
    ("images", "iou", "dice"),
    [
        # predicted, truth of each image; the means over images
        ([(HALF, FULL)], 1 / 2, 2 / 3),
        ([(NONE, FULL)], 0, 0),
        ([(FULL, NONE)], 0, 0),  # absent from truth only: the image scores 0
        ([(NONE, NONE)], 0, 0),  # no image counts: there is nothing to average
        ([(HALF, FULL), (NONE, NONE)], 1 / 2, 2 / 3),  # absent from both: the image is left out
        ([(HALF, FULL), (FULL, NONE)], 1 / 4, 1 / 3),
        ([(HALF, FULL), (NONE, FULL), (FULL, FULL)], 1 / 2, 5 / 9),
        ([(FULL, FULL), (NONE, NONE), (FULL, NONE)], 1 / 2, 1 / 2),
    ],
)
def test_how_empty_masks_count(images: list[tuple[str, str]], iou: float, dice: float) -> None:
    tally = SegmentationTally(["background", "lesion"])
    for predicted, truth in images:
        tally.add(painted(predicted), painted(truth))
    scores = tally.scores()
    assert scores.iou_image == pytest.approx(iou)
    assert scores.dice_image == pytest.approx(dice)


def test_a_class_is_averaged_over_its_own_images() -> None:
    tally = SegmentationTally(["background", "a", "b"], distances=False)
    tally.add(painted(HALF), painted(FULL))  # a: 1/2, b: absent
    tally.add(2 * painted(HALF), painted(HALF) * 2)  # a: absent, b: 1
    scores = tally.scores()
    assert scores.iou_image == pytest.approx((1 / 2 + 1) / 2)
    assert scores.dice_image == pytest.approx((2 / 3 + 1) / 2)


@pytest.mark.parametrize(
    ("images", "distance"),
    [
        ([(NONE, NONE)], None),
        ([(NONE, HALF)], 10.0),  # the diagonal of 6 × 8 pixels
        ([(HALF, NONE)], 10.0),
        ([(HALF, HALF)], 0.0),
        ([(HALF, HALF), (NONE, NONE)], 0.0),
        ([(HALF, HALF), (NONE, HALF)], 5.0),
    ],
)
def test_how_empty_masks_count_in_surface_distances(images: list[tuple[str, str]], distance: float | None) -> None:
    tally = SegmentationTally(["background", "lesion"])
    for predicted, truth in images:
        tally.add(painted(predicted), painted(truth))
    scores = tally.scores()
    expected = None if distance is None else pytest.approx(distance)
    assert (scores.hd95, scores.assd) == (expected, expected)
    assert (scores.per_class["lesion"].hd95, scores.per_class["lesion"].assd) == (expected, expected)
    assert scores.per_class["background"].hd95 is None


def square(row: int, column: int, *, side: int = 10) -> NDArray[np.uint8]:
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[row : row + side, column : column + side] = 1
    return mask


def test_surface_distances_of_two_squares_three_pixels_apart_by_hand() -> None:
    tally = SegmentationTally(["background", "lesion"])
    tally.add(square(10, 10), square(10, 13))
    scores = tally.scores()
    assert scores.hd95 == pytest.approx(3)
    # Of the 36 pixels of an outline, the 10 on the side away from the other square are 3 from it. Along each of the two
    # shifted sides one is 2 away, one is 1 away and the rest lie on the other outline. The last side lies within the
    # other square, its ends on the outline: 3 from the side it has moved to, or nearer to a shifted side.
    assert scores.assd == pytest.approx((10 * 3 + 2 * (2 + 1) + (1 + 2 + 3 + 3 + 3 + 3 + 2 + 1)) / 36)


@settings(deadline=None, max_examples=12)
@given(seed=seeds)
def test_surface_distances_are_those_of_monai_and_of_their_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = square(*rng.integers(0, 20, size=2), side=int(rng.integers(4, 16)))
    predicted = square(*rng.integers(0, 20, size=2), side=int(rng.integers(4, 16)))
    # class 2 is the same the other way round, next to it
    pages = [np.concatenate([left, 2 * right], axis=1) for left, right in ((predicted, truth), (truth, predicted))]
    tally = SegmentationTally(["background", "a", "b"])
    tally.add(pages[0], pages[1])
    scores = tally.scores()
    p, t = torch.from_numpy(predicted)[None, None], torch.from_numpy(truth)[None, None]
    hd95 = float(compute_hausdorff_distance(p, t, include_background=True, percentile=95))
    assd = float(compute_average_surface_distance(p, t, include_background=True, symmetric=True))
    for name in ("a", "b"):
        assert scores.per_class[name].hd95 == pytest.approx(hd95)
        assert scores.per_class[name].assd == pytest.approx(assd)
    assert (scores.hd95, scores.assd) == pytest.approx((hd95, assd))
    there, back = to_surface(predicted, truth), to_surface(truth, predicted)
    assert hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-5)
    assert assd == pytest.approx(np.concatenate([there, back]).mean(), abs=1e-5)


def to_surface(mask: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Distances of the pixels on the outline of `mask` from the outline of `other`."""
    outlines = [one.astype(bool) & ~binary_erosion(one) for one in (mask, other)]
    return distance_transform_edt(~outlines[1])[outlines[0]]


def test_hd95_of_an_image_with_ignored_pixels_measures_to_their_border_only() -> None:
    truth, predicted = square(10, 10), square(10, 10)
    predicted[30:35, 30:35] = 1  # far from the lesion, but ignored
    truth[28:38, 28:38] = IGNORE
    tally = SegmentationTally(["background", "lesion"])
    tally.add(predicted, truth)
    assert (tally.scores().hd95, tally.scores().iou) == (0, 1)


def test_scores_of_an_empty_confusion_are_zero_not_nan() -> None:
    scores = scores_of_confusion(np.zeros((2, 2), dtype=np.int64))
    assert not any(math.isnan(value) for value in scores.values())
    assert scores == {"iou": 0, "dice": 0, "pixel_accuracy": 0}


def classes_in(*names: int) -> NDArray[np.uint8]:
    """A mask whose columns have these classes."""
    return np.repeat(np.array([names], dtype=np.uint8), 4, axis=0)


@pytest.mark.parametrize(
    ("predicted", "truth", "iou", "dice"),
    [
        # classes of the pixels, a column each; scores of class a (1) and b (2)
        ((0, 0), (0, 0), (None, None), (None, None)),  # in neither: undefined
        ((1, 0), (0, 0), (0, None), (0, None)),  # only predicted: a false alarm scores 0
        ((0, 0), (1, 0), (0, None), (0, None)),  # only in truth: a miss scores 0
        ((1, 1), (1, 0), (1 / 2, None), (2 / 3, None)),
        ((2, 0), (1, 0), (0, 0), (0, 0)),  # confusing two classes lowers both
        ((1, 2, 2), (1, 1, 2), (1 / 2, 1 / 2), (2 / 3, 2 / 3)),
        ((1, 1), (1, IGNORE), (1, None), (1, None)),  # the second pixel is ignored
        ((2, 1), (IGNORE, 1), (1, None), (1, None)),  # whether b occurs is unknown
        ((1, 2), (IGNORE, IGNORE), (None, None), (None, None)),
    ],
)
def test_scores_of_a_single_image(
    predicted: tuple[int, ...],
    truth: tuple[int, ...],
    iou: tuple[float | None, ...],
    dice: tuple[float | None, ...],
) -> None:
    tally = SegmentationTally(["background", "a", "b"])
    tally.add(classes_in(*predicted), classes_in(*truth), image="x", group="p")
    (one,) = tally.per_image()
    assert (one.image, one.group) == ("x", "p")
    assert one.iou == dict(zip("ab", iou, strict=True))
    assert one.dice == pytest.approx(dict(zip("ab", dice, strict=True)))
    diagonal = float(np.hypot(4, len(truth)))
    for name, value in one.iou.items():
        if value in (None, 0, 1):
            expected = {None: None, 0: pytest.approx(diagonal), 1: 0}[value]
            assert (one.hd95[name], one.assd[name]) == (expected, expected)


@settings(deadline=None, max_examples=12)
@given(seed=seeds, classes=st.integers(2, 4), images=st.integers(1, 3))
def test_scores_of_an_image_do_not_depend_on_others(seed: int, classes: int, images: int) -> None:
    names = ["background", *"abc"[: classes - 1]]
    together = SegmentationTally(names)
    for i in range(images):
        predicted, truth = masks(seed + i, classes=classes)
        together.add(predicted, truth, image=str(i))
        alone = SegmentationTally(names)
        alone.add(predicted, truth, image=str(i))
        assert together.per_image()[i] == alone.per_image()[0]
        scores = alone.scores()
        for name in names[1:]:
            assert together.per_image()[i].iou[name] == scores.per_class[name].iou
            assert together.per_image()[i].hd95[name] == scores.per_class[name].hd95


def test_distances_that_are_not_measured_are_none() -> None:
    tally = SegmentationTally(["background", "lesion"], distances=False)
    tally.add(painted(HALF), painted(FULL))
    assert (tally.per_image()[0].hd95, tally.per_image()[0].assd) == ({"lesion": None}, {"lesion": None})


def test_a_patient_with_many_images_counts_once() -> None:
    tally = SegmentationTally(["background", "lesion"], distances=False)
    for _ in range(3):
        tally.add(painted(FULL), painted(FULL), group="many")
    tally.add(painted(HALF), painted(FULL), group="one")
    tally.add(painted(NONE), painted(FULL), group="one")
    scores = tally.scores()
    assert scores.iou_image == pytest.approx((1 + 1 + 1 + 1 / 2 + 0) / 5)
    assert scores.iou_patient == pytest.approx((1 + (1 / 2 + 0) / 2) / 2)
    assert scores.dice_patient == pytest.approx((1 + (2 / 3 + 0) / 2) / 2)


def test_an_image_without_a_patient_is_a_patient_of_its_own() -> None:
    tally = SegmentationTally(["background", "lesion"], distances=False)
    tally.add(painted(FULL), painted(FULL), group="p")
    tally.add(painted(FULL), painted(FULL), group="p")
    tally.add(painted(NONE), painted(FULL))
    tally.add(painted(HALF), painted(FULL))
    assert tally.scores().iou_patient == pytest.approx((1 + 0 + 1 / 2) / 3)


def test_without_any_group_no_score_is_by_patient() -> None:
    tally = SegmentationTally(["background", "lesion"], distances=False)
    tally.add(painted(HALF), painted(FULL))
    assert (tally.scores().iou_patient, tally.scores().dice_patient) == (None, None)


def test_images_in_which_a_class_is_absent_leave_their_patient_out_of_its_mean() -> None:
    tally = SegmentationTally(["background", "a", "b"], distances=False)
    tally.add(painted(HALF), painted(FULL), group="p")  # a: 1/2, b: absent
    tally.add(2 * painted(HALF), 2 * painted(HALF), group="q")  # a: absent, b: 1
    assert tally.scores().iou_patient == pytest.approx((1 / 2 + 1) / 2)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, classes=st.integers(2, 4), images=st.integers(1, 4))
def test_with_one_image_per_patient_means_over_patients_are_those_over_images(
    seed: int, classes: int, images: int
) -> None:
    tally = SegmentationTally(["background", *"abc"[: classes - 1]], distances=False)
    for i in range(images):
        tally.add(*masks(seed + i, classes=classes), group=str(i))
    scores = tally.scores()
    assert (scores.iou_patient, scores.dice_patient) == pytest.approx((scores.iou_image, scores.dice_image))


def test_one_label_is_scored_like_a_column_of_several() -> None:
    probabilities, truth = torch.tensor([[0.9], [0.2], [0.7], [0.4]]), torch.tensor([[1], [0], [0], [1]])
    scores = score_multilabel(probabilities, truth, ("a",), majority=torch.tensor([0]))
    assert scores.confusion == [[1, 1, 1, 1]]
    assert scores.f1_micro == scores.f1_macro == scores.balanced_accuracy == 0.5
    assert score_multilabel(torch.full((4, 1), 0.5), torch.ones(4, 1), ("a",), majority=torch.tensor([1])).f1_macro == 0
