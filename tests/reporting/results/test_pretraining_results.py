import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from made_pretraining import (
    feature_map,
    health,
    looks,
    pretraining_record,
    pretraining_run,
    started_from,
    write_pretraining,
)
from made_records import record, write_run
from parsed_page import Page
from s4mi.records import MAP_NAME
from s4mi.reporting.figures.pretraining_health import knn_curves, signal_curves, spread_curves
from s4mi.reporting.results.comparison import Technique, compare, comparison_warnings, technique_of
from s4mi.reporting.results.costs import cost_rows
from s4mi.reporting.results.pretraining import collapses, health_by_epoch, names_of, pretraining_table
from s4mi.reporting.results.runs import PretrainingRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.unfinished_runs import load_unfinished
from s4mi.reporting.writers.html import ReportRun, load_pretrainings, load_runs, write_report
from s4mi.reporting.writers.pretraining_figures import pretraining_figures

DINO = pretraining_record(
    start=health(std=0.21, rank=9.4, knn=0.31, teacher_entropy=0.98),
    end=health(std=0.62, rank=31.0, knn=0.55, teacher_entropy=0.61),
)
FLAT = pretraining_record(method="cass", config_hash="q", end=health(std=0.011, rank=1.2))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def page(tmp_path: Path, pretrainings, runs=()) -> Page:
    path = write_report(list(runs), tmp_path / "r.html", title="A study", pretrainings=pretrainings)
    return Page(path.read_text(encoding="utf-8"))


def test_a_row_tells_health_before_and_after() -> None:
    table = pretraining_table([pretraining_run(DINO)])
    assert {column.title: row.plain for column, row in zip(table.columns, table.rows[0].cells, strict=True)} == {
        "Method": "dino (tiny_resnet; seed 0)",
        "Features of": "tiny_resnet",
        "Std": "0.210 → 0.620",
        "Effective rank": "9.4 → 31.0 (of 128)",
        "k-NN macro F1": "0.310 → 0.550",
        "Evenness of the teacher's output": "0.98 → 0.61",
        "Time": "5 min (20 epochs; of 480 images)",
    }


def test_what_was_not_measured_is_a_dash_and_what_has_no_start_shows_its_end() -> None:
    made = pretraining_record(end=health(std=0.5, rank=5, spaces=("tiny_resnet", "tiny_resnet logits")))
    table = pretraining_table([PretrainingRun(made, (), None, "", "x"), pretraining_run(DINO)])
    assert [row.cells[2].text for row in table.rows] == ["0.210 → 0.620", "0.210 → 0.500", "0.500"]
    assert [row.cells[4].shown for row in table.rows] == ["0.310 → 0.550", "–", "–"]
    bare = pretraining_table([PretrainingRun(made, (), None, "", "x")])
    assert "k-NN macro F1" not in [column.title for column in bare.columns], "no run has it"


def test_collapsed_features_have_a_badge() -> None:
    table = pretraining_table([pretraining_run(FLAT, directory="cass-0"), pretraining_run(DINO)])
    assert [row.cells[1].badge for row in table.rows] == ["collapsed", ""]


def test_a_collapse_is_said_in_a_sentence_with_its_numbers_and_health_is_not() -> None:
    (sentence,) = collapses([pretraining_run(FLAT, directory="cass-0"), pretraining_run(DINO)])
    assert sentence.startswith("cass, seed 0: after 20 epochs the features of tiny_resnet had collapsed")
    assert "standard deviation 0.011 < 0.02, effective rank 1.2 of 128 < 1.5" in sentence


def test_the_health_of_epoch_0_is_that_before_training() -> None:
    run = pretraining_run(DINO)
    told = health_by_epoch(run)
    assert [epoch for epoch, _ in told] == list(range(21))
    assert (told[0][1], told[-1][1]) == (DINO.start, run.epochs[-1].health)
    assert health_by_epoch(PretrainingRun(DINO, (), None, "", "x")) == [(0, DINO.start), (20, DINO.end)]


def test_runs_that_differ_in_their_folder_alone_are_named_after_it() -> None:
    runs = [pretraining_run(DINO, directory="a"), pretraining_run(DINO, directory="b")]
    assert names_of(runs) == {"a": "dino (a)", "b": "dino (b)"}
    other = pretraining_run(DINO.model_copy(update={"seed": 1}), directory="b")
    assert names_of([runs[0], other]) == {"a": "dino", "b": "dino"}


def test_curves_begin_before_training_and_name_every_encoder() -> None:
    runs = [pretraining_run(DINO), pretraining_run(FLAT, directory="cass-0")]
    svg = spread_curves(runs)
    assert "dino · tiny_resnet: standard deviation 0.21 before training, 0.62 after 20 epochs" in svg
    assert {"cass · tiny_resnet", "dino · tiny_resnet", "collapse threshold"} <= set(texts(svg))
    assert spread_curves(runs[::-1]) == svg
    assert "evenness of the teacher's output" in texts(signal_curves(runs, "teacher_entropy"))
    assert "dino · tiny_resnet: 0.31 before training, 0.55 after 20 epochs" in knn_curves(runs)
    assert knn_curves([runs[1]]) is None


def test_a_signal_that_was_not_there_before_training_is_not_said_to_have_been() -> None:
    made = DINO.model_copy(update={"start": DINO.start.model_copy(update={"signals": {}})})
    run = PretrainingRun(made, looks(DINO), None, "", "x")
    svg = signal_curves([run], "teacher_entropy")
    assert " after 1 epoch, 0.61 after 20 epochs" in svg


def test_of_several_seeds_one_map_is_drawn() -> None:
    runs = [pretraining_run(DINO.model_copy(update={"seed": seed}), directory=f"{seed}") for seed in (2, 0, 1)]
    maps = [figure for figure in pretraining_figures(runs) if figure.caption.startswith("Map of")]
    assert [figure.caption.split(": ")[0] for figure in maps] == [
        "Map of the features of tiny_resnet after dino, seed 0"
    ]


def test_the_page_has_the_pre_training_of_each_data_set(tmp_path: Path) -> None:
    shown = page(tmp_path, [pretraining_run(DINO), pretraining_run(FLAT, directory="cass-0")])
    assert "No run was fine-tuned and tested yet" in shown.text
    assert shown.text.count("had collapsed") == 2, "at the top and in the section"
    assert "Pre-training without labels" in shown.text
    assert "Made by s4mi from 0 runs and 2 pre-training runs" in shown.text
    assert len(shown.all("caption")) == len(shown.all("table")) == 1
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "Pre-training without labels" not in page(tmp_path, [], [ReportRun(record(), (), "", "a")]).text


def test_synthetic_pre_training_is_called_so(tmp_path: Path) -> None:
    assert "generated by s4mi" in page(tmp_path, [pretraining_run(synthetic=True)]).text
    assert "generated by s4mi" not in page(tmp_path, [pretraining_run()]).text


def test_what_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>"
    made = pretraining_record(method=evil, dataset=evil, end=health(std=0.001, rank=1, spaces=(evil,), **{evil: 0.5}))
    run = PretrainingRun(made, (), feature_map(classes=(evil, "b")), evil, evil)
    text = write_report([], tmp_path / "r.html", title="t", pretrainings=[run]).read_text(encoding="utf-8")
    assert "<script" not in text
    assert evil in Page(text).text


def test_a_run_is_a_row_by_its_technique_and_not_by_its_method() -> None:
    tuned = started_from(record(0.6, backbone="tiny_resnet"), DINO)
    plain = record(0.5, method="finetune", backbone="tiny_resnet").model_copy(update={"technique": "transfer"})
    assert technique_of(tuned) == Technique("dino", "tiny_resnet")
    assert technique_of(record(method="dedl")).method == "dedl"
    (comparison,) = compare([tuned, plain])
    assert len(comparison.records) == 2
    assert comparison_warnings([tuned, plain]) == []


def test_pre_training_is_told_beside_the_cost_of_a_run_and_never_in_it(tmp_path: Path) -> None:
    runs = [started_from(record(0.5, seed=seed, seconds=100, backbone="tiny_resnet"), DINO) for seed in (0, 1)]
    (comparison,) = compare([*runs, record(0.4, method="dedl", seconds=50)])
    rows = {row.technique.method: row for row in cost_rows(comparison, metric_of("multiclass"))}
    assert (rows["dino"].seconds, rows["dino"].pretraining_seconds) == (100, 310)
    assert rows["dedl"].pretraining_seconds is None
    shown = page(tmp_path, [], [ReportRun(run, (), "", f"{run.seed}") for run in runs]).text
    assert "2 min + 5 min pre-training" in shown
    assert "Pre-training comes on top, once for all the runs that start from it." in shown
    assert "tiny_resnet after 20 epochs of dino on 480 images" in shown


def test_pre_training_runs_are_found_and_are_no_failures(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/one", record())
    write_pretraining(tmp_path / "pre/dino", pretraining_run(DINO))
    write_pretraining(tmp_path / "pre/half", pretraining_run(DINO), finished=False)
    write_pretraining(tmp_path / "pre/ill", pretraining_run(FLAT), finished=False)
    runs, notes = load_runs(tmp_path)
    assert [run.directory for run in runs] == ["runs/one"]
    assert notes == []
    half, ill = load_unfinished(tmp_path)
    assert (half.directory, ill.directory) == ("pre/half", "pre/ill")
    assert "collapsed" not in half.line
    assert "the features of tiny_resnet had collapsed" in ill.line
    (found,) = load_pretrainings(tmp_path)
    assert found == PretrainingRun(DINO, looks(DINO), feature_map(), "method:\n  name: dino\n", "pre/dino")


@pytest.mark.parametrize("damage", ["{", None])
def test_a_map_that_cannot_be_read_is_none(tmp_path: Path, damage: str | None) -> None:
    write_pretraining(tmp_path / "dino", pretraining_run(DINO))
    path = tmp_path / "dino" / MAP_NAME
    path.unlink() if damage is None else path.write_text(damage, encoding="utf-8")
    assert load_pretrainings(tmp_path)[0].feature_map is None
