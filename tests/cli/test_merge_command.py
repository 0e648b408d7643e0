"""`s4mi data merge` reports the changes of a data set and their effect on the test set."""

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


def test_the_first_labels_determine_the_test_set_and_later_ones_do_not(bare: Manifest) -> None:
    first = merge(bare, "lesion_0000,a", "lesion_0001,b").stdout
    assert "are unchanged" not in first
    assert "in the same study" not in first
    assert "first labels of the data set: the training, validation and test sets are drawn from them" in first
    assert "pre-train again on this version" in first
    later = merge(bare, "lesion_0002,rare", options=("--new-class", "rare")).stdout
    assert "the validation and test sets are unchanged" in later
    assert "new classes: rare; runs on older versions keep theirs" in later
    assert "rare is absent from validation and test and cannot be scored" in later
    assert "next, train on this version in the same study" in later


def test_first_labels_of_an_official_split_need_some_of_its_validation_part(bare: Manifest) -> None:
    parts = ["train"] * 4 + ["val", "test"]
    rows = [replace(row, split=part) for row, part in zip(bare.rows, parts, strict=True)]  # type: ignore[arg-type]
    write_dataset(bare.folder, bare.spec, rows)
    output = merge(bare, "lesion_0000,a", "lesion_0001,b").stdout
    assert "the official validation part has none" in output
    assert "pre-train again" not in output


def test_empty_labels_of_a_table_are_counted(bare: Manifest) -> None:
    output = merge(bare, "lesion_0000,", "lesion_0001,", options=("--dry-run",)).stdout
    assert "0 images would be annotated" in output
    assert output.rstrip().endswith("2 rows with an empty label")
    assert "no changes, still version 1; 2 rows with an empty label" in merge(
        bare, "lesion_0000,", "lesion_0001,"
    ).stdout.replace("\n", "")


def test_a_hint_is_not_followed_by_two_signs(bare: Manifest) -> None:
    merge(bare, "lesion_0000,nevus", "lesion_0001,melanoma")
    with pytest.raises(S4miError) as caught:
        merge(bare, "lesion_0002,melanom")
    assert "?;" not in str(caught.value)
    assert str(caught.value).endswith("(nothing was merged)")
