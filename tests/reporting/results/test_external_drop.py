"""The drop to an external test set counts the patients of both sets, where their single results are known."""

from pathlib import Path

import numpy as np
import pytest

from made_records import record, segmentation_scores, write_run
from s4mi.maths.crossed import crossed_mean, jackknife
from s4mi.records import ExternalTest, ImageScores, RunRecord
from s4mi.records.external import external_images
from s4mi.records.per_image import write_image_scores
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.external_tables import external_table
from s4mi.reporting.results.runs import ImageResults, ReportRun, load_runs
from s4mi.reporting.results.scores import metric_of

METRIC = metric_of("segmentation", "iou_image")


def images(scores: np.ndarray, name: str) -> tuple[ImageScores, ...]:
    return tuple(
        ImageScores(
            image=f"{name}{n}", group=f"{name}{n}", iou={"lesion": one}, dice={"lesion": one},
            hd95={"lesion": None}, assd={"lesion": None},
        )
        for n, one in enumerate(scores.tolist())
    )  # fmt: skip


def with_means(inside: np.ndarray, outside: np.ndarray, seed: int) -> RunRecord:
    test = segmentation_scores(0.7).model_copy(update={"iou_image": float(inside.mean())})
    there = segmentation_scores(0.6).model_copy(update={"iou_image": float(outside.mean())})
    external = ExternalTest(
        dataset="clinic", synthetic=False, images=len(outside), classes=["lesion"], data_hash="x", seconds=1.0,
        scores=there,
    )  # fmt: skip
    return record(0.7, task="segmentation", seed=seed).model_copy(update={"test": test, "external": {"b": external}})


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    """(5, 60) internal and (5, 30) external scores of the same seeds."""
    rng = np.random.default_rng(0)
    run = rng.normal(0, 0.01, (5, 1))
    return 0.8 + run + rng.normal(0, 0.1, 60), 0.6 + run + rng.normal(0, 0.1, 30)


def test_the_interval_of_the_drop_is_over_the_patients_of_both(scores: tuple[np.ndarray, np.ndarray]) -> None:
    here, there = scores
    runs = [
        ReportRun(
            with_means(here[seed], there[seed], seed), (), "", f"run{seed}", images(here[seed], "p"),
            external={"b": ImageResults(images(there[seed], "p"), None)},
        )
        for seed in range(5)
    ]  # fmt: skip
    (comparison,) = compare([run.record for run in runs])
    table = external_table(comparison, METRIC, "b", runs)
    assert "over seeds and the patients of both test sets" in table.caption
    parts = []
    for inside, outside in zip(here, there, strict=True):
        rest = [(one.sum() - one) / (len(one) - 1) for one in (inside, outside)]
        own = jackknife({f"in {n}": value for n, value in enumerate(rest[0].tolist())})
        other = jackknife({f"out {n}": value for n, value in enumerate(rest[1].tolist())})
        parts.append({**own, **{name: -value for name, value in other.items()}})
    found = crossed_mean((here.mean(axis=1) - there.mean(axis=1)).tolist(), parts).interval()
    drop = table.rows[0].cells[4].plain
    assert f"{found.mean:.3f}" in drop
    assert f"{found.low:.3f}" in drop or f"{found.half_width:.3f}" in drop
    alone = external_table(comparison, METRIC, "b")
    assert "over seeds on these test sets" in alone.caption.replace("its interval ", "")
    assert found.half_width > 3 * crossed_mean((here.mean(axis=1) - there.mean(axis=1)).tolist()).interval().half_width


def test_results_on_external_images_are_read_with_the_runs(
    scores: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    here, there = scores
    write_run(tmp_path / "run", with_means(here[0], there[0], 0))
    path = tmp_path / "run" / external_images("b")
    path.parent.mkdir()
    write_image_scores(images(there[0], "p"), path)
    ((run,), notes) = load_runs(tmp_path)
    assert notes == []
    assert [one.image for one in run.on("b").images] == [f"p{n}" for n in range(30)]
    assert run.on("elsewhere") is None
    path.write_text("image,other\n")
    ((run,), (note,)) = load_runs(tmp_path)
    assert run.on("b") is None
    assert "results on the images of b cannot be read" in note
