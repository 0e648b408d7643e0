"""The page of results is what the compact records in results/ say, and these say what the runs' own files do."""

import gzip
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_data import knowing
from made_records import record
from s4mi.errors import S4miError
from s4mi.records import ImageScores, Predictions
from s4mi.reporting.results.anonymous import without_names
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.findings import findings_of
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import result_table, score_table
from s4mi.reporting.results.verdict import finding_sentences

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "results_page"))

import results_page  # noqa: E402
from compact_records import CompactStudy, added, read_compact, write_compact  # noqa: E402
from told import Records  # noqa: E402


def segmentation_run(method: str, seed: int, *, quality: float) -> ReportRun:
    """A run on twelve images of four patients, whose overlap follows `quality`."""
    rng = np.random.default_rng([seed, len(method)])
    union = rng.integers(500, 900, 12)
    overlap = (union * np.clip(quality + rng.normal(0, 0.05, 12), 0, 1)).astype(int)
    images = tuple(
        ImageScores(
            image=f"Anna-{n}",
            group=f"Anna Smith {n % 4}",
            iou={"lesion": round(int(o) / int(u), 6)},
            dice={"lesion": round(2 * int(o) / int(o + u), 6)},
            hd95={"lesion": 4.0},
            assd={"lesion": 1.0},
            overlap={"lesion": int(o)},
            union={"lesion": int(u)},
        )
        for n, (o, u) in enumerate(zip(overlap, union, strict=True))
    )
    made = record(float(overlap.sum() / union.sum()), method=method, task="segmentation", seed=seed)
    return ReportRun(made, (), "", f"runs/{method}-10pct-seed{seed}", images=images)


def multilabel_run(method: str, seed: int) -> ReportRun:
    """A run on ten images with five labels each, one of which is not known."""
    rng = np.random.default_rng([seed, len(method)])
    truth, decisions = np.random.default_rng(seed).random((10, 5)) > 0.5, rng.random((10, 5)) > 0.5
    known = np.ones((10, 5), dtype=bool)
    known[3, 2] = False
    told = Predictions(
        images=tuple(f"Anna-{n}" for n in range(10)),
        groups=tuple(f"Anna Smith {n // 2}" for n in range(10)),
        classes=tuple("abcde"),
        truth=truth & known,
        probabilities=np.where(decisions, 0.9, 0.1),
        decisions=decisions,
        known=known,
    )
    made = record(0.5 + 0.01 * seed, method=method, task="multilabel", seed=seed, classes="abcde")
    return ReportRun(made, (), "", f"runs/{method}-10pct-seed{seed}", predictions=told)


RUNS = [
    *(segmentation_run(method, seed, quality=q) for method, q in (("dedl", 0.7), ("forest", 0.6)) for seed in range(4)),
    *(multilabel_run(method, seed) for method in ("transfer", "frozen") for seed in range(3)),
]


def packed(runs: list[ReportRun], folder: Path) -> Path:
    path = folder / "study.jsonl.gz"
    write_compact(CompactStudy("study", "studies/study.yaml", "a machine", tuple(runs)), path)
    return path


def said(runs: list[ReportRun]) -> list[object]:
    """Tables and sentences of a report on some runs."""
    every: list[object] = []
    for comparison in compare([run.record for run in runs]):
        table = result_table(comparison, metric_of(comparison.task), runs)
        every += [score_table(table), *finding_sentences(findings_of(comparison, table, runs))]
    return every


def test_compact_records_say_what_the_runs_say(tmp_path: Path) -> None:
    read = list(read_compact(packed(RUNS, tmp_path)).runs)
    assert said(read) == said(without_names(RUNS)) == said(RUNS)


def test_every_pixel_and_decision_is_kept(tmp_path: Path) -> None:
    read = {run.directory: run for run in read_compact(packed(RUNS, tmp_path)).runs}
    for run in RUNS:
        other = read[run.directory]
        assert [one.overlap for one in other.images] == [one.overlap for one in run.images]
        assert [(one.iou, one.dice) for one in other.images] == [(one.iou, one.dice) for one in run.images]
        if run.predictions is not None:
            assert other.predictions is not None
            assert (other.predictions.labels == run.predictions.labels).all()
            assert (other.predictions.decisions == run.predictions.decisions).all()


def test_nothing_in_them_names_a_patient_an_image_or_a_folder(tmp_path: Path) -> None:
    run = segmentation_run("dedl", 0, quality=0.7)
    run = ReportRun(run.record.model_copy(update={"technique": "/home/anna/net"}), (), "", run.directory, run.images)
    text = gzip.decompress(packed([run], tmp_path).read_bytes()).decode()
    assert "Anna" not in text
    assert "/home" not in text
    assert '"patient 4"' in text


def test_packing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first = packed(RUNS, tmp_path).read_bytes()
    assert packed(RUNS[::-1], tmp_path).read_bytes() == first


def on_images(runs: list[ReportRun], images: str) -> list[ReportRun]:
    """Runs whose test part has this hash."""
    return [replace(run, record=knowing(run.record, test=images)) for run in runs]


def test_runs_packed_later_are_compared_as_if_packed_together(tmp_path: Path) -> None:
    first, later = on_images(RUNS[:5], "a"), on_images(RUNS[4:8], "a")
    before = read_compact(packed(first, tmp_path)).runs
    assert said(list(added(before, later))) == said(on_images(RUNS[:8], "a"))
    assert len(added(before, later)) == 8


def test_runs_on_other_test_images_are_not_added() -> None:
    with pytest.raises(S4miError, match="lesions: the runs are not all of one test part"):
        added(on_images(RUNS[:4], "a"), on_images(RUNS[4:8], "b"))
    with pytest.raises(S4miError, match="lesions: the runs are not all of one test part, which is known"):
        added(RUNS[:4], RUNS[4:8])


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"format": 2}\n'))
    with pytest.raises(S4miError, match="format 2 instead of 1"):
        read_compact(path)


def test_a_paired_difference_is_that_of_the_report(tmp_path: Path) -> None:
    packed(RUNS, tmp_path)
    told = Records(tmp_path).on("lesions", "segmentation", "study")
    pairs = findings_of(told.comparison, told.results, told.runs).pairs
    (row,) = pairs.rows
    sentence = told.lead("dedl", "forest", 48)
    assert row.seeds.difference in sentence
    assert "n = 4 seeds" in sentence
    with pytest.raises(S4miError, match="no arm 'unet'; there are dedl, forest"):
        told.lead("unet", "forest", 48)


def test_the_page_can_ask_what_is_there(tmp_path: Path) -> None:
    packed(RUNS, tmp_path)
    records = Records(tmp_path)
    told = records.on("lesions", "segmentation", "study")
    assert told.has_at("dedl", 48)
    assert told.has_at("dedl", "10 %")
    assert not told.has_at("dedl", 480)
    assert not told.has_at("unet", 48)
    assert records.has("study")
    assert not records.has("study", "other")


def test_the_page_is_what_the_records_say() -> None:
    assert results_page.PAGE.read_text(encoding="utf-8") == results_page.results_page()


def test_the_records_stay_small() -> None:
    files = list(results_page.RESULTS.glob("*.jsonl.gz"))
    assert files
    assert sum(path.stat().st_size for path in files) < 5e6
