"""One attempt at a run: how an unexpected error becomes a line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import s4mi
from s4mi.studies.worker import _one_line

PACKAGE = Path(s4mi.__file__).parent


def function_in(file: Path, body: str) -> Callable[..., Any]:
    """A function of one argument whose code lies in the second line of this file."""
    namespace: dict[str, Any] = {}
    exec(compile(f"def function(argument):\n    {body}", str(file), "exec"), namespace)
    function: Callable[..., Any] = namespace["function"]
    return function


def test_an_error_is_located_at_the_last_line_of_this_package() -> None:
    library = PACKAGE.parent / "library.py"  # libraries lie beside the package where it is installed
    ours = function_in(PACKAGE / "data" / "ours.py", "argument(None)")
    with pytest.raises(ValueError, match="first line") as caught:
        ours(function_in(library, "raise ValueError('first line\\nsecond line')"))
    assert _one_line(caught.value) == "ValueError: first line (ours.py:2)"
