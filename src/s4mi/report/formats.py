"""Result tables as text files: CSV for a program, Markdown for a note, LaTeX for a paper."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from s4mi.errors import S4miError
from s4mi.records import write_text_atomically
from s4mi.report.tables import ResultTable, text_rows, to_csv

PAGE = ".html"
"""What the whole report is written as; the formats below are of its tables alone."""

_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "–": "--",
        "·": r"$\cdot$",
        "²": r"\textsuperscript{2}",
        "\n": " ",
    }
)


def write_tables(tables: Sequence[ResultTable], path: Path) -> None:
    """Write `tables` in the format that the ending of `path` names.

    Raises:
        S4miError: it names none.
    """
    check_ending(path, FORMATS)
    write_text_atomically(path, FORMATS[path.suffix.lower()](tables))


def check_ending(path: Path, known: Collection[str]) -> None:
    """Raise `S4miError` unless the ending of `path` is a known one."""
    if path.suffix.lower() not in known:
        raise S4miError(f"{path}: {path.suffix or 'no ending'} is no format of a report; end it in {', '.join(known)}")


def to_markdown(tables: Sequence[ResultTable]) -> str:
    """A heading and a table each; the best mean of a column is bold."""
    return "\n".join(_markdown(table) for table in tables)


def to_latex(tables: Sequence[ResultTable]) -> str:
    """A `table` each, with the rules of the package booktabs; the best mean of a column is bold."""
    return "\n".join(_latex(table) for table in tables)


FORMATS: dict[str, Callable[[Sequence[ResultTable]], str]] = {".csv": to_csv, ".md": to_markdown, ".tex": to_latex}


def _markdown(table: ResultTable) -> str:
    def escaped(text: str) -> str:
        return "".join(f"\\{c}" if c in "\\|*_<`[" else c for c in text.replace("\n", " "))

    header, *rows = _rows(table, escaped, "**{}**".format)
    lines = [header, ["---"] * len(header), *rows]
    return f"## {escaped(table.title)}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _latex(table: ResultTable) -> str:
    def escaped(text: str) -> str:
        return text.translate(_LATEX)

    header, *rows = _rows(table, escaped, r"\textbf{{{}}}".format)
    body = [" & ".join(line) + r" \\" for line in rows]
    if table.reference:
        body.insert(-1, r"\midrule")
    caption = escaped(f"{table.title}: mean ± half of the 95 % confidence interval over n seeds")
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}.}}",
        rf"\begin{{tabular}}{{{'l' * len(header)}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _rows(table: ResultTable, escaped: Callable[[str], str], best: Callable[[str], str]) -> list[list[str]]:
    """The table as escaped text, the marks of the best cells around it and not escaped."""
    mark = "\0"
    return [
        [best(escaped(cell[1:])) if cell.startswith(mark) else escaped(cell) for cell in row]
        for row in text_rows(table, best=lambda text: mark + text)
    ]
