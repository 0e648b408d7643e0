"""A split with the same image in two parts is refused, unless allowed, and then warned of everywhere."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from conftest import DEDL, TRANSFER
from s4mi.cli import app
from s4mi.config import RunConfig, differences, save_run_config
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.errors import S4miError
from s4mi.recipes.train import train
from s4mi.records import read_record
from s4mi.reporting.results.comparison import comparison_warnings
from s4mi.training.prepare import prepare

Quick = Callable[..., RunConfig]


@pytest.fixture
def leaking(lesions: Path, tmp_path: Path) -> Path:
    """The drawn lesions with an official split, and in test a copy of a training image, saved again and enlarged."""
    data = load_manifest(lesions)
    folder = tmp_path / "leaking"
    shutil.copytree(lesions, folder)
    sides = ("train", "train", "train", "val", "test")
    groups = {group: number for number, group in enumerate(sorted({str(row.group) for row in data.rows}))}
    rows = [
        replace(
            row,
            image=folder / row.image.relative_to(lesions),
            mask=None if row.mask is None else folder / row.mask.relative_to(lesions),
            split=sides[groups[str(row.group)] % 5],
        )
        for row in data.rows
    ]
    first = next(row for row in rows if row.split == "train")
    picture, mask = cv2.imread(str(first.image)), cv2.imread(str(first.mask), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(folder / "copy.jpg"), cv2.resize(picture, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR))
    cv2.imwrite(str(folder / "copy.png"), cv2.resize(mask, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_NEAREST))
    copy = replace(first, id="copy", image=folder / "copy.jpg", mask=folder / "copy.png", group="another", split="test")
    write_dataset(folder, data.spec, [*rows, copy])
    return folder


@pytest.mark.parametrize("method", [TRANSFER, DEDL])
def test_a_leaking_split_is_refused_in_one_line(leaking: Path, quick: Quick, method: dict[str, object]) -> None:
    with pytest.raises(S4miError) as caught:
        prepare(quick(leaking, method))
    message = str(caught.value)
    assert f"{leaking}/manifest.csv:62: image 'copy' (test) is a near-duplicate of" in message
    assert "(train); remove one of each pair or put both in the same group" in message
    assert "data.allow_leakage=true" in message
    assert "\n" not in message


def test_a_clean_split_is_not_refused(lesions: Path, cells: Path, quick: Quick) -> None:
    assert prepare(quick(lesions, DEDL)).leaks == ()
    assert prepare(quick(cells, TRANSFER)).leaks == ()


def test_what_is_allowed_is_said_in_the_log_the_record_and_the_report(
    leaking: Path, quick: Quick, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = quick(leaking, TRANSFER, data={"allow_leakage": True}, epochs=1)
    with caplog.at_level(logging.WARNING, logger="s4mi"):
        record = train(config, tmp_path / "run")
    assert "the split leaks, as data.allow_leakage=true permits" in caplog.text
    assert read_record(tmp_path / "run").leaks == record.leaks == 1
    assert any(
        "1 of 1 runs evaluated on a split with up to 1 pair of the same image" in note
        for note in comparison_warnings([record])
    )
    save_run_config(config, tmp_path / "run.yaml")
    words = ["train", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "run"), "--resume"]
    printed = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert "leakage: 1 pair of the same image or patient in two parts" in printed


def test_allowing_it_makes_no_other_run(leaking: Path, quick: Quick) -> None:
    one, other = (quick(leaking, TRANSFER, data={"allow_leakage": allowed}) for allowed in (False, True))
    assert one.hash == other.hash
    assert differences(one, other) == []
