"""PCA against its definition, and the arguments of umap-learn."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.errors import S4miError
from s4mi.maths.projection import pca, umap


def features(n: int, d: int, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.linspace(3, 0.5, d)


def naive(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Coordinates from the eigenvectors of the covariance, each with its largest loading positive."""
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    first = vectors[:, ::-1][:, :2]
    first = first * np.sign(first[np.abs(first).argmax(axis=0), [0, 1]])
    return (x - x.mean(axis=0)) @ first, values[-2:].sum() / values.sum()


@pytest.mark.parametrize(("n", "d"), [(40, 6), (6, 40), (3, 2), (12, 12)])
def test_coordinates_and_share_are_those_of_the_covariance(n: int, d: int) -> None:
    x = features(n, d)
    coordinates, share = pca(x)
    expected, expected_share = naive(x)
    np.testing.assert_allclose(coordinates, expected, atol=1e-8)
    assert share == pytest.approx(expected_share)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.floats(-100, 100))
def test_distances_are_invariant_to_shift_and_rotation_of_the_features(seed: int, shift: float) -> None:
    x = features(15, 4, seed=seed)
    turned = x @ np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))[0] + shift
    one, other = (pca(each)[0] for each in (x, turned))
    np.testing.assert_allclose(
        np.linalg.norm(one[:, None] - one, axis=2), np.linalg.norm(other[:, None] - other, axis=2), atol=1e-6
    )


def test_two_images_lie_on_a_line_and_one_in_the_middle() -> None:
    coordinates, share = pca([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0]])
    np.testing.assert_allclose(sorted(coordinates[:, 0]), [-2.5, 2.5])
    np.testing.assert_allclose(coordinates[:, 1], 0, atol=1e-12)
    assert share == pytest.approx(1)
    one, nothing = pca([[1.0, 2.0]])
    assert one.tolist() == [[0, 0]]
    assert nothing is None


def test_one_dimension_has_no_second_coordinate() -> None:
    coordinates, share = pca([[1.0], [2.0], [6.0]])
    np.testing.assert_allclose(coordinates, [[-2, 0], [-1, 0], [3, 0]], atol=1e-12)
    assert share == pytest.approx(1)


def test_identical_features_lie_at_0_and_have_no_variance() -> None:
    coordinates, share = pca(np.full((7, 5), 0.1))
    assert not coordinates.any()
    assert share is None


@pytest.mark.parametrize("broken", [[[np.nan, 1.0], [0.0, 1.0]], [1.0, 2.0], np.zeros((3, 0))])
def test_features_that_are_not_an_array_of_finite_numbers_are_refused(broken: object) -> None:
    with pytest.raises(ValueError, match="features"):
        pca(broken)


def test_umap_has_no_more_neighbours_than_images(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Umap:
        def __init__(self, **settings: object) -> None:
            asked.append(settings)

        def fit_transform(self, x: np.ndarray) -> np.ndarray:
            return x[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    assert umap(features(6, 4), seed=3).shape == (6, 2)
    umap(features(50, 4), seed=3)
    assert [(each["n_neighbors"], each["random_state"]) for each in asked] == [(5, 3), (15, 3)]
    with pytest.raises(ValueError, match=r"umap needs at least 4 images \(given 3\)"):
        umap(features(3, 4), seed=0)


def test_without_umap_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(S4miError, match=r"pip install 's4mi\[umap\]'"):
        umap(features(9, 4), seed=0)


def test_umap_keeps_two_clouds_apart_and_repeats_itself() -> None:
    pytest.importorskip("umap")
    x = np.concatenate([features(20, 5), features(20, 5, seed=1) + 50])
    laid = umap(x, seed=0)
    near = np.linalg.norm(laid[:20] - laid[:20].mean(axis=0), axis=1).max()
    assert np.linalg.norm(laid[:20].mean(axis=0) - laid[20:].mean(axis=0)) > near
    np.testing.assert_array_equal(laid, umap(x, seed=0))
