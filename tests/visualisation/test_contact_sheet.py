"""Cards are laid out correctly, whatever the size of their pictures."""

import io

import numpy as np
from PIL import Image

from s4mi.inference.overlays.saliency import MARGIN
from s4mi.visualisation.contact_sheet import GAP, SIDE, Card, Group, contact_sheet


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (40, 40)) -> np.ndarray:
    return np.full((*size, 3), colour, dtype=np.uint8)


def drawn(groups: list[Group], **settings: object) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(contact_sheet(groups, **settings))))


RED, BLUE = (200, 0, 0), (0, 0, 200)


def area(sheet: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(sheet.astype(int) - colour).sum(axis=-1) < 6


def test_every_picture_is_complete() -> None:
    cards = tuple(Card((flat(RED, (30, 60)), flat(BLUE)), ("one", "two")) for _ in range(5))
    sheet = drawn([Group("first", cards[:3]), Group("second", cards[3:])], columns=2)
    assert area(sheet, RED).sum() == 5 * SIDE * (SIDE // 2)
    assert area(sheet, BLUE).sum() == 5 * SIDE * SIDE


def test_a_row_has_at_most_the_given_number_of_cards() -> None:
    card = Card((flat(RED),), ("x",))
    sheet = drawn([Group("g", (card,) * 7)], columns=3)
    assert GAP == 10, "not that of the example sheet"
    assert sheet.shape[1] == 2 * MARGIN + 3 * (SIDE + GAP) - GAP
    columns = area(sheet, RED).any(axis=0)
    assert np.flatnonzero(np.diff(columns.astype(int)) == 1).size == 3


def test_a_group_without_cards_is_left_out() -> None:
    card = Card((flat(RED),), ("x",))
    assert (
        drawn([Group("g", (card,)), Group("none", ())], columns=3).shape
        == drawn([Group("g", (card,))], columns=3).shape
    )


def test_a_legend_and_notes_extend_the_sheet() -> None:
    groups = [Group("g", (Card((flat(RED),), ("x",)),))]
    plain = drawn(groups, columns=3)
    annotated = drawn(groups, columns=3, legend=[(BLUE, "blue things")], notes=["a", "b"])
    assert annotated.shape[0] > plain.shape[0] + 40
    assert area(annotated, BLUE).any()
