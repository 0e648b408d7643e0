"""docs/reference/formats.md says what is read, and everything in it is read."""

import re
from pathlib import Path

import pytest

for module in ("pydicom", "highdicom", "nibabel", "nrrd"):
    pytest.importorskip(module)
from formats_conformance import EXACT, PAGE, Kind, kinds, table  # noqa: E402


@pytest.mark.parametrize("kind", kinds(), ids=lambda one: f"{one.format}-{one.kind}-{one.use}")
def test_formats_every_kind_is_read_exactly_or_refused(tmp_path: Path, kind: Kind) -> None:
    result = kind.result(tmp_path / "files")
    assert result == (f"refused: {kind.refused}" if kind.refused else EXACT)


def test_the_page_lists_what_is_read(tmp_path: Path) -> None:
    rows = re.findall(r"^\| .* \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)[1:]
    assert rows == table(tmp_path)
