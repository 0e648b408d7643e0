import re
from pathlib import Path

import pytest
from made_records import record

from s4mi.errors import S4miError
from s4mi.report.formats import to_latex, to_markdown, write_tables
from s4mi.report.tables import result_tables, text_rows, to_csv


def tables(**about):
    return result_tables(
        [record(s, method=m, fraction=f, **about) for m, s in (("a_b", 0.6), ("c&d", 0.5)) for f in (10.0, 100.0)]
    )


def cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in re.split(rf"(?<!\\){re.escape(separator)}", line)]


def test_markdown_holds_every_cell_and_a_rule_below_the_header() -> None:
    (table,) = tables()
    lines = [line for line in to_markdown([table]).splitlines() if line.startswith("|")]
    rows = [cells(line, "|")[1:-1] for line in lines]
    assert rows[1] == ["---"] * 4
    expected = text_rows(table, best="**{}**".format)
    assert [[cell.replace("\\", "") for cell in row] for row in [rows[0], *rows[2:]]] == expected


def test_latex_has_booktabs_rules_and_as_many_cells_as_columns() -> None:
    text = to_latex(tables())
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{table}", r"\end{table}", r"\usepackage{booktabs}"):
        assert rule in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(cells(row, "&")) for row in rows} == {4}
    assert text.count("{llll}") == 1
    assert r"\textbf{0.600 (n = 1)}" in text


def test_what_latex_and_markdown_read_as_commands_is_escaped() -> None:
    awkward = result_tables([record(0.5, method="50%_of $x$ {a}~^\\", dataset="a&b|*c*", backbone="r·10±2")])
    latex, markdown = to_latex(awkward), to_markdown(awkward)
    assert r"50\%\_of \$x\$ \{a\}\textasciitilde{}\textasciicircum{}\textbackslash{}" in latex
    assert r"a\&b|*c*" in latex
    assert r"r$\cdot$10$\pm$2" in latex
    assert r"a&b\|\*c\*" in markdown


def test_the_ending_names_the_format(tmp_path: Path) -> None:
    made = tables()
    for ending, text in ((".csv", to_csv(made)), (".md", to_markdown(made)), (".TEX", to_latex(made))):
        write_tables(made, tmp_path / f"t{ending}")
        assert (tmp_path / f"t{ending}").read_text(encoding="utf-8") == text
    with pytest.raises(S4miError, match=r"\.doc is no format of a report; end it in \.csv, \.md, \.tex"):
        write_tables(made, tmp_path / "t.doc")
