import json

import pytest

from s4mi.errors import S4miError, closest, nearest, require_extra


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("resnet43", ["vgg11", "resnet34", "resnet50"], "resnet34"),
        ("epoch", ["epochs", "seed"], "epochs"),
        ("iou", ["iou", "dice"], "iou"),
        ("xyzzy", ["epochs", "seed"], None),
        ("epoch", [], None),
        ("", ["epochs"], None),
    ],
)
def test_the_nearest_known_word_is_named_or_none(word: str, known: list[str], found: str | None) -> None:
    assert closest(word, known) == found
    assert nearest(word, iter(known)) == (f"; did you mean {found!r}?" if found else "")


def test_an_extra_that_is_there_is_imported() -> None:
    assert require_extra("json", extra="none", purpose="Reading JSON") is json


def test_an_extra_that_is_not_there_is_a_line_with_the_cure() -> None:
    with pytest.raises(S4miError) as error:
        require_extra("no_such_package_xyz", extra="dicom", purpose="Reading DICOM")
    assert str(error.value) == (
        "Reading DICOM needs the package 'no_such_package_xyz'; install it with: pip install 's4mi[dicom]'"
    )


def test_a_notebook_prints_the_line_alone() -> None:
    assert S4miError("run.yaml: epochs: 0")._render_traceback_() == ["S4miError: run.yaml: epochs: 0"]
