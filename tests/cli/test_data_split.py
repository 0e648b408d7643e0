import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from conftest import DEDL, TRANSFER
from s4mi.cli.data import app
from s4mi.config import RunConfig
from s4mi.data.splits.split_file import read_split_hash
from s4mi.errors import S4miError
from s4mi.training.prepare import prepare


def run(*words: object) -> Result:
    result = CliRunner().invoke(app, ["split", *map(str, words)], catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0
    return result


@pytest.mark.parametrize("task", ["multiclass", "segmentation"])
@pytest.mark.parametrize("split", [{}, {"kind": "kfold", "folds": 4, "fold": 2}])
def test_the_command_makes_the_split_of_a_run(
    lesions: Path, tmp_path: Path, quick: Callable[..., RunConfig], task: str, split: dict[str, object]
) -> None:
    method = DEDL if task == "segmentation" else TRANSFER
    config = quick(lesions, method, split=split, seed=3, label_fraction="100%")
    options = [word for key, value in split.items() for word in (f"--{key}", value)]
    run(lesions, "-o", tmp_path / "split.json", "--task", task, "--seed", 3, *options)
    assert read_split_hash(tmp_path / "split.json") == prepare(config).split.hash
    saved = {"kind": "file", "file": str(tmp_path / "split.json")}
    assert prepare(quick(lesions, method, split=saved, seed=3)).split.hash == prepare(config).split.hash


def test_the_shares_of_the_parts_are_those_of_a_run_also_without_a_kind(
    lesions: Path, tmp_path: Path, quick: Callable[..., RunConfig]
) -> None:
    config = quick(lesions, TRANSFER, split={"ratios": [0.5, 0.2, 0.3]}, seed=3)
    run(lesions, "-o", tmp_path / "split.json", "--ratios", "0.5,0.2,0.3", "--seed", 3)
    assert read_split_hash(tmp_path / "split.json") == prepare(config).split.hash
    run(lesions, "-o", tmp_path / "split.json", "--seed", 3)
    assert read_split_hash(tmp_path / "split.json") != prepare(config).split.hash


def test_the_labels_of_a_fraction_are_those_of_a_run(
    lesions: Path, tmp_path: Path, quick: Callable[..., RunConfig]
) -> None:
    run(lesions, "-o", tmp_path / "split.json", "--fractions", "30, 12 images,3 patients")
    saved = json.loads((tmp_path / "split.json").read_text())
    for name in ("30 %", "12 images", "3 patients"):
        prepared = prepare(quick(lesions, TRANSFER, label_fraction=name))
        assert saved["fractions"][name] == [prepared.manifest.rows[row].id for row in prepared.split.labelled]


def test_the_table_counts_every_class_in_every_part(lesions: Path) -> None:
    document = json.loads(run(lesions, "--json", "--fractions", "10,100").stdout)
    assert document["images"]["train"] + document["images"]["val"] + document["images"]["test"] == 60
    for counts in document["classes"].values():
        assert counts["100 %"] == counts["train"] >= counts["10 %"]
    shown = run(lesions, "--show").stdout
    for words in ("train", "val", "test", "labels 10 %", "patients", "within the tolerance of 3"):
        assert words in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kind", "randm"], "did you mean 'random'"),
        (["--task", "multilabel"], "has no annotations for multilabel; choose --task multiclass or segmentation"),
        (["--kind", "random", "--ratios", "1,1,1"], "ratios must be three positive numbers that sum to 1"),
        (["--kind", "kfold", "--fold", "5"], "fold must be 0–4 for 5 folds (given 5)"),
        (["--kind", "file"], "requires a saved split; pass it as file"),
        (["--file", "split.json"], "file has no effect with kind 'auto'; leave it out, or use kind 'file'"),
        (["--fold", "2"], "fold has no effect with kind 'auto'; leave it out, or use kind 'kfold'"),
        (["--kind", "random", "--folds", "4"], "folds has no effect with kind 'random'"),
        (["--kind", "kfold", "--ratios", "0.6,0.2,0.2"], "ratios has no effect with kind 'kfold'"),
        (["--kind", "file", "--file", "nothing.json"], "nothing.json: cannot be read"),
        (["--fractions", "1000 images"], "label_fraction is 1000 images, but the training part has only"),
        (["--kind", "official"], "no split given, but split.kind=official requires one in every row"),
    ],
)
def test_invalid_options_give_a_one_line_error(lesions: Path, options: list[str], words: str) -> None:
    with pytest.raises(S4miError) as caught:
        run(lesions, *options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_without_a_test_or_training_image_is_named(tmp_path: Path) -> None:
    labels = {"train": "aabbc", "val": "ab", "test": "abd"}
    rows = [(f"{part}{n}", label, part) for part, names in labels.items() for n, label in enumerate(names)]
    for number, (name, _, _) in enumerate(rows):
        noise = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    (tmp_path / "dataset.yaml").write_text(
        f"name: rare\ntasks: [multiclass]\nclasses: [a, b, c, d]\nroot: {tmp_path}\n", encoding="utf-8"
    )
    lines = ["id,image,mask,label,group,split", *(f"{name},{name}.png,,{label},,{part}" for name, label, part in rows)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shown = run(tmp_path, "--fractions", "100").stdout
    assert "warning: no test image of c: scores say nothing of them" in shown
    assert "warning: no train image of d: no run learns or predicts them" in shown


def test_a_split_with_every_class_in_every_part_has_no_such_warning(lesions: Path) -> None:
    assert "warning: no " not in run(lesions).stdout
