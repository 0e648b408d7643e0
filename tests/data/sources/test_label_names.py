"""Labels as people write them: several in a cell, other spellings, words for a missing value, a binary column."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from s4mi.cli import app
from s4mi.data.checks.check import check_path
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.edit_labels import edit_labels
from s4mi.data.sources.label_names import combined, describe, is_missing, rare_classes, spellings
from s4mi.data.sources.mask_naming import name_mask_values
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import DatasetNaming, FoundDataset
from s4mi.data.sources.write import tasks_of
from s4mi.errors import S4miError


def table(folder: Path, cells: list[str], *, header: str = "label") -> Path:
    """A table of images, one for each cell."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(cells)):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"p{number // 2}_{number}.png")
    rows = "".join(f'p{number // 2}_{number}.png,"{cell}"\n' for number, cell in enumerate(cells))
    (folder / "labels.csv").write_text(f"image,{header}\n{rows}")
    return folder / "labels.csv"


def labels(found: FoundDataset) -> list[tuple[str, ...] | None]:
    return [row.labels for row in found.rows]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["data", "import", *arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("separator", ["|", ", ", ",", " | ", "/", "+", " & "])
def test_a_cell_made_of_the_names_of_other_cells_is_refused_with_the_option(tmp_path: Path, separator: str) -> None:
    cells = ["Edema", "Mass", f"Edema{separator}Mass", "No Finding"]
    path = table(tmp_path, cells)
    (finding,) = read_tables(path).findings
    assert finding.severity == "error"
    assert "--label-separator" in finding.message
    sign = separator.strip()
    found = read_tables(path, TableOptions(separator=sign, negatives=("No Finding",)))
    assert found.classes == ("Edema", "Mass")
    assert labels(found) == [("Edema",), ("Mass",), ("Edema", "Mass"), ()]
    assert tasks_of(found) == ("multilabel",)
    assert read_tables(path, TableOptions(separator="")).findings == ()


def test_semicolons_separate_without_an_option(tmp_path: Path) -> None:
    assert labels(read_tables(table(tmp_path, ["a;b", "a", "b"]))) == [("a", "b"), ("a",), ("b",)]


@pytest.mark.parametrize(
    "cells",
    [["Carcinoma, ductal", "Carcinoma, lobular", "Adenoma"], ["a/b", "c", "d"], ["HER2+", "HER2-"], ["T1/T2", "T3"],
     ["squamous & basal", "basal"]],
)  # fmt: skip
def test_names_with_punctuation_that_are_not_made_of_others_stay_classes(cells: list[str]) -> None:
    assert combined(dict.fromkeys(cells, 1)) is None


def test_a_negative_beside_a_class_and_one_that_does_not_occur_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path, ["Edema", "No Finding|Edema", "No Finding"])
    options = TableOptions(separator="|", negatives=("No Finding",))
    assert "'No Finding' beside 'Edema'" in read_tables(path, options).findings[0].message
    with pytest.raises(S4miError, match="did you mean 'No Finding'"):
        read_tables(path, TableOptions(separator="|", negatives=("no finding",)))


def test_no_finding_among_several_labels_is_named_at_import_and_check(tmp_path: Path) -> None:
    path = table(tmp_path / "s", ["Edema|Mass", "Edema", "Mass", "No Finding"] * 3)
    output = run("table", str(path), "-o", str(tmp_path / "out"), "--label-separator", "|")
    assert "use --negative 'No Finding'" in output
    (report,) = check_path(tmp_path / "out", duplicates=False)
    assert "label-negative" not in {one.code for one in report.findings} or report.count("error") == 0


@given(st.sets(st.sampled_from(["benign", "malignant", "normal tissue", "naevus", "grade 1", "grade 2", "type A",
                                "type B", "HER2+", "HER2-", "hyperthyroid", "hypothyroid", "<5", ">5", "I", "II", "III",
                                "T1a", "T1b", "0", "1", "10", "grade 10"])))  # fmt: skip
def test_different_names_are_no_spellings_of_one(names: set[str]) -> None:
    assert list(spellings(dict.fromkeys(names, 10))) == []


@pytest.mark.parametrize(
    ("rarer", "common"),
    [("Benign", "benign"), ("BENIGN ", "benign"), ("basal_cell", "basal cell"), ("basal-cell", "Basal Cell"),
     ("neutrophill", "neutrophil"), ("neutrohpil", "neutrophil"), ("eosinofil", "eosinophil"), ("naevi s", "naevis"),
     ("malignent", "malignant")],
)  # fmt: skip
def test_spellings_and_near_spellings_are_named_with_the_option(rarer: str, common: str) -> None:
    messages = [message for _, message in describe({common: 40, rarer: 2}, multilabel=False)]
    assert len(messages) == 1
    assert f"{rarer}={common}" in messages[0]


@pytest.mark.parametrize(
    "word", ["N/A", "n/a", "NA", "NaN", "?", "-", "--", "unknown", "Missing", "null", "unlabelled"]
)
def test_words_for_a_missing_value_are_named_with_the_option(word: str) -> None:
    assert is_missing(word)
    (problem,) = describe({"benign": 20, "malignant": 20, word: 3}, multilabel=False)
    assert problem[0] == "label-missing-value"
    assert "--drop-class" in problem[1]


def test_a_class_of_few_images_is_noted() -> None:
    assert "naevus 1" in rare_classes({"benign": 20, "malignant": 20, "naevus": 1})
    assert "b 1" in rare_classes({"a": 9, "b": 1})
    assert rare_classes({"benign": 20, "malignant": 20}) == ""


def test_import_and_check_name_them_and_the_options_mend_them(tmp_path: Path) -> None:
    cells = ["benign"] * 12 + ["Benign"] + ["malignant"] * 12 + ["N/A", "?"]
    path = table(tmp_path / "s", cells)
    output = run("table", str(path), "-o", str(tmp_path / "out"))
    for words in ("--rename Benign=benign", "--drop-class N/A", "--drop-class '?'", "fewer than 10 images"):
        assert words in output
    (report,) = check_path(tmp_path / "out", duplicates=False)
    assert {"label-spelling", "label-missing-value", "class-imbalance"} <= {one.code for one in report.findings}
    (report,) = check_path(tmp_path / "s", duplicates=False)
    assert {"label-spelling", "label-missing-value", "class-imbalance"} <= {one.code for one in report.findings}
    output = run("table", str(path), "-o", str(tmp_path / "right"), "--rename", "Benign=benign", "--drop-class", "N/A",
                 "--drop-class", "?")  # fmt: skip
    manifest = load_manifest(tmp_path / "right")
    assert manifest.spec.classes == ("benign", "malignant")
    assert [row.labels for row in manifest.rows] == [("benign",)] * 13 + [("malignant",)] * 12 + [None] * 2
    assert "looks like" not in output


def test_a_renamed_or_dropped_class_must_exist(tmp_path: Path) -> None:
    found = read_tables(table(tmp_path, ["a", "b"]))
    with pytest.raises(S4miError, match="--rename 'c': no such class"):
        edit_labels(found, {"c": "a"}, ())
    with pytest.raises(S4miError, match="--drop-class 'c': no such class"):
        edit_labels(found, {}, ("c",))


def test_a_dropped_class_of_several_leaves_the_others(tmp_path: Path) -> None:
    found = edit_labels(read_tables(table(tmp_path, ["a;b", "b", "a;c", "unknown"])), {}, ("b", "unknown"))
    assert labels(found) == [("a",), (), ("a", "c"), None]


def test_a_binary_column_is_a_task_of_two_classes(tmp_path: Path) -> None:
    path = table(tmp_path, ["1", "0", "0.0", "1.0", ""], header="melanoma")
    found = read_tables(path, TableOptions(one_hot=("melanoma",)))
    assert found.classes == ("not melanoma", "melanoma")
    assert labels(found) == [("melanoma",), ("not melanoma",), ("not melanoma",), ("melanoma",), None]
    assert tasks_of(found) == ("multiclass",)
    one = read_tables(path, TableOptions(one_hot=("melanoma",), multilabel=True))
    assert one.classes == ("melanoma",)
    assert tasks_of(one) == ("multilabel",)


def test_a_pattern_for_patients_is_searched_in_the_images_that_a_table_lists(tmp_path: Path) -> None:
    path = table(tmp_path, ["a", "a", "b", "b"])
    found = read_tables(path, TableOptions(group_pattern=r"^(p\d+)_"))
    assert [row.group for row in found.rows] == ["p0", "p0", "p1", "p1"]
    findings = read_tables(path, TableOptions(group_pattern=r"^(x\d+)_")).findings
    assert [finding.line for finding in findings] == [2, 3, 4, 5]
    with pytest.raises(S4miError, match="cannot be combined"):
        read_tables(path, TableOptions(group_pattern="(.)", group="label"))


def test_check_proposes_the_columns_that_people_use(tmp_path: Path) -> None:
    path = table(tmp_path / "s", ["lymphocyte", "neutrophil"] * 6, header="cell type")
    path.write_text(path.read_text().replace("image,", "filename,", 1))
    (report,) = check_path(tmp_path / "s", duplicates=False)
    assert report.summary is not None
    assert report.summary.labelled == 12
    assert "--image filename" in str(report.command)
    assert "--label 'cell type'" in str(report.command)


def test_check_proposes_the_separator_and_the_negative_of_chest_x_rays(tmp_path: Path) -> None:
    path = table(tmp_path / "s", ["Edema|Mass", "Edema", "Mass", "No Finding"] * 3, header="Finding Labels")
    path.write_text(path.read_text().replace("image,", "Image Index,", 1))
    (report,) = check_path(tmp_path / "s", duplicates=False)
    assert str(report.command).endswith(
        "--image 'Image Index' --label 'Finding Labels' --label-separator '|' --negative 'No Finding'"
    )
    assert report.count("error") == 0


def test_of_several_tables_the_one_that_lists_the_images_is_proposed(tmp_path: Path) -> None:
    table(tmp_path / "s", ["melanoma", "naevus"] * 3, header="dx")
    (tmp_path / "s/LesionGroupings.csv").write_text("lesion_id,image\nL1,other_1\nL2,other_2\n")
    (report,) = check_path(tmp_path / "s", duplicates=False)
    assert f"{tmp_path / 's/labels.csv'}" in str(report.command)
    (finding,) = [one for one in report.findings if one.code == "several-tables"]
    assert "LesionGroupings.csv (0 of 2 images found)" in finding.message
    assert "labels.csv (6 of 6 images found, label dx)" in finding.message


def test_all_faults_are_printed_at_once(tmp_path: Path) -> None:
    path = table(tmp_path / "s", ["a", "b", "a", "b"])
    path.write_text(path.read_text() + "gone.png,a\nlost.png,b\n,a\n")
    result = CliRunner().invoke(app, ["data", "import", "table", str(path), "-o", str(tmp_path / "out")])
    assert result.exit_code != 0
    output = " ".join(f"{result.output} {result.exception}".split())
    for words in ("'gone.png' not found", "'lost.png' not found", "cell 'image' is empty"):
        assert words in output


def test_skipped_rows_are_named_as_skipped_not_as_errors(tmp_path: Path) -> None:
    path = table(tmp_path / "s", ["a", "b", "a", "b"])
    path.write_text(path.read_text() + "gone.png,a\n")
    output = run("table", str(path), "-o", str(tmp_path / "out"), "--skip-missing")
    assert "warning:" in output
    assert "'gone.png' not found" in output
    assert "row skipped" in output
    assert "error:" not in output
    assert "use --skip-missing" not in output


def test_all_unnamed_values_of_masks_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(S4miError, match="--mask-value 2=NAME --mask-value 3=NAME"):
        name_mask_values({0, 1, 2, 3}, naming=DatasetNaming("x", mask_values={0: "background", 1: "rim"}))
