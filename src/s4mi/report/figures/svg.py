"""From a matplotlib figure to a small inline SVG that is the same every time, reads in the dark, and can be read out.

Figures draw in `INK`, which becomes the page's own text colour; the background is left out.
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
"""Stands for the text colour of the page, which matplotlib has no word for."""
BLUE = "#0072b2"
"""A page in the dark may lighten this one, with the style `--blue`; the other colours stand out from black."""

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, and found by a search
    "svg.hashsalt": "s4mi",
    "text.parse_math": False,  # a class called "$a$" is no formula
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
    """A figure of the page with its caption."""

    svg: Markup
    caption: str


@contextmanager
def drawing() -> Iterator[None]:
    """Draw and `finish` a figure within this: matplotlib's own defaults and ours, whatever the user's settings are."""
    with mpl.rc_context(), warnings.catch_warnings():
        # The browser, not matplotlib, has the last word on fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def finish(figure: Figure, *, title: str, description: str) -> str:
    """The figure as one `<svg role="img">` element with a title and a description for who cannot see it."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
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
    """A drawing of `finish` as a file of its own, which lies on no page: dark ink on white."""
    return svg.replace(' style="', ' style="background:#fff;color:#1b1f24;', 1) + "\n"


def _slim(root: ET.Element) -> None:
    """Drop what a page has no use for: namespaces, its own style sheet, blanks and needless decimals."""
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
    """Coordinates to a hundredth of a point."""
    rounded = re.sub(r"-?\d+\.\d+", lambda match: f"{round(float(match[0]), 2):g}", value)
    return " ".join(rounded.split())


def _rename(root: ET.Element, key: str) -> None:
    """Keep the ids that are referred to and make them this figure's own; a page holds many figures."""
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
