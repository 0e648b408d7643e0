"""A report as a text file: Markdown for a note, LaTeX for a paper. For a program there is CSV, see `csv_files`."""

from collections.abc import Callable, Collection
from pathlib import Path

from s4mi.errors import S4miError
from s4mi.records import write_text_atomically
from s4mi.report.writers.text_tables import TextReport, TextTable

PAGE = ".html"
CSV = ".csv"
WIDE = 6
"""Columns beyond which a table of a paper is scaled down to the width of its text."""

_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
        "·": r"$\cdot$",
        "×": r"$\times$",
        "≤": r"$\le$",
        "→": r"$\to$",
        "…": r"\ldots{}",
        "’": "'",
        "²": r"\textsuperscript{2}",
        "\n": " ",
    }
)


def write_text(contents: TextReport, path: Path) -> None:
    """Write a report in the format that the ending of `path` names.

    Raises:
        S4miError: it names none.
    """
    check_ending(path, TEXTS)
    write_text_atomically(path, TEXTS[path.suffix.lower()](contents))


def check_ending(path: Path, known: Collection[str]) -> None:
    """Raise `S4miError` unless the ending of `path` is a known one."""
    if path.suffix.lower() not in known:
        raise S4miError(f"{path}: {path.suffix or 'no ending'} is no format of a report; end it in {', '.join(known)}")


def to_markdown(contents: TextReport) -> str:
    """Headings, sentences, and a table each; the best mean of a column is bold."""
    blocks = [f"# {_marked(contents.title)}", *map(_marked, contents.sentences)]
    if contents.notes:
        blocks += ["## Please note", "\n".join(f"- {_marked(note)}" for note in contents.notes)]
    for section in contents.sections:
        blocks += [f"## {_marked(section.title)}", *map(_marked, section.sentences)]
        for table in section.tables:
            blocks += _markdown(table, level=3)
    for table in contents.long:
        blocks += _markdown(table, level=2)
    return "\n\n".join(blocks) + "\n"


def to_latex(contents: TextReport) -> str:
    """A `table` each, with the rules of booktabs; the best mean of a column is bold, and sentences are comments.

    Tables with a row a run are left out: no page holds them.
    """
    lines = [
        r"% needs \usepackage[T1]{fontenc}, \usepackage{booktabs} and \usepackage{graphicx}",
        *(f"% {line}" for line in (contents.title, *contents.sentences, *contents.notes)),
    ]
    blocks = ["\n".join(line.replace("\n", " ") for line in lines)]
    for section in contents.sections:
        blocks.append("\n".join(f"% {line}".replace("\n", " ") for line in (section.title, *section.sentences)))
        blocks += [_latex(table, of=section.title) for table in section.tables]
    return "\n\n".join(blocks) + "\n"


TEXTS: dict[str, Callable[[TextReport], str]] = {".md": to_markdown, ".tex": to_latex}
FORMATS = (CSV, *TEXTS)


def _marked(text: str) -> str:
    """`text` with what Markdown would read as a command escaped."""
    return "".join(f"\\{c}" if c in "\\|*_<`[#" else c for c in text.replace("\n", " "))


def _markdown(table: TextTable, *, level: int) -> list[str]:
    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rows = [
        line([f"**{_marked(cell)}**" if (y, x) in table.bold else _marked(cell) for x, cell in enumerate(row)])
        for y, row in enumerate(table.rows)
    ]
    header = [line([_marked(cell) for cell in table.header]), line(["---"] * len(table.header))]
    return [f"{'#' * level} {_marked(table.title)}", _marked(_sentence(table.caption)), "\n".join([*header, *rows])]


def _latex(table: TextTable, *, of: str) -> str:
    def escaped(text: str) -> str:
        return text.translate(_LATEX)

    body = []
    for y, row in enumerate(table.rows):
        if y in table.rules:
            body.append(r"\midrule")
        cells = [rf"\textbf{{{escaped(c)}}}" if (y, x) in table.bold else escaped(c) for x, c in enumerate(row)]
        body.append(" & ".join(cells) + r" \\")
    title = table.title if of in table.title else f"{of}: {table.title}"
    wide = len(table.header) > WIDE
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(title)}. {escaped(_sentence(table.caption))}}}",
        *([r"\resizebox{\linewidth}{!}{%"] if wide else []),
        rf"\begin{{tabular}}{{{'l' * len(table.header)}}}",
        r"\toprule",
        " & ".join(escaped(cell) for cell in table.header) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}" + ("}" if wide else ""),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _sentence(caption: str) -> str:
    return f"{caption[:1].upper()}{caption[1:]}."
