"""An option of an import that has no effect is an error of one line that says which combination has one."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Command
from made_import_sources import dermatomyositis
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.unused_options import refuse_unused
from s4mi.errors import S4miError


def nnunet(root: Path) -> None:
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
        suffix = "_0000" if folder == "imagesTr" else ""
        for name in ("a", "b"):
            pixels = np.full((8, 8), 60, np.uint8) if suffix else np.eye(8, dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{name}{suffix}.png")
    (root / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "grey"}, "labels": {"background": 0, "x": 1}, "file_ending": ".png"})
    )
    (root / "splits_final.json").write_text(json.dumps([{"train": ["a"], "val": ["b"]}]))


def table(root: Path) -> None:
    root.mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "a.png")
    (root / "t.csv").write_text("image,label,x,y\na.png,u,0,1\n")


def arrays(root: Path) -> None:
    root.mkdir()
    np.savez(root / "plain.npz", images=np.zeros((2, 8, 8), np.uint8))
    labels = np.array([0, 1])
    np.savez(root / "numbered.npz", images=np.zeros((2, 8, 8), np.uint8), labels=labels)
    np.savez(root / "named.npz", images=np.zeros((2, 8, 8), np.uint8), labels=np.array(["u", "v"]))


MADE = {"dermatomyositis": dermatomyositis, "nnunet": nnunet, "table": table, "arrays": arrays}
STACKS = ("dermatomyositis", "")
SEGMENTED = "--task segmentation"
CLASSIFIED = "with --task classification; leave it out, or use --task segmentation"
NOT_CLASSIFIED = "with --task segmentation; leave it out, or use --task classification"


@pytest.mark.parametrize(
    ("source", "file", "options", "message"),
    [
        (*STACKS, f"{SEGMENTED} --labels labels.csv", f"--labels 'labels.csv': has no effect {NOT_CLASSIFIED}"),
        (*STACKS, "--mask-suffix _cells", f"--mask-suffix '_cells': has no effect {CLASSIFIED}"),
        (*STACKS, "--mask-value 255=cell", f"--mask-value '255=cell': has no effect {CLASSIFIED}"),
        (*STACKS, "--foreground cell", f"--foreground 'cell': has no effect {CLASSIFIED}"),
        (
            "nnunet", "", "--splits splits_final.json",
            "--splits 'splits_final.json': has no effect without --fold; leave it out, or choose a fold of it with "
            "--fold N",
        ),
        (
            "table", "t.csv", "--blank unknown",
            "--blank 'unknown': has no effect without --one-hot; leave it out, or name the columns of 0 and 1 with "
            "--one-hot",
        ),
        ("table", "t.csv", "--uncertain yes", "--uncertain 'yes': has no effect without --one-hot; "),
        (
            "table", "t.csv", "--one-hot x,y --label-separator |",
            "--label-separator '|': has no effect with --one-hot; leave it out, or name a column of classes with "
            "--label instead",
        ),
        (
            "table", "t.csv", "--split-column label --split-list train=t.csv",
            "--split-column 'label': has no effect with --split-list; leave it out, or leave out the lists",
        ),
        ("table", "t.csv", "--one-hot x,y --negative z", "--negative 'z': no such column in --one-hot"),
        ("table", "t.csv", "--rename u=v --rename u=w", "--rename 'u=w': 'u' becomes 'v' already; rename each"),
        (
            "table", "t.csv", "--mask-value 1=v --mask-value 1=w",
            "--mask-value '1=w': 1 is 'v' already; name each value once",
        ),
        ("table", "t.csv", "--mask-value 1=v --mask-value #ff0000=w", "--mask-value: numbers and colours are mixed; "),
        ("table", "t.csv", "--on image", "--on 'image': there is no table to join; name it with --join"),
        (
            "table", "t.csv", "--mask= --foreground lesion",
            "--foreground 'lesion': has no effect with --mask ''; leave it out, or name the column of masks with "
            "--mask",
        ),
        ("table", "t.csv", "--mask= --mask-value 1=x", "--mask-value '1=x': has no effect with --mask ''; "),
        ("table", "t.csv", "--mask= --mask-threshold 9", "--mask-threshold 9: has no effect with --mask ''; "),
        ("table", "t.csv", "--mask= --mask-nonzero x", "--mask-nonzero 'x': has no effect with --mask ''; "),
        ("table", "t.csv", "--mask= --image-affine", "--image-affine: has no effect with --mask ''; "),
        (
            "table", "t.csv", "--masks .",
            "--masks '.': has no effect without a column of masks; leave it out, or name it with --mask COLUMN",
        ),
        ("table", "t.csv", "--mask= --masks .", "--masks '.': has no effect without a column of masks; "),
        (
            "arrays", "plain.npz", "--masks= --foreground lesion",
            "--foreground 'lesion': has no effect with --masks ''; leave it out, or name the array of masks with "
            "--masks KEY",
        ),
        ("arrays", "plain.npz", "--masks= --layers u,v", "--layers 'u,v': has no effect with --masks ''; "),
        ("arrays", "plain.npz", "--classes u,v", "--classes 'u,v': has no effect without labels; "),
        ("arrays", "plain.npz", "--multilabel", "--multilabel: has no effect without labels; "),
        ("arrays", "numbered.npz", "--multilabel", "--multilabel: has no effect with one label per image; "),
        ("arrays", "named.npz", "--classes u,v", "--classes 'u,v': has no effect with labels that are names; "),
        (
            "arrays", "plain.npz", "--layers background,x",
            "--layers 'background,x': has no effect without masks; leave it out, or name their array with --masks KEY",
        ),
    ],
)  # fmt: skip
def test_an_option_without_effect_is_an_error(
    tmp_path: Path, s4mi: Command, source: str, file: str, options: str, message: str
) -> None:
    MADE[source](tmp_path / "in")
    done = s4mi("data", "import", source, tmp_path / "in" / file, "-o", tmp_path / "out", *options.split())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "file", "options"),
    [
        (*STACKS, "--labels IN/labels.csv"),
        ("nnunet", "", "--fold 0 --splits IN/splits_final.json"),
        ("table", "t.csv", "--one-hot x,y --blank unknown --uncertain yes"),
        ("arrays", "numbered.npz", "--classes u,v"),
    ],
)
def test_the_same_options_in_the_combination_that_is_named_have_an_effect(
    tmp_path: Path, s4mi: Command, source: str, file: str, options: str
) -> None:
    MADE[source](tmp_path / "in")
    words = options.replace("IN", str(tmp_path / "in")).split()
    done = s4mi("data", "import", source, tmp_path / "in" / file, "-o", tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("source", "file", "options", "warning"),
    [
        ("table", "masked.csv", "--foreground lesion", "no image has a mask, so --foreground has no effect; "),
        (
            "table", "masked.csv", "--foreground lesion --image-affine",
            "no image has a mask, so --foreground and --image-affine have no effect; ",
        ),
        ("arrays", "plain.npz", "--foreground lesion", "no image has a mask, so --foreground has no effect; "),
        ("folder", "", "--foreground lesion", "no image has a mask, so --foreground has no effect; "),
        ("folder", "", "", ""),
        ("table", "masked.csv", "", ""),
        ("table", "masks.csv", "--foreground lesion", ""),
        (*STACKS, "", ""),
    ],
)  # fmt: skip
def test_an_option_about_masks_where_no_image_has_one_is_a_warning(
    tmp_path: Path, s4mi: Command, source: str, file: str, options: str, warning: str
) -> None:
    MADE["table" if source == "folder" else source](tmp_path / "in")
    if source == "table":
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "in" / "m.png")
        (tmp_path / "in" / "masked.csv").write_text("image,mask\na.png,\n")
        (tmp_path / "in" / "masks.csv").write_text("image,mask\na.png,m.png\n")
    done = s4mi("data", "import", source, tmp_path / "in" / file, "-o", tmp_path / "out", *options.split())
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    if warning:
        assert f"warning: .: {warning}" in said
    else:
        assert "no effect" not in said


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 1), (2, 1, 8, 8)])
def test_layers_name_the_values_of_masks_that_hold_numbers(
    tmp_path: Path, s4mi: Command, shape: tuple[int, ...]
) -> None:
    masks = np.zeros(128, np.uint8)
    masks[[3, 70]] = 1, 2
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8), np.uint8), masks=masks.reshape(shape))
    done = s4mi("data", "import", "arrays", tmp_path / "a.npz", "-o", tmp_path / "out", "--layers", "rim,core")
    assert done.returncode == 0, done.stderr
    assert load_manifest(tmp_path / "out").spec.mask_values == {0: "background", 1: "rim", 2: "core"}


def test_only_what_was_given_is_refused() -> None:
    refuse_unused({"--a": None, "--b": False, "--c": "", "--d": ()}, because="here", hint="none")
    with pytest.raises(S4miError, match=r"^--e 0: has no effect here; leave it out, or none$"):
        refuse_unused({"--a": None, "--e": 0, "--f": "x"}, because="here", hint="none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("data check . --distance 0.1", "--distance '0.1': has no effect without --embeddings; leave it out, or name"),
        ("data check . --weights none", "--weights 'none': has no effect without --embeddings; "),
        ("labelstudio push next.json --project 3 --title x", "--title 'x': has no effect with --project; leave it "),
    ],
)
def test_an_option_without_effect_is_an_error_of_other_commands_too(s4mi: Command, words: str, message: str) -> None:
    done = s4mi(*words.split())
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
