"""Strategies by predicted classes: their names, what they need, and what they refuse."""

import numpy as np
import pytest

from s4mi.active_learning.strategies import CandidatePool, Strategy, choose
from s4mi.errors import S4miError

N = 30


def pool(*, segments: bool) -> CandidatePool:
    rng = np.random.default_rng(0)
    return CandidatePool([None] * N, entropy=rng.random(N), shares=rng.random((N, 2)), segments=segments)


@pytest.mark.parametrize("name", ["foreground", "per-class", "noised-entropy", "noised-entropy×per-class"])
def test_names_are_read_and_written(name: str) -> None:
    strategy = Strategy.parse(name.upper())
    assert str(strategy) == name
    assert strategy.needs_predictions
    assert not strategy.needs_features


@pytest.mark.parametrize("name", ["foreground", "per-class", "noised-entropy×per-class", "entropy×per-class"])
def test_the_same_seed_chooses_the_same_images(name: str) -> None:
    strategy = Strategy.parse(name)
    chosen = [choose(pool(segments=True), strategy, count=9, per_patient=0, seed=seed) for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1]
    assert len({pick.position for pick in chosen[0]}) == 9
    if "noised" in name or name == "foreground":
        assert chosen[0] != chosen[2]


def test_foreground_is_of_masks_and_stands_alone() -> None:
    with pytest.raises(S4miError, match="the predictions are classes"):
        choose(pool(segments=False), Strategy.parse("foreground"), count=3, per_patient=0, seed=0)
    with pytest.raises(S4miError, match="use it alone"):
        Strategy.parse("entropy×foreground")
