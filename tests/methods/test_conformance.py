"""Contract of every method. A new method needs one row in `SMALL`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from made_features import fit_to
from s4mi.config import METHOD_CONFIGS
from s4mi.contract import (
    Batch,
    Classifier,
    Method,
    MethodConfig,
    Segmenter,
    SemiSupervisedConfig,
    Task,
    TrainState,
    ViewSpec,
)
from s4mi.engine.checkpoint import load_weights, save_best
from s4mi.records import IGNORE, TaskKind

SMALL: dict[str, dict[str, Any]] = {
    "finetune": {"backbone": "tiny_resnet", "weights": "none", "class_weights": "inverse"},
    "finetune_pseudo_labels": {"backbone": "tiny_resnet", "weights": "none", "keep": 0.5},
    "classical": {},
    "colour_clusters": {"clusters": 5},
    "classical_segmenter": {"trees": 10, "depth": 6, "pixels": 2000},
    "frozen": {"backbone": "tiny_resnet", "weights": "none"},
    "pseudo_labels": {"backbone": "tiny_resnet", "weights": "none", "join": []},
    "dino": {
        "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "bottleneck": 8, "prototypes": 12, "local_crops": 2,
        "frozen_epochs": 0,
    },
    "cass": {"cnn": "tiny_resnet", "vit": "tiny_vit", "weights": "none", "embedding": 24, "variance_weight": 0.5},
    "simclr": {"backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8},
    "simmim": {"backbone": "tiny_vit", "weights": "none", "square": 8},
    "diet": {"backbone": "tiny_resnet", "weights": "none", "tuning": "full", "head_first": 0},
    "dedl": {"encoder": "tiny_resnet", "weights": "none", "decoder_channels": [16, 8, 8], "class_weights": "median"},
    "cross_teaching": {"cnn": "tiny_resnet", "transformer": "tiny_swin_unet", "transformer_weights": "none"},
    "cross_pseudo_supervision": {"network": "tiny_resnet"},
    "co_training": {"network": "tiny_resnet"},
    "mean_teacher": {"network": "tiny_resnet", "passes": 2, "class_weights": "inverse"},
    "adversarial": {"network": "tiny_resnet", "evaluator": 8},
    "self_training": {"network": "tiny_resnet"},
    "weak_to_strong": {"network": "tiny_resnet", "confidence": 0.3},
    "frozen_teacher": {
        "network": "tiny_resnet", "teacher": "tiny_vit", "teacher_weights": "none", "teacher_steps": 3, "folds": 2,
        "keep": 0.8,
    },
    "frozen_segmenter": {"backbone": "tiny_vit", "weights": "none", "width": 16, "decoder_steps": 30, "turns": 4},
    "picie": {"backbone": "tiny_resnet", "weights": "none", "width": 8, "clusters": 5},
    "mdc": {"backbone": "tiny_resnet", "weights": "none", "width": 8},
    "token_clusters": {"backbone": "tiny_vit", "weights": "none", "clusters": 5},
}  # fmt: skip
"""Settings of each method, by its name, that make it small enough to train in an instant."""

SIZE, CLASSES = 32, 3


def name_of(config: type[MethodConfig]) -> str:
    return str(config.model_fields["name"].default)


CASES = [
    pytest.param(config, kind, id=f"{name_of(config)}-{kind}")
    for config in METHOD_CONFIGS
    for kind in sorted(config.tasks)
    if name_of(config) in SMALL
]
every_method = pytest.mark.parametrize("config", METHOD_CONFIGS, ids=name_of)
every_task_of_every_method = pytest.mark.parametrize(("config", "kind"), CASES)
every_task_of_every_trained_method = pytest.mark.parametrize(
    ("config", "kind"), [case for case in CASES if not case.values[0].fitted]
)
every_task_of_every_fitted_method = pytest.mark.parametrize(
    ("config", "kind"), [case for case in CASES if case.values[0].fitted]
)


@every_method
def test_there_is_a_small_variant_of_the_method(config: type[MethodConfig]) -> None:
    name = name_of(config)
    assert name in SMALL, (
        f"add a row for {name!r} to SMALL in {Path(__file__).name}, so that it is tested like the rest"
    )


@every_method
def test_every_setting_has_a_description_of_its_own(config: type[MethodConfig]) -> None:
    for name, setting in config.model_fields.items():
        if name != "name":
            assert setting.description, name
            assert not setting.description.lower().startswith("of "), name


@every_method
def test_the_method_describes_itself(config: type[MethodConfig]) -> None:
    assert config.summary
    assert "\n" not in config.summary
    assert config.paper
    assert config.tasks
    assert isinstance(config.default_views, ViewSpec)
    assert name_of(config) in config.model_fields["name"].annotation.__args__  # type: ignore[union-attr]
    assert config().views == config.default_views


def test_no_two_methods_have_one_name() -> None:
    names = [name_of(config) for config in METHOD_CONFIGS]
    assert len(set(names)) == len(names)


def build(config: type[MethodConfig], kind: TaskKind, *, seed: int = 0) -> Method:
    task = Task(
        kind=kind,
        classes=("a", "b", "c")[:CLASSES],
        image_size=SIZE,
        counts=(6, 3, 1),
        labelled=10,
        train_rows=tuple(range(10)),
    )
    torch.manual_seed(seed)
    return config.model_validate(SMALL[name_of(config)]).build(task)


def begun(config: type[MethodConfig], kind: TaskKind, *, seed: int = 0) -> Method:
    """The method before the first step of an epoch of one batch, that of `batch_of`, or fitted to that batch."""
    method = build(config, kind, seed=seed)
    if config.fitted:
        fit_to(method, batch_of(config, kind, size=12))
        return method
    method.before_epoch([batch_of(config, kind)])
    method.before_step(TrainState(step=0, per_epoch=1, total=10))
    return method


def batch_of(config: type[MethodConfig], kind: TaskKind, *, size: int = 6, seed: int = 0) -> Batch:
    """A batch as the method expects it; views and local crops are darker copies without geometric changes."""
    settings = config.model_validate(SMALL[name_of(config)])
    batch, crops = plain_batch(kind, size=size, seed=seed), settings.crops(SIZE)
    if config.unlabelled:
        batch = replace(batch, labels=None, masks=None)
    if isinstance(settings, SemiSupervisedConfig):
        others = plain_batch(kind, size=size, seed=seed + 100).images
        views = [others * 0.9**n for n in range(1 + len(settings.strong_views))]
        return replace(batch, unlabelled=torch.cat(views))
    views = torch.cat([batch.images * 0.9**n for n in range(len(crops.images))])
    masks = None if batch.masks is None else batch.masks.repeat(len(crops.images), 1, 1)
    local = [torch.nn.functional.interpolate(batch.images * 0.8**n, crops.local_size) for n in range(len(crops.local))]
    affine = torch.eye(2, 3).repeat(len(views), 1, 1)
    return replace(batch, images=views, masks=masks, local=torch.cat(local) if local else None, affine=affine)


def plain_batch(kind: TaskKind, *, size: int, seed: int = 0) -> Batch:
    """Images whose colours show their labels or masks."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.rand(size, 3, SIZE, SIZE, generator=generator)
    rows = torch.arange(size)
    if kind == "segmentation":
        masks = torch.randint(CLASSES, (size, SIZE // 8, SIZE // 8), generator=generator)
        masks = masks.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
        images += 0.7 * torch.nn.functional.one_hot(masks, CLASSES).movedim(-1, 1)
        return Batch(images, rows, masks=masks.masked_fill(torch.rand(masks.shape, generator=generator) < 0.1, IGNORE))
    shown = torch.randint(CLASSES, (size,), generator=generator)
    one_hot = torch.nn.functional.one_hot(shown, CLASSES).float()
    images += 0.7 * one_hot[:, :, None, None]
    return Batch(images, rows, labels=shown if kind == "multiclass" else one_hot)


@every_task_of_every_trained_method
def test_the_loss_is_finite_scalar_terms_that_sum_to_the_total(config: type[MethodConfig], kind: TaskKind) -> None:
    losses = begun(config, kind).loss(batch_of(config, kind))
    for name, term in losses.items():
        assert term.shape == (), name
        assert torch.isfinite(term), name
    torch.testing.assert_close(losses.total, sum(losses.values(), torch.tensor(0.0)))


@every_task_of_every_trained_method
def test_a_gradient_reaches_every_parameter_that_is_trained(config: type[MethodConfig], kind: TaskKind) -> None:
    method = begun(config, kind)
    method.loss(batch_of(config, kind)).total.backward()
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


@every_task_of_every_trained_method
def test_a_step_downhill_lowers_the_loss(config: type[MethodConfig], kind: TaskKind) -> None:
    method, batch = begun(config, kind), batch_of(config, kind)
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=1e-4)
    torch.manual_seed(1)
    before = method.loss(batch).total
    before.backward()
    optimizer.step()
    torch.manual_seed(1)
    assert method.loss(batch).total < before


@every_task_of_every_trained_method
def test_the_method_is_drawn_from_the_seed_and_nothing_else(config: type[MethodConfig], kind: TaskKind) -> None:
    one, same, other = (begun(config, kind, seed=seed) for seed in (3, 3, 4))
    states = [method.state_dict() for method in (one, same, other)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])
    losses = []
    for method in (one, same):
        torch.manual_seed(5)
        losses.append(method.loss(batch_of(config, kind)).total)
    assert torch.equal(*losses)


def logits_of(method: Method, images: Tensor) -> Tensor:
    assert isinstance(method, Classifier | Segmenter)
    with torch.no_grad():
        return method.eval().logits(images)


@every_task_of_every_method
def test_logits_are_one_score_a_class_for_each_image_by_itself(config: type[MethodConfig], kind: TaskKind) -> None:
    method = begun(config, kind)
    if not isinstance(method, Classifier | Segmenter):
        pytest.skip("it predicts no labels")
    assert isinstance(method, Segmenter) == (kind == "segmentation")
    images = plain_batch(kind, size=3).images
    logits = logits_of(method, images)
    assert logits.shape == ((3, CLASSES, SIZE, SIZE) if kind == "segmentation" else (3, CLASSES))
    for i in range(3):
        torch.testing.assert_close(logits_of(method, images[i : i + 1]), logits[i : i + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.long
@every_task_of_every_method
def test_a_checkpoint_restores_the_method(config: type[MethodConfig], kind: TaskKind, tmp_path: Path) -> None:
    method, other = begun(config, kind, seed=0), build(config, kind, seed=1)
    method.loss(
        plain_batch(kind, size=6) if config.fitted else batch_of(config, kind)
    )  # updates the statistics of batch normalisation
    save_best(tmp_path, method.state_dict(), epoch=1)
    other.load_state_dict(load_weights(tmp_path / "best.safetensors"))
    assert all(torch.equal(tensor, other.state_dict()[key]) for key, tensor in method.state_dict().items())
    if isinstance(method, Classifier | Segmenter):
        images = plain_batch(kind, size=3).images
        assert torch.equal(logits_of(method, images), logits_of(other, images))


@every_task_of_every_method
def test_the_counts_of_the_task_are_in_no_checkpoint(config: type[MethodConfig], kind: TaskKind) -> None:
    """A run may be evaluated on other data than it was trained on; class weights are not part of the network."""
    assert not [name for name in build(config, kind).state_dict() if name == "weight"]


@every_task_of_every_fitted_method
def test_a_fit_depends_on_its_images_and_the_generator_alone(config: type[MethodConfig], kind: TaskKind) -> None:
    one, same = build(config, kind, seed=1), build(config, kind, seed=2)
    for method in (one, same):
        fit_to(method, batch_of(config, kind, size=12), seed=3)
    state, other = one.state_dict(), same.state_dict()
    assert state
    assert all(torch.equal(tensor, other[key]) for key, tensor in state.items())


@every_task_of_every_fitted_method
def test_a_fitted_method_fits_the_images_it_was_fitted_to(config: type[MethodConfig], kind: TaskKind) -> None:
    """Colours show the labels, so that anything that learns is better than chance on its own images."""
    method, batch = begun(config, kind), plain_batch(kind, size=12)
    logits = logits_of(method, batch.images)
    if config.unlabelled:
        assert logits.isfinite().all()
        return
    if kind == "segmentation":
        known = batch.known_masks != IGNORE
        right = (logits.argmax(dim=1) == batch.known_masks)[known].float().mean()
    elif kind == "multilabel":
        right = ((logits > 0) == batch.known_labels.bool()).float().mean()
    else:
        right = (logits.argmax(dim=1) == batch.known_labels).float().mean()
    assert right > 0.6


@every_task_of_every_fitted_method
def test_the_loss_of_a_fitted_method_is_finite(config: type[MethodConfig], kind: TaskKind) -> None:
    losses = begun(config, kind).loss(plain_batch(kind, size=6))
    assert all(torch.isfinite(term) and term.shape == () for term in losses.values())


@pytest.mark.parametrize("rule", ["none", "inverse", "median", [1.0, 2.0, 3.0]], ids=str)
@pytest.mark.parametrize(("config", "kind"), [case for case in CASES if "class_weights" in case.values[0].model_fields])
def test_a_method_is_built_to_predict_whatever_its_class_weights(
    config: type[MethodConfig], kind: TaskKind, rule: Any
) -> None:
    """Then its task has no counts, as they are those of the training images."""
    task = Task(kind=kind, classes=("a", "b", "c"), image_size=SIZE, counts=(), labelled=0)
    config.model_validate({**SMALL[name_of(config)], "class_weights": rule}).build(task)
