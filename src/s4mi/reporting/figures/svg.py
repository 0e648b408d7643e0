"""Convert a matplotlib figure to a small inline SVG: reproducible, readable in dark mode and by screen readers.

Figures draw in `INK`, which becomes the text colour of the page; the background is transparent.
"""

import hashlib
import html
import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

INK = "#010203"
"""Placeholder for the text colour of the page, which matplotlib cannot express."""
BLUE = "#0072b2"
"""A dark page may lighten this colour with the style `--blue`; the other colours have contrast to black."""

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, selectable and searchable
    "svg.hashsalt": "s4mi",
    "text.parse_math": False,  # a class called "$a$" is not a formula
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "legend.handlelength": 3.0,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class CaptionedFigure:
    """A figure with its caption."""

    svg: Markup
    caption: str


@contextmanager
def drawing() -> Iterator[None]:
    """Draw and `finish` a figure in this context: matplotlib's defaults and our style, without the user's settings."""
    with mpl.rc_context(), warnings.catch_warnings():
        # The browser, not matplotlib, chooses the fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def finish(figure: Figure, *, title: str, description: str) -> str:
    """Convert a figure to an `<svg role="img">` element with a title and a description for screen readers."""
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=no_metadata)
    root = ET.fromstring(buffer.getvalue())
    key = "s" + hashlib.sha256((title + description + buffer.getvalue()).encode()).hexdigest()[:8]
    _slim(root)
    _rename(root, key)
    body = "".join(ET.tostring(child, encoding="unicode") for child in root)
    body = body.replace(INK, "currentColor").replace(BLUE, f"var(--blue,{BLUE})")
    left, top, width, height = (float(number) for number in root.attrib["viewBox"].split())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{key}-t {key}-d" '
        f'viewBox="{left:g} {top:g} {width:g} {height:g}" width="{width:g}pt" '
        f'style="stroke-linejoin:round;font-family:sans-serif">'
        f'<title id="{key}-t">{html.escape(title)}</title><desc id="{key}-d">{html.escape(description)}</desc>'
        f"{body}</svg>"
    )


def standalone(svg: str) -> str:
    """Convert a result of `finish` to the content of an SVG file: dark text on white."""
    return svg.replace(' style="', ' style="background:#fff;color:#1b1f24;', 1) + "\n"


def _slim(root: ET.Element) -> None:
    """Remove what a page does not need: namespaces, style sheet, white space and surplus decimals."""
    for element in root.iter():
        for child in [c for c in element if c.tag in (f"{_NAMESPACE}style", f"{_NAMESPACE}metadata")]:
            element.remove(child)
        element.tag = element.tag.removeprefix(_NAMESPACE)
        if element.tag != "text":
            element.text = None
        element.tail = None
        if link := element.attrib.pop(_LINK, None):
            element.set("href", link)
        for name in ("d", "x", "y", "width", "height", "transform"):
            if value := element.get(name):
                element.set(name, _short(value))
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        if style := element.get("style"):
            style = re.sub(r"font-family:[^;]*;?", "", style).replace("; ", ";").replace(": ", ":")
            element.set("style", style)


def _short(value: str) -> str:
    """Round coordinates to a hundredth of a point."""
    rounded = re.sub(r"-?\d+\.\d+", lambda match: f"{round(float(match[0]), 2):g}", value)
    return " ".join(rounded.split())


def _rename(root: ET.Element, key: str) -> None:
    """Keep only referenced ids and prefix them with `key`, so that figures of one page do not clash."""
    for element in root.iter():
        if identity := element.attrib.pop("id", None):
            element.set("id", f"{key}-{identity}")
        if link := element.get("href"):
            element.set("href", f"#{key}-{link.removeprefix('#')}")
        for name, value in list(element.attrib.items()):
            if "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{key}-"))
    text = ET.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:href="|url\()#([\w.-]+)', text))
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
