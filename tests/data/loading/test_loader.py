import dataclasses
import itertools
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_gpu import GPU, not_waited_for
from s4mi.contract import Batch, MultiCrop, ViewSpec
from s4mi.data.loading import batch_source as module
from s4mi.data.loading.augment import TOLERANCE, draw_views
from s4mi.data.loading.batch_source import CachedTargets
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.loading.loader import PlainBatches, TrainBatches
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.errors import S4miError

SIDE = 32
CPU = torch.device("cpu")
AS_STORED = ViewSpec(rotation=0, flip=False)
VARIED = ViewSpec(scale=(0.5, 1.0), brightness=0.2, hue=0.1, blur=0.5)

few = settings(max_examples=50, deadline=None)


def source(count: int = 40, *, masks: bool = True, labels: bool = True) -> CachedTargets:
    """Lesions whose manifest row is ten times their entry and whose label is the entry, to identify each."""
    drawings = list(draw_lesions(count, size=SIDE, seed=3))
    cache = Cache(
        key="key",
        images=np.stack([drawing.image for drawing in drawings]),
        masks=np.stack([drawing.mask // 255 for drawing in drawings]) if masks else None,
        row=10 * np.arange(count),
        size=np.full((10 * count, 2), SIDE),
        pixels=np.zeros((count, 2), dtype=np.int64),
        thumbnails=np.zeros((10 * count, 32, 32, 3), dtype=np.uint8),
        digests=np.array([str(number) for number in range(10 * count)]),
        foreground=np.zeros(10 * count),
        reused=False,
    )
    return CachedTargets(cache=cache, labels=torch.arange(count) if labels else None, device=CPU)


LESIONS = source()
ALL = np.arange(40)


def stream(
    entries: Any = ALL,
    *,
    of: CachedTargets = LESIONS,
    batch_size: int = 8,
    views: ViewSpec = VARIED,
    seed: int = 0,
    **where: int,
) -> TrainBatches:
    return TrainBatches(of, np.asarray(entries), batch_size=batch_size, crops=MultiCrop((views,)), seed=seed, **where)


def rows(batches: Iterator[Batch]) -> list[list[int]]:
    return [batch.rows.tolist() for batch in batches]


def assert_same(left: Batch, right: Batch) -> None:
    for field in dataclasses.fields(Batch):
        torch.testing.assert_close(getattr(left, field.name), getattr(right, field.name), rtol=0, atol=0)


def stored(batch: Batch) -> np.ndarray[Any, Any]:
    return (batch.images * 255).round().byte().permute(0, 2, 3, 1).numpy()


@few
@given(
    entries=st.lists(st.integers(0, 10_000), unique=True, min_size=8, max_size=200),
    batch_size=st.integers(8, 40),
    world=st.integers(1, 4),
    epoch=st.integers(1, 5),
)
def test_every_entry_is_in_one_batch_and_batches_are_balanced(
    entries: list[int], batch_size: int, world: int, epoch: int
) -> None:
    train = stream(entries, batch_size=batch_size, world=world)
    order = train.order(epoch)
    sizes = [len(batch) for batch in order]
    assert sorted(np.concatenate(order)) == sorted(entries)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size
    assert len(order) == train.steps == math.ceil(len(entries) / batch_size)


def test_seventeen_images_in_batches_of_sixteen_are_nine_and_eight() -> None:
    assert [len(batch.rows) for batch in stream(range(17), batch_size=16).epoch(1)] == [9, 8]


def test_an_epoch_shows_every_entry_once() -> None:
    shown = rows(stream([3, 5, 8, 30, 31], batch_size=2).epoch(1))
    assert [len(batch) for batch in shown] == [2, 2, 1]
    assert sorted(row for batch in shown for row in batch) == [30, 50, 80, 300, 310]


def test_epochs_and_seeds_have_different_orders() -> None:
    shown = [rows(stream(seed=seed).epoch(epoch)) for seed in (0, 1) for epoch in (1, 2, 3)]
    assert len(set(map(str, shown))) == 6


def test_an_epoch_is_the_same_for_the_same_seed_whatever_came_before() -> None:
    running, resumed = stream(), stream()
    for epoch in (1, 2):
        list(running.epoch(epoch))
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002  (the global one must not matter)
    for left, right in zip(running.epoch(3), resumed.epoch(3), strict=True):
        assert_same(left, right)


def test_an_image_has_another_view_in_every_epoch() -> None:
    train = stream([0])
    seen = [next(train.epoch(epoch)).images for epoch in (1, 2, 3, 4)]
    assert all(not torch.equal(one, other) for one, other in itertools.combinations(seen, 2))


def test_drawing_batches_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    list(stream().epoch(1))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("count", [40, 37])
def test_processes_together_have_the_batches_of_one(world: int, count: int) -> None:
    alone = stream(range(count), batch_size=8)
    shares = [stream(range(count), batch_size=8, rank=rank, world=world) for rank in range(world)]
    assert {share.steps for share in shares} == {alone.steps}
    for whole, *parts in zip(alone.epoch(2), *(share.epoch(2) for share in shares), strict=True):
        assert max(len(part.rows) for part in parts) - min(len(part.rows) for part in parts) <= 1
        for rank, part in enumerate(parts):
            mine = slice(rank, None, world)
            assert whole.labels is not None
            assert whole.masks is not None
            expected = Batch(
                whole.images[mine], whole.rows[mine], whole.labels[mine], whole.masks[mine],
                affine=whole.known_affine[mine],
            )  # fmt: skip
            assert_same(part, expected)


def test_labels_masks_and_rows_belong_to_their_images() -> None:
    for batch in stream(ALL[::-1], views=AS_STORED).epoch(1):
        entries = batch.known_labels.numpy()
        assert np.array_equal(batch.rows, 10 * entries)
        assert np.array_equal(stored(batch), LESIONS.cache.images[entries])
        assert LESIONS.cache.masks is not None
        assert np.array_equal(batch.known_masks, LESIONS.cache.masks[entries])


def test_a_batch_contains_the_affine_of_its_views() -> None:
    """By it torch sees the same of the stored images, and of their masks."""
    for batch in stream(views=ViewSpec(scale=(0.5, 1.0), translation=0.1)).epoch(1):
        assert batch.known_affine.shape == (len(batch.rows), 2, 3)
        grid = F.affine_grid(batch.known_affine, list(batch.images.shape), align_corners=False)
        entries = batch.rows.numpy() // 10
        whole = torch.from_numpy(LESIONS.cache.images[entries]).permute(0, 3, 1, 2).float() / 255
        seen = F.grid_sample(whole, grid, padding_mode="reflection", align_corners=False)
        assert 255 * (seen - batch.images).abs().mean() < TOLERANCE
        assert 255 * (whole - batch.images).abs().mean() > 10 * TOLERANCE
        assert LESIONS.cache.masks is not None
        masks = torch.from_numpy(LESIONS.cache.masks[entries])[:, None].float()
        seen = F.grid_sample(masks, grid, mode="nearest", padding_mode="reflection", align_corners=False)[:, 0]
        assert (seen == batch.known_masks).float().mean() > 0.97


def test_each_of_several_views_has_its_own_affine_and_one_as_stored_has_none() -> None:
    train = TrainBatches(LESIONS, ALL, batch_size=8, crops=MultiCrop((VARIED, AS_STORED)), seed=0)
    batch = next(train.epoch(1))
    turned, still = batch.known_affine.chunk(2)
    assert torch.equal(still, torch.eye(2, 3).expand(8, -1, -1))
    assert len({str(matrix.tolist()) for matrix in turned}) == 8
    assert np.array_equal(stored(batch)[8:], LESIONS.cache.images[batch.rows.numpy() // 10])
    assert next(iter(PlainBatches(LESIONS, ALL, batch_size=8))).affine is None


def test_absent_labels_and_masks_are_none() -> None:
    (batch,) = stream(range(3), of=source(3, masks=False, labels=False)).epoch(1)
    assert batch.masks is None
    assert batch.labels is None


def test_labels_of_several_classes_come_as_they_are() -> None:
    labels = torch.rand(40, 3)
    for batch in stream(of=dataclasses.replace(LESIONS, labels=labels)).epoch(1):
        assert torch.equal(batch.known_labels, labels[batch.rows // 10])


def test_batches_have_the_documented_type() -> None:
    for batch in (next(stream().epoch(1)), next(iter(PlainBatches(LESIONS, ALL, batch_size=8)))):
        assert batch.images.shape == (8, 3, SIDE, SIDE)
        assert batch.images.dtype == torch.float32
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert 0 <= batch.images.min() <= batch.images.max() <= 1
        assert batch.rows.dtype == batch.known_masks.dtype == torch.int64


def test_plain_is_as_stored_and_in_order() -> None:
    entries = [7, 2, 30, 9, 4]
    batches = list(PlainBatches(LESIONS, entries, batch_size=2))
    assert [len(batch.rows) for batch in batches] == [2, 2, 1]
    assert torch.cat([batch.rows for batch in batches]).tolist() == [70, 20, 300, 90, 40]
    assert np.array_equal(np.concatenate([stored(batch) for batch in batches]), LESIONS.cache.images[entries])


@few
@given(count=st.integers(0, 40), batch_size=st.integers(1, 16))
def test_plain_batches_have_a_length(count: int, batch_size: int) -> None:
    batches = PlainBatches(LESIONS, range(count), batch_size=batch_size)
    assert len(list(batches)) == len(batches)
    assert [row for batch in batches for row in batch.rows.tolist()] == [10 * n for n in range(count)]


@pytest.mark.parametrize(("count", "batch_size", "world"), [(1, 16, 2), (17, 1, 16), (3, 2, 4), (17, 2, 2)])
def test_a_process_without_an_image_gives_a_one_line_error(count: int, batch_size: int, world: int) -> None:
    with pytest.raises(
        S4miError,
        match=rf"^{count} training images in batches of {batch_size} are too few for {world} processes; [^\n]*$",
    ):
        stream(range(count), batch_size=batch_size, world=world)


def prefetching() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("broken", [0, 2])
def test_an_error_while_a_batch_is_prepared_is_raised(monkeypatch: pytest.MonkeyPatch, broken: int) -> None:
    made = module.apply_on_cpu
    calls: list[int] = []

    def breaks(*given: Any, **size: Any) -> Any:
        calls.append(1)
        if len(calls) > broken:
            raise S4miError("the disk went away")
        return made(*given, **size)

    monkeypatch.setattr(module, "apply_on_cpu", breaks)
    seen = []
    with pytest.raises(S4miError, match="the disk went away"):
        seen.extend(stream().epoch(1))
    assert not prefetching()


def test_leaving_an_epoch_early_ends_its_thread() -> None:
    def leave() -> None:
        for batch in stream().epoch(1):
            assert len(batch.rows) == 8
            break

    leaving = threading.Thread(target=leave, daemon=True)
    leaving.start()
    leaving.join(timeout=20)
    assert not leaving.is_alive()
    assert not prefetching()


def test_the_next_batch_is_prepared_while_one_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    made = module.apply_on_cpu
    second = threading.Event()
    calls: list[int] = []

    def noted(*given: Any, **size: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            second.set()
        return made(*given, **size)

    monkeypatch.setattr(module, "apply_on_cpu", noted)
    epoch = stream().epoch(1)
    next(epoch)
    assert second.wait(timeout=20)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_batches_on_a_gpu_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr(module, "RESIDENT_SHARE", share)
    there = stream(of=dataclasses.replace(LESIONS, device=torch.device("cuda")))
    for left, right in zip(there.epoch(1), stream().epoch(1), strict=True):
        assert torch.equal(left.rows, right.rows)
        assert 255 * (left.images.cpu() - right.images).abs().mean() < 1
        assert (left.known_masks.cpu() == right.known_masks).float().mean() > 0.99


def test_batches_on_a_gpu_do_not_synchronise(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ViewSpec(brightness=0.3, hue=0.1, grey=0.2, solarise=0.5)  # the taps of a blur are made on the CPU
    views, entries = draw_views(spec, 6, torch.Generator().manual_seed(0)), ALL[:6]
    images, masks = LESIONS.cache.images.shape, LESIONS.cache.images.shape[:3]
    with not_waited_for():
        pixels = module._Resident(*(torch.empty(shape, dtype=torch.uint8, device=GPU) for shape in (images, masks)))
        monkeypatch.setattr(module, "_resident", lambda _source: pixels)
        supply = module.BatchSource(dataclasses.replace(LESIONS, device=GPU), resident=True)
        batch, local = supply.batch(entries, views), supply.images(entries, views, size=SIDE // 2)
    assert batch.images.shape == (6, 3, SIDE, SIDE)
    assert {each.device for each in (batch.images, batch.known_labels, batch.known_masks, local)} == {GPU}
