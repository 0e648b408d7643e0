"""Stored features: the same as computed ones, and never computed twice."""

import copy
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from s4mi.contract.feature_names import POOLED, TURNS
from s4mi.contract.features import Extractor, turned
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.loading.feature_store import FeatureFolder
from s4mi.engine.runtime import PlainRuntime
from s4mi.errors import S4miError
from s4mi.nets.frozen_encoder import FrozenEncoder
from s4mi.training import features as module
from s4mi.training.feature_stores import attach
from s4mi.training.features import StoredFeatures
from s4mi.training.fitting_data import labelled_features, masked_features

CPU = PlainRuntime(torch.device("cpu"))
SIDE = 16


class Counted(Extractor):
    """Mean colour of the image and its quarters, and the images it was computed for."""

    name, key, widths = "counted", "counted", {POOLED: 3, "tokens_0": 3}

    def __init__(self) -> None:
        super().__init__()
        self.computed = 0

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        self.computed += len(images)
        return {POOLED: images.mean(dim=(2, 3)), "tokens_0": torch.nn.functional.avg_pool2d(images, SIDE // 2)}


def drawn_cache(count: int = 20, *, seed: int = 0) -> Cache:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    masks = generator.integers(0, 3, (count, SIDE, SIDE), dtype=np.uint8)
    empty: Any = np.zeros(0)
    return Cache(f"drawn {seed}", images, masks, np.arange(count), empty, empty, empty, empty, empty, False)


def tensors(cache: Cache, entries: Any = slice(None)) -> Tensor:
    return torch.from_numpy(cache.images[entries]).permute(0, 3, 1, 2).float() / 255


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_stored_features_are_the_computed_ones_rounded_to_16_bits(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    store = StoredFeatures(tmp_path, CPU)
    assert store.fill(extractor, cache, np.arange(20)) == 20
    attach([extractor], store)
    stored = extractor(tensors(cache))
    assert extractor.computed == 20
    for name, expected in extractor.compute(tensors(cache)).items():
        torch.testing.assert_close(stored[name], expected.half().float(), rtol=0, atol=0)


def test_features_are_the_same_with_and_without_a_store_on_disk(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    stored, computed = StoredFeatures(tmp_path, CPU), StoredFeatures(None, CPU)
    stored.fill(extractor, cache, np.arange(0, 20, 3))
    for name, expected in computed.features(extractor, tensors(cache)).items():
        torch.testing.assert_close(stored.features(extractor, tensors(cache))[name], expected, rtol=0, atol=0)


def test_prediction_computes_what_is_missing_and_writes_nothing(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    store = StoredFeatures(tmp_path, CPU)
    store.fill(extractor, cache, np.arange(10))
    before = contents(tmp_path)
    store.features(extractor, tensors(cache))
    assert extractor.computed == 10 + 10
    assert contents(tmp_path) == before


def test_pixels_that_are_no_255ths_are_computed(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    store = StoredFeatures(tmp_path, CPU)
    store.fill(extractor, cache, np.arange(20))
    images = tensors(cache)[:4].clone()
    images[1] += 0.4 / 255
    features = store.features(extractor, images)[POOLED]
    assert extractor.computed == 21
    torch.testing.assert_close(features, images.mean(dim=(2, 3)), rtol=0, atol=5e-4)


def test_equal_images_are_computed_once(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    cache.images[7] = cache.images[3]
    assert StoredFeatures(tmp_path, CPU).fill(extractor, cache, np.arange(20)) == 19


def test_filling_again_in_another_process_computes_what_is_new(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    StoredFeatures(tmp_path, CPU).fill(extractor, cache, np.arange(12))
    seen: list[tuple[int, int]] = []
    assert (
        StoredFeatures(tmp_path, CPU).fill(extractor, cache, np.arange(20), progress=lambda *done: seen.append(done))
        == 8
    )
    assert extractor.computed == 20
    assert seen[-1] == (8, 8)
    assert StoredFeatures(tmp_path, CPU).fill(extractor, cache, np.arange(20)) == 0


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_an_interrupted_filling_ends_as_an_undisturbed_one_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    cache = drawn_cache(130)
    monkeypatch.setattr(module, "shard_images", lambda _, batch: batch)
    encoder = FrozenEncoder("tiny_vit", weights="none", image_size=SIDE, blocks=(-1,))
    StoredFeatures(tmp_path / "undisturbed", CPU).fill(encoder, cache, np.arange(130))
    add = FeatureFolder.add
    added: list[None] = []

    def interrupted(self: FeatureFolder, *args: Any) -> None:
        if len(added) == after:
            raise KeyboardInterrupt
        added.append(add(self, *args))

    monkeypatch.setattr(FeatureFolder, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        StoredFeatures(tmp_path / "resumed", CPU).fill(encoder, cache, np.arange(130))
    monkeypatch.setattr(FeatureFolder, "add", add)
    assert StoredFeatures(tmp_path / "resumed", CPU).fill(encoder, cache, np.arange(130)) == 130 - 32 * after
    assert contents(tmp_path / "resumed") == contents(tmp_path / "undisturbed")


def test_filling_makes_damaged_features_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache, extractor = drawn_cache(), Counted()
    StoredFeatures(tmp_path, CPU).fill(extractor, cache, np.arange(20))
    before = contents(tmp_path)
    (shard,) = tmp_path.rglob("*.safetensors")
    raw = bytearray(shard.read_bytes())
    raw[-5] ^= 16
    shard.write_bytes(raw)
    with caplog.at_level(logging.WARNING, "s4mi"):
        assert StoredFeatures(tmp_path, CPU).fill(extractor, cache, np.arange(20)) == 20
    assert contents(tmp_path) == before
    assert "is damaged; its features are computed again" in caplog.text


@pytest.mark.parametrize("view", range(TURNS))
def test_masked_features_turn_image_mask_and_features_together(tmp_path: Path, view: int) -> None:
    cache, extractor = drawn_cache(), Counted()
    store = StoredFeatures(tmp_path, CPU)
    entries = np.array([4, 9, 2, 17])
    store.fill(extractor, cache, entries, views=TURNS)
    computed = extractor.computed
    data = masked_features(store, [extractor], cache, entries, groups=np.arange(4), views=TURNS)
    batch = data.batch([3, 1], view)
    assert extractor.computed == computed
    assert cache.masks is not None
    images, masks = tensors(cache, [17, 9]), torch.from_numpy(cache.masks[[17, 9]])
    torch.testing.assert_close(batch.images, turned(images, view))
    assert torch.equal(batch.masks, turned(masks, view).long())
    expected = extractor.compute(turned(images, view))["tokens_0"]
    torch.testing.assert_close(batch.features[0]["tokens_0"], expected, rtol=0, atol=5e-4)
    torch.testing.assert_close(batch.features[0]["tokens_0"], turned(extractor.compute(images)["tokens_0"], view),
                               rtol=0, atol=5e-4)  # fmt: skip


def test_masked_batches_are_all_images_in_order(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    data = masked_features(StoredFeatures(tmp_path, CPU), [extractor], cache, np.arange(5, 16), groups=np.arange(11))
    images = torch.cat([batch.images for batch in data.batches(size=4)])
    torch.testing.assert_close(images, tensors(cache, slice(5, 16)))
    assert len(data) == 11


def test_labelled_features_have_the_image_itself_as_first_view(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    store = StoredFeatures(tmp_path, CPU)
    entries, labels = np.array([3, 1, 8]), np.array([0, 1, 1])
    data = labelled_features(
        store, [extractor, extractor], cache, entries, labels=labels, groups=labels, views=3, unlabelled=np.array([5])
    )
    assert [block.shape for block in data.blocks] == [(3, 3, 3), (3, 3, 3)]
    expected = extractor.compute(tensors(cache, entries))[POOLED].numpy()
    np.testing.assert_allclose(data.blocks[0][:, 0], expected, atol=5e-4)
    np.testing.assert_allclose(data.unlabelled[0], extractor.compute(tensors(cache, [5]))[POOLED].numpy(), atol=5e-4)


def test_kept_blocks_are_stored_from_a_few_images_on(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    store = StoredFeatures(tmp_path, CPU)
    store.keep(extractor, cache.images[:7])
    assert not contents(tmp_path)
    first = store.keep(extractor, cache.images)
    assert extractor.computed == 7 + 20
    again = StoredFeatures(tmp_path, CPU).keep(extractor, cache.images)
    assert extractor.computed == 27
    torch.testing.assert_close(again, first, rtol=0, atol=0)


def test_a_store_that_cannot_be_written_warns_once_and_computes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache, extractor = drawn_cache(), Counted()
    store = StoredFeatures(tmp_path / "file", CPU)
    with caplog.at_level(logging.WARNING, "s4mi"):
        features = [store.keep(extractor, cache.images)[POOLED] for _ in range(2)]
    torch.testing.assert_close(features[0], tensors(cache).mean(dim=(2, 3)), rtol=0, atol=5e-4)
    assert len(caplog.records) == 1


def test_features_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    cache, extractor = drawn_cache(), Counted()
    extractor.compute = lambda images: {POOLED: images.mean(dim=(2, 3)) * 1e6}  # type: ignore[method-assign]
    with pytest.raises(S4miError, match="'pooled' of 20 images are not finite as float16"):
        StoredFeatures(tmp_path, CPU).fill(extractor, cache, np.arange(20))
    exact = copy.copy(extractor)
    exact.float16 = False
    store = StoredFeatures(tmp_path, CPU)
    store.fill(exact, cache, np.arange(20))
    torch.testing.assert_close(store.features(exact, tensors(cache))[POOLED], exact.compute(tensors(cache))[POOLED])


def test_precision_is_part_of_where_features_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_bfloat16", lambda: True)
    encoder, cache = FrozenEncoder("tiny_vit", weights="none", image_size=SIDE), drawn_cache(4)
    half = PlainRuntime(torch.device("cpu"))
    monkeypatch.setattr(PlainRuntime, "autocast", lambda _: nullcontext())
    StoredFeatures(tmp_path, half).fill(encoder, cache, np.arange(4))
    StoredFeatures(tmp_path, CPU, precision="32").fill(encoder, cache, np.arange(4))
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert names == [f"{encoder.key}-float32", f"{encoder.key}-mixed"]
