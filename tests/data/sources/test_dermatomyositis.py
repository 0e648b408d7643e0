from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from s4mi.data.images import image_size, read_image
from s4mi.data.loading.tiles import TileGrid
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.sources.dermatomyositis import CLASSES, StackOptions, read_dermatomyositis
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError

STAINS = ("CD3", "CD4", "CD8", "CD19", "PD1", "BCL6", "DAPI", "autofluorescence")


def stack(path: Path, *, size: tuple[int, int] = (28, 36), seed: int = 0, names: bool = True) -> None:
    """Eight pages: seven 16-bit stains and a small RGB page."""
    generator = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as writer:
        for number, name in enumerate(STAINS):
            tag = [(285, "s", 0, name, True)] if names else []
            if number == 7:
                small = generator.integers(0, 256, (size[0] // 4, size[1] // 4, 3), dtype=np.uint8)
                writer.write(small, photometric="rgb", extratags=tag, metadata=None)
            else:
                page = (generator.integers(0, 60000, size) // (number + 1)).astype(np.uint16)
                writer.write(page, photometric="minisblack", extratags=tag, metadata=None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "stacks"
    lines = ["image," + ",".join(CLASSES)]
    for patient in (1, 2):
        for number in range(3):
            name = f"P{patient}_s{number}"
            stack(folder / f"{name}.tif", seed=10 * patient + number)
            lines.append(f"{name}.tif," + ",".join(str(int(k <= number)) for k in range(5)))
    (folder / "labels.csv").write_text("\n".join(lines))
    (folder / "masks").mkdir()
    for number in range(3):
        mask = np.zeros((28, 36), dtype=np.uint8)
        mask[number : number + 4, 3:9] = 255
        Image.fromarray(mask).save(folder / "masks" / f"P1_s{number}_cells.png")
    return folder


def test_classification_takes_the_rgb_page_with_several_labels_and_the_patient(source: Path, tmp_path: Path) -> None:
    found = read_dermatomyositis(source, StackOptions(labels=source / "labels.csv"))
    write_import(found, tmp_path / "out", naming=DatasetNaming("dm"))
    manifest = load_manifest(tmp_path / "out")
    assert manifest.spec.tasks == ("multilabel",)
    assert manifest.spec.classes == CLASSES
    assert Counter(row.group for row in manifest.rows) == {"P1": 3, "P2": 3}
    for row in manifest.rows:
        assert row.labels == CLASSES[: int(row.id[-1]) + 1]
        assert np.array_equal(read_image(row.image), tifffile.imread(source / f"{row.id}.tif", key=7))


def test_segmentation_takes_the_page_of_dapi_with_the_masks_there_are(source: Path, tmp_path: Path) -> None:
    found = read_dermatomyositis(source, StackOptions(task="segmentation", mask_suffix="_cells"))
    write_import(found, tmp_path / "out", naming=DatasetNaming("dm", foreground="nucleus"))
    manifest = load_manifest(tmp_path / "out")
    assert manifest.spec.tasks == ("segmentation",)
    for row in manifest.rows:
        page = tifffile.imread(source / f"{row.id}.tif", key=6)
        shown = read_image(row.image)[:, :, 0]
        order = np.argsort(page, axis=None)
        assert (np.diff(shown.ravel()[order].astype(int)) >= 0).all()
        assert (row.mask is not None) == row.id.startswith("P1")
        if row.mask is not None:
            assert int(read_mask(row.mask, manifest.spec.mask_values).sum()) == 24


@pytest.mark.parametrize("page", ["cd8", "2"])
def test_a_page_is_chosen_by_name_or_number(source: Path, tmp_path: Path, page: str) -> None:
    found = read_dermatomyositis(source, StackOptions(page=page))
    assert {image.frame for image in found.embedded.values()} == {2}
    assert all(image.page for image in found.embedded.values())


def test_the_error_of_a_missing_page_lists_the_existing_ones(source: Path, tmp_path: Path) -> None:
    with pytest.raises(S4miError, match=r"has no page named 'DAPY' \(0 CD3 28×36, .* did you mean 'DAPI'") as caught:
        read_dermatomyositis(source, StackOptions(page="DAPY"))
    assert "\n" not in str(caught.value)
    with pytest.raises(S4miError, match=r"has 8 pages, numbered from 0; change --page \(8\)"):
        read_dermatomyositis(source, StackOptions(page="8"))
    stack(tmp_path / "unnamed" / "P1_a.tif", names=False)
    (tmp_path / "unnamed" / "masks").mkdir()
    with pytest.raises(S4miError, match=r"6 unnamed 28×36.*choose one by name or number with --page"):
        read_dermatomyositis(tmp_path / "unnamed", StackOptions(task="segmentation"))


def test_a_stack_missing_in_the_table_is_not_annotated_and_a_warning(source: Path) -> None:
    text = (source / "labels.csv").read_text().splitlines()
    (source / "labels.csv").write_text("\n".join(text[:-1]))
    found = read_dermatomyositis(source, StackOptions(labels=source / "labels.csv"))
    assert [row.labels is None for row in found.rows] == [False] * 5 + [True]
    assert "1 stack missing in labels.csv, so not annotated: 'P2_s2.tif'" in found.findings[0].message


def test_a_page_of_the_papers_size_gives_three_by_four_tiles(tmp_path: Path) -> None:
    stack(tmp_path / "stacks" / "P1_a.tif", size=(1408, 1876))
    (tmp_path / "stacks" / "masks").mkdir()
    found = read_dermatomyositis(tmp_path / "stacks", StackOptions(task="segmentation"))
    written = write_import(found, tmp_path / "out", naming=DatasetNaming("dm"))
    assert image_size(written.rows[0].image) == (1408, 1876)
    assert len(TileGrid(*image_size(written.rows[0].image), tile=480).corners) == 12
    rgb = read_dermatomyositis(tmp_path / "stacks")
    written = write_import(rgb, tmp_path / "rgb", naming=DatasetNaming("dm"))
    assert image_size(written.rows[0].image) == (352, 469)


def test_two_rows_of_one_stack_with_different_labels_are_an_error(source: Path) -> None:
    text = (source / "labels.csv").read_text().splitlines()
    cells = text[-1].split(",")
    again = ",".join([cells[0], *("1" if cell == "0" else "0" for cell in cells[1:])])
    for line, count in ((text[-1], 0), (again, 1)):
        (source / "labels.csv").write_text("\n".join([*text, line]))
        found = read_dermatomyositis(source, StackOptions(labels=source / "labels.csv"))
        twice = [finding for finding in found.findings if finding.code == "image-twice"]
        assert [(one.severity, one.line) for one in twice] == [("error", len(text) + 1)] * count
