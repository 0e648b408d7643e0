"""YAML and JSON that anybody may have written end in values or in one error."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from s4mi.records.plain import PlainError, load_json, load_yaml

BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    ["x: 0b_", "x: " + "9" * 5000, "x: &x [*x]", "&x {a: *x}", "[" * 5000, "x: a\x00b", BOMB,
     "x: !!python/object:os.system y",
     "? [a]\n: b", "x: [1", "x: *y"],
)  # fmt: skip
def test_what_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(PlainError) as refused:
        load_yaml(text)
    assert "\n" not in refused.value.problem


def test_dates_stay_text() -> None:
    assert load_yaml("x: 2001-99-99\ny: 2001-01-01") == {"x": "2001-99-99", "y": "2001-01-01"}


def test_merge_keys_and_anchors_work() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n"
    assert load_yaml(text) == yaml.safe_load(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_what_yaml_writes_is_read(value: object) -> None:
    assert load_yaml(yaml.safe_dump(value)) == yaml.safe_load(yaml.safe_dump(value))
    assert load_json(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a": "\\ud800"}', "9" * 5000, "{", '{"a": ' * 200_000])
def test_json_that_is_none_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        load_json(text)
