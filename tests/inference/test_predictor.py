"""Predictions do not depend on batching, rotation or tiling where the network does not."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.spec import DatasetSpec
from s4mi.inference.predictor import ModelInfo, Predictor, augmented_view, classes_of, resized, undo_view
from s4mi.records import TaskKind
from s4mi.records.calibration import Calibration
from s4mi.records.reliability import Reliability

RELIABLE = Reliability(predictions=1, ece=0, ece_calibrated=0, nll=0, nll_calibrated=0)


class Bright:
    """The logit of a pixel is its brightness, that of an image the mean: predictions rotate with their image."""

    def __init__(
        self, kind: TaskKind, *, tile: int | None = None, temperature: float | None = None, size: int = 16
    ) -> None:
        spec = DatasetSpec(name="x", tasks=("segmentation",), mask_values={0: "background", 255: "bright"})
        self.info = ModelInfo("bright", kind, ("background", "bright"), spec, Preprocessing(size, tile=tile))
        self.calibration = None
        if temperature is not None:
            thresholds = {"background": 0.2, "bright": 0.9} if kind == "multilabel" else {}
            self.calibration = Calibration(
                task=kind,
                classes=list(self.info.classes),
                temperature=temperature,
                thresholds=thresholds,
                val=RELIABLE,
            )

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        bright = inputs.astype(np.float32).mean(axis=3)[:, None] / 64 - 2
        pixels = np.concatenate([-bright, bright], axis=1)
        return pixels if self.info.kind == "segmentation" else pixels.mean(axis=(2, 3))


def random_images(*sizes: tuple[int, int]) -> list[Pixels]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_resizing_equals_that_of_torch() -> None:
    tiles = np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32)
    for size in ((16, 16), (40, 23), (8, 8), (5, 9)):
        expected = F.interpolate(torch.from_numpy(tiles), size=size, mode="bilinear", align_corners=False)
        np.testing.assert_allclose(resized(tiles, size), expected.numpy(), atol=1e-5)


def test_classes_equal_argmax_with_the_first_of_equals() -> None:
    page = np.random.default_rng(0).integers(0, 3, (5, 20, 20)).astype(np.float32)
    np.testing.assert_array_equal(classes_of(page), page.argmax(axis=0))


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_undo_view_inverts_augmented_view(turns: int, mirrored: bool) -> None:
    images = np.random.default_rng(0).integers(0, 9, (2, 3, 5, 5))
    view = augmented_view(images, turns, mirrored=mirrored, rows=2)
    np.testing.assert_array_equal(undo_view(view, turns, mirrored=mirrored, rows=2), images)


def test_the_eight_views_are_all_different() -> None:
    images = np.arange(9).reshape(1, 3, 3)
    views = {augmented_view(images, turns, mirrored=m, rows=1).tobytes() for turns in range(4) for m in (False, True)}
    assert len(views) == 8


@pytest.mark.parametrize("kind", ["segmentation", "multiclass", "multilabel"])
def test_augmentation_changes_nothing_if_the_network_is_equivariant(kind: TaskKind) -> None:
    images = random_images((16, 16), (30, 21))
    plain = list(Predictor((Bright(kind),)).predict(images))
    views = list(Predictor((Bright(kind),), tta=True).predict(images))
    for one, other in zip(plain, views, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("tile", [None, 24])
def test_images_predicted_together_are_predicted_as_each_alone(tile: int | None) -> None:
    images = random_images((60, 70), (10, 12), (24, 24), (25, 90))
    predictor = Predictor((Bright("segmentation", tile=tile),))
    for image, prediction in zip(images, predictor.predict(images), strict=True):
        assert prediction.shape == (2, *image.shape[:2])
        np.testing.assert_allclose(prediction, next(predictor.predict([image])), atol=1e-6)
        np.testing.assert_allclose(prediction.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_a_uniform_image_has_a_uniform_prediction_without_seams(overlap: float) -> None:
    page = np.full((70, 75, 3), 90, dtype=np.uint8)
    prediction = next(Predictor((Bright("segmentation", tile=24),), overlap=overlap).predict([page]))
    if overlap == 0:  # tiles at the edge are padded with black, which affects the resized prediction
        prediction = prediction[:, :48, :48]
    np.testing.assert_allclose(prediction, np.broadcast_to(prediction[:, :1, :1], prediction.shape), rtol=1e-4)


def test_several_models_predict_their_mean() -> None:
    images = random_images((20, 20))
    models = (Bright("multiclass"), Bright("multiclass", temperature=4.0))
    each = [next(Predictor((model,)).predict(images)) for model in models]
    both = next(Predictor(models).predict(images))
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-6)
    assert not np.allclose(each[0], each[1])


def test_raw_ignores_temperature_and_thresholds() -> None:
    model = Bright("multilabel", temperature=3.0)
    assert Predictor((model,)).thresholds == (0.2, 0.9)
    assert Predictor((model,), raw=True).thresholds == (0.5, 0.5)
    assert Predictor((model, Bright("multilabel"))).thresholds == pytest.approx((0.35, 0.7))
    images = random_images((20, 20))
    raw = next(Predictor((model,), raw=True).predict(images))
    np.testing.assert_allclose(raw, next(Predictor((Bright("multilabel"),)).predict(images)))
    assert Predictor((model,)).labels(np.float32([0.3, 0.8])) == ("background",)
    assert Predictor((model,), raw=True).labels(np.float32([0.3, 0.8])) == ("bright",)
    assert Predictor((model,)).labels(np.float32([0.1, 0.8])) == ()


def test_temperature_scaling_changes_the_class_of_no_pixel() -> None:
    images = random_images((40, 33))
    masks = [
        classes_of(next(Predictor((Bright("segmentation", temperature=t),)).predict(images))) for t in (0.2, 1.0, 7.0)
    ]
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[2], masks[1])
