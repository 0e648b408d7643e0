"""The effect of annotations is computed from runs that differ in the version of their data set alone."""

from pathlib import Path

import pytest
import scipy.stats

from made_data import facts
from made_records import epochs, record, write_run
from s4mi.recipes.report import report
from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.version_gains import TITLE, VersionGains, gains_by_task, gains_of, summary_sentences
from s4mi.reporting.writers.contents import report_contents
from s4mi.reporting.writers.html import write_report

F1 = metric_of("multiclass")
BEFORE, AFTER = (0.50, 0.52, 0.49, 0.51), (0.60, 0.63, 0.61, 0.60)


def one(score: float, *, version: int = 1, test: str = "same", **about) -> ReportRun:
    """A run on a version of a data set; each version has 40 labels more."""
    name = "lesions" if version == 1 else f"lesions, version {version}"
    made = record(score, dataset=name, **{"finished": f"2025-01-0{version}T00:00:00Z"} | about)
    labels = made.labels.model_copy(update={"train_labelled": 40 * version})
    known = facts(made, test=test).model_copy(update={"version": version})
    made = made.model_copy(update={"labels": labels, "data": known})
    return ReportRun(made, epochs(), "", f"runs/{made.method}-v{version}-{made.seed}-{made.label_fraction:g}")


def runs(scores, **about) -> list[ReportRun]:
    return [one(score, seed=seed, **about) for seed, score in enumerate(scores)]


def newest(made: list[ReportRun]) -> VersionGains | None:
    return gains_of(compare([run.record for run in made])[-1], F1, made)


def test_the_difference_is_that_of_the_same_seeds_on_two_versions() -> None:
    gains = newest([*runs(BEFORE), *runs(AFTER, version=2)])
    assert gains is not None
    (row,) = gains.rows
    test = scipy.stats.ttest_rel(AFTER, BEFORE)
    low, high = test.confidence_interval()
    assert row.seeds.test.difference.mean == pytest.approx(0.105)
    assert (row.seeds.test.difference.low, row.seeds.test.difference.high) == pytest.approx((low, high))
    assert row.seeds.test.p == pytest.approx(test.pvalue)
    assert (row.labels, row.version, gains.version, gains.tested) == (("40", "80"), 1, 2, "120")
    assert (row.before.value[:5], row.after.value[:5]) == ("0.505", "0.610")
    assert "with 80 labels instead of 40 (version 1 → 2)" in gains.sentence
    assert "significantly better (paired over n = 4 seeds, p < 0.05" in gains.sentence
    assert gains.caution == ""


def test_runs_that_end_in_the_same_second_are_distinguished() -> None:
    then = "2025-01-01T00:00:00Z"
    gains = newest([*runs(AFTER, version=2, finished=then), *runs(BEFORE, finished=then)])
    assert gains is not None
    (row,) = gains.rows
    assert row.seeds.n == len(BEFORE)
    assert row.seeds.test.difference.mean == pytest.approx(0.105)


def test_with_two_seeds_nothing_is_claimed_and_more_are_asked_for() -> None:
    gains = newest([*runs(BEFORE[:2]), *runs(AFTER[:2], version=2)])
    assert gains is not None
    assert "the difference is not significant" in gains.sentence or "significantly better" in gains.sentence
    assert "2 seeds are too few to conclude anything" in gains.sentence
    assert "data.version=1" in gains.sentence
    alone = newest([*runs(BEFORE[:1]), *runs(AFTER[:1], version=2)])
    assert alone is not None
    assert "not tested (n = 1 seed). 1 seed is too few to conclude anything" in alone.sentence


def changed(run: ReportRun, **to) -> ReportRun:
    return ReportRun(run.record.model_copy(update=to), run.epochs, "", run.directory)


@pytest.mark.parametrize("what", ["settings", "images", "truth", "classes", "method", "fraction", "unknown"])
def test_runs_that_differ_in_more_than_the_labels_make_no_pair(what: str) -> None:
    after = one(0.6, version=2)
    before = {
        "settings": changed(one(0.5), config_hash="other"),
        "images": one(0.5, test="other"),
        "truth": one(0.5),
        "classes": one(0.5, classes=("melanoma", "nevus")),
        "method": one(0.5, method="dino"),
        "fraction": one(0.5, fraction=50.0),
        "unknown": changed(one(0.5), data=None),
    }[what]
    if what == "truth":
        test = before.record.test
        assert test is not None
        classes = {name: own.model_copy(update={"support": own.support + 1}) for name, own in test.per_class.items()}
        before = changed(before, test=test.model_copy(update={"per_class": classes}))
    assert newest([before, after]) is None


def test_a_data_set_of_one_version_has_no_such_section(tmp_path: Path) -> None:
    assert newest(runs(BEFORE)) is None
    write_report(runs(BEFORE), tmp_path / "report.html", title="One")
    assert TITLE not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert summary_sentences([]) == []


def test_of_many_versions_the_first_and_the_last_before_are_set_beside_the_newest() -> None:
    made = [run for version in (1, 2, 3, 4) for run in runs([0.4 + 0.05 * version] * 2, version=version)]
    gains = newest(made)
    assert gains is not None
    assert [(row.version, row.labels) for row in gains.rows] == [(1, ("40", "160")), (3, ("120", "160"))]
    assert gains.unpaired == 0


def test_a_study_shows_the_older_runs_there_alone_and_says_what_they_are(tmp_path: Path) -> None:
    old, new = (
        [*runs(BEFORE), *runs(BEFORE, method="dino")],
        [*runs(AFTER, version=2), *runs(BEFORE, method="dino", version=2)],
    )
    stray = one(0.9, method="gone", version=2)
    for run in [*old, *new, stray]:
        write_run(tmp_path / run.directory, run.record)
    named = {run.directory for run in new}
    made = report(tmp_path, tmp_path / "report.html", only=named, sheets=False)
    assert made.runs == len(new)
    assert "8 runs on version 1 of lesions" in made.notes[-2]
    assert made.notes[-1] == "not included: 1 run in this folder that the study no longer lists"
    assert [row.technique.method for row in made.gains[0].rows] == ["dino", "transfer"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('<h2 id="data-') == 1, "older runs have no section of their own"
    assert TITLE in page
    assert "New annotations:" in page
    assert "40 → 80" in page
    report(tmp_path, tmp_path / "tables.md", only=named)
    assert f"### {TITLE}" in (tmp_path / "tables.md").read_text(encoding="utf-8")


def test_the_table_of_a_text_says_the_same() -> None:
    made = [*runs(BEFORE), *runs(AFTER, version=2)]
    text = report_contents(made, title="Both")
    (table,) = [table for table in text.tables if table.title == TITLE]
    assert [cell.plain for cell in table.rows[0].cells[:2]] == [
        "transfer (resnet10)", "40 → 80 (10 %; version 1 → 2)"
    ]  # fmt: skip
    assert any(sentence.startswith("New annotations: with 80 labels") for sentence in text.verdict)


def test_two_tasks_share_one_sentence_at_the_head() -> None:
    records: list[RunRecord] = [run.record for run in [*runs(BEFORE[:2]), *runs(AFTER[:2], version=2)]]
    made = [ReportRun(each, (), "", str(n)) for n, each in enumerate(records)]
    gains = newest(made)
    assert gains is not None
    (told,) = summary_sentences([gains, gains])
    assert told.count("too few to conclude anything") == 1
    assert told.count("better in 1 and worse in 0 of 1") == 2


def counting(run: ReportRun) -> ReportRun:
    """The run with its validation labels counted, which makes its settings others."""
    labels = run.record.labels.model_copy(update={"counted": True, "validation": 0})
    return changed(run, labels=labels, config_hash=f"{run.record.config_hash}-counted")


def test_runs_that_count_labels_in_two_ways_have_a_gain_each() -> None:
    plain = [*runs(BEFORE), *runs(AFTER, version=2)]
    others = [counting(run) for run in [*runs(AFTER), *runs(BEFORE, version=2)]]
    gains = gains_by_task([*plain, *others])
    means = {counted: one.rows[0].seeds.test.difference.mean for (_, _, counted), one in gains.items()}
    assert means == {False: pytest.approx(0.105), True: pytest.approx(-0.105)}
    assert [one.unpaired for one in gains.values()] == [0, 0]
    assert len({one.title for one in gains.values()}) == 2
    sections = report_contents([*plain, *others], title="both").datasets[-1].tasks
    told = [section.gains.rows[0].seeds.test.difference.mean for section in sections if section.gains]
    assert sorted(told) == [pytest.approx(-0.105), pytest.approx(0.105)], "each section tells its own"
