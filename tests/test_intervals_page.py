"""The page on intervals promises what its table shows, and the table what a simulation finds again."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import simulate_intervals as simulation  # noqa: E402

PAGE = (ROOT / "docs" / "explanation" / "intervals.md").read_text(encoding="utf-8")
CELL = re.compile(r"(\d+\.\d)( few)?(?: \((\d+) %\))?$")


def table(section: str) -> dict[str, list[str]]:
    """Cells of each row of a section."""
    block = re.search(rf"<!-- {section} -->\n(.*?)<!-- /{section} -->", PAGE, flags=re.DOTALL)
    assert block, section
    rows = [line.strip("| ").split(" | ") for line in block[1].strip().splitlines()]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[2:]}


def read(cell: str, *, curves: bool) -> simulation.Cell:
    found = CELL.match(cell)
    assert found, cell
    share = 1.0 if found[3] is None else float(found[3]) / 100
    times = round(simulation.TIMES * (0.25 if curves else 1) * share)
    return simulation.Cell(float(found[1]) / 100, bool(found[2]), share, times)


@pytest.mark.parametrize("section", simulation.HEADS)
def test_each_cell_of_the_page_holds_its_promise(section: str) -> None:
    rows = table(section)
    assert set(rows) == {line.situation for line in simulation.lines() if line.section == section}
    for situation, cells in rows.items():
        for cell in filter(None, cells):
            assert simulation.holds(section, read(cell, curves=section in simulation.OF_CURVES)), (situation, cell)


def test_the_check_notices_a_broken_promise() -> None:
    broken = simulation.Cell(0.88, few=False, answered=1.0, times=1000)
    assert not simulation.holds("patients", broken)
    assert not simulation.holds("patients", simulation.Cell(0.999, few=False, answered=1.0, times=1000))
    assert simulation.holds("patients", simulation.Cell(0.999, few=True, answered=1.0, times=1000))
    assert not simulation.holds("labels", simulation.Cell(0.6, few=False, answered=0.5, times=125))


CHOSEN = [
    ("patients", "Beta(8, 2), 10 % misses", 10),
    ("patients", "Beta(8, 2), 10 % misses", 50),
    ("classification", "macro F1, a class one patient in ten has", 10),
    ("pairs", "mean per patient, Beta(8, 2), 10 % misses", 20),
    ("seeds", "normal", 3),
    ("seeds-and-patients", "30 patients, both", 5),
    ("drops", "60 internal, 30 external patients", 5),
    ("scores", "20 patients, right or wrong, 90 % right", 5),
    ("scores", "50 patients, 0.90 ± 0.03, 10 % misses", 5),
    ("distances-of-seeds", "50 patients, log-normal, σ = 0.6", 5),
    ("maps", "energy inside, less that of other images' maps", 50),
    ("annotations", "30 patients, one in ten gains 0.3", 5),
    ("distances", "log-normal, σ = 0.6", 40),
]


@pytest.mark.parametrize(("section", "situation", "size"), CHOSEN)
def test_some_cells_hold_when_simulated_again(section: str, situation: str, size: int) -> None:
    line = next(line for line in simulation.lines() if (line.section, line.situation) == (section, situation))
    assert simulation.holds(section, line.cell(size, 150), errors=3)


@pytest.mark.slow
@pytest.mark.parametrize("section", [name for name in simulation.HEADS if name not in simulation.NOT_PROMISED])
def test_all_cells_hold_when_simulated_again(section: str) -> None:
    broken = [
        (line.situation, size, cell.text)
        for line in simulation.lines() if line.section == section
        for size in line.sizes
        for cell in [line.cell(size, 300)] if not simulation.holds(section, cell, errors=3.5)
    ]  # fmt: skip
    assert not broken
