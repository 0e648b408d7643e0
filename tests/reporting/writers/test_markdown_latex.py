"""Markdown and LaTeX hold what the page says, and nothing in a name is a command."""

import re
from pathlib import Path

import pytest

from made_data import knowing
from made_records import epochs, record
from s4mi.errors import S4miError
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.unfinished_runs import UnfinishedRun
from s4mi.reporting.writers.contents import ReportContents, report_contents
from s4mi.reporting.writers.markdown_latex import FORMATS, check_ending, to_latex, to_markdown, write_text

FAILED = UnfinishedRun("runs/c", "failed", "the loss is not finite", 2, 1, 4, "2025-01-01", "", "")


def loaded(*records) -> list[ReportRun]:
    return [ReportRun(one, epochs(), "", f"runs/{i:02}") for i, one in enumerate(records)]


def made(**about) -> ReportContents:
    runs = [
        knowing(record(s + 0.01 * seed, method=m, fraction=f, seed=seed, **about))
        for m, s in (("a_b", 0.6), ("c&d", 0.5))
        for f in (10.0, 100.0)
        for seed in (0, 1)
    ]
    return report_contents(loaded(*runs), title="A study", unfinished=[FAILED], notes=["a note"])


def cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in re.split(rf"(?<!\\){re.escape(separator)}", line)]


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "segmentation"])
def test_every_table_is_rectangular_and_says_n_wherever_it_gives_a_mean(task: str) -> None:
    report = made(task=task)
    titles = " ".join(table.title for table in report.tables)
    names = ("by label fraction", "Further test scores", "Cost", "Paired comparisons", "Images in each", "Split hashes")
    for name in names:
        assert name in titles
    assert ("per class" in titles) == (task != "segmentation"), "one foreground class says nothing more"
    for table in [*report.tables, *report.run_tables]:
        assert {len(row.cells) for row in table.rows} == {len(table.columns)}
        means = [cell.plain for row in table.rows for cell in row.cells if " ± " in cell.plain]
        assert "n = 2." in table.caption or "n = 2 where" in table.caption or all("(n = " in mean for mean in means)
        assert not means or "where no other" in table.caption or not any("(n = 2)" in mean for mean in means)
    ids = [table.id for table in [*report.tables, *report.run_tables]]
    assert len(set(ids)) == len(ids)


def test_markdown_holds_every_cell_and_a_rule_below_each_header() -> None:
    report = made()
    text = to_markdown(report)
    lines = [cells(line, "|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    plain = [[re.sub(r"\\(.)", r"\1", cell.strip("*")) for cell in line] for line in lines]
    for table in [*report.tables, *report.run_tables]:
        start = plain.index([column.plain for column in table.columns])
        assert set(plain[start + 1]) <= {"---", "---:"}
        assert plain[start + 2 : start + 2 + len(table.rows)] == [[c.plain for c in row.cells] for row in table.rows]
    assert "**0.605 (0.540–0.669)**" in text, "the best of its column"
    for said in ("With 48 labels: ", "Leakage: None found.", "the loss is not finite", "- a note", "# A study"):
        assert said in text


def test_latex_has_booktabs_rules_as_many_cells_as_columns_and_no_brace_left_open() -> None:
    text = to_latex(made())
    tables = re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.DOTALL)
    assert len(tables) == text.count(r"\end{table}") == text.count(r"\toprule") == text.count(r"\bottomrule") >= 7
    for table in tables:
        columns = len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", table)[1])
        assert {len(cells(line, "&")) for line in table.splitlines() if line.endswith(r"\\")} == {columns}
        bare = re.sub(r"\\[{}]", "", table)
        assert bare.count("{") == bare.count("}")
        assert table.count(r"\resizebox{\linewidth}{!}{%") == table.count(r"\end{tabular}}")
        assert table.count("$") % 2 == 0
    assert r"\textbf{0.605 (0.540--0.669)}" in text
    assert r"\usepackage{booktabs}" in text
    assert all(line.startswith("%") for line in text.split(r"\begin{table}")[0].splitlines() if line)


def test_what_latex_and_markdown_read_as_commands_is_escaped() -> None:
    names = {"method": "50%_of $x$ {a}~^\\", "dataset": "a&b|*c*", "backbone": "r·10±2"}
    awkward = report_contents(loaded(record(0.5, **names)), title="<b>#1")
    latex, markdown = to_latex(awkward), to_markdown(awkward)
    assert r"50\%\_of \$x\$ \{a\}\textasciitilde{}\textasciicircum{}\textbackslash{}" in latex
    assert r"a\&b|*c*" in latex
    assert r"r$\cdot$10$\pm$2" in latex
    assert r"a&b\|\*c\*" in markdown
    assert markdown.startswith("# \\<b>\\#1\n")


def test_what_is_there_without_a_finished_run_is_told() -> None:
    text = to_markdown(report_contents([], title="t", unfinished=[FAILED]))
    assert "There is no finished run yet." in text
    assert "| runs/c (failed twice, last 2025-01-01; 1 of 4 epochs) | the loss is not finite |" in text


def test_drawn_images_are_said_to_be(tmp_path: Path) -> None:
    assert "generated by s4mi, not photographed" in to_markdown(made(synthetic=True))
    assert "generated by s4mi" not in to_markdown(made())


def test_the_ending_names_the_format(tmp_path: Path) -> None:
    report = made()
    for ending, text in ((".md", to_markdown(report)), (".TEX", to_latex(report))):
        write_text(report, tmp_path / f"t{ending}")
        assert (tmp_path / f"t{ending}").read_text(encoding="utf-8") == text
    with pytest.raises(S4miError, match=r"t\.doc: unknown report format '\.doc'; use \.csv, \.md, \.tex"):
        check_ending(tmp_path / "t.doc", FORMATS)
