from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s4mi.data.images import read_image
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.medmnist import CLASSES, is_medmnist, read_medmnist
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError

COUNTS = {"train": 12, "val": 5, "test": 7}


def arrays(*, classes: int = 3, multilabel: bool = False, colour: bool = True, size: int = 28) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    given: dict[str, Any] = {}
    for part, count in COUNTS.items():
        shape = (count, size, size, 3) if colour else (count, size, size)
        given[f"{part}_images"] = generator.integers(0, 256, shape, dtype=np.uint8)
        labels = generator.integers(0, 2, (count, classes)) if multilabel else np.arange(count)[:, None] % classes
        given[f"{part}_labels"] = labels.astype(np.uint8)
    return given


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("compressed", [True, False])
def test_images_labels_and_split_come_out_as_they_went_in(tmp_path: Path, colour: bool, compressed: bool) -> None:
    given = arrays(classes=9, colour=colour)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "pathmnist.npz", **given)
    assert is_medmnist(tmp_path)
    write_import(read_medmnist(tmp_path), tmp_path.parent / f"{tmp_path.name}-out", naming=DatasetNaming("path"))
    manifest = load_manifest(tmp_path.parent / f"{tmp_path.name}-out")
    assert Counter(row.split for row in manifest.rows) == COUNTS
    assert manifest.spec.classes == CLASSES["pathmnist"]
    assert manifest.spec.channels == ("rgb" if colour else "grey")
    assert manifest.spec.tasks == ("multiclass",)
    for row in manifest.rows:
        part, _, number = row.id.partition("_")
        expected = given[f"{part}_images"][int(number)]
        assert np.array_equal(read_image(row.image), expected if colour else np.stack([expected] * 3, axis=2))
        assert row.labels == (manifest.spec.classes[given[f"{part}_labels"][int(number), 0]],)


def test_an_image_may_have_several_labels_or_none(tmp_path: Path) -> None:
    given = arrays(classes=14, multilabel=True, colour=False, size=64)
    given["train_labels"][0] = 0
    np.savez(tmp_path / "chestmnist_64.npz", **given)
    found = read_medmnist(tmp_path / "chestmnist_64.npz")
    assert found.multilabel
    assert found.rows[0].labels == ()
    assert found.rows[1].labels == tuple(
        name for name, yes in zip(CLASSES["chestmnist"], given["train_labels"][1], strict=True) if yes
    )


def test_an_unknown_data_set_has_the_given_class_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **arrays())
    assert read_medmnist(tmp_path).classes == ("class_0", "class_1", "class_2")
    assert read_medmnist(tmp_path, classes=("a", "b", "c")).classes == ("a", "b", "c")
    with pytest.raises(S4miError, match="has 3 classes but 2 names"):
        read_medmnist(tmp_path, classes=("a", "b"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_images": np.zeros((12, 28, 28), dtype=np.float32)}, "train_images are float32"),
        ({"train_images": np.zeros((11, 28, 28), dtype=np.uint8)}, "11 train_images but 12 train_labels"),
        ({"train_labels": np.full((12, 2), 3)}, r"train_labels \(12, 2\) are neither"),
        ({"train_labels": None}, "no train_labels"),
    ],
)
def test_inconsistent_arrays_are_refused_in_one_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    given = {name: value for name, value in {**arrays(), **change}.items() if value is not None}
    np.savez(tmp_path / "x.npz", **given)
    with pytest.raises(S4miError, match=words) as caught:
        read_medmnist(tmp_path)
    assert "\n" not in str(caught.value)


def test_volumes_and_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "organmnist3d.npz", **arrays())
    with pytest.raises(S4miError, match="contains volumes"):
        read_medmnist(tmp_path)
    with pytest.raises(S4miError, match=r"not a \.npz file"):
        read_medmnist(tmp_path / "nothing")
    (tmp_path / "broken.npz").write_bytes(b"no")
    with pytest.raises(S4miError, match="download it again"):
        read_medmnist(tmp_path / "broken.npz")
    assert not is_medmnist(tmp_path)
