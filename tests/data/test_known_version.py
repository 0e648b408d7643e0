"""A manifest is read once for all runs of a process, and anew when its files change."""

from pathlib import Path

import pytest

import s4mi.data.known_version as module
from s4mi.data.known_version import known_version
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.data.versions import load_version
from s4mi.errors import S4miError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_synthetic("lesions", tmp_path / "drawn", count=6, size=32, seed=0)
    return tmp_path / "drawn"


def test_an_unchanged_manifest_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = known_version(folder)
    assert first == load_version(folder)
    monkeypatch.setattr(module, "load_version", lambda *_: pytest.fail("read again"))
    assert known_version(folder) is first


def test_a_changed_manifest_is_read_again(folder: Path) -> None:
    first = known_version(folder)
    lines = (folder / "manifest.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "manifest.csv").write_text("".join(lines[:-1]), encoding="utf-8")
    assert len(known_version(folder).rows) == len(first.rows) - 1 == len(load_version(folder).rows)


def test_a_changed_description_is_read_again(folder: Path) -> None:
    known_version(folder)
    text = (folder / "dataset.yaml").read_text(encoding="utf-8")
    (folder / "dataset.yaml").write_text(text.replace("name: ", "name: other-", 1), encoding="utf-8")
    assert known_version(folder).spec.name == load_version(folder).spec.name
    assert known_version(folder).spec.name.startswith("other-")


def test_a_missing_version_is_refused_as_ever(folder: Path) -> None:
    with pytest.raises(S4miError, match="no version 7"):
        known_version(folder, 7)
