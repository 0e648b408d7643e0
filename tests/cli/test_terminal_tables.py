"""Tables of the command line show every name and number whole, however narrow the terminal is."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import s4mi.cli
from s4mi.cli.console import print_result_table, print_scores
from s4mi.cli.methods import methods
from s4mi.cli.tables import GAP, blocks, print_table
from s4mi.records import ClassificationScores
from s4mi.reporting.results import tables
from s4mi.reporting.results.table_model import Cell, Column, Table, table_row

CELL = st.text("ab0 .", max_size=30)


@given(
    st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=5)),
    st.integers(30, 120),
)
def test_blocks_hold_every_column_once_and_fit(rows: list[list[str]], width: int) -> None:
    found = blocks(rows, width)
    assert [column for block in found for column in block.columns[1:]] == list(range(1, len(rows[0])))
    for block in found:
        assert block.columns[0] == 0
        assert sum(block.widths) + GAP * (len(block.widths) - 1) <= width
        assert min(block.widths) >= 1


@pytest.mark.parametrize("encoders", [False, True])
def test_names_of_methods_and_encoders_are_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], encoders: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    methods(None, encoders)
    shown = capsys.readouterr().out
    assert "…" not in shown
    names = (
        ("vit_small_patch16_dinov3", "tf_efficientnet_lite0") if encoders else ("cross_pseudo_supervision", "frozen")
    )
    for name in names:
        assert re.search(rf"^{name}\s", shown, re.MULTILINE)
    assert max(map(len, shown.splitlines()[:-1])) <= 80


def test_a_table_of_results_has_its_techniques_and_intervals_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    fractions = (5, 10, 15, 20, 30, 50, 75, 100)
    rows = [
        table_row(name, *(Cell(f"0.{at:03d} (0.100–0.9{at:02d})", details=("n = 3", "few seeds")) for at in range(8)))
        for name in ("frozen, ridge (tf_efficientnet_lite0)", "frozen (tf_efficientnet_lite0)")
    ]
    table = Table(
        "mine",
        "scores",
        (Column("Technique", "backbone"), *(Column(f"{one} %", "160 labelled") for one in fractions)),
        tuple(rows),
    )
    monkeypatch.setattr(tables, "score_table", lambda _: table)
    result = tables.ResultTable("mine", "multiclass", tables.metric_of("multiclass", None), (), (), ())
    print_result_table(result)
    shown = capsys.readouterr().out
    assert "…" not in shown
    for row in rows:
        assert all(cell.text in shown for cell in row.cells)
    assert max(map(len, shown.splitlines())) <= 80


def test_scores_per_class_are_whole_with_many_test_sets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    scores = ClassificationScores.model_construct(images=9, f1_macro=0.123456, per_class={})
    parts = ("val", "test", *(f"university_hospital_{one}" for one in range(4)))
    monkeypatch.setattr(ClassificationScores, "model_dump", lambda self: {"images": 9, "f1_macro": 0.1})
    print_scores(dict.fromkeys(parts, scores))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert all(re.search(rf"\b{part}\b", shown) for part in parts)
    assert shown.count("0.1235") == len(parts)


def test_a_name_wider_than_the_terminal_wraps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(("class", "images"), [("a" * 70, "12345"), ("b", "6")])
    shown = capsys.readouterr().out
    assert shown.count("a") - 2 == 70  # two more in the heads: cl(a)ss, im(a)ges
    assert "12345" in shown


def test_no_command_draws_a_table_of_its_own() -> None:
    folder = Path(s4mi.cli.__file__).parent
    using = {
        path.name for path in folder.glob("*.py") if re.search(r"rich\.table|from rich import table", path.read_text())
    }
    assert using == {"tables.py", "study_progress.py", "console.py"}  # the latter two draw grids, tested for themselves
