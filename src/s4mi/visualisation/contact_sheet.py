"""Contact sheets: groups of cards under a heading, each card one or more small pictures with lines of text below."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import read_image, resize_image
from s4mi.data.manifest import Manifest
from s4mi.inference.overlays.masks import Colour
from s4mi.inference.overlays.saliency import FAINT, INK, LINE, MARGIN, PAPER, colour_key, wrapped, write_line

SIDE = 132
"""Longest side of a picture on a card, in pixels."""
GAP, GROUP_GAP = 10, 16
EXAMPLE_SIDE, EXAMPLE_GAP, EXAMPLE_BACKGROUND = 112, 4, 236
"""Side of an example image, and the gap between two, in pixels; grey value of the background."""


@dataclass(frozen=True)
class Card:
    """Pictures (H, W, 3) of any size side by side, and lines of text; the first line is the most prominent."""

    pictures: tuple[Pixels, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Cards below a heading."""

    heading: str
    cards: tuple[Card, ...]


def contact_sheet(
    groups: Sequence[Group],
    *,
    columns: int,
    legend: Sequence[tuple[Colour, str]] = (),
    notes: Sequence[str] = (),
) -> bytes:
    """Draw the groups below each other as a PNG, with at most `columns` cards in a row.

    Args:
        legend: colours and their meaning, below all groups.
        notes: text below all groups, wrapped.
    """
    groups = [group for group in groups if group.cards]
    pictures = max(len(card.pictures) for group in groups for card in group.cards)
    columns = min(columns, max(len(group.cards) for group in groups))
    card_width = pictures * (SIDE + GAP // 2) - GAP // 2
    width = max(2 * MARGIN + columns * (card_width + GAP) - GAP, 420)
    strips = [strip for group in groups for strip in _group(group, columns=columns, card_width=card_width, width=width)]
    key = colour_key(legend, width=width)
    lines = [line for note in notes for line in wrapped(note, width - 2 * MARGIN)]
    strips += ([] if key is None else [key]) + [_text(line, width, colour=FAINT) for line in lines]
    sheet = Image.new("RGB", (width, 2 * MARGIN + sum(strip.height for strip in strips)), PAPER)
    top = MARGIN
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _group(group: Group, *, columns: int, card_width: int, width: int) -> list[Image.Image]:
    """The heading and the rows of cards of a group."""
    strips = [_text(group.heading, width, colour=INK, bold=True)]
    for begin in range(0, len(group.cards), columns):
        row = group.cards[begin : begin + columns]
        thumbnails = [[_thumbnail(picture) for picture in card.pictures] for card in row]
        height = max(picture.height for pictures in thumbnails for picture in pictures)
        lines = max(len(card.lines) for card in row)
        strip = Image.new("RGB", (width, height + 2 + lines * LINE + GROUP_GAP), PAPER)
        draw = ImageDraw.Draw(strip)
        for column, (card, pictures) in enumerate(zip(row, thumbnails, strict=True)):
            left = MARGIN + column * (card_width + GAP)
            for i, picture in enumerate(pictures):
                strip.paste(picture, (left + i * (SIDE + GAP // 2), height - picture.height))
            for i, line in enumerate(card.lines):
                write_line(draw, (left, height + 2 + i * LINE), line, width=card_width, colour=FAINT if i else INK)
        strips.append(strip)
    return strips


def _thumbnail(pixels: Pixels) -> Image.Image:
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS)


def _text(text: str, width: int, *, colour: Colour, bold: bool = False) -> Image.Image:
    strip = Image.new("RGB", (width, LINE + 4), PAPER)
    write_line(ImageDraw.Draw(strip), (MARGIN, 0), text, width=width - 2 * MARGIN, colour=colour, bold=bold)
    return strip


def examples_sheet(manifest: Manifest, *, per_class: int) -> bytes:
    """Draw a PNG with a row of images per class; an image of several classes is shown for the first not yet full."""
    rows: list[list[Pixels]] = []
    used: set[str] = set()
    for name in manifest.spec.classes:
        chosen = [row for row in manifest.rows if name in (row.labels or ()) and row.id not in used][:per_class]
        used.update(row.id for row in chosen)
        rows.append([_example(read_image(row.image, manifest.spec.rule)) for row in chosen])
    return _grid_png(rows)


def _example(image: Pixels) -> Pixels:
    return resize_image(image, (EXAMPLE_SIDE, EXAMPLE_SIDE)).copy()


def _grid_png(rows: Sequence[Sequence[Pixels]]) -> bytes:
    step, columns = EXAMPLE_SIDE + EXAMPLE_GAP, max(map(len, rows))
    shape = (len(rows) * step - EXAMPLE_GAP, columns * step - EXAMPLE_GAP, 3)
    sheet = np.full(shape, EXAMPLE_BACKGROUND, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            sheet[i * step : i * step + EXAMPLE_SIDE, j * step : j * step + EXAMPLE_SIDE] = image
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
