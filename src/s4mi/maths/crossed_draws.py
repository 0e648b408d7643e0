"""Mean scores of several cells, redrawn jointly over seeds and patients."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from s4mi.maths.bootstrap import redrawn_means
from s4mi.maths.crossed import Influence

Floats = NDArray[np.float64]


def crossed_draws(
    cells: Sequence[Mapping[int, float]],
    influences: Sequence[Mapping[int, Influence]],
    *,
    rng: np.random.Generator,
    draws: int = 4000,
) -> Floats:
    """(draws, P) means of P cells of scores by seed, redrawn over the seeds and over the patients of their tests.

    Seeds are redrawn by `redrawn_means`. To that is added a normal deviate with the covariance of the means that comes
    from testing different seeds on the same patients (see `maths.crossed`), in all cells together, as techniques and
    label fractions share their test patients. Cells with a seed without influences have no such part.

    Args:
        influences: of patients on the score of each seed, by cell.

    Raises:
        ValueError: a cell has fewer than 2 seeds.
    """
    means = redrawn_means(cells, rng=rng, draws=draws)
    known = [bool(mine) and all(mine.get(seed) for seed in cell) for cell, mine in zip(cells, influences, strict=True)]
    if not any(known):
        return means
    covariance = patient_covariance(
        [mine if is_known else {} for mine, is_known in zip(influences, known, strict=True)]
    )
    values, vectors = np.linalg.eigh(covariance)
    # The symmetric root, as eigenvectors and their signs differ between processors, and so would the draws. The
    # estimate may have small negative eigenvalues.
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    drawn: Floats = means + rng.standard_normal((draws, len(cells))) @ root
    return drawn


def patient_covariance(influences: Sequence[Mapping[int, Influence]]) -> Floats:
    """(P, P) covariance of the cells' means over seeds from sharing test patients: the mean over pairs of seeds."""
    seeds = sorted({seed for cell in influences for seed in cell})
    patients = {
        name: n for n, name in enumerate(sorted({p for cell in influences for one in cell.values() for p in one}))
    }
    table = np.zeros((len(influences), len(seeds), len(patients)))
    has = np.zeros((len(influences), len(seeds)))
    for c, cell in enumerate(influences):
        for seed, one in cell.items():
            s = seeds.index(seed)
            has[c, s] = 1.0
            table[c, s, [patients[p] for p in one]] = list(one.values())
    total = table.sum(axis=1)
    same = np.einsum("asg,bsg->ab", table, table)
    pairs = has.sum(axis=1)[:, None] * has.sum(axis=1) - has @ has.T
    covariance: Floats = np.divide(total @ total.T - same, pairs, out=np.zeros_like(same), where=pairs > 0)
    return covariance
