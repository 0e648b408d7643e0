"""Refuse options of an import that have no effect together with the others, instead of ignoring them."""

from collections.abc import Mapping

from s4mi.errors import S4miError


def refuse_unused(given: Mapping[str, object], *, because: str, hint: str) -> None:
    """Raise S4miError for the first option that was given and has no effect.

    Args:
        given: value by option; None, False, `''` and empty: not given.
        because: what takes their effect, e.g. `without --one-hot`. hint: the combination that has one.
    """
    for option, value in given.items():
        if value is None or value is False or value in ("", (), []):
            continue
        shown = option if value is True else f"{option} {value if isinstance(value, int) else repr(str(value))}"
        raise S4miError(f"{shown}: has no effect {because}; leave it out, or {hint}")
