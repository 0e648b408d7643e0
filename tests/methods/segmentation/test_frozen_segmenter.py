"""Frozen segmenter: the linear head against scikit-learn on the same tokens, the decoder by its properties."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from made_features import InMemoryMaskedFeatures
from s4mi.contract import Task
from s4mi.errors import S4miError
from s4mi.maths.class_shares import class_shares
from s4mi.methods.segmentation.frozen_segmenter import FrozenSegmenter, maps_of
from s4mi.records import IGNORE
from s4mi.settings.segmentation.frozen_segmenter import FrozenSegmenterConfig

SIZE = 32
CLASSES = ("background", "vessel", "lesion")


def drawn(count: int = 6, *, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images whose colours show their masks, of squares of 8 pixels shifted by 4, with pixels that are ignored."""
    generator = torch.Generator().manual_seed(seed)
    squares = torch.randint(classes, (count, 5, 5), generator=generator)
    masks = squares.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, 4 : 4 + SIZE, 4 : 4 + SIZE].contiguous()
    images = 0.3 * torch.rand(count, 3, SIZE, SIZE, generator=generator)
    images += 0.7 * torch.nn.functional.one_hot(masks, 3).movedim(-1, 1)
    masks[torch.rand(masks.shape, generator=generator) < 0.05] = IGNORE
    return images, masks


def built(*, classes: tuple[str, ...] = CLASSES, counts: tuple[int, ...] = (), **settings: Any) -> FrozenSegmenter:
    torch.manual_seed(0)
    task = Task("segmentation", classes, SIZE, counts or (1,) * len(classes), labelled=6)
    return FrozenSegmenterConfig(
        **{"backbone": "tiny_vit", "weights": "none", "width": 16, "decoder_steps": 40, "turns": 1, **settings}
    ).build(task)


def data_of(
    method: FrozenSegmenter, images: Tensor, masks: Tensor, *, groups: list[int] | None = None
) -> InMemoryMaskedFeatures:
    numbers = np.arange(len(images)) if groups is None else np.asarray(groups)
    return InMemoryMaskedFeatures(method.extractors, images, masks, numbers, method.views)


def predicted(method: FrozenSegmenter, images: Tensor) -> Tensor:
    with torch.no_grad():
        return method.eval().logits(images).argmax(dim=1)


def accuracy(method: FrozenSegmenter, images: Tensor, masks: Tensor) -> float:
    known = masks != IGNORE
    return float((predicted(method, images) == masks)[known].float().mean())


# Linear


@pytest.mark.parametrize("weights", ["none", (1.0, 2.0, 0.5)])
def test_the_linear_head_is_scikit_learn_s_logistic_regression_on_the_same_tokens(weights: Any) -> None:
    method = built(head="linear", strength=0.03, class_weights=weights)
    images, masks = drawn()
    method.fit(data_of(method, images, masks), np.random.default_rng(0))
    with torch.no_grad():
        maps = maps_of([extractor(images) for extractor in method.extractors])
        tokens = torch.cat(maps, dim=1).movedim(1, -1).flatten(0, 2).double().numpy()
        ours = method.head.token_logits(maps).movedim(1, -1).flatten(0, 2).softmax(dim=1).numpy()
    tokens = (tokens - tokens.mean(axis=0)) / tokens.std(axis=0)
    shares = class_shares(masks, 3, maps[0].shape[-2:]).movedim(1, -1).flatten(0, 2).double().numpy()
    shares = shares * (np.ones(3) if weights == "none" else np.array(weights))
    peer = LogisticRegression(C=1 / (0.03 * shares.sum()), tol=1e-8, max_iter=5000)
    peer.fit(np.repeat(tokens, 3, axis=0), np.tile([0, 1, 2], len(tokens)), sample_weight=shares.flatten())
    np.testing.assert_allclose(ours, peer.predict_proba(tokens), atol=2e-3)


def test_the_strength_is_chosen_by_folds_that_keep_patients_together() -> None:
    """Two copies of each image: folds that separated them would choose the weakest penalty, which remembers noise."""
    images, masks = drawn(4)
    masks = masks[torch.randperm(4, generator=torch.Generator().manual_seed(1))]  # nothing to learn
    images, masks = images.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1)
    chosen = []
    for groups in ([0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6, 7]):
        method = built(head="linear", blocks=(-1,))
        fit = method.fit(data_of(method, images, masks, groups=groups), np.random.default_rng(0))
        assert fit.chosen is not None
        chosen.append(float(fit.chosen["strength"]))
    assert chosen[0] == 1.0
    assert chosen[1] < chosen[0]


def test_tokens_of_a_cnn_s_stages_are_joined_on_the_finest_grid() -> None:
    method = built(head="linear", backbone="tiny_resnet", strength=0.01)
    images, masks = drawn()
    method.fit(data_of(method, images, masks), np.random.default_rng(0))
    assert accuracy(method, images, masks) > 0.8


# Both heads


@pytest.mark.long
@pytest.mark.parametrize("head", ["linear", "decoder"])
def test_both_heads_learn_binary_masks_on_all_turns_and_several_sizes(head: str) -> None:
    settings: dict[str, Any] = {
        "turns": 8,
        "encoder_sizes": (32, 64),
        "blocks": (-1,),
        "strength": 0.01,
        "decoder_lr": 1e-2,
    }
    method = built(head=head, classes=("background", "lesion"), **settings)
    images, masks = drawn(classes=2)
    method.fit(data_of(method, images, masks), np.random.default_rng(0))
    assert len(method.extractors) == 2
    assert accuracy(method, images, masks) > 0.85


@pytest.mark.parametrize("head", ["linear", "decoder"])
def test_pixels_that_are_not_annotated_are_learnt_from_the_others(head: str) -> None:
    images, masks = drawn(classes=2)
    partly = masks.clone()
    partly[:, :, SIZE // 2 :] = IGNORE
    method = built(head=head, classes=("background", "lesion"), strength=0.01, decoder_lr=1e-2, blocks=(-1,))
    method.fit(data_of(method, images, partly), np.random.default_rng(0))
    assert accuracy(method, images, masks) > 0.65
    assert set(predicted(method, images).unique().tolist()) == {0, 1}


@pytest.mark.parametrize("head", ["linear", "decoder"])
def test_a_fit_depends_on_its_generator_alone(head: str) -> None:
    images, masks = drawn()
    states = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        method = built(head=head, decoder_steps=3, strength=0.1)
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        method.fit(data_of(method, images, masks), np.random.default_rng(seed))
        assert torch.equal(torch.get_rng_state(), before)
        states.append(method.state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    if head == "decoder":
        assert any(not torch.equal(tensor, states[2][name]) for name, tensor in states[0].items())


@pytest.mark.long
@pytest.mark.parametrize("head", ["linear", "decoder"])
def test_a_class_in_no_mask_is_named_and_never_predicted(head: str) -> None:
    images, masks = drawn()
    masks[masks == 1] = IGNORE
    method = built(head=head, decoder_lr=1e-2, strength=0.01, blocks=(-1,))
    fit = method.fit(data_of(method, images, masks), np.random.default_rng(0))
    assert fit.notes == ("class 'vessel' is in none of the 6 masks and is never predicted",)
    assert 1 not in predicted(method, images)


def test_masks_of_one_class_do_not_suffice() -> None:
    images, masks = drawn()
    method = built()
    with pytest.raises(S4miError, match="the 6 images with masks show background alone"):
        method.fit(data_of(method, images, torch.zeros_like(masks)), np.random.default_rng(0))


def test_one_image_of_one_patient_has_no_folds_and_is_fitted_all_the_same() -> None:
    images, masks = drawn(1)
    method = built(head="linear")
    fit = method.fit(data_of(method, images, masks), np.random.default_rng(0))
    assert fit.chosen is None
    assert accuracy(method, images, masks) > 0.5


def test_the_encoder_is_in_no_checkpoint_and_its_settings_stay() -> None:
    method = built()
    assert not [name for name in method.state_dict() if not name.startswith(("head.", "keys.", "present"))]
    assert method.config.from_scratch() == method.config


def test_another_encoder_s_head_is_refused() -> None:
    """Same shapes, other features: at another image size."""
    with pytest.raises(S4miError, match="the features of 'tiny_vit' are not those that the head was fitted to"):
        built(encoder_sizes=(64,)).load_state_dict(built(encoder_sizes=(32,)).state_dict())
