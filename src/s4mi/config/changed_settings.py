"""The settings in which two runs differ, as whoever wrote them knows them: `steps`, and not what follows from it."""

from s4mi.config.layers import leaves
from s4mi.config.length import resolved_length
from s4mi.config.run import RunConfig, differences

SETTING_OTHERS = ("steps", "method.recipe")
"""Settings that only set other ones, which alone decide whether runs differ."""


def changed_settings(left: RunConfig, right: RunConfig) -> list[str]:
    """Return what `differences` does, with the settings that set others first and without those that follow from them.

    Empty if and only if `differences` is.
    """
    changed = differences(left, right)
    if not changed:
        return []
    a, b = (dict(leaves(config.model_dump(mode="json"))) for config in (left, right))
    causes = [f"{key}: {a.get(key)} → {b.get(key)}" for key in SETTING_OTHERS if a.get(key) != b.get(key)]
    follows: set[str] = set()
    if left.steps != right.steps:
        follows = _following(left) & _following(right)
    return [*causes, *(one for one in changed if one.partition(":")[0] not in follows)]


def _following(config: RunConfig) -> set[str]:
    """Names of the settings that follow from `steps`, which may be unset."""
    if config.steps is None:
        return set()
    of_steps = resolved_length({"steps": config.steps})
    found = {"epochs"}
    if config.epoch_steps == of_steps["epoch_steps"]:
        found.add("epoch_steps")
    if config.optim.cosine_epochs == config.epochs:
        found.add("optim.cosine_epochs")
    return found
