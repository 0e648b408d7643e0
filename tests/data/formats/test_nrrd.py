"""NRRD: the same slices as NIfTI for one volume, whatever its order and space; segmentations of 3D Slicer as masks."""

from collections.abc import Mapping, Sequence
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from s4mi.data.files import read_frame, read_frames, read_header, stem_of
from s4mi.data.formats import nrrd_seg
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.grid import Grid
from s4mi.data.images import read_image
from s4mi.data.masks import read_mask
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import ImportResult, write_import
from s4mi.data.spacing import pixel_spacing
from s4mi.errors import S4miError

nibabel = pytest.importorskip("nibabel", reason="nibabel is in the extra `nifti`")
nrrd = pytest.importorskip("nrrd", reason="pynrrd is in the extra `nrrd`")

SHAPE = (6, 7, 5)
AFFINE = np.array([[-0.5, 0, 0, 10], [0, -0.75, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
ORDERS = [
    list(zip(order, signs, strict=True))
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]  # fmt: skip
SPACES = {"left-posterior-superior": (-1, -1), "LPS": (-1, -1), "right-anterior-superior": (1, 1), "LAS": (-1, 1)}


def body() -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-1000, 2000, SHAPE).astype(np.int16)


def write(
    path: Path, values: NDArray[Any], affine: NDArray[np.float64] | None = None, *,
    space: str = "left-posterior-superior", layers: bool = False, **fields: Any,
) -> Path:  # fmt: skip
    """Write an NRRD file; `affine` leads to right, anterior, superior."""
    head: dict[str, Any] = dict(fields)
    if affine is not None:
        signed = affine.copy()
        signed[:2] *= np.array(SPACES[space])[:, None]
        directions = signed[:3, : values.ndim - layers].T
        head |= {"space": space, "space origin": signed[:3, 3]}
        head["space directions"] = np.vstack([[np.nan] * 3, directions]) if layers else directions
        head["kinds"] = ["list"] * layers + ["domain"] * (values.ndim - layers)
    path.parent.mkdir(parents=True, exist_ok=True)
    nrrd.write(str(path), values, head)
    return path


def reordered(order: Sequence[tuple[int, int]], values: NDArray[Any]) -> Any:
    return nibabel.Nifti1Image(values, AFFINE).as_reoriented(np.array(order))


@pytest.mark.parametrize("space", SPACES)
def test_slicer_a_volume_in_any_order_yields_the_slices_of_nifti(tmp_path: Path, space: str) -> None:
    for order in ORDERS:
        image = reordered(order, body())
        nibabel.save(image, tmp_path / "a.nii")
        path = write(tmp_path / "a.nrrd", np.asarray(image.dataobj), image.affine, space=space)
        header, other = read_header(path), read_header(tmp_path / "a.nii")
        assert (header.frames, header.height, header.width, header.channels) == (
            other.frames, other.height, other.width, other.channels
        )  # fmt: skip
        assert pixel_spacing(path) == pytest.approx(pixel_spacing(tmp_path / "a.nii"))
        for here, there in zip(read_frames(path), read_frames(tmp_path / "a.nii"), strict=True):
            np.testing.assert_array_equal(here.values, there.values)


def test_slicer_oblique_volumes_have_the_orientation_that_nibabel_finds() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        rotation = np.linalg.qr(generator.normal(size=(3, 3)))[0]
        affine = np.eye(4)
        affine[:3, :3] = rotation * generator.uniform(0.3, 4, 3)
        axes, reverse = Grid(affine, (4, 5, 6)).axes
        expected = nibabel.io_orientation(affine)
        for world in range(3):
            assert (int(expected[axes[world], 0]), expected[axes[world], 1] < 0) == (world, reverse[world])


def test_slicer_without_orientation_the_pixels_stay_as_stored(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nrrd", body(), spacings=[0.5, 0.5, 3])
    for number, frame in enumerate(read_frames(path)):
        np.testing.assert_array_equal(frame.values, body()[:, :, number].T)
    assert pixel_spacing(path) is None
    flat = write(tmp_path / "b.nrrd", body()[:, :, 0])
    np.testing.assert_array_equal(read_frame(flat).values, body()[:, :, 0].T)


def test_slicer_a_single_slice_that_is_not_axial_stays_as_stored(tmp_path: Path) -> None:
    sagittal = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    path = write(tmp_path / "a.nrrd", body()[:, :, :1], sagittal)
    (frame,) = read_frames(path)
    np.testing.assert_array_equal(frame.values, body()[:, :, 0].T)
    assert (read_header(path).height, read_header(path).width) == (7, 6)


@pytest.mark.parametrize("kind", ["RGB-color", "vector"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_colours_are_read_from_their_axis(tmp_path: Path, kind: str, encoding: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (7, 6, 3), dtype=np.uint8)
    path = write(tmp_path / "a.nrrd", pixels.transpose(2, 1, 0), kinds=[kind, "domain", "domain"], encoding=encoding)
    np.testing.assert_array_equal(read_image(path), pixels)
    assert read_header(path).channels == 3


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_the_header_names_the_type_of_the_values(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "a.nrrd", np.zeros((3, 4), dtype))
    assert read_header(path).dtype == str(next(iter(read_frames(path))).values.dtype) == str(np.dtype(dtype))


def test_what_is_not_an_image_is_refused_in_one_line(tmp_path: Path) -> None:
    sequence = write(tmp_path / "a.nrrd", np.zeros((8, 4, 4, 4), np.int16), kinds=["list", *["domain"] * 3])
    text = tmp_path / "b.nrrd"
    text.write_text("no\n")
    nrrd.write(str(tmp_path / "c.nhdr"), np.zeros((3, 4)), detached_header=True)
    (tmp_path / "c.nhdr").rename(tmp_path / "c.nrrd")
    for path, message in (
        (sequence, "axis of 8 values"), (text, "is not an NRRD file"), (tmp_path / "c.nrrd", "pixels in another file"),
    ):  # fmt: skip
        for read in (read_header, read_frame):
            with pytest.raises(ImageError, match=message) as caught:
                read(path)
            assert "\n" not in str(caught.value)


SEGMENTS = {"Segment0_Name": "tumour", "Segment0_LabelValue": "1", "Segment0_Layer": "0",
            "Segment1_Name": "liver", "Segment1_LabelValue": "2", "Segment1_Layer": "0"}  # fmt: skip
OTHER_WAY = SEGMENTS | {"Segment0_LabelValue": "2", "Segment1_LabelValue": "1"}


def truth() -> NDArray[np.uint8]:
    """0, 1 liver, 2 tumour, in the order of the names."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[1:4, 2:6, 1:4] = 1
    mask[2:4, 4:6, 2:3] = 2
    return mask


def labels(fields: Mapping[str, str]) -> NDArray[np.uint8]:
    """The truth with the label values of the file."""
    values = {fields[f"Segment{n}_Name"]: int(fields[f"Segment{n}_LabelValue"]) for n in range(2)}
    return np.array([0, values["liver"], values["tumour"]], dtype=np.uint8)[truth()]


def picture() -> NDArray[np.uint8]:
    return np.asarray(truth() * 100, dtype=np.uint8)


def imported(source: Path, out: Path, **naming: Any) -> ImportResult:
    return write_import(read_folder(source), out, naming=DatasetNaming("x", **naming))


def assert_masks_are_true(written: ImportResult, slices: int = SHAPE[2]) -> None:
    assert list(written.spec.mask_values.values()) == ["background", "liver", "tumour"]
    assert len(written.rows) == slices
    for row in written.rows:
        assert row.mask is not None
        np.testing.assert_array_equal(
            read_mask(row.mask, written.spec.mask_values), read_image(row.image)[:, :, 0] // 100
        )


@pytest.mark.parametrize("image", ["nrrd", "nii.gz"])
@pytest.mark.parametrize("fields", [SEGMENTS, OTHER_WAY], ids=["as named", "the other way"])
def test_slicer_segments_are_read_by_name_on_the_grid_of_the_image(
    tmp_path: Path, image: str, fields: dict[str, str]
) -> None:
    for case, order in enumerate(ORDERS[::7]):
        turned = reordered(order, labels(fields))
        cut = np.asarray(turned.dataobj)
        # Cropped by a voxel at each end of each axis, as Slicer does on demand.
        origin = turned.affine @ [1, 1, 1, 1]
        affine = turned.affine.copy()
        affine[:3, 3] = origin[:3]
        write(tmp_path / "in" / f"c{case}.seg.nrrd", cut[1:-1, 1:-1, 1:-1], affine, **fields,
              Segmentation_ReferenceImageExtentOffset="1 1 1")  # fmt: skip
        if image == "nrrd":
            write(tmp_path / "in" / f"c{case}.nrrd", picture(), AFFINE)
        else:
            nibabel.save(nibabel.Nifti1Image(picture(), AFFINE), tmp_path / "in" / f"c{case}.nii.gz")
    assert_masks_are_true(imported(tmp_path / "in", tmp_path / "out"), len(ORDERS[::7]) * SHAPE[2])


def test_slicer_files_that_number_their_segments_differently_agree_by_name(tmp_path: Path) -> None:
    for name, fields in (("a", SEGMENTS), ("b", OTHER_WAY)):
        write(tmp_path / "in" / "images" / f"{name}.nrrd", picture(), AFFINE)
        write(tmp_path / "in" / "masks" / f"{name}.seg.nrrd", labels(fields), AFFINE, **fields)
    assert_masks_are_true(imported(tmp_path / "in", tmp_path / "out"), 2 * SHAPE[2])


@pytest.mark.parametrize("old", [True, False])
def test_slicer_layers_are_read(tmp_path: Path, old: bool) -> None:
    """Slicer 4.10 has a layer for each segment and names no values; newer versions have layers on demand."""
    layers = np.stack([truth() == 2, truth() == 1]).astype(np.uint8)
    fields = {name: text for name, text in SEGMENTS.items() if name.endswith("_Name")}
    if not old:
        fields = SEGMENTS | {"Segment1_Layer": "1", "Segment1_LabelValue": "1"}
    write(tmp_path / "in" / "a.nrrd", picture(), AFFINE)
    write(tmp_path / "in" / "a.seg.nrrd", layers, AFFINE, layers=True, **fields)
    assert_masks_are_true(imported(tmp_path / "in", tmp_path / "out"))


def test_slicer_names_keep_their_letters(tmp_path: Path) -> None:
    path = write(tmp_path / "a.seg.nrrd", labels(SEGMENTS), AFFINE, **SEGMENTS)
    path.write_bytes(path.read_bytes().replace(b"liver", "Läsion 肝".encode()))
    assert [segment.name for segment in nrrd_seg.segments_of(path)] == ["tumour", "Läsion 肝"]


def test_slicer_a_segmentation_of_a_photograph_is_read(tmp_path: Path) -> None:
    """Slicer makes a volume of one slice of a PNG, and leaves the pixels as stored."""
    (tmp_path / "in" / "images").mkdir(parents=True)
    mask = truth()[:, :, 2]
    Image.fromarray(mask.T * 100).save(tmp_path / "in" / "images" / "a.png")
    write(tmp_path / "in" / "masks" / "a.seg.nrrd", labels(SEGMENTS)[:, :, 2:3], np.diag([-1.0, -1, 1, 1]), **SEGMENTS)
    assert_masks_are_true(imported(tmp_path / "in", tmp_path / "out"), 1)


def test_slicer_an_empty_segmentation_is_background(tmp_path: Path) -> None:
    """Slicer writes a single voxel, whose place means nothing."""
    write(tmp_path / "in" / "a.nrrd", picture(), AFFINE)
    write(tmp_path / "in" / "a.seg.nrrd", np.zeros((1, 1, 1), np.uint8), np.eye(4), **SEGMENTS)
    written = imported(tmp_path / "in", tmp_path / "out")
    assert len(written.rows) == SHAPE[2]
    assert not any(read_mask(row.mask, written.spec.mask_values).any() for row in written.rows if row.mask)


def test_slicer_a_plain_mask_is_read_on_the_grid_of_its_image(tmp_path: Path) -> None:
    for name, order in enumerate(ORDERS[::5]):
        turned = reordered(order, (truth() > 0).astype(np.uint8))
        write(tmp_path / "in" / "images" / f"{name}.nrrd", picture(), AFFINE)
        write(tmp_path / "in" / "masks" / f"{name}.nrrd", np.asarray(turned.dataobj), turned.affine)
    written = imported(tmp_path / "in", tmp_path / "out")
    for row in written.rows:
        assert row.mask is not None
        np.testing.assert_array_equal(read_mask(row.mask, written.spec.mask_values), read_image(row.image)[:, :, 0] > 0)


def moved(affine: NDArray[np.float64], axis: int, voxels: float) -> NDArray[np.float64]:
    result = affine.copy()
    result[:3, 3] += affine[:3, axis] * voxels
    return result


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (moved(AFFINE, 0, 0.5), "shifted by parts of a voxel"),
        (moved(AFFINE, 2, 1), "leads out of its image"),
        (AFFINE @ np.diag([2, 1, 1, 1]), "other axes or another spacing"),
    ],
)
def test_slicer_a_mask_off_the_grid_of_its_image_is_refused(
    tmp_path: Path, affine: NDArray[np.float64], message: str
) -> None:
    write(tmp_path / "in" / "a.nrrd", picture(), AFFINE)
    write(tmp_path / "in" / "a.seg.nrrd", labels(SEGMENTS), affine, **SEGMENTS)
    with pytest.raises(S4miError, match=message) as caught:
        imported(tmp_path / "in", tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (SEGMENTS | {"Segment1_Name": "tumour", "Segment1_LabelValue": "7"}, "voxels of the value 2 that no segment"),
        ({name: text for name, text in SEGMENTS.items() if "0" in name[:8]}, "voxels of the value 2 that no segment"),
        ({"x": "y"}, "names no segment"),
        (SEGMENTS | {"Segment0_Name": ""}, "names its segment 0 ''"),
        (SEGMENTS | {"Segment1_Layer": "3"}, "no layer 3"),
    ],
)
def test_slicer_voxels_without_a_class_are_refused(tmp_path: Path, fields: dict[str, str], message: str) -> None:
    path = write(tmp_path / "a.seg.nrrd", labels(SEGMENTS), AFFINE, **fields)
    with pytest.raises(ImageError, match=message):
        list(nrrd_seg.masks_of(path, ["liver", "tumour"]))


def test_slicer_segments_that_overlap_are_refused(tmp_path: Path) -> None:
    layers = np.stack([truth() > 0, truth() > 0]).astype(np.uint8)
    fields = SEGMENTS | {"Segment1_Layer": "1", "Segment1_LabelValue": "1"}
    path = write(tmp_path / "a.seg.nrrd", layers, AFFINE, layers=True, **fields)
    with pytest.raises(ImageError, match="segments that overlap"):
        list(nrrd_seg.masks_of(path, ["liver", "tumour"]))


def test_a_segmentation_is_no_image_and_its_values_have_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.seg.nrrd", labels(SEGMENTS), AFFINE, **SEGMENTS)
    assert stem_of(path) == "a"
    with pytest.raises(ImageError, match="a mask and not an image"):
        read_header(path)
    write(tmp_path / "in" / "a.nrrd", picture(), AFFINE)
    write(tmp_path / "in" / "a.seg.nrrd", labels(SEGMENTS), AFFINE, **SEGMENTS)
    with pytest.raises(S4miError, match=r"--mask-value does not apply .*\(liver, tumour\)"):
        imported(tmp_path / "in", tmp_path / "out", mask_values={0: "background", 1: "x", 2: "y"})
