"""The work of finding images and masks grows with their number, not with its square."""

from collections.abc import Callable
from pathlib import Path, PurePath

import pytest

from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.pair_by_name import AffixPattern
from s4mi.data.sources.pairs import PairsOptions, read_pairs
from s4mi.data.sources.types import FoundDataset

READERS: dict[str, Callable[[Path], FoundDataset]] = {
    "pairs": lambda source: read_pairs(source, PairsOptions((".",), (".",), AffixPattern(mask_suffix="_mask"))),
    "folder": lambda source: read_folder(source, FolderOptions(mask_suffix="_mask")),
}


@pytest.mark.parametrize("name", READERS)
def test_twice_the_files_take_twice_the_look_ups(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = 0
    plain = PurePath.__hash__

    def counted(path: PurePath) -> int:
        nonlocal looked_up
        looked_up += 1
        return plain(path)

    monkeypatch.setattr(PurePath, "__hash__", counted)
    counts = []
    for number in (40, 80):
        source = tmp_path / f"{number} images"
        source.mkdir()
        for n in range(number):
            (source / f"{n}.png").touch()
            (source / f"{n}_mask.png").touch()
        looked_up = 0
        found = READERS[name](source)
        assert sum(row.mask is not None for row in found.rows) == number
        counts.append(looked_up)
    assert counts[1] < 2.5 * counts[0]
