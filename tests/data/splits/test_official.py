"""The validation part that an official split without one gets from its training part."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.data.manifest import Manifest
from s4mi.data.row import Row
from s4mi.data.spec import DatasetSpec
from s4mi.data.splits.official import lacks_val
from s4mi.data.splits.split import SplitMethod, make_split
from s4mi.errors import S4miError

SPEC = DatasetSpec(name="x", tasks=("multiclass",), classes=("a", "b"))


def manifest(rows: list[tuple[str, str, str | None]]) -> Manifest:
    """Rows of (part, patient, label)."""
    return Manifest(Path("data"), SPEC, tuple(
        Row(str(n), Path(f"{n}.png"), None, None if label is None else (label,), group, part, n + 2)  # type: ignore[arg-type]
        for n, (part, group, label) in enumerate(rows)
    ))  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=20), st.integers(0, 5), st.data())
def test_drive_validation_is_drawn_by_whole_patients_and_the_test_part_stays(
    sizes: list[int], seed: int, data: st.DataObject
) -> None:
    rows: list[tuple[str, str, str | None]] = [
        ("train", f"p{patient}", data.draw(st.sampled_from("ab")))
        for patient, size in enumerate(sizes)
        for _ in range(size)
    ]
    rows += [("train", "unlabelled", None), ("test", "t", "a"), ("test", "t", "b")]
    found = manifest(rows)
    split = make_split(found, "multiclass", method=SplitMethod("official", seed=seed), fraction_seed=0)
    assert sorted(split.train + split.val + split.test) == list(range(len(rows)))
    assert split.test == (len(rows) - 2, len(rows) - 1)
    assert split.val
    groups = [{found.rows[number].group for number in split.rows(part)} for part in ("train", "val")]  # type: ignore[arg-type]
    assert not groups[0] & groups[1]
    assert "unlabelled" in groups[0]
    wanted, largest = sum(sizes) / 8, max(sizes)
    assert abs(len(split.val) - wanted) <= largest


def test_a_given_validation_part_is_kept_and_one_patient_cannot_be_divided() -> None:
    given_val = manifest([("train", "1", "a"), ("val", "2", "b"), ("test", "3", "a")])
    assert not lacks_val(given_val.rows)
    assert make_split(given_val, "multiclass", method=SplitMethod("official"), fraction_seed=0).val == (1,)
    one = manifest([("train", "1", "a"), ("train", "1", "b"), ("test", "3", "a")])
    with pytest.raises(S4miError, match="the val part of the split has no image annotated"):
        make_split(one, "multiclass", method=SplitMethod("official"), fraction_seed=0)


def test_the_share_follows_the_ratios_and_strata() -> None:
    rows: list[tuple[str, str, str | None]] = [("train", str(n), "ab"[n % 4 == 0]) for n in range(80)]
    found = manifest([*rows, ("test", "t", "a")])
    method = SplitMethod("official", ratios=(0.6, 0.2, 0.2))
    val = make_split(found, "multiclass", method=method, fraction_seed=0).val
    assert len(val) == 20
    assert np.isclose(sum(found.rows[n].labels == ("b",) for n in val), 5, atol=1)
