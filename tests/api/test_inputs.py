"""Paths and settings as callers pass them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s4mi.api.inputs import as_mapping, as_overrides, as_path, as_paths
from s4mi.config import apply_overrides
from s4mi.errors import S4miError

plain = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=12)
relaxed = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
keys = st.text("abcdefgh_", min_size=1, max_size=6)


@relaxed
@given(st.dictionaries(keys, values, max_size=4))
def test_settings_arrive_as_they_were_given(mapping: dict[str, Any]) -> None:
    assert apply_overrides({}, as_overrides(mapping)) == mapping


@relaxed
@given(st.dictionaries(keys, st.dictionaries(keys, values, min_size=1, max_size=3), min_size=1, max_size=3))
def test_dotted_keys_and_nested_mappings_are_the_same(mapping: dict[str, dict[str, Any]]) -> None:
    dotted = {f"{outer}.{inner}": value for outer, own in mapping.items() for inner, value in own.items()}
    assert as_mapping(dotted) == as_mapping(mapping) == mapping


def test_paths_tuples_and_numpy_scalars_are_settings_too() -> None:
    given = {"data.path": Path("a") / "b", "seeds": (0, 1), "lr": np.float32(0.5), "epochs": np.int64(3)}
    assert as_mapping(given) == {"data": {"path": "a/b"}, "seeds": [0, 1], "lr": 0.5, "epochs": 3}


def test_strings_are_settings_as_on_the_command_line() -> None:
    assert as_overrides(["epochs=3", "optim.lr=1e-3"]) == ["epochs=3", "optim.lr=1e-3"]
    assert as_overrides("epochs=3") == ["epochs=3"]
    assert as_overrides(None) == []


@pytest.mark.parametrize("wrong", [5, [1, 2], {"epochs": object()}])
def test_what_is_no_setting_is_one_line(wrong: Any) -> None:
    with pytest.raises(S4miError, match=r"^settings: [^\n]+$"):
        as_overrides(wrong)


def test_paths_are_expanded_and_other_things_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert as_path("~/runs") == Path("/home/me/runs")
    assert as_path("~.html") == Path("~.html"), "no user of that name"
    assert as_paths("a") == [Path("a")]
    assert as_paths(["a", Path("b")]) == [Path("a"), Path("b")]
    for wrong in (3, None):
        with pytest.raises(S4miError, match="expected a path, got"):
            as_path(wrong)  # type: ignore[arg-type]
    assert as_paths(Path(one) for one in "ab") == [Path("a"), Path("b")]
    with pytest.raises(S4miError, match="expected a path, got int"):
        as_paths(5)  # type: ignore[arg-type]
    with pytest.raises(S4miError, match="at least one path"):
        as_paths([])
