"""Near-duplicates are found in spite of changes to the file; images that are merely similar are not."""

import itertools

import cv2
import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

from s4mi.data import candidates, duplicates, similar_hashes
from s4mi.data.duplicates import MIN_CORRELATION, DuplicatePair, correlation, near_duplicates
from s4mi.data.formats.intensity import Pixels
from s4mi.data.sources.synthetic import draw_cells, draw_lesions
from s4mi.data.thumbnails import describe, thumbnail

LESIONS = [drawing.image for drawing in draw_lesions(60, size=160, seed=5)]


def saved(image: Pixels, quality: int) -> Pixels:
    """As JPEG of this quality, read back."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)


def resized(image: Pixels, factor: float) -> Pixels:
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), dtype=np.uint8)


CHANGES = {
    "saved again": lambda image: saved(image, 50),
    "halved": lambda image: resized(image, 0.5),
    "enlarged and saved": lambda image: saved(resized(image, 1.5), 75),
    "halved and saved": lambda image: saved(resized(image, 0.5), 75),
    "stretched": lambda image: np.asarray(cv2.resize(image, (120, 200)), dtype=np.uint8),
    "brighter": lambda image: np.clip(image * 1.1, 0, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.9).astype(np.uint8),
}


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(change: str) -> None:
    found = 0
    for number, image in enumerate(LESIONS):
        copy = thumbnail(CHANGES[change](image))
        thumbnails = np.stack([*map(thumbnail, LESIONS), copy])
        found += (number, len(LESIONS)) in {(pair.first, pair.second) for pair in near_duplicates(thumbnails)}
    assert found >= 0.95 * len(LESIONS)


@pytest.mark.long
@pytest.mark.parametrize("draw", [draw_lesions, draw_cells])
def test_different_images_are_not_reported(draw) -> None:  # type: ignore[no-untyped-def]
    thumbnails = np.stack([thumbnail(drawing.image) for drawing in draw(300, size=96, seed=1)])
    assert near_duplicates(thumbnails) == []


def test_only_pairs_across_parts_are_searched() -> None:
    thumbnails = np.stack([thumbnail(LESIONS[number]) for number in (0, 1, 0, 1, 0)])
    pairs = [(pair.first, pair.second) for pair in near_duplicates(thumbnails, parts=["a", "a", "a", "b", "b"])]
    assert pairs == [(0, 4), (1, 3), (2, 4)]


@settings(max_examples=25, deadline=None)
@given(count=st.integers(2, 40), block=st.integers(1, 50), parts=st.integers(1, 3), seed=st.integers(0, 1000))
def test_blocks_find_what_comparing_every_pair_finds(count: int, block: int, parts: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    chosen = generator.integers(0, 12, count)
    thumbnails = np.stack([thumbnail(LESIONS[number]) for number in chosen])
    part_of = generator.integers(0, parts, count).tolist()
    naive = [
        (i, j)
        for i, j in itertools.combinations(range(count), 2)
        if part_of[i] != part_of[j] and correlation(thumbnails[i], thumbnails[j]) >= MIN_CORRELATION
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "LOOKS", block)
        patch.setattr(similar_hashes, "COMPARISON_BYTES", 9 * count * joblib.cpu_count() * block)
        assert [(pair.first, pair.second) for pair in near_duplicates(thumbnails, parts=part_of)] == naive


def test_of_many_images_sketches_leave_out_none(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [thumbnail(change(image)) for image in LESIONS[:10] for change in CHANGES.values()]
    thumbnails = np.stack([*map(thumbnail, LESIONS), *changed])
    expected = near_duplicates(thumbnails)
    assert len(expected) > 200
    monkeypatch.setattr(duplicates, "NORMALISED_IMAGES", 8)
    assert near_duplicates(thumbnails) == expected


def test_of_too_many_similar_pairs_the_most_similar_are_looked_at_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thumbnails = np.stack(
        [thumbnail(change(image)) for image in LESIONS[:10] for change in (np.asarray, *CHANGES.values())]
    )
    everything = near_duplicates(thumbnails)
    monkeypatch.setattr(duplicates, "ALWAYS_LOOKED_AT", 20)
    monkeypatch.setattr(duplicates, "LOOKED_AT_PER_IMAGE", 1)
    said: list[str] = []
    found = near_duplicates(thumbnails, limited=said.append)
    assert len(found) == 80 < len(everything)
    assert min(pair.similarity for pair in found) >= sorted(pair.similarity for pair in everything)[-81]
    assert said == [f"{len(everything)} pairs of images look alike; only the 80 most similar were compared closely"]


def test_an_image_is_a_duplicate_of_itself_and_a_single_colour_of_the_same_colour() -> None:
    assert near_duplicates(np.stack([thumbnail(LESIONS[0])] * 2)) == [DuplicatePair(0, 1, pytest.approx(1.0))]  # type: ignore[arg-type]
    flat = [np.full((32, 32, 3), value, dtype=np.uint8) for value in (7, 7, 90)]
    assert [(pair.first, pair.second) for pair in near_duplicates(np.stack(flat))] == [(0, 1)]


def test_an_image_of_another_colour_is_no_duplicate() -> None:
    other = LESIONS[0][:, :, ::-1]
    assert near_duplicates(np.stack([thumbnail(LESIONS[0]), thumbnail(other)])) == []


def test_an_image_is_normalised_once_whatever_the_number_of_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    normalise = duplicates.normalised

    def counted(image: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        seen.append(image.tobytes())
        return normalise(image)

    monkeypatch.setattr(duplicates, "normalised", counted)
    thumbnails = np.stack([thumbnail(image) for image in LESIONS[:2] for _ in range(20)])
    thumbnails[:, 0, 0, 0] = range(40)  # so that no two are the same
    assert len(near_duplicates(thumbnails)) == 2 * (20 * 19 // 2)
    assert len(seen) == len(set(seen)) == 40


def test_the_hash_holds_the_signs_of_the_low_frequencies_of_the_cosine_transform() -> None:
    for image in LESIONS[:20]:
        small = thumbnail(image)
        low = dctn(small @ np.array([0.299, 0.587, 0.114]), norm="ortho")[:8, :8].ravel()
        low[0] = 0
        signs = (low > np.median(low[1:])).astype(int)
        bits = np.unpackbits(np.array([describe(small).hash], dtype=np.uint64).view(np.uint8))
        np.testing.assert_array_equal(bits, signs)
        np.testing.assert_allclose(describe(small).colour, small.reshape(-1, 3).mean(axis=0))


@pytest.mark.long
def test_the_share_of_signs_that_differ_is_the_angle_between_images() -> None:
    """Charikar 2002: P(sign differs) = arccos(correlation) / π; over many pairs, as signs of a pair are few."""
    looks = [thumbnail(image) for image in LESIONS]
    looks += [thumbnail(saved(resized(image, 0.5), 30)) for image in LESIONS]
    bits = np.array([np.unpackbits(np.frombuffer(describe(one).signature, dtype=np.uint8)) for one in looks])
    pairs = list(itertools.combinations(range(len(looks)), 2))
    differing = np.array([np.mean(bits[i] != bits[j]) for i, j in pairs])
    expected = np.arccos(np.clip([correlation(looks[i], looks[j]) for i, j in pairs], -1, 1)) / np.pi
    assert abs(np.mean(differing - expected)) < 0.01
    assert np.quantile(np.abs(differing - expected), 0.99) < 4 * np.sqrt(0.25 / 128)


@pytest.mark.long
def test_signatures_leave_out_no_pair_that_thumbnails_would_find() -> None:
    looks = [thumbnail(change(image)) for image in LESIONS[:20] for change in (np.asarray, *CHANGES.values())]
    bits = np.array([np.frombuffer(describe(one).signature, dtype=np.uint8) for one in looks])
    for i, j in itertools.combinations(range(len(looks)), 2):
        if correlation(looks[i], looks[j]) >= MIN_CORRELATION:
            assert candidates.alike(bits, np.array([[i, j]]))[0]
