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
def test_the_nearest_known_word_is_suggested_or_none(word: str, known: list[str], found: str | None) -> None:
    assert closest(word, known) == found
    assert nearest(word, iter(known)) == (f"; did you mean {found!r}?" if found else "")


def test_an_installed_extra_is_imported() -> None:
    assert require_extra("json", extra="none", purpose="Reading JSON") is json


def test_a_missing_extra_is_one_line_with_the_command_to_install_it() -> None:
    with pytest.raises(S4miError) as error:
        require_extra("no_such_package_xyz", extra="dicom", purpose="Reading DICOM")
    assert str(error.value) == (
        "Reading DICOM needs the package 'no_such_package_xyz'; install it with: pip install 's4mi[dicom]'"
    )


def test_a_notebook_prints_the_line_alone() -> None:
    assert S4miError("run.yaml: epochs: 0")._render_traceback_() == ["S4miError: run.yaml: epochs: 0"]
