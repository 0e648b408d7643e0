"""Names that look identical: one encoded as NFC, the other as NFD (B7)."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from s4mi.data.annotations.match_rows import RowFinder, UnknownImageError
from s4mi.data.checks.unlisted import find_unlisted
from s4mi.data.manifest import load_manifest, read_manifest
from s4mi.data.names import NameIndex, existing_file
from s4mi.data.sources.edit_labels import edit_labels
from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.pairs import read_pairs
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import

NFC, NFD = (unicodedata.normalize(form, "Müller-Å") for form in ("NFC", "NFD"))
PAIRS = [(NFC, NFD), (NFD, NFC)]


def image(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((8, 8), value, dtype=np.uint8)
    pixels[2:4, 2:4] = 255
    Image.fromarray(pixels).save(path)


@pytest.fixture(autouse=True)
def _names_are_kept(tmp_path: Path) -> None:
    (tmp_path / NFC).touch()
    if (tmp_path / NFD).exists():
        pytest.skip("this file system does not distinguish NFC and NFD")


@pytest.mark.parametrize(("stored", "asked"), PAIRS)
def test_a_file_is_found_whatever_the_encoding_of_its_path(tmp_path: Path, stored: str, asked: str) -> None:
    image(tmp_path / "x" / stored / f"{stored}.png")
    assert existing_file(tmp_path / "x" / asked / f"{asked}.png") == tmp_path / "x" / stored / f"{stored}.png"
    assert existing_file(tmp_path / "x" / asked) is None
    assert existing_file(tmp_path / "x" / asked / "Mü.png") is None


def test_an_exact_match_goes_first_and_an_ambiguous_one_is_none(tmp_path: Path) -> None:
    names = ["\u1ec7", "\u00ea\u0323", "e\u0323\u0302"]  # three encodings of one letter
    mixed = names[1]
    for name in (names[0], names[2]):
        image(tmp_path / f"{name}.png")
        assert existing_file(tmp_path / f"{name}.png") == tmp_path / f"{name}.png"
    assert existing_file(tmp_path / f"{mixed}.png") is None
    index = NameIndex[int]()
    index.add(names[0], 1)
    assert index.only(mixed) == 1
    index.add(names[2], 2)
    assert (index.only(mixed), index.only(names[0]), index.only(names[2])) == (None, 1, 2)


@given(st.lists(st.text(min_size=1, max_size=4), unique=True, max_size=8))
def test_an_index_of_names_finds_every_exact_name(names: list[str]) -> None:
    index = NameIndex[str]()
    for name in names:
        index.add(name, name)
    assert [index.only(name) for name in names] == names


@pytest.mark.parametrize(("stored", "asked"), PAIRS)
def test_a_table_finds_its_images_and_labels_are_one_class(tmp_path: Path, stored: str, asked: str) -> None:
    folder = tmp_path / "source"
    for name in (f"images/{stored}.png", "images/a.png", f"masks/{stored}.png"):
        image(folder / name)
    text = f"image,mask,label,group\n{asked},{asked}.png,{NFC},{NFD}\na.png,,{NFD},{NFC}\n"
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    found = read_tables(folder, TableOptions(multilabel=True))
    assert not found.findings
    assert [row.image.name for row in found.rows] == [f"{stored}.png", "a.png"]
    assert (found.classes, {row.group for row in found.rows}) == ((NFC,), {NFC})
    assert found.rows[0].mask == folder / "masks" / f"{stored}.png"


@pytest.mark.parametrize(("stored", "asked"), PAIRS)
def test_masks_and_annotations_find_their_images(tmp_path: Path, stored: str, asked: str) -> None:
    source, data = tmp_path / "source", tmp_path / "data"
    image(source / "images" / f"{stored}.png")
    image(source / "masks" / f"{asked}.png")
    (row,) = read_pairs(source).rows
    assert row.mask == source / "masks" / f"{asked}.png"
    write_import(read_pairs(source), data, naming=DatasetNaming(name="x"))
    finder = RowFinder(load_manifest(data))
    for name in (asked, stored, f"{asked}.png", f"/elsewhere/{asked}.jpg"):
        assert finder.find([name]) == 0
    with pytest.raises(UnknownImageError):
        finder.find(["Mu"])


@pytest.mark.parametrize(("stored", "asked"), PAIRS)
def test_a_manifest_finds_files_that_a_copy_has_renamed(tmp_path: Path, stored: str, asked: str) -> None:
    source, data = tmp_path / "source", tmp_path / "data"
    image(source / "images" / f"{asked}.png")
    write_import(read_folder(source, FolderOptions(classes=False)), data, naming=DatasetNaming(name="x"))
    (source / "images" / f"{asked}.png").rename(source / "images" / f"{stored}.png")
    manifest, findings = read_manifest(data)
    assert not findings
    assert manifest.rows[0].image.name == f"{stored}.png"
    assert not find_unlisted(data, source)


def test_a_folder_of_each_encoding_is_one_class(tmp_path: Path) -> None:
    for number, name in enumerate((NFC, NFD, "other")):
        image(tmp_path / "source" / name / f"{number}.png")
    assert read_folder(tmp_path / "source").classes == (NFC, "other")


@pytest.mark.parametrize(("stored", "asked"), PAIRS)
def test_names_in_options_are_those_of_the_table(tmp_path: Path, stored: str, asked: str) -> None:
    for name in "abcd":
        image(tmp_path / "source" / f"{name}.png")
    text = f"image,label\na.png,{stored}\nb.png,x|{stored}1\nc.png,x\nd.png,{stored}1\n"
    (tmp_path / "source" / "labels.csv").write_text(text, encoding="utf-8")
    found = read_tables(tmp_path / "source", TableOptions(separator="|", negatives=(asked,)))
    assert [row.labels for row in found.rows] == [(), ("x", f"{NFC}1"), ("x",), (f"{NFC}1",)]
    renamed = edit_labels(found, {f"{asked}1": asked}, ())
    assert renamed.classes == (NFC, "x")
    assert edit_labels(found, {}, [f"{asked}1"]).classes == ("x",)
    assert edit_labels(found, {f"{asked}1": asked}, [stored]).classes == ("x",)


@pytest.mark.parametrize(("stored", "asked"), PAIRS)
def test_masks_beside_images_and_further_masks_are_recognised(tmp_path: Path, stored: str, asked: str) -> None:
    for name in (stored, f"{asked}_mask", f"{asked}_mask_1"):
        image(tmp_path / "source" / f"{name}.png")
    assert [one.code for one in read_folder(tmp_path / "source").findings] == ["mask-among-images"]
    found = read_folder(tmp_path / "source", FolderOptions(mask_suffix="_mask"))
    assert [row.mask and row.mask.name for row in found.rows] == [f"{asked}_mask.png"]
    assert [[mask.name for mask in masks] for masks in found.united.values()] == [[f"{asked}_mask_1.png"]]
