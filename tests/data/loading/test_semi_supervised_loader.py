import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.contract import BatchComposition, ViewSpec
from s4mi.data.loading.batch_source import CachedTargets
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.loading.semi_supervised_loader import SemiSupervisedBatches
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.errors import S4miError

SIDE = 32
AS_STORED = ViewSpec(rotation=0, flip=False)
TURNED = ViewSpec()
DARK = ViewSpec(brightness=0.9)

few = settings(max_examples=40, deadline=None)


def source(count: int = 40) -> CachedTargets:
    drawings = list(draw_lesions(count, size=SIDE, seed=3))
    cache = Cache(
        key="key",
        images=np.stack([drawing.image for drawing in drawings]),
        masks=np.stack([drawing.mask // 255 for drawing in drawings]),
        row=10 * np.arange(count),
        size=np.full((10 * count, 2), SIDE),
        pixels=np.zeros((count, 2), dtype=np.int64),
        thumbnails=np.zeros((10 * count, 32, 32, 3), dtype=np.uint8),
        digests=np.array([str(number) for number in range(10 * count)]),
        foreground=np.zeros(10 * count),
        reused=False,
    )
    return CachedTargets(cache=cache, labels=None, device=torch.device("cpu"))


LESIONS = source()
HALVES = BatchComposition(4, 4)


def stream(
    labelled: range = range(6),
    unlabelled: range = range(6, 40),
    *,
    composition: BatchComposition = HALVES,
    views: ViewSpec = TURNED,
    seed: int = 0,
    **more: int,
) -> SemiSupervisedBatches:
    entries = (np.array(part, dtype=np.int64) for part in (labelled, unlabelled))
    return SemiSupervisedBatches(LESIONS, *entries, composition=composition, views=views, seed=seed, **more)


@few
@given(st.integers(1, 9), st.integers(0, 30), st.integers(1, 8), st.integers(1, 8), st.integers(0, 9))
def test_an_epoch_covers_both_streams_and_is_as_long_as_the_longer_one(
    labelled: int, unlabelled: int, per_batch: int, others: int, seed: int
) -> None:
    mixed = stream(
        range(labelled),
        range(labelled, labelled + unlabelled),
        composition=BatchComposition(per_batch, others),
        seed=seed,
    )
    assert mixed.steps == max(math.ceil(labelled / per_batch), math.ceil(unlabelled / others))
    order = mixed.order(1)
    assert all((len(own), len(other)) == (per_batch, others) for own, other in order)
    seen = [set(np.concatenate(part).tolist()) for part in zip(*order, strict=True)]
    assert seen[0] == set(range(labelled))
    assert seen[1] == set(range(labelled, labelled + unlabelled)) if unlabelled else seen[1] <= set(range(labelled))


@few
@given(st.integers(2, 9), st.integers(2, 20), st.integers(1, 7), st.integers(0, 9))
def test_over_the_epochs_every_image_of_a_stream_is_seen_equally_often(
    labelled: int, unlabelled: int, steps: int, seed: int
) -> None:
    mixed = stream(range(labelled), range(labelled, labelled + unlabelled), seed=seed, steps=steps)
    for side, entries in ((0, range(labelled)), (1, range(labelled, labelled + unlabelled))):
        seen = np.concatenate([batch[side] for epoch in range(1, 9) for batch in mixed.order(epoch)])
        counts = [int((seen == entry).sum()) for entry in entries]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == 8 * steps * 4


def test_the_mask_of_an_unlabelled_image_is_in_no_batch() -> None:
    for batch in stream(views=AS_STORED).epoch(1):
        own = batch.rows[:4] // 10
        assert (own < 6).all()
        assert (batch.rows[4:] // 10 >= 6).all()
        assert batch.masks is not None
        assert torch.equal(batch.masks, torch.from_numpy(LESIONS.cache.masks[own]).long())
        assert batch.unlabelled is not None
        assert batch.unlabelled.shape == (4, 3, SIDE, SIDE)
        stored = torch.from_numpy(LESIONS.cache.images[batch.rows[4:] // 10]).permute(0, 3, 1, 2) / 255
        torch.testing.assert_close(batch.unlabelled, stored, atol=1e-6, rtol=0)


def test_one_image_with_a_mask_fills_its_share_of_the_batch_in_different_views() -> None:
    batch = next(stream(range(1), range(1, 9)).epoch(1))
    assert batch.rows[:4].tolist() == [0, 0, 0, 0]
    assert len({image.numpy().tobytes() for image in batch.images}) == 4


def test_without_unlabelled_images_the_labelled_ones_are_used_as_unlabelled_too() -> None:
    mixed = stream(range(10), range(0), composition=BatchComposition(3, 1))
    assert mixed.steps == 4
    for batch in mixed.epoch(1):
        assert batch.masks is not None
        assert len(batch.masks) == 3
        assert (batch.rows < 100).all()
        assert len(batch.rows) == 4


def test_strong_views_have_the_geometry_of_the_weak_one_and_different_colours() -> None:
    mixed = stream(composition=BatchComposition(4, 4, strong=(DARK, DARK)))
    batch = next(mixed.epoch(1))
    assert batch.unlabelled is not None
    weak, one, other = batch.unlabelled.unflatten(0, (3, 4))
    for strong in (one, other):
        for plain, disguised in zip(weak, strong, strict=True):
            factors = (disguised / plain)[(disguised < 0.99) & (plain > 0.2)]  # brightness is one factor an image
            assert len(factors) > 100
            assert factors.std() < 0.05 * factors.mean()
    assert (one - other).abs().mean() > 0.01


def test_colourless_strong_views_are_the_weak_view() -> None:
    batch = next(stream(composition=BatchComposition(4, 4, strong=(AS_STORED,))).epoch(1))
    assert batch.unlabelled is not None
    assert torch.equal(*batch.unlabelled.unflatten(0, (2, 4)))


def test_an_epoch_is_the_same_whenever_it_comes_and_unlike_the_next() -> None:
    first, again = ([batch.unlabelled for batch in stream().epoch(3)] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first[0], next(stream().epoch(4)).unlabelled)


def test_processes_share_each_batch_of_one_process_of_the_same_global_size() -> None:
    alone = next(stream(composition=BatchComposition(4, 4, strong=(DARK,))).epoch(1))
    shares = [
        next(stream(composition=BatchComposition(4, 4, strong=(DARK,)), rank=rank, world=2).epoch(1))
        for rank in range(2)
    ]
    for rank, share in enumerate(shares):
        assert torch.equal(share.images, alone.images[rank::2])
        assert torch.equal(share.masks, alone.masks[rank::2])
        whole = alone.unlabelled.unflatten(0, (2, 4))
        assert torch.equal(share.unlabelled.unflatten(0, (2, 2)), whole[:, rank::2])


def test_a_process_without_labelled_or_unlabelled_images_gives_a_one_line_error() -> None:
    with pytest.raises(
        S4miError, match=r"^batches of 5 labelled and 1 unlabelled images are too small for 2 processes; [^\n]*$"
    ):
        stream(composition=BatchComposition(5, 1), world=2)


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_an_epoch_has_the_requested_steps(steps: int) -> None:
    assert len(list(stream(steps=steps).epoch(1))) == steps


def test_masks_of_unlabelled_images_change_nothing() -> None:
    masks = LESIONS.cache.masks.copy()
    masks[6:] = 1 - masks[6:]
    other = CachedTargets(cache=dataclasses.replace(LESIONS.cache, masks=masks), labels=None, device=LESIONS.device)
    entries = (np.arange(6), np.arange(6, 40))
    streams = [
        SemiSupervisedBatches(of, *entries, composition=HALVES, views=TURNED, seed=0).epoch(1)
        for of in (LESIONS, other)
    ]
    for one, same in zip(*streams, strict=True):
        assert all(torch.equal(getattr(one, name), getattr(same, name)) for name in ("images", "masks", "unlabelled"))


def test_the_first_of_several_views_keeps_its_colours_and_the_others_change_them() -> None:
    """The prediction on the first is the target of the others, so that it must be the easier one."""
    strong = dataclasses.replace(HALVES, strong=(DARK,))
    coloured = ViewSpec(scale=(0.6, 1.0), brightness=0.5)
    (batch, *_), (plain, *_) = (
        list(stream(composition=strong, views=views, seed=1).epoch(1)) for views in (coloured, coloured.geometry)
    )
    assert not torch.equal(batch.images, plain.images)  # labelled images change colour
    weak, dark = batch.known_unlabelled.chunk(2)
    assert not torch.equal(weak, dark)
    stored = torch.from_numpy(LESIONS.cache.images).permute(0, 3, 1, 2).float() / 255
    of_row = {int(row): stored[index] for index, row in enumerate(LESIONS.cache.row)}
    for view, row in zip(weak, batch.rows[len(batch.images) :].tolist(), strict=True):
        image = of_row[row]
        assert view.min() >= image.min() - 0.02  # interpolation makes no value outside the image's own range
        assert view.max() <= image.max() + 0.02


def test_with_one_view_of_each_image_it_is_as_strong_as_those_with_masks() -> None:
    coloured = ViewSpec(rotation=0, flip=False, brightness=0.9)
    batch = next(iter(stream(views=coloured).epoch(1)))
    stored = torch.from_numpy(LESIONS.cache.images).permute(0, 3, 1, 2).float() / 255
    of_row = {int(row): stored[index] for index, row in enumerate(LESIONS.cache.row)}
    same = [
        torch.equal(view, of_row[row])
        for view, row in zip(batch.known_unlabelled, batch.rows[len(batch.images) :].tolist(), strict=True)
    ]
    assert not any(same)


def test_views_without_colour_are_drawn_as_they_are() -> None:
    """So that the paper's views give the same weak view, to the bit, as when it was drawn like the others."""
    assert TURNED.geometry == TURNED
    coloured = ViewSpec(rotation=20, scale=(0.5, 0.9), translation=0.1, aspect=(0.8, 1.2), blur=0.5, hue=0.1)
    assert coloured.geometry == ViewSpec(rotation=20, scale=(0.5, 0.9), translation=0.1, aspect=(0.8, 1.2))
