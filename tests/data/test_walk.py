from pathlib import Path

import numpy as np
from PIL import Image

from s4mi.data.annotations.read import read_annotations
from s4mi.data.sources.folder import FolderOptions, read_folder
from s4mi.data.sources.pairs import read_pairs
from s4mi.data.walk import image_files
from s4mi.inference.input_files import find_images

HIDDEN = (
    "._a.png",
    ".b.png",
    ".ipynb_checkpoints/a-checkpoint.png",
    "__MACOSX/._a.png",
    "__MACOSX/c.png",
    "d/.e/f.png",
)
VISIBLE = ("a.png", "d/g.png")


def write(folder: Path) -> None:
    for name in (*HIDDEN, *VISIBLE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(folder / name)


def test_import_merge_and_predict_pass_over_the_same_files(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        write(tmp_path / name)
    images = tmp_path / "images"
    expected = [images / name for name in VISIBLE]
    assert image_files(images) == expected
    assert [file.path for file in find_images([images])] == expected
    assert [row.image for row in read_folder(images, FolderOptions(classes=False)).rows] == expected
    assert [row.image for row in read_pairs(tmp_path).rows] == expected
    assert all(row.mask is not None for row in read_pairs(tmp_path).rows)
    assert [annotation.mask for annotation in read_annotations(tmp_path / "masks")] == [
        tmp_path / "masks" / name for name in VISIBLE
    ]


def test_a_hidden_file_that_is_named_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    assert [file.path for file in find_images([tmp_path / "._a.png"])] == [tmp_path / "._a.png"]


def test_a_folder_below_a_hidden_one_may_be_the_source(tmp_path: Path) -> None:
    write(tmp_path / ".data")
    assert [file.name for file in find_images([tmp_path / ".data"])] == list(VISIBLE)
