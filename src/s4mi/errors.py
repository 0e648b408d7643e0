"""What goes wrong because of the input, said in one line: place, value, cure."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class S4miError(Exception):
    """Bad input or a bad setting. The message is one line and is all the user sees; never a traceback."""

    def _render_traceback_(self) -> list[str]:
        """IPython and notebooks print these lines in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint ``; did you mean 'x'?`` naming the known word closest to `word`, or ``''`` when none is close."""
    close = closest(word, known)
    return f"; did you mean {close!r}?" if close is not None else ""


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word closest to `word`, or None when none is close; `cutoff` is difflib's, from 0 to 1."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def require_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional `module`, or raise the one-line cure naming the extra of this package that brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise S4miError(
            f"{purpose} needs the package {module!r}; install it with: pip install 's4mi[{extra}]'"
        ) from error
