"""A report says which runs may have trained too briefly, and what the last epoch scored."""

import csv
import io

from made_records import record, segmentation_scores
from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.findings import findings_of
from s4mi.reporting.results.run_tables import run_table
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import result_table
from s4mi.reporting.results.training_length import last_epoch_sentence, last_score, length_sentence
from s4mi.reporting.results.verdict import finding_sentences
from s4mi.reporting.writers.contents import report_contents
from s4mi.reporting.writers.csv import runs_csv

IOU = metric_of("segmentation")


def made(seed: int = 0, *, last: float | None = None, dataset: str = "lesions", **about: object) -> RunRecord:
    scores = {} if last is None else {"last_test": segmentation_scores(last)}
    run = record(0.8, task="segmentation", method="dedl", dataset=dataset, seed=seed)
    return run.model_copy(update={**scores, **about})


def test_runs_of_older_versions_are_not_judged() -> None:
    assert length_sentence([made(), made(1)]) is None
    assert last_epoch_sentence([made(), made(1)], IOU) is None


def test_long_runs_need_no_sentence() -> None:
    assert length_sentence([made(steps=200), made(1, steps=4000)]) is None


def test_runs_that_ended_improving_or_made_few_steps_are_counted() -> None:
    runs = [made(steps=400, ended_improving=True), made(1, steps=30), made(2, steps=400), made(3)]
    assert length_sentence(runs) == (
        "Training length: in 1 of 3 runs the best epoch was the last (U-Net (DEDL) · resnet10), so that more steps may "
        "raise their scores; 1 of 3 made fewer than 200 optimiser steps (U-Net (DEDL) · resnet10)."
    )


def test_the_last_epoch_is_compared_over_the_runs_where_it_is_another() -> None:
    runs = [made(last=0.7), made(1, last=0.8), made(2)]
    assert last_epoch_sentence(runs, IOU) == (
        "Last epoch: in the 2 of 3 runs whose best epoch is another, the selected epoch has IoU 0.800 on test and the "
        "last 0.750."
    )
    assert [last_score(run) for run in runs] == [0.7, 0.8, None]


def test_the_sentences_follow_those_on_the_scores_and_a_card_has_the_first() -> None:
    def said(run: RunRecord) -> list[str]:
        (comparison,) = compare([run])
        return finding_sentences(findings_of(comparison, result_table(comparison, metric_of(comparison.task))))

    short = made(steps=30, last=0.7)
    assert [sentence.partition(":")[0] for sentence in said(short)[3:]] == ["Training length", "Last epoch"]
    assert len(said(made(steps=400))) == 3
    (card,) = report_contents([ReportRun(short, (), "", "a")], title="t").cards
    assert card.sentences[-1].startswith("Training length: ")


def test_the_table_of_runs_has_the_steps_and_the_score_of_the_last_epoch() -> None:
    table = run_table([ReportRun(made(steps=400, last=0.71), (), "", "runs/a"), ReportRun(made(1), (), "", "runs/b")])
    assert table is not None
    columns = [column.plain for column in table.columns]
    score, epoch = (table.rows[0].cells[columns.index(name)] for name in ("Test score", "Best epoch"))
    assert (score.plain, epoch.plain) == ("0.800 (IoU; last epoch 0.710)", "3 of 4 (400 steps)")
    score, epoch = (table.rows[1].cells[columns.index(name)] for name in ("Test score", "Best epoch"))
    assert (score.plain, epoch.plain) == ("0.800 (IoU)", "3 of 4")


def test_the_csv_of_runs_has_both() -> None:
    rows = list(csv.DictReader(io.StringIO(runs_csv([ReportRun(made(steps=400, last=0.71), (), "", "runs/a")]))))
    assert {row["steps"] for row in rows} == {"400"}
    values = {row["part"]: float(row["value"]) for row in rows if row["metric"] == "iou" and not row["class"]}
    assert values == {"val": 0.99, "test": 0.8, "last_test": 0.71}
