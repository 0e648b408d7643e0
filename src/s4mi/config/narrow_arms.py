"""Settings of a study given on the command line: they hold for arms with seeds or label fractions of their own, too."""

from collections.abc import Sequence
from typing import Any

from s4mi.config.yaml_file import apply_overrides

NARROWED = ("seeds", "label_fractions")


def override_study(contents: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a copy of a study with each `dotted.key=value` set, and its arms narrowed to the new lists.

    An arm that lists some of the seeds or label fractions of its file, because it costs more than others, keeps those
    that were given; if there are none, it takes as many of those given as it had.

    Raises:
        S4miError: see `apply_overrides`.
    """
    result = apply_overrides(contents, overrides)
    given = [key for key in NARROWED if any(override.partition("=")[0] == key for override in overrides)]
    arms = result.get("arms")
    for arm in arms if isinstance(arms, list) else ():
        for key in given:
            own, new = (arm.get(key) if isinstance(arm, dict) else None), result[key]
            if isinstance(own, list) and own and isinstance(new, list):
                arm[key] = [value for value in own if value in new] or new[: len(own)]
    return result
