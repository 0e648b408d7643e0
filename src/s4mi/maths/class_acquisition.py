"""Active learning that looks at the predicted classes: noised uncertainty, turns of the classes, foreground first.

noised entropy    log u_i + g_i / β, g Gumbel     a draw in proportion to u^β without return (Kirsch et al. 2023)
per class         the classes take turns:         argmax_i  w_i · share of class k in the prediction for image i
                                                  (class-stratified queries, as in ClaSP-PE, arXiv 2601.13677)
foreground        two of three picks are drawn in proportion to the predicted foreground, the third at random
                                                  (foreground-aware random choice, nnActive, arXiv 2511.19183)
"""

from collections import deque

import numpy as np

from s4mi.maths.acquisition import EPSILON, Floats, GroupLimit, Selection, by_weight

BETA = 4.0
"""β of the noise: an image twice as uncertain as another is 2⁴ times as likely to be drawn first."""
FOREGROUND_SHARE = 2 / 3
"""Share of the picks that are drawn by their foreground; nnActive compares 1/3 and 2/3."""


def noised(uncertainties: Floats, *, generator: np.random.Generator, beta: float = BETA) -> Floats:
    """(N,) uncertainties ≥ 0 → (N,) scores whose order is a draw in proportion to their power β, without return."""
    return np.asarray(np.log(np.maximum(uncertainties, EPSILON)) + generator.gumbel(size=len(uncertainties)) / beta)


def in_turns(shares: Floats, *, count: int, cap: GroupLimit, weights: Floats | None = None) -> list[Selection]:
    """Select for one class after the other, the rarest in the predictions first.

    A class that is predicted in none of the remaining candidates has no turn. Candidates in which no class is predicted
    come last, by weight.

    Args:
        shares: (N, K) probability or share of pixels of each class. weights: (N,) positive weights of the candidates.
    """
    n = len(shares)
    weights = np.ones(n) if weights is None else weights
    worth = shares * weights[:, None]
    free = np.ones(n, dtype=bool)
    turns = deque(np.argsort(shares.sum(axis=0), kind="stable").tolist())
    picks: list[Selection] = []
    while len(picks) < count and free.any():
        of_class = worth[:, turns[0]] if turns else weights
        position = int(np.where(free, of_class, -np.inf).argmax())
        if turns and of_class[position] <= 0:
            turns.popleft()
            continue
        free[position] = False
        if cap.allows(position):
            cap.take(position)
            picks.append(Selection(position, float(of_class[position]) if turns else 0.0))
            turns.rotate(-1)
    return picks


def by_foreground(
    foreground: Floats, *, count: int, cap: GroupLimit, generator: np.random.Generator
) -> list[Selection]:
    """Select two of three candidates with probability in proportion to their foreground, the others at random.

    Args:
        foreground: (N,) predicted share of the pixels that are not background.
    """
    drawn = round(FOREGROUND_SHARE * count)
    first = by_weight(noised(foreground, generator=generator, beta=1), count=drawn, cap=cap)
    taken = {pick.position for pick in first}
    chance = generator.random(len(foreground))
    chance[list(taken)] = -1
    rest = by_weight(chance, count=count - len(first), cap=cap)  # those taken come last
    kept = [*first, *(pick for pick in rest if pick.position not in taken)]
    return [Selection(pick.position, float(foreground[pick.position])) for pick in kept]
