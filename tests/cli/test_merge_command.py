"""`s4mi data merge` says what became of the data set, and what that means for who tests."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from s4mi.cli.data import app
from s4mi.data.manifest import Manifest, write_dataset
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.errors import S4miError


@pytest.fixture
def bare(tmp_path: Path) -> Manifest:
    """Six drawn lesions without any annotation."""
    full = write_synthetic("lesions", tmp_path / "data", count=6, size=32, seed=5)
    spec = full.spec.model_copy(update={"tasks": (), "classes": (), "mask_values": {}})
    rows = tuple(replace(row, labels=None, mask=None, group=None) for row in full.rows)
    write_dataset(full.folder, spec, rows)
    return replace(full, spec=spec, rows=rows)


def merge(manifest: Manifest, *lines: str, options: tuple[str, ...] = ()) -> Result:
    path = manifest.folder.parent / "next.csv"
    path.write_text("\n".join(["image,label", *lines]) + "\n")
    result = CliRunner().invoke(app, ["merge", str(manifest.folder), str(path), *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_first_labels_decide_who_tests_and_later_ones_do_not(bare: Manifest) -> None:
    first = merge(bare, "lesion_0000,a", "lesion_0001,b").stdout
    assert "stay as they were" not in first
    assert "go on with the same study" not in first
    assert "these are its first labels: who trains, validates and tests is drawn from them" in first
    assert "pre-train once more on this version" in first
    later = merge(bare, "lesion_0002,rare", options=("--new-class", "rare")).stdout
    assert "validation and test stay as they were" in later
    assert "new: rare; runs on older versions keep to their classes" in later
    assert "no image of rare validates or tests" in later


def test_first_labels_of_an_official_split_need_some_of_its_validation_part(bare: Manifest) -> None:
    parts = ["train"] * 4 + ["val", "test"]
    rows = [replace(row, split=part) for row, part in zip(bare.rows, parts, strict=True)]  # type: ignore[arg-type]
    write_dataset(bare.folder, bare.spec, rows)
    said = merge(bare, "lesion_0000,a", "lesion_0001,b").stdout
    assert "the official validation part has none" in said
    assert "pre-train once more" not in said


def test_a_table_that_nobody_filled_in_is_said_to_be_one(bare: Manifest) -> None:
    said = merge(bare, "lesion_0000,", "lesion_0001,", options=("--dry-run",)).stdout
    assert "no images would be annotated" in said
    assert said.rstrip().endswith("2 rows have an empty label")
    assert "nothing new; it stays at version 1: 2 rows have an empty label" in merge(
        bare, "lesion_0000,", "lesion_0001,"
    ).stdout.replace("\n", "")


def test_a_hint_is_not_followed_by_two_signs(bare: Manifest) -> None:
    merge(bare, "lesion_0000,nevus", "lesion_0001,melanoma")
    with pytest.raises(S4miError) as caught:
        merge(bare, "lesion_0002,melanom")
    assert "?;" not in str(caught.value)
    assert str(caught.value).endswith("(nothing was merged)")
