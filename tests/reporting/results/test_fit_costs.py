"""The time of runs fitted to stored features is told with that of the features."""

import pytest

from made_records import record
from parsed_page import Page
from s4mi.records import Cost, EncodedFeatures, FitRecord, RunRecord
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.costs import cost_rows, cost_table
from s4mi.reporting.results.fit_costs import encoding_sentence, fit_facts, short_duration, training_seconds
from s4mi.reporting.results.run_tables import run_table
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.writers.html import write_report

F1 = metric_of("multiclass")


def fitted(seed: int, *features: tuple[str, int, float], seconds: float = 0.25, method: str = "frozen") -> RunRecord:
    """A run whose features are (name, images computed, seconds)."""
    fit = FitRecord(
        features=[EncodedFeatures(name=name, key=f"key of {name}", computed=n, seconds=s) for name, n, s in features],
        seconds=seconds,
        notes=["no image shows nevus <b>"],
        chosen={"head": "logistic", "strength": 0.0123456},
        scores={"log_loss": 0.51},
    )
    run = record(0.6, method=method, seed=seed)
    cost = Cost.model_validate(run.cost.model_dump() | {"seconds": seconds + sum(s for _, _, s in features)})
    return run.model_copy(update={"fit": fit, "cost": cost})


STUDY = [
    fitted(0, ("vit", 600, 26.0), ("colour", 600, 14.5)),
    fitted(1, ("vit", 0, 0.0), ("colour", 0, 0.0), seconds=0.75),
    fitted(2, ("vit", 600, 3.5), ("colour", 0, 0.0), seconds=0.5),
]


def shown(runs: list[RunRecord]) -> tuple[list[str], list[str], str]:
    """Cells of the time and of the best epoch, and the caption, of the table of runs."""
    table = run_table([ReportRun(run, (), "", f"runs/{n}") for n, run in enumerate(runs)])
    assert table is not None
    titles = [column.title for column in table.columns]
    times, epochs = ([row.cells[titles.index(name)].plain for row in table.rows] for name in ("Time", "Best epoch"))
    return times, epochs, table.caption


def test_the_table_of_runs_says_what_of_the_time_went_into_features() -> None:
    times, epochs, caption = shown([*STUDY, record(0.5, seconds=40)])
    assert times == [
        "41 s (40 s of it for features)",
        "0.8 s (features from the store)",
        "4.0 s (3.5 s of it for features)",
        "40 s",
    ]
    assert epochs == ["fitted at once"] * 3 + ["3 of 4"]
    assert caption.endswith(
        "Features are not free: computing them took 44 s in all (vit 30 s, colour 14 s), in 2 of 3 fitted runs; the "
        "others read them from the store."
    )


def test_features_that_were_stored_before_are_said_to_be() -> None:
    assert encoding_sentence(STUDY[1:2]) == (
        "The features of 1 fitted run were in the store before; computing them took time that no run here includes."
    )
    assert encoding_sentence(STUDY[1:]) == (
        "Features are not free: computing them took 3.5 s in all (vit 3.5 s), in 1 of 2 fitted runs; the others read "
        "them from the store; colour was there before."
    )


def test_runs_without_stored_features_say_nothing_of_them() -> None:
    clusters = fitted(0, method="colour_clusters")
    assert encoding_sentence([record(0.5), clusters]) == ""
    assert shown([record(0.5, seconds=40), clusters])[0] == ["40 s", "0.2 s"]


def test_the_table_of_costs_sets_features_apart_from_fits() -> None:
    (comparison,) = compare(STUDY)
    (row,) = cost_rows(comparison, F1)
    assert row.seconds == pytest.approx(0.5)  # 0.25, 0.75, 0.5
    assert row.feature_seconds == pytest.approx(44.0)
    table = cost_table(comparison, F1)
    assert "0.5 s (+ 44 s features)" in [cell.plain for cell in table.rows[0].cells]
    assert "Computing stored features comes on top, once for all the runs that are fitted to them." in table.caption


def test_features_of_one_arm_are_counted_for_those_that_read_them() -> None:
    reader = fitted(0, ("vit", 0, 0.0), method="frozen_teacher")
    comparison = compare([*STUDY, reader])[0]
    assert {row.technique.method: row.feature_seconds for row in cost_rows(comparison, F1)} == {
        "frozen": pytest.approx(44.0),
        "frozen_teacher": pytest.approx(29.5),
    }
    alone = compare([reader])[0]
    assert "0.2 s (features from the store)" in [cell.plain for cell in cost_table(alone, F1).rows[0].cells]


def test_other_costs_are_as_they_were() -> None:
    (comparison,) = compare([record(0.5, seconds=600)])
    (row,) = cost_rows(comparison, F1)
    assert (row.seconds, row.feature_seconds) == (600, None)
    assert "features" not in cost_table(comparison, F1).caption
    assert training_seconds(record(0.5, seconds=600)) == 600


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.01, "< 0.1 s"),
        (0.05, "0.1 s"),
        (0.34, "0.3 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (720, "12 min"),
    ],
)
def test_short_durations_keep_a_decimal(seconds: float, text: str) -> None:
    assert short_duration(seconds) == text


def test_what_was_chosen_is_among_the_facts_of_a_run(tmp_path) -> None:
    assert STUDY[2].fit is not None
    facts = fit_facts(STUDY[2].fit)
    assert facts == [
        ("Fitted", "at once, in 0.5 s"),
        ("Features", "vit computed in 3.5 s for 600 views of images; colour from the store"),
        ("Chosen inside the labels", "head logistic, strength 0.01235"),
        ("Scores of the choice", "log_loss 0.51"),
        ("Note", "no image shows nevus <b>"),
    ]
    path = write_report([ReportRun(run, (), "", f"{run.seed}") for run in STUDY], tmp_path / "r.html", title="Study")
    text = path.read_text(encoding="utf-8")
    assert text.count("<dt>Chosen inside the labels</dt><dd>head logistic, strength 0.01235</dd>") == 3
    assert "<dt>Best epoch</dt>" not in text
    assert "nevus &lt;b&gt;" in text
    assert "computing them took 44 s in all" in text
    assert Page(text)
