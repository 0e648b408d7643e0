"""`--rename` and `--drop-class` do the same in masks as in labels, in every import command."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from conftest import Command
from s4mi.cli.data import app as data_app
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.sources.compose_masks import MaskRule
from s4mi.data.sources.edit_masks import edit_mask_names
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.types import ClassEdits, DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.data.spec import MaskKey
from s4mi.errors import S4miError

VALUES: dict[MaskKey, str] = {0: "background", 1: "rim", 2: "core", 3: "cyst", 255: "ignore"}


def edited(rename: dict[str, str], *drop: str, in_labels: tuple[str, ...] = ()) -> dict[MaskKey, str]:
    return edit_mask_names(VALUES, ClassEdits(rename, drop, frozenset(in_labels)))


def test_values_keep_their_numbers_and_dropped_ones_are_background() -> None:
    assert edited({"rim": "edge"}) == {**VALUES, 1: "edge"}
    assert edited({"rim": "core"}) == {**VALUES, 1: "core"}
    assert edited({}, "cyst") == {**VALUES, 3: "background"}
    assert edited({"cyst": "core"}, "rim") == {**VALUES, 1: "background", 3: "core"}
    assert edited({"rim": "edge"}, "edge") == {**VALUES, 1: "background"}
    assert edited({"melanoma": "mel"}, "nevus", in_labels=("melanoma", "nevus")) == VALUES


@pytest.mark.parametrize(
    ("rename", "drop", "message"),
    [
        ({"rym": "edge"}, (), "--rename 'rym': no such class; did you mean 'rim'"),
        ({}, ("background",), "is the background"),
        ({}, ("rim", "core", "cyst"), "leaves no class"),
        ({}, ("nevus",), "--drop-class 'nevus': no such class"),
    ],
)
def test_a_name_that_masks_lack_is_refused(rename: dict[str, str], drop: tuple[str, ...], message: str) -> None:
    with pytest.raises(S4miError, match=message):
        edited(rename, *drop)


def mask(value: int) -> np.ndarray:
    array = np.zeros((16, 16), np.uint8)
    array[4:9, 4:9], array[10:12, 3:6] = value, 3 - value
    return array


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def pairs(folder: Path) -> list[object]:
    for n in (1, 2):
        write(folder / "images" / f"{n}.png", np.full((16, 16), 40 * n, np.uint8))
        write(folder / "masks" / f"{n}.png", mask(n))
    return ["pairs", folder, "--mask-value", "0=background", "--mask-value", "1=rim", "--mask-value", "2=core"]


def nnunet(folder: Path) -> list[object]:
    for n in (1, 2):
        write(folder / "imagesTr" / f"case_{n}_0000.png", np.full((16, 16), 40 * n, np.uint8))
        write(folder / "labelsTr" / f"case_{n}.png", mask(n))
    description = {"channel_names": {"0": "grey"}, "labels": {"background": 0, "rim": 1, "core": 2}, "numTraining": 2,
                   "file_ending": ".png"}  # fmt: skip
    (folder / "dataset.json").write_text(str(description).replace("'", '"'))
    return ["nnunet", folder]


@pytest.mark.parametrize("source", [pairs, nnunet])
def test_masks_are_renamed_and_dropped_by_commands(
    source: Callable[[Path], list[object]], tmp_path: Path, s4mi: Command
) -> None:
    words = source(tmp_path / "source")
    done = s4mi("data", "import", *words, "-o", tmp_path / "out", "--rename", "rim=edge", "--drop-class", "core")
    assert done.returncode == 0, done.stderr
    spec = yaml.safe_load((tmp_path / "out" / "dataset.yaml").read_text())
    assert spec["mask_values"] == {0: "background", 1: "edge", 2: "background"}
    manifest = load_manifest(tmp_path / "out")
    for row in manifest.rows:
        assert row.mask is not None
        n = int(row.mask.stem[-1])
        np.testing.assert_array_equal(read_mask(row.mask, manifest.spec.mask_values), mask(n) == 1)
    again = s4mi("data", "import", *words, "-o", tmp_path / "other", "--drop-class", "cor")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "did you mean 'core'" in again.stderr


def test_labels_of_medmnist_are_renamed_and_dropped(tmp_path: Path, s4mi: Command) -> None:
    arrays = {
        f"{part}_{kind}": np.arange(6, dtype=np.uint8)[:, None] % 3
        if kind == "labels"
        else np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
        for part in ("train", "val", "test")
        for kind in ("images", "labels")
    }
    (tmp_path / "source").mkdir()
    np.savez(tmp_path / "source" / "mine.npz", **arrays)
    done = s4mi(
        "data", "import", "medmnist", tmp_path / "source" / "mine.npz", "-o", tmp_path / "out", "--classes", "a,b,c",
        "--rename", "a=first", "--drop-class", "c",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = load_manifest(tmp_path / "out")
    assert manifest.spec.classes == ("b", "first")
    assert sum(row.labels is None for row in manifest.rows) == 6


def test_every_import_command_renames_and_drops() -> None:
    import typer.main

    commands = typer.main.get_command(data_app).commands["import"].commands  # type: ignore[attr-defined]
    assert len(commands) == 9
    for name, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--rename", "--drop-class", "--name", "--source", "--licence", "--force"} <= options, name


def test_masks_of_one_name_with_different_extensions_are_written_apart(tmp_path: Path) -> None:
    """With a threshold both become PNG, but one image must not get the mask of the other."""
    source = tmp_path / "in"
    for name, value in (("x.png", 7), ("y.png", 9), ("masks/a.bmp", 200), ("masks/a.png", 10)):
        write(source / name, np.full((8, 8), value, np.uint8))
    (source / "t.csv").write_text("image,mask\nx.png,a.bmp\ny.png,a.png\n")
    naming = DatasetNaming("x", mask_rule=MaskRule(threshold=128))
    written = write_import(read_tables(source), tmp_path / "out", naming=naming)
    shown = {row.id: read_mask(row.mask, written.spec.mask_values).min() for row in written.rows if row.mask}
    assert shown == {"x": 1, "y": 0}
