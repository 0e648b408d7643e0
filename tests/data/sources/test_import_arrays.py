from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from s4mi.data.images import read_image
from s4mi.data.masks import read_mask
from s4mi.data.sources.arrays import ArraysOptions, read_arrays
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import ImportResult, write_import
from s4mi.errors import S4miError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3)).astype(np.uint8)
NAMES = {1: "x", 2: "y"}


def store(path: Path, **arrays: NDArray[Any]) -> Path:
    """Write arrays as `.npz`, as HDF5, or as a folder of `.npy`, by the ending of the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    elif path.suffix == ".h5":
        h5py = pytest.importorskip("h5py", reason="h5py is in the extra `hdf5`")
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file.create_dataset(name, data=values.astype("S") if values.dtype.kind == "U" else values)
    else:
        path.mkdir()
        for name, values in arrays.items():
            np.save(path / f"{name}.npy", values)
    return path


def imported(source: Path, out: Path, naming: DatasetNaming | None = None, **options: Any) -> ImportResult:
    return write_import(read_arrays(source, ArraysOptions(**options)), out, naming=naming or DatasetNaming("x"))


@pytest.mark.parametrize("name", ["set.npz", "set.h5", "set"])
def test_images_masks_labels_and_patients_keep_their_values_in_every_container(tmp_path: Path, name: str) -> None:
    masks = np.zeros((6, 8, 9), dtype=np.uint8)
    masks[:, 2:4, 3:5], masks[:, 5:, 6:] = 1, 2
    source = store(
        tmp_path / name, images=PIXELS, masks=masks, labels=np.array([0, 1, 2] * 2),
        patients=np.array([4, 4, 5, 5, 6, 6]),
    )  # fmt: skip
    written = imported(source, tmp_path / "out", DatasetNaming("x", mask_values={0: "background", **NAMES}))
    assert written.spec.classes == ("class_0", "class_1", "class_2")
    assert [row.labels for row in written.rows] == [(f"class_{n % 3}",) for n in range(6)]
    assert [row.group for row in written.rows] == ["4", "4", "5", "5", "6", "6"]
    for row, pixels, mask in zip(written.rows, PIXELS, masks, strict=True):
        np.testing.assert_array_equal(read_image(row.image), pixels)
        assert row.mask is not None
        np.testing.assert_array_equal(read_mask(row.mask, written.spec.mask_values), mask)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (PIXELS.astype(np.float64), PIXELS),
        (PIXELS.astype(np.float32) / 255, PIXELS),
        (PIXELS[..., 0], np.repeat(PIXELS[..., :1], 3, axis=3)),
        (PIXELS[..., :1], np.repeat(PIXELS[..., :1], 3, axis=3)),
        (np.moveaxis(PIXELS, 3, 1), PIXELS),
    ],
    ids=["0 to 255 as float", "0 to 1", "N×H×W", "N×H×W×1", "N×C×H×W"],
)
def test_images_of_every_kind_are_shown_as_stored(tmp_path: Path, values: NDArray[Any], shown: NDArray[Any]) -> None:
    written = imported(store(tmp_path / "s.npz", x=values), tmp_path / "out")
    for row, pixels in zip(written.rows, shown, strict=True):
        np.testing.assert_array_equal(read_image(row.image), pixels)


def test_a_layer_per_class_becomes_the_number_of_its_class(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).integers(0, 3, (6, 8, 9))
    layers = np.stack([(numbers == 1) * 700, (numbers == 2) * 3, numbers == 0], axis=3)
    source = store(tmp_path / "pan", images=PIXELS, masks=layers.astype(np.float64))
    with pytest.raises(S4miError, match="one layer per class; name each with --layers"):
        read_arrays(source)
    naming = DatasetNaming("x", mask_values={0: "background", **NAMES})
    written = imported(source, tmp_path / "out", naming, layers=("x", "y", "background"))
    for row, mask in zip(written.rows, numbers, strict=True):
        assert row.mask is not None
        np.testing.assert_array_equal(read_mask(row.mask, written.spec.mask_values), mask)
    with pytest.raises(S4miError, match="pixels in two layers"):
        imported(
            store(tmp_path / "two", images=PIXELS, masks=np.ones((6, 8, 9, 2))), tmp_path / "o2", layers=("x", "y")
        )


def test_parts_are_found_in_the_names_of_keys_and_files(tmp_path: Path) -> None:
    one = store(tmp_path / "a.npz", x_train=PIXELS[:3], y_train=np.arange(3), x_test=PIXELS[3:], y_test=np.arange(3))
    two = tmp_path / "b"
    for part, pixels in (("train", PIXELS[:3]), ("test", PIXELS[3:])):
        store(two / f"level_2_split_{part}_x.h5", x=pixels)
        store(two / f"level_2_split_{part}_y.h5", y=np.arange(3).reshape(3, 1, 1, 1))
    for source in (one, two):
        rows = read_arrays(source).rows
        assert sorted((row.split, row.labels) for row in rows) == [
            (part, (f"class_{n}",)) for part in ("test", "train") for n in range(3)
        ]


@pytest.mark.parametrize(
    ("labels", "expected", "multilabel"),
    [
        (np.array(["a", "b", "a", "", "b", "a"]), [("a",), ("b",), ("a",), None, ("b",), ("a",)], False),
        (np.array([0, 1, np.nan, 1, 0, -1]), [("c0",), ("c1",), None, ("c1",), ("c0",), None], False),
        (np.eye(2, dtype=int)[[0, 1, 0, 1, 0, 1]], [("c0",), ("c1",)] * 3, False),
        (np.array([[0, 1], [1, 1], [0, 0]] * 2), [("c1",), ("c0", "c1"), ()] * 2, True),
    ],
    ids=["text", "missing", "one-hot", "several"],
)
def test_labels_of_every_kind(
    tmp_path: Path, labels: NDArray[Any], expected: list[tuple[str, ...] | None], multilabel: bool
) -> None:
    names = () if labels.dtype.kind == "U" else ("c0", "c1")
    found = read_arrays(store(tmp_path / "s.npz", images=PIXELS, labels=labels), ArraysOptions(classes=names))
    assert [row.labels for row in found.rows] == expected
    assert found.multilabel == multilabel


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"z": PIXELS}, {}, r"no array of images \(arrays: s\.npz:z \(6, 8, 9, 3\)\); name it with --images KEY"),
        ({"x": PIXELS, "y": np.arange(5)}, {}, "differ in length"),
        ({"x": PIXELS[0, 0]}, {}, r"has shape \(9, 3\), not \(N, H, W\)"),
        ({"x": PIXELS, "y": np.full(6, 0.5)}, {}, "labels are not whole numbers"),
        ({"x": PIXELS, "y": np.arange(6)}, {"classes": ("a",)}, "has 6 classes but 1 name; name each with --classes"),
        (
            {"x": PIXELS, "y": np.array([0, 1, 0, 1, 0, 10**15])},
            {},
            r"a label is 1e\+15; correct it, or name the classes",
        ),
        ({"x": PIXELS}, {"images": ("w",)}, "--images 'w': no such array"),
        (  # masks of 0 and 1, not 72 classes of which an image may show several
            {"x": PIXELS, "y": (PIXELS[..., 0] > 99).astype(np.uint8)},
            {},
            r"s\.npz:y \(6, 8, 9\) is taken for labels, but has the shape of masks; name it with --masks s\.npz:y",
        ),
        ({"x": PIXELS, "img": PIXELS}, {}, "are both images of one stack; choose with --images KEY"),
    ],
)
def test_what_cannot_be_imported_is_named(
    tmp_path: Path, arrays: dict[str, NDArray[Any]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(S4miError, match=message):
        read_arrays(store(tmp_path / "s.npz", **arrays), ArraysOptions(**options))


def test_arrays_are_chosen_by_key(tmp_path: Path) -> None:
    source = store(tmp_path / "s.npz", z=PIXELS, y=np.arange(6), stage=np.array([1, 0] * 3))
    found = read_arrays(source, ArraysOptions(images=("z",), labels=("stage",)))
    assert [row.labels for row in found.rows] == [("class_1",), ("class_0",)] * 3
    assert all(row.labels is None for row in read_arrays(source, ArraysOptions(images=("z",), labels=("",))).rows)


def test_masks_that_are_called_labels_are_read_by_the_option_that_the_error_names(tmp_path: Path) -> None:
    masks = (PIXELS[..., 0] > 99).astype(np.uint8)
    source = store(tmp_path / "in" / "s.npz", x=PIXELS, y=masks)
    written = imported(source, tmp_path / "out", masks=("s.npz:y",))
    assert written.spec.tasks == ("segmentation",)
    for row, mask in zip(sorted(written.rows, key=lambda row: row.id), masks, strict=True):
        assert row.mask is not None
        np.testing.assert_array_equal(read_mask(row.mask, written.spec.mask_values), mask)


def test_arrays_of_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    source = store(tmp_path / "s.npz", x=PIXELS, y=np.array([{}] * 6, dtype=object))
    with pytest.raises(S4miError, match="holds Python objects"):
        read_arrays(source)


def test_an_archive_may_be_beside_the_data_set(tmp_path: Path) -> None:
    source = store(tmp_path / "s.npz", x=PIXELS)
    assert len(imported(source, tmp_path / "ds").rows) == 6
