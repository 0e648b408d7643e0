"""What a notebook shows: drawings as SVG, pictures as PNG, tables as HTML. Every text of a user is escaped."""

import base64
import html
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.api.inputs import StrPath, as_path
from s4mi.errors import S4miError
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4em 0"
CELL = "padding:.15em .9em .15em 0;vertical-align:top"
THUMBNAIL = 160
"""Longest side of a picture in a table, in pixels."""


@dataclass(frozen=True, repr=False)
class Figure:
    """A drawing that notebooks show inline.

    Attributes:
        svg: one `<svg>` element; its text takes the colour of the page.
    """

    svg: str

    @property
    def title(self) -> str:
        """What the drawing shows, in words."""
        found = re.search(r"<title[^>]*>(.*?)</title>", self.svg, re.DOTALL)
        return html.unescape(found.group(1)) if found else ""

    @system_errors()
    def save(self, path: StrPath) -> Path:
        """Write the drawing as an SVG file, dark on white, and return its path.

        Raises:
            S4miError: `path` does not end in .svg, or cannot be written.
        """
        from s4mi.records import write_text_atomically
        from s4mi.reporting.figures.svg import standalone

        path = as_path(path)
        if path.suffix.lower() != ".svg":
            raise S4miError(f"{path}: a figure is saved as SVG; use a file name that ends in .svg")
        try:
            write_text_atomically(path, standalone(self.svg))
        except OSError as error:
            raise S4miError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from error
        return path

    def __repr__(self) -> str:
        return f"Figure({self.title!r})"

    def _repr_html_(self) -> str:
        return f'<div style="max-width:34em">{self.svg}</div>'

    def _repr_svg_(self) -> str:
        from s4mi.reporting.figures.svg import standalone

        return standalone(self.svg)


def escape(value: object) -> str:
    """A value as text of a page."""
    return html.escape(str(value), quote=True)


def number(value: object) -> str:
    """A number as a table shows it, another value as it is; a dash where there is none."""
    if value is None or value == "":
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def whole(row: Sequence[object]) -> list[object]:
    """A row of scores, with counts of images as whole numbers."""
    return [int(value) if isinstance(value, float) and row[0] == "images" else value for value in row]


def heading(text: str, *, synthetic: bool = False) -> str:
    """A line above everything else; `synthetic` adds that the images are drawn."""
    badge = ' <span style="opacity:.7;font-weight:normal">(synthetic images)</span>' if synthetic else ""
    return f'<div style="font-weight:600;font-size:1.1em;margin:.3em 0">{escape(text)}{badge}</div>'


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values in two columns; empty values are left out."""
    rows = "".join(
        f'<tr><td style="{CELL};opacity:.7;text-align:left">{escape(name)}</td>'
        f'<td style="{CELL};text-align:left">{escape(value)}</td></tr>'
        for name, value in pairs
        if value not in ("", None)
    )
    return f'<table style="{TABLE}">{rows}</table>' if rows else ""


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "", text: Collection[str] = ()
) -> str:
    """A table whose first column is text and whose others are numbers, or HTML made by `Html`.

    Args:
        text: names of further columns of text, which are aligned to the left.
    """
    sides = ["left" if i == 0 or name in text else "right" for i, name in enumerate(header)]
    top = "".join(f'<th style="{CELL};text-align:{sides[i]}">{escape(name)}</th>' for i, name in enumerate(header))
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{CELL};text-align:{sides[i]}">{_cell(value)}</td>' for i, value in enumerate(row))
        + "</tr>"
        for row in rows
    )
    above = f'<caption style="text-align:left;opacity:.7">{escape(caption)}</caption>' if caption else ""
    return f'<table style="{TABLE}">{above}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _cell(value: object) -> str:
    return str(value) if isinstance(value, Html) else escape(number(value))


def note(text: str) -> str:
    """A line in small print; empty for no text."""
    return f'<div style="opacity:.75;margin:.3em 0">{escape(text)}</div>' if text else ""


def legend(colours: Iterable[tuple[str, tuple[int, int, int]]]) -> str:
    """Names, each after a square of its colour."""
    return "".join(
        f'<span style="white-space:nowrap;margin-right:1em"><span style="display:inline-block;width:.8em;height:.8em;'
        f'background:rgb({red},{green},{blue})"></span> {escape(name)}</span>'
        for name, (red, green, blue) in colours
    )


def picture(pixels: "NDArray[np.uint8]", *, alt: str, side: int = THUMBNAIL) -> Html:
    """An image (H, W, 3) as an inline PNG whose longer side has at most `side` pixels."""
    from PIL import Image

    return _small(Image.fromarray(pixels), alt=alt, side=side)


def thumbnail(file: Path) -> Html:
    """An image file as a small inline PNG."""
    from PIL import Image

    with Image.open(file) as image:
        return _small(image.convert("RGB"), alt=file.stem, side=THUMBNAIL)


def _small(image: "PilImage", *, alt: str, side: int) -> Html:
    import io

    from PIL import Image

    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return png(buffer.getvalue(), alt=alt)


def png(contents: bytes, *, alt: str) -> Html:
    """The bytes of a PNG file as an `<img>`."""
    source = base64.b64encode(contents).decode("ascii")
    return Html(f'<img src="data:image/png;base64,{source}" alt="{escape(alt)}" style="max-width:100%">')


def cards(items: Iterable[tuple[str, str]]) -> str:
    """HTML of pictures side by side, each with lines of text below."""
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:.6em 1em;align-items:flex-start;margin:.4em 0">'
        + "".join(
            f'<figure style="margin:0">{body}<figcaption style="opacity:.75;font-size:.9em;line-height:1.3;'
            f'max-width:13em;overflow-wrap:anywhere;white-space:pre-line">{escape(text)}</figcaption></figure>'
            for body, text in items
        )
        + "</div>"
    )


def embedded_page(text: str, *, title: str, height: int) -> str:
    """A whole page in a frame of its own, so that its style and its links stay inside."""
    inside = text.replace("<head>", '<head><base href="about:srcdoc">', 1)
    return (
        f'<iframe srcdoc="{escape(inside)}" title="{escape(title)}" '
        f'style="box-sizing:border-box;width:100%;height:{height}px;border:1px solid #8884;border-radius:4px"></iframe>'
    )
