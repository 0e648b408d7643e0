"""Errors caused by the user's input, reported in one line: place, value, hint."""

import difflib
import importlib
import re
from collections.abc import Iterable
from types import ModuleType


class S4miError(Exception):
    """Invalid input or setting. The message is one line and is printed without a traceback."""

    def __str__(self) -> str:
        return one_line(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """IPython and notebooks print these lines in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


def one_line(text: str, *, longest_word: int = 300, longest: int = 1500) -> str:
    """Return `text` without line breaks and other control characters, and with the middle of what is too long left out.

    Args:
        longest_word: most characters without a space. longest: most characters in all.
    """
    text = _CONTROL.sub(lambda found: " " if found[0] in "\n\r\t" else repr(found[0])[1:-1], text)
    if len(text) <= longest_word:
        return text
    text = re.sub(rf"\S{{{longest_word + 1},}}", lambda found: _shortened(found[0], longest_word), text)
    return _shortened(text, longest)


_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[-longest // 3 :]} ({len(text):,} characters)"


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
