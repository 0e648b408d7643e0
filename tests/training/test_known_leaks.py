"""Leaks are looked for once for the same images in the same parts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.data.splits.leakage import find_leaks
from s4mi.training import known_leaks as module
from s4mi.training.known_leaks import known_leaks
from s4mi.training.prepare import prepare


def test_leaks_are_found_again_only_if_images_or_parts_differ(
    cells: Path, quick: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(quick(cells, TRANSFER))
    manifest, cache, split = prepared.manifest, prepared.cache, prepared.split
    searches: list[tuple[int, ...]] = []

    def counted(manifest: object, split: object, **given: object) -> object:
        searches.append(split.test)  # type: ignore[attr-defined]
        return find_leaks(manifest, split, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "find_leaks", counted)
    module._last.clear()
    copied = replace(split, train=(*split.train, split.test[0]), test=split.test[1:])
    same_group = replace(split, labelled=())
    expected = find_leaks(manifest, split, digests=cache.digests, thumbnails=cache.thumbnails)
    assert known_leaks(manifest, split, cache) == known_leaks(manifest, same_group, cache) == expected
    assert searches == [split.test]  # other labels are other labels of the same parts
    assert known_leaks(manifest, copied, cache) == find_leaks(
        manifest, copied, digests=cache.digests, thumbnails=cache.thumbnails
    )
    known_leaks(replace(manifest), copied, cache)
    assert searches == [split.test, copied.test, copied.test]  # a manifest that was read again
