"""A contact sheet: groups of cards under a heading, each card one or more small pictures and lines of text below."""

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
"""Longest side of a picture on a card."""
GAP, GROUP_GAP = 10, 16


@dataclass(frozen=True)
class Card:
    """Pictures (H, W, 3) side by side, of any size, and lines of text; the first line is the heaviest."""

    pictures: tuple[Pixels, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Cards that belong together."""

    heading: str
    cards: tuple[Card, ...]


def contact_sheet(
    groups: Sequence[Group],
    *,
    columns: int,
    legend: Sequence[tuple[Colour, str]] = (),
    notes: Sequence[str] = (),
) -> bytes:
    """The groups below each other as a PNG, with at most `columns` cards in a row.

    Args:
        legend: colours and what they mean, below all.
        notes: below all, each in as many lines as it needs.
    """
    groups = [group for group in groups if group.cards]
    pictures = max(len(card.pictures) for group in groups for card in group.cards)
    wide = min(columns, max(len(group.cards) for group in groups))
    card = pictures * (SIDE + GAP // 2) - GAP // 2
    width = max(2 * MARGIN + wide * (card + GAP) - GAP, 420)
    strips = [strip for group in groups for strip in _group(group, columns=wide, card=card, width=width)]
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


def _group(group: Group, *, columns: int, card: int, width: int) -> list[Image.Image]:
    """Its heading and its rows of cards."""
    strips = [_text(group.heading, width, colour=INK, bold=True)]
    for begin in range(0, len(group.cards), columns):
        row = group.cards[begin : begin + columns]
        small = [[_small(picture) for picture in each.pictures] for each in row]
        tall = max(picture.height for each in small for picture in each)
        lines = max(len(each.lines) for each in row)
        strip = Image.new("RGB", (width, tall + 2 + lines * LINE + GROUP_GAP), PAPER)
        draw = ImageDraw.Draw(strip)
        for column, (each, shown) in enumerate(zip(row, small, strict=True)):
            left = MARGIN + column * (card + GAP)
            for i, picture in enumerate(shown):
                strip.paste(picture, (left + i * (SIDE + GAP // 2), tall - picture.height))
            for i, line in enumerate(each.lines):
                write_line(draw, (left, tall + 2 + i * LINE), line, width=card, colour=FAINT if i else INK)
        strips.append(strip)
    return strips


def _small(pixels: Pixels) -> Image.Image:
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS)


def _text(text: str, width: int, *, colour: Colour, bold: bool = False) -> Image.Image:
    strip = Image.new("RGB", (width, LINE + 4), PAPER)
    write_line(ImageDraw.Draw(strip), (MARGIN, 0), text, width=width - 2 * MARGIN, colour=colour, bold=bold)
    return strip


CELL = 112
GAP = 4
BACKGROUND = 236


def examples_sheet(manifest: Manifest, *, per_class: int) -> bytes:
    """A row of images per class, PNG; an image of several classes stands under the first of them not yet full."""
    rows: list[list[Pixels]] = []
    used: set[str] = set()
    for name in manifest.spec.classes:
        chosen = [row for row in manifest.rows if name in (row.labels or ()) and row.id not in used][:per_class]
        used.update(row.id for row in chosen)
        rows.append([_cell(read_image(row.image, manifest.spec.rule)) for row in chosen])
    return _png(rows)


def _cell(image: Pixels) -> Pixels:
    return resize_image(image, (CELL, CELL)).copy()


def _png(rows: Sequence[Sequence[Pixels]]) -> bytes:
    step, wide = CELL + GAP, max(map(len, rows))
    sheet = np.full((len(rows) * step - GAP, wide * step - GAP, 3), BACKGROUND, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            sheet[i * step : i * step + CELL, j * step : j * step + CELL] = cell
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
