"""The CSV files read back to the numbers of the tables and of the records."""

import csv
import io
import random
from pathlib import Path

from made_records import epochs, record
from s4mi.records import RunRecord
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import MAJORITY
from s4mi.reporting.results.tables import result_tables
from s4mi.reporting.writers.csv import RUNS, SUMMARY, runs_csv, summary_csv, write_csv


def study() -> list[RunRecord]:
    return [
        record(0.5 + 0.1 * (m == "b") + 0.002 * f + 0.01 * seed, method=m, fraction=f, seed=seed, task=task)
        for task in ("multiclass", "multilabel", "segmentation")
        for m in "ab"
        for f in (10.0, 100.0)
        for seed in (0, 1)
    ]


def loaded(records: list[RunRecord]) -> list[ReportRun]:
    return [ReportRun(one, epochs(), "", f"{i:02}") for i, one in enumerate(records)]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_summary_reads_back_to_full_precision() -> None:
    rows = {
        (row["task"], row["metric"], row["method"], row["label_fraction"]): row
        for row in rows_of(summary_csv(study()))
        if not row["class"]
    }
    for table in result_tables(study()):
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                read = rows[table.task, table.metric.name, row.technique.method, f"{column.fraction:g}"]
                known = cell.interval
                assert (float(read["mean"]), float(read["low"]), float(read["high"]), int(read["n"])) == (
                    known.mean,
                    known.low,
                    known.high,
                    known.n,
                )
                assert read["best"] == str(int(cell.best))
    assert ("multiclass", "f1_macro", MAJORITY, "10") in rows


def test_the_summary_has_every_class_and_no_interval_of_one_seed() -> None:
    rows = rows_of(summary_csv([record(0.5)]))
    classes = {(row["metric"], row["class"]) for row in rows if row["class"]}
    assert {("f1", "melanoma"), ("recall", "nevus"), ("auroc", "nevus")} <= classes
    assert all((row["low"], row["high"]) == ("", "") for row in rows)
    assert len({tuple(row.values()) for row in rows}) == len(rows), "no row stands twice"


def test_the_order_of_runs_is_nothing() -> None:
    runs = loaded(study())
    shuffled = runs[:]
    random.Random(0).shuffle(shuffled)
    assert runs_csv(shuffled) == runs_csv(runs)
    assert summary_csv([run.record for run in shuffled]) == summary_csv(study())


def test_the_runs_file_has_every_score_of_every_run_with_its_part() -> None:
    rows = rows_of(runs_csv(loaded([record(0.5, seed=3)])))
    read = {(row["part"], row["metric"], row["class"]): float(row["value"]) for row in rows}
    made = record(0.5, seed=3)
    assert read["test", "f1_macro", ""] == 0.5
    assert read["val", "f1_macro", ""] == 0.99
    assert read["test", "f1", "nevus"] == made.test.per_class["nevus"].f1
    assert {row["seed"] for row in rows} == {"3"}
    assert {row["split_hash"] for row in rows} == {made.split_hash}
    assert {row["energy_wh"] for row in rows} == {""}, "not measured is not 0"


def test_a_run_without_scores_has_a_row_all_the_same() -> None:
    bare = record(None).model_copy(update={"val": None})
    (row,) = rows_of(runs_csv(loaded([bare])))
    assert (row["run"], row["metric"], row["value"]) == ("00", "", "")


def test_both_files_are_written_side_by_side(tmp_path: Path) -> None:
    files = write_csv(loaded(study()), tmp_path / "table.csv")
    assert [file.name for file in files] == ["table.csv", "table-runs.csv"]
    for file, header in zip(files, (SUMMARY, RUNS), strict=True):
        assert file.read_text(encoding="utf-8").splitlines()[0] == ",".join(header)


def test_without_runs_there_are_headers_alone(tmp_path: Path) -> None:
    assert summary_csv([]) == ",".join(SUMMARY) + "\n"
    assert runs_csv([]) == ",".join(RUNS) + "\n"


def test_the_share_of_a_number_of_images_has_all_its_digits() -> None:
    share = 100 * 50 / 480
    run = record(0.5, fraction=share)
    assert {float(row["label_fraction"]) for row in rows_of(summary_csv([run]))} == {share}
    assert {float(row["label_fraction"]) for row in rows_of(runs_csv(loaded([run])))} == {share}
