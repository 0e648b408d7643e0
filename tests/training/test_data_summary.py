"""What is recorded of the data agrees with the data set itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.data.manifest import load_manifest
from s4mi.training.data_summary import summarise_data
from s4mi.training.prepare import prepare

Quick = Callable[..., RunConfig]


@pytest.mark.parametrize("method", [TRANSFER, DEDL], ids=["labels", "masks"])
def test_every_image_and_patient_is_counted_once(lesions: Path, quick: Quick, method: dict) -> None:
    config = quick(lesions, method, label_fraction=50)
    prepared = prepare(config)
    facts = summarise_data(config, prepared)
    manifest = load_manifest(lesions)
    assert facts.images == sum(part.images for part in facts.parts.values()) == len(manifest.rows)
    assert sum(part.groups for part in facts.parts.values()) == len({row.group for row in manifest.rows})
    assert facts.grouped == len(manifest.rows)
    assert facts.formats == {"png": len(manifest.rows)}
    assert facts.smallest == facts.largest == (48, 48)
    assert (facts.image_size, facts.tile) == (32, None)
    assert facts.leaks == ()
    assert (facts.division, facts.division_seed) == ("random, grouped by patient, stratified, 70:10:20", 0)
    assert set(facts.parts["train"].classes) == set(prepared.task.classes)
    if method is TRANSFER:
        for name in manifest.spec.classes:
            total = sum(name in (row.labels or ()) for row in manifest.rows)
            assert sum(part.classes[name] for part in facts.parts.values()) == total


def test_seeds_that_draw_other_splits_have_other_hashes_of_parts(lesions: Path, quick: Quick) -> None:
    one, other, again = (
        summarise_data(config, prepare(config))
        for config in (
            quick(lesions, TRANSFER, seed=seed, label_fraction=f) for seed, f in ((0, 50), (1, 50), (0, 100))
        )
    )
    assert one.parts["test"].hash != other.parts["test"].hash
    assert one.parts["test"].hash == again.parts["test"].hash, "whatever is labelled"
    assert one.division_seed != other.division_seed
