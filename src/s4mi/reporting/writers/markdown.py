"""Text and tables as GitHub's Markdown."""

import re

from s4mi.reporting.results.table_model import Cell, Table

_BREAK = re.compile(r"\s*[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_MARKUP = re.compile(r"[\\|*_~<`\[#$]|&(?=#?\w+;)|^[-+>]")
"""Characters that Markdown would read as markup: anywhere, before a character reference, or at the start of a line."""


def one_line(text: str) -> str:
    """`text` without line breaks, which would end a cell, a heading or a comment."""
    return _BREAK.sub(" ", text).strip()


def markdown_text(text: object) -> str:
    """`text` in one line, with everything that Markdown would read as markup escaped."""
    return _MARKUP.sub(r"\\\g<0>", one_line(f"{text}"))


def code_span(text: object) -> str:
    """`text` in one line as code, also in a table, whatever backticks it holds."""
    line = one_line(f"{text}").replace("|", "\\|")
    fence = "`" * (_longest_run(line) + 1)
    return f"{fence} {line} {fence}" if len(fence) > 1 else f"`{line}`"


def code_block(text: str, language: str) -> str:
    """Lines of code as a block that nothing in them ends."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def table_markdown(table: Table) -> str:
    """A table without title and caption; emphasised cells are bold."""
    rules = ["---:" if column.kind == "number" else "---" for column in table.columns]
    header = [markdown_text(column.plain) for column in table.columns]
    lines = [header, rules, *([_cell(cell) for cell in row.cells] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell) -> str:
    return f"**{markdown_text(cell.plain)}**" if cell.emphasis else markdown_text(cell.plain)
