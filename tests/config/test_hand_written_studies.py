"""Mistakes in study files that are written by hand are refused, and the message says what to write."""

from pathlib import Path

import pytest

from s4mi.config.study_file import load_study
from s4mi.errors import S4miError
from s4mi.records.plain import PlainError, load_yaml

HEAD = "profile: small\ndata: {path: nowhere}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEAD + "arms: [classical]\nseeds: [0]\nseeds: [1]\n",
            ":5: not valid YAML ('seeds' is set twice, first in line 4)",
        ),
        (HEAD + "arms: [classical]\nseeds: 3\n", "seeds: must be a list: [3] (given: 3)"),
        (HEAD + "arms: [classical]\nseeds: 0, 1, 2\n", "seeds: must be a list: [0, 1, 2]"),
        (HEAD + "arms: [classical]\nseeds:\n", "seeds: must be a list: […]"),
        (HEAD + "arms: classical\n", "arms: must be a list: [classical]"),
        (HEAD + "arms: []\n", "arms: must list at least one"),
        (HEAD + "arms: [classical]\nlabel_fractions: 10\n", "label_fractions: must be a list: [10]"),
        ("data: datasets/mine\narms: [classical]\n", "data: must be keys and values: {path: datasets/mine}"),
        ("datasets: {a: mine}\narms: [classical]\n", "datasets.a: must be keys and values: {path: mine}"),
        (HEAD + "pretraining: [dino]\narms: [finetune]\n", "pretraining: must be keys and values: {key: value}"),
        ("datasets: {'..': {path: a}}\narms: [classical]\n", "'..' is not a valid name of a data set"),
        ("datasets: {'/': {path: a}}\narms: [classical]\n", "'/' is not a valid name of a data set"),
        ("datasets: {a b: {path: a}, a-b: {path: b}}\narms: [classical]\n", "'a b' and 'a-b' share the folder 'a-b'"),
        (
            HEAD + "arms: [{name: a, method: classical}, {name: a, method: frozen}]\n",
            "two are named 'a' (classical, frozen); rename one",
        ),
        (
            HEAD + "pretraining: {dino: dino}\narms: [{method: classical, pretraining: dino}]\n",
            "has no single network that could start from a pre-training; remove pretraining",
        ),
        (
            HEAD + "split: {file: mine.json}\narms: [classical]\n",
            "file is set, but has no effect without a kind; set split.kind=file",
        ),
        (
            HEAD + "split: {folds: 4}\narms: [classical]\n",
            "folds is set, but has no effect without a kind; set split.kind=kfold",
        ),
        (HEAD + "settings: {split: {fold: 2}}\narms: [classical]\n", "fold is set, but has no effect without a kind"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_what_to_write(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(S4miError) as caught:
        load_study(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_name_may_stand_for_one_technique_on_other_data_sets_and_amounts(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "datasets: {a: {path: a}, b: {path: b}}\n"
        "arms:\n"
        "  - {name: best, method: classical, datasets: a}\n"
        "  - {name: best, method: {name: classical_segmenter}, datasets: b}\n"
    )
    assert len(load_study(path).arms) == 2


def test_merged_keys_of_yaml_are_not_taken_for_keys_set_twice() -> None:
    assert load_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: *a}") == {
        "a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2},
    }  # fmt: skip
    with pytest.raises(PlainError, match="'x' is set twice, first in line 1"):
        load_yaml("a: {x: 1, y: 2,\n x: 3}")
