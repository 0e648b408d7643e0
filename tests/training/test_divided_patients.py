"""A patient in two parts is refused, also where the same image in two parts would be allowed."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.config.sections import DataConfig
from s4mi.data.manifest import load_manifest, read_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.splits.split import SplitMethod
from s4mi.errors import S4miError
from s4mi.recipes.split import split_dataset
from s4mi.records import Part
from s4mi.training.prepare import prepare

Quick = Callable[..., RunConfig]


@pytest.fixture
def folder(lesions: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lesions, tmp_path / "data"))


def divided(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Parts that keep all patients together, but for one with an image in training and one in test."""
    groups = sorted({str(row.group) for row in rows})
    sides = {group: ("train", "train", "train", "val", "test")[n % 5] for n, group in enumerate(groups)}
    first = next(row for row in rows if sum(other.group == row.group for other in rows) > 1)
    sides[str(first.group)] = "train"
    parts: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for row in rows:
        parts["test" if row is first else sides[str(row.group)]].append(row.id)
    return parts


@pytest.mark.parametrize("allowed", [False, True])
def test_a_saved_split_that_divides_a_patient_is_refused(
    folder: Path, quick: Quick, tmp_path: Path, allowed: bool
) -> None:
    parts = divided(load_manifest(folder).rows)
    file = tmp_path / "split.json"
    file.write_text(json.dumps(parts))
    line = rf"^{file}: group 'patient_\d+' is in train and in test; keep it in one part$"
    with pytest.raises(S4miError, match=line):
        prepare(quick(folder, TRANSFER, split={"kind": "file", "file": str(file)}, data={"allow_leakage": allowed}))
    with pytest.raises(S4miError, match=line):
        split_dataset(folder, division=SplitMethod("file", file=file), allow_leakage=allowed)


@pytest.mark.parametrize("allowed", [False, True])
def test_an_official_split_that_divides_a_patient_contradicts_itself(folder: Path, quick: Quick, allowed: bool) -> None:
    manifest = load_manifest(folder)
    part_of = {name: part for part, names in divided(manifest.rows).items() for name in names}
    write_dataset(folder, manifest.spec, [replace(row, split=cast("Part", part_of[row.id])) for row in manifest.rows])
    assert {finding.code for finding in read_manifest(folder)[1]} == {"group-on-two-sides"}
    for split in ({"kind": "random"}, {"kind": "official"}):
        with pytest.raises(S4miError) as caught:
            prepare(quick(folder, TRANSFER, split=split, data={"allow_leakage": allowed}))
        message = str(caught.value)
        assert "keep all images of a patient in one part" in message
        assert "\n" not in message
    with pytest.raises(S4miError, match="keep all images of a patient in one part"):
        split_dataset(folder, division=None, allow_leakage=allowed)


def test_the_setting_says_so() -> None:
    description = DataConfig.model_fields["allow_leakage"].description or ""
    assert "share an image," in description
    assert "A patient in two parts is always refused" in description
