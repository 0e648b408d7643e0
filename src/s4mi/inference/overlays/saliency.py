"""Overlays of saliency maps, and the comparison sheet that shows runs side by side, as in Figure 2 of S4MI."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from s4mi.data.formats.intensity import Pixels
from s4mi.inference.overlays.masks import SKY_BLUE, Colour

SYNTHETIC_NOTE = "The images are synthetic: drawn, not photographed."
"""Note below sheets of synthetic images."""
OPACITY = 0.6
"""Opacity of the colour over the greyscale image."""
BRIGHTEST = 99.0
"""Percentile of a map that is drawn brightest, as a gradient has few very large values."""

CELL, GAP, BLOCK_GAP, MARGIN = 168, 6, 22, 14
LINE, TEXT = 17, 12
PAPER, INK, FAINT = (255, 255, 255), (24, 24, 24), (105, 105, 105)
OUTLINE = SKY_BLUE
"""Visible both on skin and on the colour map inferno."""


def overlay(pixels: Pixels, saliency: NDArray[np.float32]) -> Pixels:
    """Overlay a greyscale version of an image (H, W, 3) with its saliency map (H, W): dark is low, yellow is high."""
    top = float(np.percentile(saliency, BRIGHTEST)) or float(saliency.max()) or 1.0
    colours = mpl.colormaps["inferno"](np.clip(saliency / top, 0, 1))[:, :, :3] * 255
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
    return np.asarray(np.rint((1 - OPACITY) * grey + OPACITY * colours), dtype=np.uint8)


@dataclass(frozen=True)
class OverlayBlock:
    """The pictures of one run in a row, at the image's own size.

    Attributes:
        caption: text below the whole block. captions: text below each picture.
    """

    caption: str
    pictures: tuple[Pixels, ...]
    captions: tuple[str, ...]


class ComparisonSheet:
    """A sheet with one row per image: the image and a block of pictures per run. Rows are scaled down when added."""

    def __init__(
        self,
        titles: Sequence[tuple[str, str]],
        columns: Sequence[str],
        *,
        note: str = "",
        legend: Sequence[tuple[Colour, str]] = (),
        outline: Colour = OUTLINE,
        outlined_image: bool = True,
    ) -> None:
        """Start an empty sheet.

        Args:
            titles: two title lines of each block.
            columns: title of each column of a block; if all are empty, their line is left out.
            note: text below all rows, wrapped.
            legend: colours and their meaning, below all rows.
            outline: colour of the outline of masks.
            outlined_image: outline the mask on the image itself too.
        """
        self._titles, self._columns, self._note, self._legend = titles, columns, note, legend
        self._outline, self._outlined_image = outline, outlined_image
        self._rows: list[Image.Image] = []

    def add(self, name: str, truth: str, pixels: Pixels, blocks: Sequence[OverlayBlock], mask: Pixels | None) -> None:
        """Add an image with its name, its true label as text, and its mask (H, W) of classes, if any; 0 is outside."""
        cell = self._cell(pixels, mask if self._outlined_image else None)
        below = cell.height + 2
        strip = Image.new("RGB", (self._width, below + 2 * LINE + 2 * GAP), PAPER)
        draw = ImageDraw.Draw(strip)
        strip.paste(cell, (MARGIN, 0))
        write_line(draw, (MARGIN, below), name, width=CELL)
        write_line(draw, (MARGIN, below + LINE), truth, width=CELL, colour=FAINT)
        for i, block in enumerate(blocks):
            write_line(draw, (self._left(i, 0), below), block.caption, width=self._block_width)
            for j, (picture, caption) in enumerate(zip(block.pictures, block.captions, strict=True)):
                left = self._left(i, j)
                strip.paste(self._cell(picture, mask), (left, 0))
                write_line(draw, (left, below + LINE), caption, width=CELL, colour=FAINT)
        self._rows.append(strip)

    def add_note(self, text: str) -> None:
        """Append a sentence to the note below all rows."""
        self._note = f"{self._note} {text}".strip()

    def png(self) -> bytes:
        """Render the sheet."""
        last = 2 if any(self._columns) else 1
        header = MARGIN + (last + 1) * LINE + GAP
        footer = [
            strip for strip in (colour_key(self._legend, width=self._width), self._footnote()) if strip is not None
        ]
        height = header + sum(strip.height for strip in (*self._rows, *footer)) + MARGIN
        sheet = Image.new("RGB", (self._width, height), PAPER)
        draw = ImageDraw.Draw(sheet)
        write_line(draw, (MARGIN, MARGIN + 2 * LINE * any(self._columns)), "image", width=CELL, bold=True)
        for i, (first, second) in enumerate(self._titles):
            write_line(draw, (self._left(i, 0), MARGIN), first, width=self._block_width, bold=True)
            write_line(draw, (self._left(i, 0), MARGIN + LINE), second, width=self._block_width, colour=FAINT)
            for j, column in enumerate(self._columns):
                write_line(draw, (self._left(i, j), MARGIN + 2 * LINE), column, width=CELL, bold=True)
        top = header
        for strip in (*self._rows, *footer):
            sheet.paste(strip, (0, top))
            top += strip.height
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def _footnote(self) -> Image.Image | None:
        if not self._note:
            return None
        width = self._width - 2 * MARGIN
        lines = wrapped(self._note, width)
        strip = Image.new("RGB", (self._width, len(lines) * LINE + GAP), PAPER)
        for number, line in enumerate(lines):
            write_line(ImageDraw.Draw(strip), (MARGIN, number * LINE), line, width=width, colour=FAINT)
        return strip

    def _cell(self, pixels: Pixels, mask: Pixels | None) -> Image.Image:
        """The picture scaled to a cell, with the outlines of the classes of the mask."""
        height, width = pixels.shape[:2]
        scale = CELL / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
        if mask is not None:
            small_mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
            small[cv2.morphologyEx(small_mask, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0] = self._outline
        return Image.fromarray(small)

    @property
    def _block_width(self) -> int:
        return len(self._columns) * (CELL + GAP) - GAP

    @property
    def _width(self) -> int:
        return MARGIN + CELL + len(self._titles) * (BLOCK_GAP + self._block_width) + MARGIN

    def _left(self, block: int, column: int) -> int:
        """Left edge of a column, in pixels."""
        return MARGIN + CELL + BLOCK_GAP + block * (self._block_width + BLOCK_GAP) + column * (CELL + GAP)


def colour_key(legend: Sequence[tuple[Colour, str]], *, width: int) -> Image.Image | None:
    """Render a legend: each colour as a square with its meaning, wrapped; None without colours."""
    if not legend:
        return None
    positions, left, line = [], MARGIN, 0
    for _, text in legend:
        needed = LINE + round(font().getlength(text))
        if left > MARGIN and left + needed > width - MARGIN:
            left, line = MARGIN, line + 1
        positions.append((left, line * LINE))
        left += needed + LINE
    strip = Image.new("RGB", (width, (line + 1) * LINE + GAP), PAPER)
    draw = ImageDraw.Draw(strip)
    for (colour, text), (left, top) in zip(legend, positions, strict=True):
        draw.rectangle((left, top + 2, left + TEXT - 2, top + TEXT), fill=colour, outline=FAINT)
        write_line(draw, (left + LINE, top), text, width=width - MARGIN - left - LINE, colour=FAINT)
    return strip


def font(*, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font of all sheets."""
    face = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / face), TEXT)


def wrapped(text: str, width: int) -> list[str]:
    """Wrap text into lines of at most `width` pixels; only a longer single word exceeds it."""
    face, lines = font(), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and face.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def write_line(
    draw: ImageDraw.ImageDraw,
    position: tuple[int, int],
    text: str,
    *,
    width: int,
    colour: tuple[int, int, int] = INK,
    bold: bool = False,
) -> None:
    """Write a line of text, truncated to `width` pixels."""
    face = font(bold=bold)
    if face.getlength(text) > width:
        while text and face.getlength(f"{text}…") > width:
            text = text[:-1]
        text = f"{text}…"
    draw.text(position, text, font=face, fill=colour)
