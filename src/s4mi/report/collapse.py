"""When features no longer tell images apart, and how to say so."""

from collections.abc import Mapping

from s4mi.records import LEAST_RANK, LEAST_STD, Spread


def collapsed(features: Mapping[str, Spread]) -> str:
    """Whose features have collapsed and what shows it, to be read after "the features of"; empty where none have."""
    ill = [name for name, spread in features.items() if spread.collapsed]
    return f"{', '.join(ill)} had collapsed ({_symptoms(features[ill[0]])})" if ill else ""


def _symptoms(spread: Spread) -> str:
    told = []
    if spread.std < LEAST_STD:
        told.append(f"standard deviation {spread.std:.3f} < {LEAST_STD:g}")
    if spread.effective_rank < LEAST_RANK:
        rank = f"{spread.effective_rank:.1f} of {spread.dimensions}"
        told.append(f"effective rank {rank} < {LEAST_RANK:g}")
    return ", ".join(told)
