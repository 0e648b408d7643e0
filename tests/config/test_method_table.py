"""The stored table of methods: that of the registry, read without torch."""

import subprocess
import sys
from importlib.resources import files

import pytest

from s4mi.config import METHODS
from s4mi.config.method_table import TABLE, as_json, stored_rows

CODE = """
import sys
from s4mi.cli import app
try:
    app(['methods'])
except SystemExit as leaving:
    assert not leaving.code
assert not {'torch', 'timm'} & set(sys.modules)
"""


def test_the_table_is_that_of_the_registry() -> None:
    own = [row for row in METHODS.rows() if row.origin == "s4mi"]
    assert stored_rows() == own, "run: make docs"
    assert (files("s4mi.config") / TABLE).read_text(encoding="utf-8") == as_json(METHODS.rows())


def test_listing_methods_imports_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cross_teaching" in done.stdout


def test_methods_of_other_packages_are_listed_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from s4mi.cli.methods import methods
    from s4mi.config import method_table
    from s4mi.config.methods import MethodRegistry

    monkeypatch.setattr(method_table, "has_others", lambda: True)
    monkeypatch.setattr(MethodRegistry, "rows", lambda _: [method_table.MethodRow("mine", (), "x", "y", "pkg 1.0")])
    methods(pattern=None, encoders=False)
    assert "mine" in capsys.readouterr().out
