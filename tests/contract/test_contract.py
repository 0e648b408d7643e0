import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from s4mi.config import make_run_config
from s4mi.contract import (
    Batch,
    BatchComposition,
    Classifier,
    Losses,
    Method,
    Pretrainer,
    Segmenter,
    SemiSupervisedConfig,
    ViewSpec,
    sigmoid_ramp,
)
from s4mi.errors import S4miError
from s4mi.settings.segmentation.self_training import SelfTrainingConfig
from s4mi.settings.segmentation.weak_to_strong import WeakToStrongConfig


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


def test_a_loss_without_terms_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one term"):
        Losses()


def test_terms_of_two_precisions_add_up() -> None:
    total = Losses(half=torch.tensor(0.5, dtype=torch.bfloat16), whole=torch.tensor(1.0)).total
    assert (total.item(), total.dtype) == (1.5, torch.float32)


def test_a_batch_reports_what_it_lacks() -> None:
    batch = Batch(torch.zeros(1, 3, 2, 2), torch.zeros(1))
    with pytest.raises(AssertionError, match="requires labels"):
        _ = batch.known_labels
    with pytest.raises(AssertionError, match="requires masks"):
        _ = batch.known_masks
    full = Batch(batch.images, batch.rows, labels=torch.ones(1), masks=torch.zeros(1, 2, 2))
    assert full.known_labels is full.labels
    assert full.known_masks is full.masks
    with pytest.raises(AssertionError, match="requires unlabelled images"):
        _ = full.known_unlabelled
    with pytest.raises(AssertionError, match="requires the affine matrices of the views"):
        _ = full.known_affine
    transformed = Batch(batch.images, batch.rows, affine=torch.eye(2, 3)[None])
    assert transformed.known_affine is transformed.affine


@pytest.mark.parametrize("kind", [Method, Classifier, Segmenter, Pretrainer])
def test_a_contract_cannot_be_instantiated(kind: type[Method]) -> None:
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
def test_an_invalid_view_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        ViewSpec.model_validate(settings)


def test_the_bounds_of_a_view_are_allowed() -> None:
    spec = ViewSpec(rotation=180, scale=(1e-3, 1), translation=1, hue=0.5, blur=1, brightness=0)
    assert spec.scale == (1e-3, 1)
    assert ViewSpec().scale == (1, 1)


@pytest.mark.parametrize(("share", "expected"), [(0, 0.0067379), (0.5, 0.2865048), (0.8, 0.8187308), (1, 1)])
def test_the_ramp_has_the_values_of_its_formula(share: float, expected: float) -> None:
    assert sigmoid_ramp(share) == pytest.approx(expected, abs=1e-7)


@settings(deadline=None, max_examples=50)
@given(ramp_up=st.floats(0, 1), weight=st.floats(0, 10), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_the_weight_rises_to_the_end_of_the_ramp_and_stays(
    ramp_up: float, weight: float, shares: tuple[float, float]
) -> None:
    config = SelfTrainingConfig(unlabelled_weight=weight, ramp_up=ramp_up)
    before, after = (config.strength(share) for share in sorted(shares))
    assert 0 <= before <= after <= weight
    if max(shares) >= ramp_up:
        assert after == weight
    else:
        assert after == pytest.approx(weight * math.exp(-5 * (1 - max(shares) / ramp_up) ** 2))


@pytest.mark.parametrize(
    ("settings", "batch_size", "unlabelled", "expected"),
    [
        ({}, 16, 100, (8, 8)),
        ({}, 16, 1, (8, 8)),
        ({}, 16, 0, (15, 1)),
        ({}, 17, 100, (8, 9)),
        ({}, 2, 100, (1, 1)),
        ({}, 2, 0, (1, 1)),
        ({"labelled_per_batch": 4}, 16, 100, (4, 12)),
        ({"labelled_per_batch": 4}, 16, 0, (4, 12)),
        ({"labelled_per_batch": 15}, 16, 100, (15, 1)),
    ],
)
def test_a_batch_is_half_annotated_or_all_but_one_or_as_configured(
    settings: dict[str, int], batch_size: int, unlabelled: int, expected: tuple[int, int]
) -> None:
    composition = SelfTrainingConfig.model_validate(settings).batch_composition(batch_size, unlabelled=unlabelled)
    assert composition == BatchComposition(*expected)


def test_a_batch_composition_has_the_strong_views_of_the_method() -> None:
    config = WeakToStrongConfig()
    assert config.batch_composition(16, unlabelled=1) == BatchComposition(8, 8, (config.strong, config.strong))


REFUSED = [
    (
        {"labelled_per_batch": 16}, 16,
        "method.labelled_per_batch must be below batch_size 16, to leave room for images without masks (given 16)",
    ),
    (
        {"labelled_per_batch": 20}, 16,
        "method.labelled_per_batch must be below batch_size 16, to leave room for images without masks (given 20)",
    ),
    ({}, 1, "batch_size must be at least 2, for images with and without masks (given 1)"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "batch_size", "message"), REFUSED)
@pytest.mark.parametrize("unlabelled", [0, 5])
def test_a_batch_without_room_for_both_kinds_is_refused(
    settings: dict[str, int], batch_size: int, message: str, unlabelled: int
) -> None:
    with pytest.raises(S4miError) as error:
        SelfTrainingConfig.model_validate(settings).batch_composition(batch_size, unlabelled=unlabelled)
    assert str(error.value) == message


@pytest.mark.parametrize(("settings", "batch_size", "message"), REFUSED)
@pytest.mark.parametrize("name", ["cross_teaching", "mean_teacher"])
def test_a_run_with_such_batches_is_refused_when_its_settings_are_read(
    settings: dict[str, Any], batch_size: int, message: str, name: str
) -> None:
    contents = {"data": {"path": "images"}, "method": {"name": name, **settings}, "batch_size": batch_size}
    with pytest.raises(S4miError) as error:
        make_run_config(contents, origin="run.yaml")
    assert str(error.value).startswith("run.yaml: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    valid = make_run_config({**contents, "batch_size": 32}, origin="run.yaml")
    assert isinstance(valid.method, SemiSupervisedConfig)
