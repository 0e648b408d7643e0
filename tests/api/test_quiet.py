"""Libraries are silent within a call, and the user's own settings are as before after it."""

import logging
import warnings

import pytest

from s4mi.api.quiet import LOGGERS, quiet


def warn_as(module: str) -> None:
    warnings.warn_explicit("look here", UserWarning, "file.py", 1, module=module)


def test_warnings_of_libraries_are_dropped_and_others_are_not() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with quiet():
            for module in ("torch.nn", "timm.models", "lightning_fabric", "mine", "torchlike"):
                warn_as(module)
    assert len(seen) == 2, "of mine and of torchlike"


def test_filters_and_loggers_are_as_before_also_after_an_error() -> None:
    names = [*LOGGERS, "s4mi", ""]
    before = [(logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in names]
    filters = list(warnings.filters)
    with quiet():
        assert logging.getLogger("timm").getEffectiveLevel() == logging.ERROR
    with pytest.raises(ValueError, match="on the way"), quiet():
        raise ValueError("on the way")
    assert warnings.filters == filters
    assert [(logging.getLogger(n).level, list(logging.getLogger(n).handlers)) for n in names] == before
