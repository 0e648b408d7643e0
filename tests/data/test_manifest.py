from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from s4mi.data.manifest import Manifest, load_manifest, read_manifest, write_dataset
from s4mi.data.row import COLUMNS, Row
from s4mi.data.spec import DatasetSpec, Finding
from s4mi.errors import S4miError

SPEC = {
    "name": "lesions",
    "tasks": ["multiclass", "segmentation"],
    "classes": ["naevus", "melanoma"],
    "mask_values": {0: "background", 255: "lesion"},
}


def dataset(
    folder: Path, *lines: str, header: str = ",".join(COLUMNS), files: str = "a.png b.png m.png", **spec
) -> Path:
    folder.mkdir(exist_ok=True)
    for name in files.split():
        (folder / name).touch()
    (folder / "dataset.yaml").write_text(yaml.safe_dump({**SPEC, **spec}), encoding="utf-8")
    (folder / "manifest.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def read(folder: Path) -> tuple[Manifest, list[Finding]]:
    manifest, findings = read_manifest(folder)
    assert manifest is not None
    return manifest, findings


def test_an_empty_cell_is_not_annotated_and_none_is_annotated_with_no_class(tmp_path: Path) -> None:
    folder = dataset(tmp_path, ",a.png,,,,", ",b.png,,none,,", tasks=["multilabel", "segmentation"])
    (unknown, negative), findings = read(folder)[0].rows, read(folder)[1]
    assert not findings
    assert (unknown.labels, negative.labels) == (None, ())
    assert [row.annotated("multilabel") for row in (unknown, negative)] == [False, True]
    assert not unknown.annotated("segmentation")


def test_only_the_column_image_is_needed(tmp_path: Path) -> None:
    manifest, findings = read(dataset(tmp_path, "a.png", "b.png", header="image"))
    assert not findings
    assert [row.id for row in manifest.rows] == ["a", "b"]
    assert [row.line for row in manifest.rows] == [2, 3]
    assert not manifest.official


def test_paths_are_relative_to_the_root_and_the_root_to_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "x.png").touch()
    manifest, findings = read(dataset(tmp_path / "data", "x.png", header="image", root="../images"))
    assert not findings
    assert manifest.rows[0].image == tmp_path / "images" / "x.png"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (",,,,,", "no-image", "'image' is empty"),
        (",c.png,,,,", "missing-image", "'c.png' does not exist in"),
        (",a.png,c.png,,,", "missing-mask", "'c.png' does not exist in"),
        (",a.png,,melanona,,", "unknown-class", "did you mean 'melanoma'?"),
        (",a.png,,naevus;melanoma,,", "label-count", "names 2 classes"),
        (",a.png,,none,,", "label-count", "names 0 classes"),
        (",a.png,,,,training", "unknown-split", "did you mean 'train'?"),
        (",a.png,,", "ragged-row", "cells"),
        (",a.png,,,,,,", "ragged-row", "cells"),
    ],
)
def test_an_error_has_its_line_and_the_row_is_skipped(tmp_path: Path, line: str, code: str, words: str) -> None:
    manifest, findings = read(dataset(tmp_path, ",b.png,m.png,naevus,,", line))
    assert [row.id for row in manifest.rows] == ["b"]
    finding = only(findings)
    assert (finding.code, finding.severity, finding.line) == (code, "error", 3)
    assert words in finding.message
    assert str(finding).startswith("manifest.csv:3: ")


def test_a_label_twice_in_one_cell_is_an_error(tmp_path: Path) -> None:
    folder = dataset(tmp_path, ",a.png,,naevus;naevus,,", tasks=["multilabel", "segmentation"])
    assert only(read(folder)[1]).code == "label-twice"


def test_a_repeated_id_names_the_first_line(tmp_path: Path) -> None:
    finding = only(read(dataset(tmp_path, "x,a.png,,,,", "x,b.png,,,,"))[1])
    assert (finding.code, finding.line) == ("duplicate-id", 3)
    assert "already used in line 2" in finding.message


def test_a_patient_in_two_parts_of_the_split_is_an_error(tmp_path: Path) -> None:
    finding = only(read(dataset(tmp_path, ",a.png,,,p1,train", ",b.png,,,p1,test"))[1])
    assert (finding.code, finding.line) == ("group-on-two-sides", 3)
    assert "in train in line 2" in finding.message


def test_a_patient_without_official_split_may_have_many_images(tmp_path: Path) -> None:
    assert not read(dataset(tmp_path, ",a.png,,,p1,", ",b.png,,,p1,"))[1]


@pytest.mark.parametrize("text", ["", ",".join(COLUMNS) + "\n", ",".join(COLUMNS) + "\n\n\n"])
def test_an_empty_manifest_is_an_error_in_line_one(tmp_path: Path, text: str) -> None:
    folder = dataset(tmp_path)
    (folder / "manifest.csv").write_text(text)
    finding = only(read_manifest(folder)[1])
    assert (finding.code, finding.line) == ("empty-manifest", 1)


def test_errors_of_the_header_are_reported(tmp_path: Path) -> None:
    finding = only(read(dataset(tmp_path, "a.png,x", header="image,grup"))[1])
    assert (finding.code, finding.line) == ("unknown-column", 1)
    assert "did you mean 'group'?" in finding.message
    assert only(read(dataset(tmp_path, "a.png,,", header="image,mask,mask"))[1]).code == "column-twice"
    assert read_manifest(dataset(tmp_path, "a.png", header="mask"))[0] is None


def test_files_that_are_not_text_or_csv_are_reported_and_raise_nothing(tmp_path: Path) -> None:
    folder = dataset(tmp_path, ",a.png,,,,")
    (folder / "manifest.csv").write_bytes(b"image\n\xff\xfe.png\n")
    assert only(read_manifest(folder)[1]).code == "encoding"
    (folder / "manifest.csv").write_text('image\n"' + "x" * 200_000)
    assert only(read_manifest(folder)[1]).code == "bad-csv"
    (folder / "manifest.csv").unlink()
    assert only(read_manifest(folder)[1]).code == "no-manifest"
    (folder / "dataset.yaml").write_bytes(b"name: \xff")
    assert only(read_manifest(folder)[1]).code == "encoding"
    (folder / "dataset.yaml").write_text("name: [")
    assert only(read_manifest(folder)[1]).code == "bad-yaml"
    (folder / "dataset.yaml").write_text("just words")
    assert only(read_manifest(folder)[1]).code == "bad-yaml"
    (folder / "dataset.yaml").unlink()
    assert only(read_manifest(folder)[1]).code == "no-dataset-yaml"


def test_a_byte_order_mark_from_spreadsheets_is_accepted(tmp_path: Path) -> None:
    folder = dataset(tmp_path, "a.png", header="image")
    for name in ("dataset.yaml", "manifest.csv"):
        (folder / name).write_text((folder / name).read_text(), encoding="utf-8-sig")
    assert not read(folder)[1]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: x\ntasks: []\nclases: [a]\n", 3, "did you mean 'classes'?"),
        ("name: x\ntasks: [segmentation]\n", None, "mask_values: name at least two"),
        ("name: x\ntasks: [multiclass]\nclasses: [a]\n", 3, "too few"),
        ("name: x\ntasks: [multilabel]\nclasses: [no, yes]\n", 3, "write it in quotes"),
        ("name: x\ntasks: [guessing]\n", 2, "tasks.0"),
    ],
)
def test_an_error_of_dataset_yaml_is_named_with_the_line_of_its_key(
    tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    (tmp_path / "dataset.yaml").write_text(text)
    manifest, findings = read_manifest(tmp_path)
    assert manifest is None
    assert (findings[0].file, findings[0].line) == ("dataset.yaml", line)
    assert words in findings[0].message


@pytest.mark.parametrize(
    "changes",
    [
        {"tasks": ["multiclass", "multilabel"]},
        {"classes": ["a", "a"]},
        {"classes": ["a", "none"]},
        {"classes": ["a", "b;c"]},
        {"mask_values": {0: "background", 256: "lesion"}},
        {"mask_values": {0: "lesion", 1: "lesion"}},
    ],
)
def test_a_description_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DatasetSpec.model_validate({**SPEC, **changes})


def test_a_data_set_without_annotation_has_no_tasks_and_is_valid() -> None:
    assert DatasetSpec(name="scans", tasks=()).mask_classes == ()


def test_mask_classes_are_unique_in_the_order_of_the_values_and_exclude_ignore() -> None:
    spec = DatasetSpec(
        name="x", tasks=("segmentation",), mask_values={0: "background", 1: "rim", 2: "core", 3: "rim", 255: "ignore"}
    )
    assert spec.classes_of("segmentation") == ("background", "rim", "core")


def test_loading_reports_the_first_error_and_counts_the_others(tmp_path: Path) -> None:
    folder = dataset(tmp_path, ",c.png,,,,", ",d.png,,,,", ",a.png,,,,")
    with pytest.raises(S4miError, match=r"manifest\.csv:2: image 'c\.png' .* \(and 1 more") as caught:
        load_manifest(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


words = st.text(
    st.characters(codec="utf-8", exclude_characters=';\r\n\x00/"', exclude_categories=("C", "Z")), min_size=1
)
names = words.filter(lambda word: word.strip() == word and word not in ("none", ".", ".."))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(data=st.data(), classes=st.lists(names, min_size=2, max_size=4, unique=True))
def test_what_is_written_is_read_back(tmp_path: Path, data: st.DataObject, classes: list[str]) -> None:
    (tmp_path / "i").mkdir(exist_ok=True)
    ids = data.draw(st.lists(names, min_size=1, max_size=5, unique=True))
    part = data.draw(st.sampled_from(["train", "val", "test", None]))
    rows = []
    for number, name in enumerate(ids):
        image = tmp_path / "i" / f"{number}.png"
        image.touch()
        labels = data.draw(st.none() | st.lists(st.sampled_from(classes), unique=True).map(tuple))
        mask = image if data.draw(st.booleans()) else None
        rows.append(Row(name, image, mask, labels, group=data.draw(st.none() | names), split=part, line=number + 2))
    spec = DatasetSpec(
        name="x",
        tasks=("multilabel", "segmentation"),
        classes=tuple(classes),
        mask_values={0: "background", 7: "lesion"},
        root=data.draw(st.sampled_from(["", "i", str(tmp_path)])),
    )
    write_dataset(tmp_path, spec, rows)
    assert load_manifest(tmp_path) == Manifest(tmp_path, spec, tuple(rows))


def test_mask_values_are_written_as_numbers(tmp_path: Path) -> None:
    write_dataset(tmp_path, DatasetSpec.model_validate(SPEC), [])
    assert yaml.safe_load((tmp_path / "dataset.yaml").read_text())["mask_values"] == SPEC["mask_values"]


def test_a_link_below_the_root_is_written_as_the_link(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "0f3a").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").symlink_to(tmp_path / "store" / "0f3a")
    row = Row("a", tmp_path / "data" / "a.png", mask=None, labels=None, group=None, split=None, line=0)
    write_dataset(tmp_path / "data", DatasetSpec(name="x", tasks=()), [row])
    assert (tmp_path / "data" / "manifest.csv").read_text().splitlines()[1] == "a,a.png,,,,"
