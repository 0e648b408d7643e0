import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4mi.data.label_cells import label_cell, read_label_cell
from s4mi.data.spec import DatasetSpec
from s4mi.errors import S4miError

SPEC = DatasetSpec(name="chest", tasks=("multilabel",), classes=("oedema", "effusion", "mass"))


def read(cell: str, spec: DatasetSpec = SPEC) -> tuple[tuple[str, ...] | None, tuple[str, ...], list[str]]:
    codes: list[str] = []
    found = read_label_cell(cell, spec, lambda code, _: codes.append(code))
    return found.labels, found.unknown, codes


@pytest.mark.parametrize(
    ("cell", "labels", "unknown"),
    [
        ("", None, ()),
        ("none", (), ()),
        ("oedema; effusion", ("oedema", "effusion"), ()),
        ("oedema;?effusion", ("oedema",), ("effusion",)),
        ("none;?effusion", (), ("effusion",)),
        ("?effusion", (), ("effusion",)),
        ("?oedema;?effusion;?mass", None, ()),
    ],
)
def test_cells_say_what_is_present_and_what_is_unknown(
    cell: str, labels: tuple[str, ...] | None, unknown: tuple[str, ...]
) -> None:
    assert read(cell) == (labels, unknown, [])


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("oedemas", "unknown-class"),
        ("?masses", "unknown-class"),
        ("oedema;none", "label-count"),
        ("mass;?mass", "label-twice"),
        ("mass;mass", "label-twice"),
    ],
)
def test_cells_that_contradict_themselves_are_reported(cell: str, code: str) -> None:
    assert read(cell)[2] == [code]


def test_a_class_of_a_multiclass_task_cannot_be_unknown_alone() -> None:
    spec = DatasetSpec(name="skin", tasks=("multiclass",), classes=("nevus", "melanoma"))
    assert read("nevus;?melanoma", spec)[2] == ["label-unknown"]
    assert read("none", spec)[2] == ["label-count"]


def test_a_class_whose_name_begins_with_a_question_mark_is_itself() -> None:
    spec = DatasetSpec(name="odd", tasks=("multilabel",), classes=("?mass", "other"))
    assert read("?mass", spec) == (("?mass",), (), [])
    both = ("mass", "?mass")
    with pytest.raises(S4miError, match="rename one"):
        label_cell((), ("mass",), both)


@given(st.lists(st.sampled_from(["present", "absent", "unknown"]), min_size=3, max_size=3))
def test_a_cell_reads_as_it_was_written(states: list[str]) -> None:
    present = tuple(name for name, state in zip(SPEC.classes, states, strict=True) if state == "present")
    unknown = tuple(name for name, state in zip(SPEC.classes, states, strict=True) if state == "unknown")
    labels, found, codes = read(label_cell(present, unknown, SPEC.classes))
    assert codes == []
    assert (labels, found) == ((None, ()) if len(unknown) == 3 else (present, unknown))
