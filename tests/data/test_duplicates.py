"""Copies are found, whatever was done to the file; pictures that only look alike are not."""

import itertools

import cv2
import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.data import duplicates
from s4mi.data.duplicates import LEAST_CORRELATION, DuplicatePair, correlation, near_duplicates, thumbnail
from s4mi.data.formats.intensity import Pixels
from s4mi.data.sources.synthetic import draw_cells, draw_lesions

LESIONS = [drawing.image for drawing in draw_lesions(60, size=160, seed=5)]


def saved(picture: Pixels, quality: int) -> Pixels:
    """As JPEG of this quality, read back."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)


def resized(picture: Pixels, factor: float) -> Pixels:
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), dtype=np.uint8)


CHANGES = {
    "saved again": lambda picture: saved(picture, 50),
    "halved": lambda picture: resized(picture, 0.5),
    "enlarged and saved": lambda picture: saved(resized(picture, 1.5), 75),
    "halved and saved": lambda picture: saved(resized(picture, 0.5), 75),
    "stretched": lambda picture: np.asarray(cv2.resize(picture, (120, 200)), dtype=np.uint8),
    "brighter": lambda picture: np.clip(picture * 1.1, 0, 255).astype(np.uint8),
    "darker": lambda picture: (picture * 0.9).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(change: str) -> None:
    found = 0
    for number, picture in enumerate(LESIONS):
        copy = thumbnail(CHANGES[change](picture))
        thumbnails = np.stack([*map(thumbnail, LESIONS), copy])
        found += (number, len(LESIONS)) in {(pair.first, pair.second) for pair in near_duplicates(thumbnails)}
    assert found >= 0.95 * len(LESIONS)


@pytest.mark.parametrize("draw", [draw_lesions, draw_cells])
def test_different_pictures_are_not_called_the_same(draw) -> None:  # type: ignore[no-untyped-def]
    thumbnails = np.stack([thumbnail(drawing.image) for drawing in draw(300, size=96, seed=1)])
    assert near_duplicates(thumbnails) == []


def test_only_pairs_on_different_sides_are_looked_for() -> None:
    thumbnails = np.stack([thumbnail(LESIONS[number]) for number in (0, 1, 0, 1, 0)])
    pairs = [(pair.first, pair.second) for pair in near_duplicates(thumbnails, sides=["a", "a", "a", "b", "b"])]
    assert pairs == [(0, 4), (1, 3), (2, 4)]


@settings(max_examples=25, deadline=None)
@given(count=st.integers(2, 40), block=st.integers(1, 50), sides=st.integers(1, 3), seed=st.integers(0, 1000))
def test_blocks_find_what_comparing_every_pair_finds(count: int, block: int, sides: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    chosen = generator.integers(0, 12, count)
    thumbnails = np.stack([thumbnail(LESIONS[number]) for number in chosen])
    places = generator.integers(0, sides, count).tolist()
    naive = [
        (i, j)
        for i, j in itertools.combinations(range(count), 2)
        if places[i] != places[j] and correlation(thumbnails[i], thumbnails[j]) >= LEAST_CORRELATION
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "BLOCK", block)
        patch.setattr(duplicates, "ROOM", 9 * count * joblib.cpu_count() * block)
        assert [(pair.first, pair.second) for pair in near_duplicates(thumbnails, sides=places)] == naive


def test_a_picture_is_perfectly_like_itself_and_one_colour_only_like_the_same_colour() -> None:
    assert near_duplicates(np.stack([thumbnail(LESIONS[0])] * 2)) == [DuplicatePair(0, 1, pytest.approx(1.0))]  # type: ignore[arg-type]
    flat = [np.full((32, 32, 3), value, dtype=np.uint8) for value in (7, 7, 90)]
    assert [(pair.first, pair.second) for pair in near_duplicates(np.stack(flat))] == [(0, 1)]


def test_a_picture_of_another_colour_is_another_picture() -> None:
    other = LESIONS[0][:, :, ::-1]
    assert near_duplicates(np.stack([thumbnail(LESIONS[0]), thumbnail(other)])) == []


def test_a_picture_is_made_ready_once_however_many_it_resembles(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    ready = duplicates._local

    def counted(picture: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        seen.append(picture.tobytes())
        return ready(picture)

    monkeypatch.setattr(duplicates, "_local", counted)
    thumbnails = np.stack([thumbnail(picture) for picture in LESIONS[:2] for _ in range(20)])
    thumbnails[:, 0, 0, 0] = range(40)  # so that no two are the same
    assert len(near_duplicates(thumbnails)) == 2 * (20 * 19 // 2)
    assert len(seen) == len(set(seen)) == 40
