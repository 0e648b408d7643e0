from pathlib import Path

import numpy as np
import pytest

from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.row import Row
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.data.sources.table import read_tables
from s4mi.data.spec import DatasetSpec
from s4mi.data.splits.leakage import Leak, describe, find_leaks
from s4mi.data.splits.split import SplitMethod, make_split
from s4mi.data.splits.split_file import Split
from s4mi.data.thumbnails import thumbnail

DRAWN = [drawing.image for drawing in draw_lesions(12, size=64, seed=2)]


def manifest(groups: list[str | None] | None = None) -> Manifest:
    rows = tuple(
        Row(
            f"i{number}",
            Path(f"{number}.png"),
            None,
            None,
            group=(groups or [None] * 12)[number],
            split=None,
            line=number + 2,
        )
        for number in range(12)
    )
    return Manifest(Path("set"), DatasetSpec(name="set", tasks=()), rows)


SPLIT = Split(train=tuple(range(6)), val=(6, 7, 8), test=(9, 10, 11), labelled=(0,), hash="")


def leaks(
    *, same_bytes: tuple[int, int] | None = None, same_look: tuple[int, int] | None = None,
    groups: list[str | None] | None = None,
) -> list[Leak]:  # fmt: skip
    digests = [str(number) for number in range(12)]
    thumbnails = np.stack([thumbnail(image) for image in DRAWN])
    if same_bytes:
        digests[same_bytes[1]] = digests[same_bytes[0]]
    if same_look:
        thumbnails[same_look[1]] = thumbnails[same_look[0]]
    return list(find_leaks(manifest(groups), SPLIT, digests=digests, thumbnails=thumbnails))


def test_a_clean_split_has_no_leak() -> None:
    assert leaks() == []
    assert leaks(same_bytes=(0, 1), same_look=(9, 10), groups=["p"] * 3 + [None] * 9) == []


@pytest.mark.parametrize(("kind", "how"), [("exact", "same_bytes"), ("near", "same_look")])
def test_the_same_image_in_two_parts_is_a_leak(kind: str, how: str) -> None:
    (leak,) = leaks(**{how: (10, 3)})  # type: ignore[arg-type]
    assert (leak.kind, leak.first, leak.second, leak.parts) == (kind, 3, 10, ("train", "test"))


def test_one_patient_in_two_parts_is_a_leak() -> None:
    (leak,) = leaks(groups=["p", *[None] * 6, "p", *[None] * 4])
    assert (leak.kind, leak.first, leak.second, leak.parts) == ("group", 0, 7, ("train", "val"))


def test_leaks_into_the_test_set_come_first_and_a_pair_is_named_once() -> None:
    found = leaks(same_bytes=(0, 6), same_look=(0, 6), groups=[None, "p", *[None] * 9, "p"])
    assert [(leak.kind, leak.first, leak.second) for leak in found] == [("group", 1, 11), ("exact", 0, 6)]
    assert describe(found[0], manifest()) == (
        "set/manifest.csv:13: image 'i11' (test) is of the same group as 'i1' in line 3 (train)"
    )


@pytest.mark.real
def test_the_official_split_of_isic_2017_leaks_in_the_ways_that_are_known(real_data: Path, tmp_path: Path) -> None:
    from s4mi.data.images import read_image
    from s4mi.data.loading.file_hashes import FileHashes
    from s4mi.data.parallel import in_parallel
    from s4mi.data.sources.types import DatasetNaming
    from s4mi.data.sources.write import write_import

    write_import(
        read_tables(real_data / "isic2017"), tmp_path / "isic", naming=DatasetNaming("isic", foreground="lesion")
    )
    data = load_manifest(tmp_path / "isic")
    images = [row.image for row in data.rows]
    thumbnails = np.stack([thumbnail(image) for image in in_parallel(read_image, images)])
    digests = FileHashes(tmp_path / "f.sqlite").digests(images)
    split = make_split(data, "multiclass", method=SplitMethod("official"), fraction_seed=0)
    found = find_leaks(data, split, digests=[digests[path] for path in images], thumbnails=thumbnails)
    exact = {
        frozenset(data.rows[row].id.split("/")[-1] for row in (leak.first, leak.second))
        for leak in found
        if leak.kind == "exact"
    }
    assert exact == {
        frozenset({"ISIC_0012175", "ISIC_0015982"}), frozenset({"ISIC_0012271", "ISIC_0016018"}),
        frozenset({"ISIC_0012127", "ISIC_0012970"}), frozenset({"ISIC_0012221", "ISIC_0016002"}),
    }  # fmt: skip
    assert all(leak.similarity > 0.96 for leak in found)
    assert len(found) < 20
