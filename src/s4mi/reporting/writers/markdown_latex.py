"""A report as a text file: Markdown for a note, LaTeX for a paper. For a program there is CSV, see `csv`."""

from collections.abc import Callable, Collection
from pathlib import Path

from s4mi.errors import S4miError
from s4mi.records import write_text_atomically
from s4mi.reporting.results.table_model import Table
from s4mi.reporting.writers.contents import ReportContents
from s4mi.reporting.writers.latex import PACKAGES, table_latex
from s4mi.reporting.writers.markdown import markdown_text, one_line, table_markdown

PAGE = ".html"
CSV = ".csv"


def write_text(contents: ReportContents, path: Path) -> None:
    """Write a report in the format that the suffix of `path` names.

    Raises:
        S4miError: unknown suffix.
    """
    check_ending(path, TEXTS)
    write_text_atomically(path, TEXTS[path.suffix.lower()](contents))


def check_ending(path: Path, known: Collection[str]) -> None:
    """Raise `S4miError` unless the suffix of `path` is a known one."""
    if path.suffix.lower() not in known:
        problem = f"unknown report format {path.suffix!r}" if path.suffix else "a report needs a suffix"
        raise S4miError(f"{path}: {problem}; use {', '.join(known)}")


def to_markdown(contents: ReportContents) -> str:
    """Headings, sentences and tables; the best mean of a column is bold."""
    blocks = [f"# {markdown_text(contents.title)}", *map(markdown_text, contents.verdict)]
    if notes := contents.text_notes:
        blocks += ["## Please note", "\n".join(f"- {markdown_text(note)}" for note in notes)]
    for section in contents.text:
        blocks += [f"{'#' * section.level} {markdown_text(section.title)}", *map(markdown_text, section.sentences)]
        blocks += [_titled(table, level=section.level + 1) for table in section.tables]
    return "\n\n".join([*blocks, *(_titled(table, level=2) for table in contents.run_tables)]) + "\n"


def to_latex(contents: ReportContents) -> str:
    """A `table` environment for each table; the best mean of a column is bold, sentences are comments.

    Tables with a row per run are left out: no page holds them.
    """
    blocks = [_comments(PACKAGES, contents.title, *contents.verdict, *contents.text_notes)]
    for section in contents.text:
        blocks += [_comments(section.title, *section.sentences), *map(table_latex, section.tables)]
    return "\n\n".join(blocks) + "\n"


TEXTS: dict[str, Callable[[ReportContents], str]] = {".md": to_markdown, ".tex": to_latex}
FORMATS = (CSV, *TEXTS)


def _titled(table: Table, *, level: int) -> str:
    parts = [f"{'#' * level} {markdown_text(table.title)}", markdown_text(table.caption), table_markdown(table)]
    return "\n\n".join(part for part in parts if part)


def _comments(*lines: str) -> str:
    return "\n".join(f"% {one_line(line)}" for line in lines)
