"""Columns, filters and orders are those of a plain loop over the rows."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.data.manifest import Manifest
from s4mi.data.row import Row
from s4mi.data.spec import DatasetSpec
from s4mi.viewer.columns import Columns, Labels, columns_of
from s4mi.viewer.grid import Marks, Predicted, Query, select
from s4mi.viewer.workspace import open_manifest

PLACES = ("train", "val", "test", None)
LABELS = (None, (), ("a",), ("b",), ("a", "b"))


@st.composite
def sets(draw: st.DrawFn) -> tuple[Manifest, Marks, Predicted]:
    """A data set of up to 12 images with predictions."""
    from pathlib import Path

    n = draw(st.integers(1, 12))
    rows = tuple(
        Row(
            draw(st.text("abX", max_size=3)) + str(i), Path(f"{i}.png"),
            Path("m.png") if draw(st.booleans()) else None, draw(st.sampled_from(LABELS)),
            draw(st.sampled_from(("p", "q", None))), draw(st.sampled_from(PLACES)), i + 2,
        )
        for i in range(n)
    )  # fmt: skip
    spec = DatasetSpec(name="x", tasks=("multilabel",), classes=("a", "b"))

    def column(values: st.SearchStrategy[Any], dtype: Any) -> Any:
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=dtype)

    marks = Marks(
        column(st.booleans(), bool), column(st.booleans(), bool), column(st.integers(0, 3), np.int32),
        column(st.integers(0, 2), np.int32),
    )  # fmt: skip
    known = column(st.booleans(), bool)
    labels = Labels.of([draw(st.sampled_from(LABELS[1:])) if one else None for one in known])
    shares = st.sampled_from((0.0, 0.25, 0.5, 1.0, float("nan")))
    predicted = Predicted(labels, column(shares, np.float32), column(shares, np.float32))
    return Manifest(Path(), spec, rows), marks, predicted


queries = st.builds(
    Query,
    parts=st.sampled_from((None, ("train",), ("val", "unassigned"))),
    labels=st.sampled_from((None, ("a",), ("",), ("none", "b"))),
    predictions=st.sampled_from((None, ("a",), ("",), ("none",))),
    annotated=st.sampled_from((None, True, False)),
    disagreement=st.sampled_from((None, True, False)),
    near_duplicate=st.sampled_from((None, True, False)),
    changed=st.sampled_from((None, True, False)),
    skipped=st.sampled_from((None, True, False)),
    group=st.sampled_from((None, "p", "nobody")),
    text=st.sampled_from(("", "a", "X", "ab")),
    sort=st.sampled_from(("manifest", "doubt", "disagreement", "name", "group", "next")),
    descending=st.booleans(),
)


def passes(query: Query, row: Row, n: int, marks: Marks, predicted: Predicted) -> bool:
    """Whether an image passes the filters, in the plainest way."""

    def any_of(labels: tuple[str, ...] | None, names: tuple[str, ...]) -> bool:
        return "" in names if labels is None else bool(set(labels or ("none",)) & set(names))

    guess = predicted.labels.combinations[predicted.labels.codes[n]]
    differs = bool(predicted.agreement[n] < 0.5)
    tests = [
        query.parts is None or (row.split or "unassigned") in query.parts,
        query.labels is None or any_of(row.labels, query.labels),
        query.predictions is None or any_of(guess, query.predictions),
        query.annotated in (None, row.labels is not None),
        query.disagreement in (None, differs),
        query.near_duplicate in (None, bool(marks.duplicates[n])),
        query.changed in (None, bool(marks.changed[n])),
        query.skipped in (None, bool(marks.skipped[n])),
        query.group in (None, row.group),
        query.text.lower() in row.id.lower(),
    ]
    return all(tests)


@given(sets(), queries)
@settings(max_examples=150, deadline=None)
def test_filters_are_those_of_a_loop_and_orders_are_sorted(
    made: tuple[Manifest, Marks, Predicted], query: Query
) -> None:
    manifest, marks, predicted = made
    columns = columns_of(manifest)
    found = select(query, columns, marks, predicted).tolist()
    expected = [n for n, row in enumerate(manifest.rows) if passes(query, row, n, marks, predicted)]
    assert sorted(found) == expected
    keys: dict[str, list[Any]] = {
        "manifest": [float(n) for n in found],
        "name": [manifest.rows[n].id for n in found],
        "group": [manifest.rows[n].group for n in found if manifest.rows[n].group],
        "doubt": [-float(predicted.doubt[n]) for n in found if not np.isnan(predicted.doubt[n])],
        "disagreement": [float(predicted.agreement[n]) for n in found if not np.isnan(predicted.agreement[n])],
        "next": [int(marks.rank[n]) for n in found if marks.rank[n]],
    }
    assert keys[query.sort] == sorted(keys[query.sort], reverse=query.descending)
    if query.sort == "next":
        ranked = [bool(marks.rank[n]) for n in found]
        assert query.descending or ranked == sorted(ranked, reverse=True)


def same(one: Columns, other: Columns) -> bool:
    plain = [(c.names.to_list(), c.group_names, c.parts.tolist(), c.masked.tolist(), c.annotated.tolist(),
              [c.labels.combinations[k] for k in c.labels.codes], [c.group(n) for n in range(c.count)])
             for c in (one, other)]  # fmt: skip
    return plain[0] == plain[1]


def test_columns_of_a_table_are_those_of_its_rows(lesions, cells) -> None:
    for folder in (lesions, cells):
        manifest = open_manifest(folder)
        assert same(columns_of(manifest), columns_of(replace(manifest, rows=tuple(manifest.rows))))
