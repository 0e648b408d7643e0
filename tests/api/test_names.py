"""`import s4mi` is light, and every name that it gives is there and documented."""

import inspect
import re
import subprocess
import sys
from importlib import import_module

import pytest

import s4mi
import s4mi.api

HEAVY = ("torch", "pydantic", "numpy", "polars", "timm", "typer")
PUBLIC = [name for name in s4mi.api.__all__ if inspect.isfunction(getattr(s4mi.api, name))]
CLASSES = [name for name in s4mi.api.__all__ if inspect.isclass(getattr(s4mi.api, name))]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def test_the_import_alone_loads_nothing_heavy() -> None:
    listed = python("-X", "importtime", "-c", "import s4mi").stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in listed.splitlines()}
    assert "s4mi" in imported
    assert imported.isdisjoint(HEAVY)


def test_looking_at_functions_loads_nothing_heavy_either() -> None:
    code = (
        "import sys, s4mi\n"
        "assert all(map(callable, (s4mi.train, s4mi.load, s4mi.run_study, s4mi.predict, s4mi.report)))\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert python("-c", code).stdout.strip() == "[]"


def test_a_data_set_is_opened_without_torch(lesions) -> None:
    code = (
        "import sys, s4mi\n"
        f"data = s4mi.Dataset({str(lesions)!r}); data.counts; data._repr_html_()\n"
        "print('torch' in sys.modules)"
    )
    assert python("-c", code).stdout.strip() == "False"


@pytest.mark.parametrize("name", s4mi.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(s4mi, name)
    if name != "__version__":
        assert len(inspect.getdoc(value) or "") > 20


def test_the_names_are_listed_and_no_others_are_made_up() -> None:
    assert set(s4mi.__all__) <= set(dir(s4mi))
    assert set(s4mi.api.__all__) <= set(s4mi.__all__)
    with pytest.raises(AttributeError, match="'s4mi' has no attribute 'trane'"):
        _ = s4mi.trane


def test_star_import_gives_what_is_listed() -> None:
    assert python("-c", "from s4mi import *; print(callable(train), callable(report))").stdout.strip() == "True True"


def test_report_is_the_function_also_when_the_package_of_that_name_is_imported() -> None:
    import_module("s4mi.reporting.results.runs")
    assert inspect.signature(s4mi.report) == inspect.signature(s4mi.api.report)
    with pytest.raises(s4mi.S4miError, match="no such folder"):
        s4mi.report("/nowhere")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_argument_of_a_function_is_typed_and_described(name: str) -> None:
    function = getattr(s4mi.api, name)
    text = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert "Raises:\n    S4miError: " in text
    for argument in signature.parameters.values():
        assert argument.annotation is not inspect.Parameter.empty, argument.name
        assert argument.kind is not inspect.Parameter.VAR_KEYWORD
        assert re.search(rf"^    {argument.name}: \S", text, re.MULTILINE), argument.name


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_member_of_a_class_is_documented(name: str) -> None:
    one = getattr(s4mi.api, name)
    for member, value in vars(one).items():
        if not member.startswith("_") and (callable(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{member}"
