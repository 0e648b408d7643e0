"""A study before and after annotations are merged into its data set, as a user sees it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from conftest import TRANSFER, Command
from s4mi.data.manifest import Manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.data.versions import load_version, write_version
from s4mi.reporting.results.version_gains import TITLE

Printed = Callable[..., str]


@pytest.fixture
def printed_by(s4mi: Command, monkeypatch: pytest.MonkeyPatch) -> Printed:
    """Run a command that succeeds, and return its standard output."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> str:
        done = s4mi(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def sparse(tmp_path: Path) -> tuple[Manifest, list[Row]]:
    """A data set with labels for half of its patients, and its rows with all labels."""
    folder = tmp_path / "data"
    full = write_synthetic("lesions", folder, count=60, size=32, seed=2)
    groups = sorted({row.group or "" for row in full.rows})
    rows = [
        row if groups.index(row.group or "") % 2 == 0 else replace(row, labels=None, mask=None) for row in full.rows
    ]
    write_dataset(folder, full.spec, rows)
    return load_version(folder), list(full.rows)


@pytest.mark.long
def test_after_a_merge_the_plan_estimates_time_and_the_report_shows_the_gain(
    printed_by: Printed, sparse: tuple[Manifest, list[Row]], tmp_path: Path, cache_dir: Path
) -> None:
    manifest, rows = sparse
    study, out = tmp_path / "study.yaml", tmp_path / "out"
    contents = {
        "data": {"path": str(manifest.folder), "image_size": 32, "cache": str(cache_dir)},
        "label_fractions": [100],
        "seeds": [0],
        "settings": {"epochs": 1, "batch_size": 8, "hardware": {"accelerator": "cpu"}},
        "pretraining": {"unused": "simclr"},
        "arms": [{"method": TRANSFER, "name": "plain"}],
    }
    study.write_text(yaml.safe_dump(contents), encoding="utf-8")
    assert "pretraining 'unused': not needed by any arm, will not be run" in printed_by("study", "plan", study)
    first = printed_by("study", "run", study, "-o", out, "--workers", "0").splitlines()
    assert first[0] == "runs/plain-100pct-seed0: started"
    assert re.fullmatch(r"runs/plain-100pct-seed0: f1_macro 0\.\d+ on \d+ test images, in \d+ s", first[1])
    assert TITLE not in (out / "report.html").read_text(encoding="utf-8")

    assert write_version(manifest, manifest.spec, rows) == 2
    (run, total, _) = printed_by("study", "plan", study, "-o", out).splitlines()
    assert re.search(
        r"runs/plain-100pct-v2-seed0  \w+  about \d+ s \(measured on an older version of the data set\)$", run
    )
    assert re.fullmatch(r"1 run, 0 without labels; 0 finished, about \d+ s of training left", total)

    printed = printed_by("study", "run", study, "-o", out, "--workers", "0")
    assert "multi-class classification: macro F1 before and after the new annotations" in printed
    (gain,) = (line for line in printed.splitlines() if line.startswith("version 1 → 2, "))
    assert re.search(r"100 %: \d+ → \d+ labels, [01]\.\d+ → [01]\.\d+, .*\(n = 1\)$", gain), gain
    assert "1 seed is too few to conclude anything" in printed
    page = (out / "report.html").read_text(encoding="utf-8")
    assert TITLE in page
    assert "effect of new annotations: 1 run on version 1 of synthetic-lesions" in page
