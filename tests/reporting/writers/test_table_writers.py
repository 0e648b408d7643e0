"""One table reads back the same from HTML, Markdown, LaTeX and CSV, whatever its cells hold."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from s4mi.reporting.results.table_model import BEST, Cell, Column, Row, Table, table_row
from s4mi.reporting.writers.csv import table_csv
from s4mi.reporting.writers.latex import WIDE, latex_text, table_latex
from s4mi.reporting.writers.markdown import table_markdown
from s4mi.reporting.writers.templates import environment

Cells = list[list[str]]
AWKWARD = (
    *(
        "|",
        "\\",
        "\\|",
        "\\\\",
        "\\%",
        "*",
        "**",
        "_",
        "`",
        "``",
        "%",
        "&",
        "&amp;",
        "&#65;",
        "$x$",
        "#",
        "~",
        "^",
        "{}",
    ),
    *(
        "^",
        "{}",
        "[a](b)",
        "<b>",
        "</td>",
        "<!--",
        "'",
        '"',
        "’’",
        ",,",
        "-",
        "--",
        "- ",
        "> ",
        "\n",
        "–",
        "±",
        "→",
        "≤",
        "² …",
    ),
)

characters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\N{ZERO WIDTH NON-JOINER}")
texts = st.lists(st.sampled_from(AWKWARD) | st.text(characters, max_size=6), max_size=4).map("".join)
words = texts.filter(str.strip)
cells = st.builds(
    Cell,
    text=texts,
    details=st.lists(texts, max_size=2).map(tuple),
    emphasis=st.sampled_from(["", BEST]),
    badge=st.sampled_from(["", "collapsed"]),
)
columns = st.builds(
    Column, title=words, note=texts.map(str.strip), kind=st.sampled_from(["text", "number", "code", "prose"])
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    width = draw(st.integers(1, 4))
    row_cells = st.lists(cells, min_size=width, max_size=width).map(tuple)
    rows = st.builds(Row, cells=row_cells, kind=st.sampled_from(["", "block", "reference"]))
    return Table(
        title=draw(words),
        subject=draw(texts),
        columns=tuple(draw(st.lists(columns, min_size=width, max_size=width))),
        rows=tuple(draw(st.lists(rows, min_size=1, max_size=3))),
        caption=draw(texts),
    )


def flat(text: str) -> str:
    """Without the differences in white space that no reader sees."""
    return " ".join(text.split())


def joined(text: str, notes: list[str]) -> str:
    known = [flat(note) for note in notes]
    return f"{flat(text)} ({'; '.join(known)})" if known else flat(text)


def table_html(table: Table) -> str:
    """The table as the templates of the page write it."""
    macros = environment().get_template("tables.html.jinja").module
    return str(macros.table(table))  # type: ignore[attr-defined]


class HtmlTable(HTMLParser):
    """The rows of cells of a table, small print in parentheses, without what is hidden from sight."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: Cells = []
        self.strong: list[list[bool]] = []
        self.hidden = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        kind = dict(attributes).get("class")
        if tag == "tr":
            self.cells.append([])
            self.strong.append([])
        elif tag in ("td", "th"):
            self.parts = [""]
            self.strong[-1].append(False)
        elif tag == "small" or kind == "badge":
            self.parts.append("")
        elif tag == "strong":
            self.strong[-1][-1] = True
        self.hidden = kind == "hidden"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.cells[-1].append(joined(self.parts[0], self.parts[1:]))
        self.hidden = False

    def handle_data(self, data: str) -> None:
        if not self.hidden and self.cells and hasattr(self, "parts"):
            self.parts[-1] += data


def from_markdown(text: str) -> tuple[Cells, list[list[bool]]]:
    rows: Cells = []
    strong: list[list[bool]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
            strong.append([])
        elif token.type == "inline":
            children = token.children or []
            assert {child.type for child in children} <= {"text", "text_special", "strong_open", "strong_close"}, text
            rows[-1].append(flat("".join(child.content for child in children)))
            strong[-1].append(any(child.type == "strong_open" for child in children))
    return rows, strong


LATEX = {
    "textbackslash{}": "\\", "textasciitilde{}": "~", "textasciicircum{}": "^", "textless{}": "<", "textgreater{}": ">",
    "textquotesingle{}": "'", "textasciigrave{}": "`", "textquotedbl{}": '"', "ldots{}": "…",
    "textsuperscript{2}": "²", ",": " ", **{c: c for c in "&%$#_{}"},
}  # fmt: skip
SYMBOLS = {r"$\pm$": "±", "$-$": "−", r"$\cdot$": "·", r"$\times$": "×", r"$\le$": "≤", r"$\ge$": "≥", r"$\to$": "→"}
COMMANDS = [*SYMBOLS, *(f"\\{name}" for name in LATEX), "--", "{}", "~", "'"]
TOKEN = re.compile("|".join([*map(re.escape, COMMANDS), r"[^\\&%$#_{}^]"]))


def from_latex(text: str) -> str:
    """What LaTeX prints for `text`, in which nothing else than known commands may stand."""
    read, end = "", 0
    for token in TOKEN.finditer(text):
        assert token.start() == end, text[end:]
        end, found = token.end(), token[0]
        known = {"--": "–", "{}": "", "~": " ", "'": "’"} | SYMBOLS
        read += known.get(found) if found in known else LATEX[found[1:]] if found.startswith("\\") else found
    assert end == len(text), text[end:]
    return flat(read)


def latex_rows(text: str) -> tuple[Cells, list[list[bool]]]:
    lines = [line for line in text.splitlines() if line.endswith(r" \\")]
    rows = [line.removesuffix(r" \\").split(" & ") for line in lines]
    strong = [[cell.removeprefix("{}").startswith(r"\textbf{") for cell in row] for row in rows]
    return [[from_latex(re.sub(r"^(\{\})?\\textbf\{(.*)\}$", r"\2", cell)) for cell in row] for row in rows], strong


@settings(deadline=None, max_examples=100)
@given(tables())
def test_every_format_holds_the_same_cells(table: Table) -> None:
    header = [joined(column.title, [column.note] if column.note else []) for column in table.columns]
    body = [[flat(cell.plain) for cell in row.cells] for row in table.rows]
    strong = [[False] * len(header), *([bool(cell.emphasis) for cell in row.cells] for row in table.rows)]

    html = HtmlTable(table_html(table))
    assert html.cells == [header, *body]
    assert html.strong == strong
    assert from_markdown(table_markdown(table)) == ([header, *body], strong)
    assert latex_rows(table_latex(table)) == ([header, *body], strong)
    rows = list(csv.reader(io.StringIO(table_csv(table), newline="")))
    assert [[flat(cell) or "–" for cell in row] for row in rows] == [header, *body]


@settings(deadline=None)
@given(tables())
def test_title_and_caption_are_text_in_html_and_latex(table: Table) -> None:
    caption = re.search(r"<caption>(.*?)</caption>", table_html(table), re.DOTALL)
    assert (caption is None) == (not table.caption)
    title = f"{table.subject}: {table.title}" if table.subject else table.title
    found = re.search(r"^\\caption\{(.*)\}$", table_latex(table), re.MULTILINE)
    assert found is not None
    assert from_latex(found[1]) == flat(f"{title}. {table.caption}")


def test_a_missing_value_is_a_dash_and_empty_in_csv() -> None:
    table = Table("T", "", (Column("a"), Column("b"), Column("c")), (table_row("–", "", Cell(details=("n = 0",))),))
    assert table_csv(table).splitlines()[1] == ",,– (n = 0)"
    assert table_markdown(table).splitlines()[2] == "| – | – | – (n = 0) |"


def test_html_has_scopes_and_says_aloud_why_a_cell_is_bold() -> None:
    table = Table(
        "Scores", "lesions", (Column("a"), Column("b", kind="number")), (table_row("x", Cell("1", emphasis=BEST)),)
    )
    html = table_html(table)
    assert html.count('scope="col"') == 2
    assert html.count('scope="row"') == 1
    assert '<strong>1</strong><span class="hidden"> best in its column</span>' in html
    assert 'role="region" aria-label="Scores, lesions" tabindex="0"' in html
    assert f'<table id="{table.id}">' in html


def test_a_table_is_rectangular() -> None:
    with pytest.raises(ValueError, match="every row needs 2 cells"):
        Table("T", "", (Column("a"), Column("b")), (table_row("x"),))


def test_an_id_is_the_same_every_time_and_another_for_another_table() -> None:
    def made(title: str, subject: str) -> str:
        return Table(title, subject, (Column("a"),), ()).id

    assert made("Further test scores", "a") == made("Further test scores", "a")
    assert len({made("Cost", "a b"), made("Cost", "a-b"), made("Costs", "a b"), made("価格", "a")}) == 4
    assert re.fullmatch("further-test-scores-[0-9a-f]{8}", made("Further test scores", "a"))


def test_wide_tables_are_scaled_down_in_latex() -> None:
    for width in (WIDE, WIDE + 1):
        table = Table("T", "", (Column("a" * 20), Column("b")), (table_row("x", "y" * (width - 20)),))
        assert (r"\resizebox" in table_latex(table)) == (width > WIDE)


def test_latex_joins_no_characters_of_a_name() -> None:
    assert latex_text("a--b,,c") == "a-{}-b,{},c"
    assert latex_text("10–20") == "10--20"
