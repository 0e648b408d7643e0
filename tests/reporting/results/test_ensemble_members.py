from pathlib import Path

from made_records import epochs, record, segmentation_scores
from s4mi.records import MemberScores, RunRecord
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.ensemble_members import member_table
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.writers.html import ReportRun, write_report


def several(seed: int, chosen: str, *, cnn: float, transformer: float) -> RunRecord:
    scores = {"cnn": cnn, "transformer": transformer}
    run = record(scores[chosen], task="segmentation", method="cross_teaching", seed=seed)
    bare = {name: segmentation_scores(score).model_copy(update={"hd95": None}) for name, score in scores.items()}
    members = {
        name: MemberScores(val=None, test=run.test if name == chosen else own)  # type: ignore[arg-type]
        for name, own in bare.items()
    }
    return run.model_copy(update={"member": chosen, "members": members})


RUNS = [several(0, "cnn", cnn=0.8, transformer=0.7), several(1, "transformer", cnn=0.6, transformer=0.9)]


def test_each_member_has_its_mean_over_seeds_and_how_often_it_was_selected() -> None:
    (comparison,) = compare([*RUNS, record(0.5, task="segmentation", method="dedl")])
    table = member_table(comparison, metric_of("segmentation"))
    assert [tuple(cell.text for cell in row.cells) for row in table.rows] == [
        ("cross teaching", "10 %", "cnn", "0.700 (0.000–1.000)", "1 of 2 runs"),
        ("cross teaching", "10 %", "transformer", "0.800 (0.000–1.000)", "1 of 2 runs"),
    ]


def test_a_score_that_only_the_selected_member_has_counts_those_runs_alone() -> None:
    (comparison,) = compare(RUNS)
    cnn, _ = member_table(comparison, metric_of("segmentation", "hd95")).rows
    assert cnn.cells[3].details == ("n = 1, 1 without score",)


def test_techniques_without_members_have_no_table() -> None:
    (comparison,) = compare([record(0.5, task="segmentation", method="dedl")])
    assert member_table(comparison, metric_of("segmentation")) is None


def test_the_report_lists_the_members_and_says_which_one_counts(tmp_path: Path) -> None:
    runs = [ReportRun(run, epochs(metric="iou"), "", f"run{run.seed}") for run in RUNS]
    page = write_report(runs, tmp_path / "report.html", title="masks").read_text(encoding="utf-8")
    assert "<h4>Ensemble members</h4>" in page
    assert "<dd>transformer of cnn, transformer, selected on validation</dd>" in page
    without = [ReportRun(record(0.5, task="segmentation"), epochs(metric="iou"), "", "run")]
    assert "<h4>Ensemble members</h4>" not in write_report(without, tmp_path / "other.html", title="m").read_text(
        encoding="utf-8"
    )
