"""A run is resumed on the data that it began with, and on no other."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import DEDL, TRANSFER, Command
from s4mi.config import RunConfig, save_run_config
from s4mi.data.manifest import Manifest, load_manifest, write_dataset
from s4mi.errors import S4miError
from s4mi.recipes.train import train
from s4mi.records import read_epochs
from s4mi.reporting.results.comparison import comparison_warnings
from s4mi.training.data_state import DATA_NAME, read_data_state
from s4mi.training.progress import Progress

Quick = Callable[..., RunConfig]
SIMCLR = {"name": "simclr", "backbone": "tiny_resnet", "weights": "none"}


class StoppedError(Exception):
    """Ends a run from outside."""


def stop(progress: Progress) -> None:
    if progress.latest is not None and progress.epoch == 2:
        raise StoppedError


@pytest.fixture
def official(tmp_path: Path, lesions: Path) -> Path:
    """The drawn lesions with an official split, which labels have no part in."""
    folder = tmp_path / "data"
    shutil.copytree(lesions, folder)
    manifest = load_manifest(folder)
    groups = sorted({row.group or "" for row in manifest.rows})
    parts = ("train", "train", "train", "val", "test")
    rows = [replace(row, split=parts[groups.index(row.group or "") % 5]) for row in manifest.rows]
    write_dataset(folder, manifest.spec, rows)
    return folder


def relabel(data: Manifest) -> str:
    """Give the first two rows another class."""
    classes = data.spec.classes
    rows = [
        replace(row, labels=(classes[(classes.index((row.labels or ())[0]) + 1) % len(classes)],)) if n < 2 else row
        for n, row in enumerate(data.rows)
    ]
    write_dataset(data.folder, data.spec, rows)
    return rf"manifest\.csv:2 label of '{data.rows[0].id}', manifest\.csv:3 label of '{data.rows[1].id}'; "


def unlabel(data: Manifest) -> str:
    write_dataset(data.folder, data.spec, [replace(data.rows[0], labels=None), *data.rows[1:]])
    return rf"manifest\.csv:2 label of '{data.rows[0].id}'; "


def redraw_mask(data: Manifest) -> str:
    mask = data.rows[3].mask
    assert mask is not None
    Image.fromarray(np.asarray(Image.open(mask))[::-1]).save(mask)
    return rf"manifest\.csv:5 mask of '{data.rows[3].id}'; "


def remove_mask(data: Manifest) -> str:
    rows = [replace(row, mask=None) if n == 2 else row for n, row in enumerate(data.rows)]
    write_dataset(data.folder, data.spec, rows)
    return rf"manifest\.csv:4 mask of '{data.rows[2].id}'; "


def redraw_image(data: Manifest) -> str:
    image = data.rows[0].image
    Image.fromarray(255 - np.asarray(Image.open(image))).save(image)
    return rf"manifest\.csv:2 image of '{data.rows[0].id}'; "


def reorder_classes(data: Manifest) -> str:
    classes = (data.spec.classes[1], data.spec.classes[0], *data.spec.classes[2:])
    write_dataset(data.folder, data.spec.model_copy(update={"classes": classes}), data.rows)
    return r"dataset\.yaml classes; "


def swap_mask_values(data: Manifest) -> str:
    (first, a), (second, b) = data.spec.mask_values.items()
    write_dataset(data.folder, data.spec.model_copy(update={"mask_values": {first: b, second: a}}), data.rows)
    return r"dataset\.yaml mask_values; "


def reorder_rows(data: Manifest) -> str:
    write_dataset(data.folder, data.spec, data.rows[::-1])
    return "the order of the rows"


def drop_a_row(data: Manifest) -> str:
    write_dataset(data.folder, data.spec, data.rows[:-1])
    return f"'{data.rows[-1].id}' is missing; "


Change = Callable[[Manifest], str]
REFUSED: list[tuple[dict[str, Any], Change]] = [
    (TRANSFER, relabel), (TRANSFER, unlabel), (TRANSFER, redraw_image), (TRANSFER, reorder_classes),
    (TRANSFER, reorder_rows), (TRANSFER, drop_a_row), (DEDL, redraw_mask), (DEDL, remove_mask), (DEDL, redraw_image),
    (DEDL, swap_mask_values), (SIMCLR, redraw_image),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("method", "change"), REFUSED, ids=lambda v: v["name"] if isinstance(v, dict) else v.__name__)
def test_a_run_is_not_resumed_on_other_data_and_the_rows_are_named(
    method: dict[str, Any], change: Change, official: Path, quick: Quick, tmp_path: Path
) -> None:
    config, run = quick(official, method, epochs=2), tmp_path / "run"
    with pytest.raises(StoppedError):
        train(config, run, watch=stop)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    words = change(load_manifest(official))
    with pytest.raises(S4miError, match=rf"data\.json: the data set has changed since the run began: {words}") as error:
        train(config, run, resume=True)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.long
@pytest.mark.parametrize(("method", "change"), [(SIMCLR, relabel), (DEDL, relabel), (TRANSFER, redraw_mask)])
def test_a_change_of_what_the_run_does_not_use_is_none(
    method: dict[str, Any], change: Change, official: Path, quick: Quick, tmp_path: Path
) -> None:
    config = quick(official, method, epochs=2)
    with pytest.raises(StoppedError):
        train(config, tmp_path / "run", watch=stop)
    change(load_manifest(official))
    assert train(config, tmp_path / "run", resume=True).epochs == 2


def test_many_changes_are_counted(official: Path, quick: Quick, tmp_path: Path) -> None:
    config = quick(official, TRANSFER, epochs=2)
    with pytest.raises(StoppedError):
        train(config, tmp_path / "run", watch=stop)
    data = load_manifest(official)
    write_dataset(data.folder, data.spec, [replace(row, labels=(data.spec.classes[0],)) for row in data.rows])
    changed = sum(row.labels != (data.spec.classes[0],) for row in data.rows)
    with pytest.raises(S4miError, match=rf"and {changed - 5} more changes; restore the data set to resume"):
        train(config, tmp_path / "run", resume=True)


def test_a_run_of_an_older_version_resumes_and_is_checked_from_then_on(
    official: Path, quick: Quick, tmp_path: Path
) -> None:
    config, run = quick(official, TRANSFER, epochs=3), tmp_path / "run"
    with pytest.raises(StoppedError):
        train(config, run, watch=stop)
    (run / DATA_NAME).unlink()

    def stop_later(progress: Progress) -> None:
        if progress.latest is not None and progress.epoch == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(config, run, resume=True, watch=stop_later)
    assert len(read_epochs(run)) == 2
    relabel(load_manifest(official))
    with pytest.raises(S4miError, match="the data set has changed since the run began"):
        train(config, run, resume=True)


def test_a_damaged_state_is_named(official: Path, quick: Quick, tmp_path: Path) -> None:
    config, run = quick(official, TRANSFER, epochs=2), tmp_path / "run"
    with pytest.raises(StoppedError):
        train(config, run, watch=stop)
    (run / DATA_NAME).write_text("{}")
    with pytest.raises(S4miError, match=re.escape(f"{run / DATA_NAME}: not a valid state of the data")):
        train(config, run, resume=True)


@pytest.mark.parametrize("folder", ["nowhere", "empty", "other"])
def test_resume_on_a_folder_that_holds_no_run_is_an_error(
    folder: str, s4mi: Command, lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    from s4mi import train as train_from_python

    config, run = quick(lesions, TRANSFER, epochs=1), tmp_path / folder
    save_run_config(config, tmp_path / "run.yaml")
    if folder != "nowhere":
        run.mkdir()
    if folder == "other":
        (run / "thesis.txt").write_text("mine")
    done = s4mi("train", tmp_path / "run.yaml", "-o", run, "--resume")
    assert done.returncode != 0
    assert done.stderr == (
        f"error: {run}: no run to resume (no config.yaml); correct the folder, or start a run without --resume\n"
    )
    with pytest.raises(S4miError, match="no run to resume"):
        train_from_python(config, run, resume=True)
    assert not (run / "config.yaml").exists()


def test_runs_on_other_labels_have_other_hashes_and_their_comparison_says_so(
    official: Path, quick: Quick, tmp_path: Path
) -> None:
    one = train(quick(official, TRANSFER, epochs=1), tmp_path / "one")
    relabel(load_manifest(official))
    other = train(quick(official, TRANSFER, epochs=1, seed=1), tmp_path / "other")
    assert one.data_hash == other.data_hash
    assert any(line.endswith("labels changed between runs; compare them with care")
               for line in comparison_warnings([one, other]))  # fmt: skip
    state = read_data_state(tmp_path / "one")
    assert state is not None
    assert state.labels_hash == one.labels_hash
