"""Errors caused by the user's input, reported in one line: place, value, hint."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class S4miError(Exception):
    """Invalid input or setting. The message is one line and is printed without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """IPython and notebooks print these lines in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint ``; did you mean 'x'?`` with the known word closest to `word`, or ``''`` if none is close."""
    close = closest(word, known)
    return f"; did you mean {close!r}?" if close is not None else ""


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word closest to `word`, or None if none is close.

    Args:
        cutoff: least similarity as `difflib` defines it, 0 to 1.
    """
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def require_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: module to import.
        extra: extra of this package that installs it.
        purpose: what the module is needed for, as the subject of the error message.

    Raises:
        S4miError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise S4miError(
            f"{purpose} needs the package {module!r}; install it with: pip install 's4mi[{extra}]'"
        ) from error
