"""Where no network beats the baseline without one, a report says so before anything else."""

import pytest

from made_records import record
from s4mi.config.methods import METHOD_CONFIGS
from s4mi.contract import FrozenEncoderConfig
from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.findings import findings_of
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import result_table
from s4mi.reporting.results.verdict import finding_sentences
from s4mi.reporting.results.without_network import WITHOUT_NETWORK, against_baseline, baseline_sentence
from s4mi.reporting.writers.contents import report_contents
from s4mi.reporting.writers.html import write_report
from s4mi.reporting.writers.markdown_latex import to_latex, to_markdown

COLOUR = {"method": "classical", "backbone": "colour"}
FROZEN = {"method": "frozen", "backbone": "vit"}
BASE = [0.60, 0.70, 0.65]
FEW = "at 10 % of the labels (48 images)"


def seeds(scores: list[float], **about) -> list[RunRecord]:
    return [record(score, seed=seed, **about) for seed, score in enumerate(scores)]


def plus(*differences: float) -> list[float]:
    """Scores that differ from `BASE` by these."""
    return [round(score + difference, 6) for score, difference in zip(BASE, differences, strict=True)]


def findings(runs: list[RunRecord], name: str | None = None):
    return [findings_of(each, result_table(each, metric_of(each.task, name))) for each in compare(runs)]


def first(*runs: RunRecord) -> str:
    """The first sentence on a comparison."""
    (one,) = findings(list(runs))
    return finding_sentences(one)[0]


def outcomes(*runs: RunRecord, name: str | None = None) -> list[str]:
    (one,) = findings(list(runs), name)
    return [met.outcome for met in against_baseline(one)]


def test_a_network_that_wins_is_named_with_its_lead() -> None:
    # Differences of mean 0.1 and deviation 0.01: half-width 4.303 · 0.01 / √3, p of t = 17.3 with 2 degrees of freedom.
    assert first(*seeds(BASE, **COLOUR), *seeds(plus(0.09, 0.11, 0.10), **FROZEN)) == (
        f"A network beats the baseline without one beyond chance: {FEW} frozen · vit beats classical · colour, macro "
        "F1 0.750 (0.575–0.899) against 0.650 (0.518–0.774), ahead by 0.100 ± 0.025 (n = 3 common seeds, "
        "Holm-corrected p = 0.003)."
    )


def test_that_no_network_wins_comes_first_though_one_has_the_better_mean() -> None:
    sentence = first(*seeds(BASE, **COLOUR), *seeds(plus(0.10, -0.05, 0.01), **FROZEN))
    assert sentence.startswith(f"No network beats the baseline without one beyond chance: {FEW} classical · colour has")
    assert "the only network tested, frozen · vit, 0.670 (0.601–0.736), ahead by 0.020 ± 0.188" in sentence


def test_a_network_that_loses_does_not_beat() -> None:
    sentence = first(*seeds(BASE, **COLOUR), *seeds(plus(-0.09, -0.11, -0.10), **FROZEN))
    assert sentence.startswith("No network beats")
    assert "behind by 0.100 ± 0.025 (n = 3 common seeds, Holm-corrected p = 0.003)" in sentence


def test_two_seeds_cannot_tell() -> None:
    sentence = first(*seeds([0.6, 0.7], **COLOUR), *seeds([0.7, 0.9], **FROZEN))
    assert sentence.startswith(
        "Whether a network beats the baseline without one is not estimable with 2 common seeds: "
    )
    assert sentence.endswith(
        "ahead by 0.150 ± 0.635 (n = 2 common seeds, Holm-corrected p = 0.205), too few seeds to tell."
    )
    assert "not estimable with 1 common seed" in first(record(0.6, **COLOUR), record(0.9, **FROZEN))


def test_what_few_seeds_leave_open_is_not_settled_by_other_networks() -> None:
    runs = [*seeds(BASE, **COLOUR), *seeds(plus(-0.09, -0.11, -0.10), **FROZEN)]
    ahead = seeds([0.9], method="finetune")
    assert first(*runs, *ahead).startswith("Whether a network beats the baseline without one is not estimable with 1")
    assert "has macro F1 0.650 (0.518–0.774) (n = 3), and finetune · resnet10, 0.900, n = 1 common seed" in first(
        *runs, *ahead
    )
    behind = seeds([0.1], method="finetune")
    assert "the only network tested (1 other with too few seeds there), frozen" in first(*runs, *behind)


def test_holms_correction_counts_every_pair() -> None:
    runs = [*seeds(BASE, **COLOUR), *seeds(plus(0.08, 0.10, 0.12), **FROZEN)]  # p = 0.013 by itself
    assert outcomes(*runs) == ["beaten"]
    others = [seeds(plus(0.01 * n, -0.02, 0.013 * n), method=f"other{n}") for n in range(3)]
    assert outcomes(*runs, *(run for other in others for run in other)) == ["unbeaten"]  # of ten pairs


def test_the_baseline_is_the_best_technique_without_a_network() -> None:
    weak = seeds(plus(-0.3, -0.31, -0.32), method="classical", backbone="shape")
    (one,) = findings([*weak, *seeds(BASE, **COLOUR), *seeds(plus(-0.1, -0.11, -0.12), **FROZEN)])
    (met,) = against_baseline(one)
    assert met.baseline.technique.backbone == "colour"
    assert met.outcome == "unbeaten"  # though it beats the weak one


def test_label_fractions_are_told_apart() -> None:
    runs = [
        *seeds(BASE, **COLOUR),
        *seeds(plus(0.09, 0.11, 0.10), **FROZEN),
        *seeds(BASE, fraction=100.0, **COLOUR),
        *seeds(plus(0.1, -0.1, 0.02), fraction=100.0, **FROZEN),
    ]
    assert outcomes(*runs) == ["beaten", "unbeaten"]
    sentence = first(*runs)
    assert sentence.startswith(
        "A network beats the baseline without one at 10 % of the labels, none is shown to at 100 %"
    )
    assert sentence.index("at 10 % of the labels (48") < sentence.index("; at 100 % of the labels (480 images)")


def test_a_smaller_distance_is_the_better_one() -> None:
    runs = [
        *seeds(BASE, task="segmentation", method="classical_segmenter", backbone="forest"),
        *seeds(plus(0.09, 0.11, 0.10), task="segmentation", method="dedl"),
    ]
    assert outcomes(*runs, name="hd95") == ["beaten"]
    sentence = baseline_sentence(findings(runs, "hd95")[0])
    assert sentence is not None
    assert "U-Net (DEDL) · resnet10 beats classical segmenter · forest" in sentence
    assert "ahead by 8.0 ± 2.0" in sentence  # 80 times the lead in IoU


def test_without_labels_colours_stand_beside_networks() -> None:
    runs = [
        *seeds(BASE, task="segmentation", fraction=0.0, method="colour_clusters", backbone="colour"),
        *seeds(plus(-0.1, 0.05, 0.01), task="segmentation", fraction=0.0, method="picie"),
        *seeds(plus(0.1, 0.11, 0.12), task="segmentation", method="dedl"),
    ]
    assert "beyond chance: without labels colour clusters · colour has IoU 0.650" in first(*runs)
    assert "(1 other with too few seeds there), PiCIE" in first(*runs)


def test_the_method_decides_and_not_the_name_of_the_arm() -> None:
    joined = [run.model_copy(update={"technique": "classical"}) for run in seeds(plus(0.09, 0.11, 0.10), **FROZEN)]
    renamed = [run.model_copy(update={"technique": "vit-ours"}) for run in seeds(BASE, **COLOUR)]
    assert "classical · vit beats vit-ours · colour" in first(*renamed, *joined)


@pytest.mark.parametrize("about", [COLOUR, FROZEN])
def test_nothing_is_said_of_networks_where_one_side_is_missing(about: dict[str, str]) -> None:
    runs = [*seeds(BASE, **about), *seeds(plus(0.1, 0.2, 0.1), method=about["method"], backbone="another")]
    assert first(*runs).startswith("Few labels")


def test_every_writer_puts_it_first_where_no_network_is_shown_to_win(tmp_path) -> None:
    sets = [
        ReportRun(run, (), "", f"{run.dataset}-{run.method}-{run.seed}")
        for lead, name in ((plus(0.1, -0.1, 0), "lost"), (plus(0.09, 0.11, 0.10), "won"))
        for run in [*seeds(BASE, dataset=name, **COLOUR), *seeds(lead, dataset=name, **FROZEN)]
    ]
    contents = report_contents(sets, title="Study")
    lost, won = contents.cards
    assert lost.sentences[0] == "No network beats the baseline of colour, texture and shape beyond chance."
    assert won.sentences[0].startswith("With 48 labels: macro F1 0.75 (0.58–0.90), frozen · vit, significantly better")
    assert "A baseline of colour, texture and shape has 0.65 (0.52–0.77) with 48; a network beats it beyond" in won.text
    for text in (to_markdown(contents), to_latex(contents)):
        assert text.index(lost.sentences[0]) < text.index("With 48 labels")
    page = write_report(sets, tmp_path / "report.html", title="Study").read_text(encoding="utf-8")
    first = page[page.index('<article class="card"') :]
    assert first.index("No network beats") < first.index("With 48 labels")


def test_every_method_without_a_network_is_known() -> None:
    """A method has none if it is fitted, names no backbone and starts from no weights."""
    fitted = [each for each in METHOD_CONFIGS if each.fitted and not issubclass(each, FrozenEncoderConfig)]
    assert {each.model_fields["name"].default for each in fitted if not each.starts} == WITHOUT_NETWORK
