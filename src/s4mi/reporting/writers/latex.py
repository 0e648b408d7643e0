"""Text and tables as LaTeX, with the rules of booktabs."""

import re

from s4mi.reporting.results.table_model import Cell, Row, Table
from s4mi.reporting.writers.markdown import one_line

PACKAGES = r"needs \usepackage[T1]{fontenc}, \usepackage{booktabs}, \usepackage{graphicx} and \usepackage{textcomp}"
WIDE = 60
"""Characters of the widest cells of all columns beyond which a table is scaled down to the width of the text."""

_NO_LIGATURE = "\N{ZERO WIDTH NON-JOINER}"
_LIGATURE = re.compile(r"[-–](?=[-–])|,(?=,)|’(?=’)")
"""Characters that LaTeX would join with the next one."""
_ESCAPES = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "'": r"\textquotesingle{}",
        "`": r"\textasciigrave{}",
        '"': r"\textquotedbl{}",
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
        "·": r"$\cdot$",
        "×": r"$\times$",
        "≤": r"$\le$",
        "≥": r"$\ge$",
        "→": r"$\to$",
        "…": r"\ldots{}",
        "’": "'",
        "²": r"\textsuperscript{2}",
        "\N{NO-BREAK SPACE}": "~",
        "\N{NARROW NO-BREAK SPACE}": r"\,",
        _NO_LIGATURE: "{}",
    }
)


def latex_text(text: str) -> str:
    """`text` in one line, with everything that LaTeX would read as a command, or join, escaped."""
    return _LIGATURE.sub(rf"\g<0>{_NO_LIGATURE}", one_line(text)).translate(_ESCAPES)


def table_latex(table: Table) -> str:
    """A `table` environment with caption and label; emphasised cells are bold."""
    lines_of_cells = [[column.plain for column in table.columns], *([c.plain for c in row.cells] for row in table.rows)]
    wide = sum(max(map(len, cells)) for cells in zip(*lines_of_cells, strict=True)) > WIDE
    alignment = "".join("r" if column.kind == "number" else "l" for column in table.columns)
    title = f"{table.subject}: {table.title}" if table.subject else table.title
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(f'{title}. {table.caption}')}}}",
        rf"\label{{tab:{table.id}}}",
        *([r"\resizebox{\linewidth}{!}{%"] if wide else []),
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        " & ".join(latex_text(column.plain) for column in table.columns) + r" \\",
        r"\midrule",
        *map(_row, table.rows),
        r"\bottomrule",
        r"\end{tabular}" + ("}" if wide else ""),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(row: Row) -> str:
    line = " & ".join(map(_cell, row.cells)) + r" \\"
    if line.startswith(("[", "*")):  # would be an argument of the line break before it
        line = "{}" + line
    return f"\\midrule\n{line}" if row.kind else line


def _cell(cell: Cell) -> str:
    return rf"\textbf{{{latex_text(cell.plain)}}}" if cell.emphasis else latex_text(cell.plain)
