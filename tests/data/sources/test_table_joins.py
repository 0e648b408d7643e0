"""Tables as public data sets have them: joined tables, lists of parts, blank and uncertain cells, several folders."""

from itertools import product
from pathlib import Path

import pytest

from s4mi.data.sources.edit_labels import edit_labels
from s4mi.data.sources.split_lists import apply_split_lists
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.errors import S4miError


def source(folder: Path, *files: str, **tables: str) -> Path:
    """A folder with tables, `labels` as labels.csv, and empty image files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


@pytest.mark.parametrize(
    ("blank", "uncertain"), list(product(("no", "unknown"), ("yes", "no", "unknown"))), ids="-".join
)
def test_blank_and_uncertain_cells_mean_what_the_user_says(tmp_path: Path, blank: str, uncertain: str) -> None:
    """By hand: a is 1 and blank, b is 0 and -1, c is 1 and 0, d is blank alone. Unknown is counted by class."""
    text = "image,x,y\na.png,1.0,\nb.png,0.0,-1.0\nc.png,1,0\nd.png,,\n"
    folder = source(tmp_path, "a.png", "b.png", "c.png", "d.png", labels=text)
    options = TableOptions(one_hot=("x", "y"), blank=blank, uncertain=uncertain, multilabel=True)  # type: ignore[arg-type]
    found = read_tables(folder, options)
    expected = {
        "a.png": (("x",), ("y",) if blank == "unknown" else ()),
        "b.png": (("y",) if uncertain == "yes" else (), ("y",) if uncertain == "unknown" else ()),
        "c.png": (("x",), ()), "d.png": (None, ()),
    }  # fmt: skip
    assert {row.image.name: (row.labels, row.unknown) for row in found.rows} == expected
    unknown = (blank == "unknown") + (uncertain == "unknown")
    said = [finding.message for finding in found.findings if finding.code == "unknown-labels"]
    assert len(said) == bool(unknown)
    assert all(message.endswith(f"y {unknown}") for message in said)


def test_without_a_meaning_they_are_refused_with_the_options(tmp_path: Path) -> None:
    folder = source(tmp_path, "a.png", "b.png", labels="image,x,y\na.png,1,\nb.png,-1,0\n")
    messages = [finding.message for finding in read_tables(folder, TableOptions(one_hot=("x", "y"))).findings]
    assert "--blank no" in messages[0]
    assert "--uncertain unknown" in messages[1]


def test_a_column_that_means_no_class_makes_blank_cells_no(tmp_path: Path) -> None:
    text = "image,No Finding,x,y\na.png,1.0,,\nb.png,,1.0,\nc.png,,1.0,0.0\n"
    folder = source(tmp_path, "a.png", "b.png", "c.png", labels=text)
    options = TableOptions(one_hot=("No Finding", "x", "y"), negatives=("No Finding",), blank="unknown")
    found = read_tables(folder, options)
    assert found.classes == ("x", "y")
    assert [(row.labels, row.unknown) for row in found.rows] == [((), ()), (("x",), ("y",)), (("x",), ())]


@pytest.mark.parametrize("on", [None, "image=isic_id"])
def test_ham10000_a_joined_table_adds_its_columns_by_the_name_of_the_image(tmp_path: Path, on: str | None) -> None:
    key = "image" if on is None else "isic_id"
    folder = source(
        tmp_path, "i_1.jpg", "i_2.jpg", "i_3.jpg",
        labels="image,label\ni_1,x\ni_2.jpg,y\ni_3,x\n", groups=f"{key},lesion_id,label\ni_2,L2,z\ni_1.jpg,L1,z\n",
    )  # fmt: skip
    options = TableOptions(group="lesion_id", join=(Path("groups.csv"),), join_on=on)
    found = read_tables(folder / "labels.csv", options)
    assert [(row.labels, row.group) for row in found.rows] == [(("x",), "L1"), (("y",), "L2"), (("x",), None)]
    assert ["1 row of labels.csv not in this table: 'i_3'" in one.message for one in found.findings] == [True]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("image,lesion_id\na,L1\na,L2\n", r"groups\.csv:3: image 'a' is already in line 2 with other cells"),
        ("image,lesion_id\nz,L1\n", "no row of labels.csv has a partner"),
        ("name,lesion_id\na,L1\n", "no column 'image'.*--on"),
    ],
)
def test_tables_that_do_not_fit_are_named(tmp_path: Path, groups: str, message: str) -> None:
    folder = source(tmp_path, "a.png", labels="image,label\na,x\n", groups=groups)
    with pytest.raises(S4miError, match=message):
        read_tables(folder / "labels.csv", TableOptions(group="lesion_id", join=(folder / "groups.csv",)))


def test_ham10000_images_in_several_folders_are_found(tmp_path: Path) -> None:
    folder = source(tmp_path, "part_1/a.jpg", "part_2/b.jpg", "b_3/images/c.jpg", labels="image\na\nb\nc\n")
    found = read_tables(folder, TableOptions(images=("part_1", "part_2", "b_*/images")))
    assert [row.image.name for row in found.rows] == ["a.jpg", "b.jpg", "c.jpg"]


def test_chexpert_paths_may_begin_with_the_name_of_the_folder(tmp_path: Path) -> None:
    folder = source(tmp_path / "CheXpert", "train/p1/v.jpg", train="Path\nCheXpert/train/p1/v.jpg\n")
    (row,) = read_tables(folder, TableOptions(image="Path")).rows
    assert row.image == folder / "train" / "p1" / "v.jpg"


def test_aptos_a_table_for_each_part_is_the_official_split(tmp_path: Path) -> None:
    folder = source(tmp_path, "a.png", "b.png", train="image,label\na,x\n", test="image\nb\n")
    found = read_tables(folder, TableOptions(label="label"))
    assert {row.image.name: (row.split, row.labels) for row in found.rows} == {
        "a.png": ("train", ("x",)), "b.png": ("test", None),
    }  # fmt: skip
    assert "no-test-labels" in [finding.code for finding in found.findings]


def test_chestxray14_lists_of_files_are_the_official_split(tmp_path: Path) -> None:
    folder = source(tmp_path, "x/a.png", "x/b.png", "x/c.png", labels="image,label\nx/a.png,u\nx/b.png,v\nx/c.png,u\n")
    (folder / "train_val_list.txt").write_text("a.png\nb\nmissing.png\n", encoding="utf-8")
    (folder / "held_out.txt").write_text("x/c.png\n", encoding="utf-8")
    found = read_tables(folder)
    split = apply_split_lists(found, ["train_val_list.txt", "test=held_out.txt"])
    assert [row.split for row in split.rows] == ["train", "train", "test"]
    assert ["'missing.png'" in finding.message for finding in split.findings] == [True]
    assert apply_split_lists(found, []) is found
    only = apply_split_lists(found, ["train_val_list.txt"])
    assert [one.code for one in only.findings if one.severity == "error"] == ["not-in-split-list"]
    for lists, message in (
        (["held_out.txt"], "names no part"), (["val=nowhere.txt"], "file not found"),
        (["train_val_list.txt", "val=train_val_list.txt"], "'a.png' is also listed for train"),
        (["val=labels.csv"], "is also listed|lists none|names no|image,label"),
    ):  # fmt: skip
        with pytest.raises(S4miError, match=message):
            apply_split_lists(found, [*lists, *(["test=labels.csv"] if "labels.csv" in lists[0] else [])])


def test_all_missing_columns_are_named_at_once(tmp_path: Path) -> None:
    folder = source(tmp_path, "a.png", labels="file,kind\na.png,x\n")
    with pytest.raises(S4miError, match="no columns 'image' for --image, 'dx' for --label, 'who' for --group"):
        read_tables(folder, TableOptions(label="dx", group="who"))


def test_b13_a_class_of_one_image_can_be_left_out(tmp_path: Path) -> None:
    folder = source(tmp_path, "a.png", "b.png", "c.png", labels="image,label\na,x\nb,y\nc,rare\n")
    edited = edit_labels(read_tables(folder), {}, ["rare"])
    assert edited.classes == ("x", "y")
    assert [row.labels for row in edited.rows] == [("x",), ("y",), None]


@pytest.mark.parametrize(("own", "other"), [("18/2019", "17/2019"), ("K12.b", "K12.a"), ("ward/7", "7"), ("", "")])
def test_patients_are_joined_by_their_whole_id_not_by_what_would_be_the_name_of_a_file(
    tmp_path: Path, own: str, other: str
) -> None:
    """Numbers of a clinic hold slashes and dots, and gaps of two tables are not one patient."""
    folder = source(
        tmp_path, "a.png", "b.png", labels=f"image,pid\na.png,P1\nb.png,{own}\n", people=f"pid,dx\nP1,x\n{other},y\n"
    )
    options = TableOptions(label="dx", group="pid", join=(Path("people.csv"),), join_on="pid")
    found = read_tables(folder / "labels.csv", options)
    assert [row.labels for row in found.rows] == [("x",), None]
    assert [one.code for one in found.findings if one.severity == "warning"] == ["not-joined"]


def test_patients_whose_ids_end_alike_are_not_one(tmp_path: Path) -> None:
    people = "pid,dx\n17/2019,x\n18/2019,y\n"
    folder = source(tmp_path, "a.png", "b.png", labels="image,pid\na.png,17/2019\nb.png,18/2019\n", people=people)
    options = TableOptions(label="dx", group="pid", join=(Path("people.csv"),), join_on="pid")
    assert [row.labels for row in read_tables(folder / "labels.csv", options).rows] == [("x",), ("y",)]


def test_names_of_files_are_joined_by_their_path_first_and_refused_where_it_is_missing(tmp_path: Path) -> None:
    labels = "image\ns1/a.png\ns2/a.png\n"
    folder = source(tmp_path, "s1/a.png", "s2/a.png", labels=labels, more="image,dx\ns2/a.png,y\ns1/a.png,x\n")
    options = TableOptions(label="dx", join=(Path("more.csv"),))
    assert [row.labels for row in read_tables(folder / "labels.csv", options).rows] == [("x",), ("y",)]
    source(tmp_path, labels="image\ns1/a.png\na\n")
    with pytest.raises(S4miError, match=r"more\.csv:3: .* is already in line 2 .* belongs to 'a' is unknown"):
        read_tables(folder / "labels.csv", options)


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_name_in_two_of_the_folders_is_refused_unless_the_files_are_equal(tmp_path: Path, kind: str) -> None:
    """Batches that number their images alike: which of them a row is about, it does not say."""
    folder = source(tmp_path, "a.png", "batch1/1.png", "batch2/1.png", "batch2/2.png", labels="")
    folders = {f"{kind}s": ("batch1", "batch2")}

    def found(*cells: str) -> list[str]:
        rows = [f"{cell}," if kind == "image" else f"a.png,{cell}" for cell in cells]
        (tmp_path / "labels.csv").write_text("\n".join(["image,mask", *rows]))
        findings = read_tables(folder, TableOptions(**folders)).findings  # type: ignore[arg-type]
        return [one.message for one in findings if one.severity == "error"]

    assert found("1.png") == []  # both are empty
    (tmp_path / "batch2" / "1.png").write_bytes(b"another")
    (message,) = found("1.png")
    assert message.startswith(f"{kind} '1.png' is in several folders (batch1/1.png and batch2/1.png); ")
    assert found("batch2/1.png") == found("2.png") == []
