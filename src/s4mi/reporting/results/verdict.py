"""The verdict of a report: sentences that claim no more than the paired tests support.

    no network         whether any network beats the baseline without one, where there is such a baseline
    few labels         the technique with the best mean, and to which others the difference is significant
    full supervision   the score of supervised training with all labels
    labels needed      the number of labels at which another technique reaches that score

Significant: p < 0.05 in a paired test over seeds after Holm's correction, as in the table of paired comparisons.
"""

from collections import Counter
from collections.abc import Sequence

from s4mi.formatting import plural
from s4mi.maths.stats import mean_interval
from s4mi.reporting.results.findings import Findings, Ranking, majority_caveat, score_text
from s4mi.reporting.results.paired_tests import ALPHA
from s4mi.reporting.results.training_length import last_epoch_sentence, length_sentence
from s4mi.reporting.results.without_network import baseline_sentence, counted_sentence

NO_RUNS = "There is no finished run yet."
UNTESTED = "No run was tested yet, so there is nothing to compare."
BRIEF_UP_TO = 3
"""With more comparisons the verdict gives counts; each comparison has its own sentences in its section."""


def verdict(findings: Sequence[Findings]) -> list[str]:
    """Return three sentences on all comparisons together, or one if there is nothing to compare.

    If several techniques compete in some comparisons, the others are ignored. Before them, a sentence says whether any
    network beats the baseline without one; after them, another which runs may have trained too briefly.
    """
    if not findings:
        return [NO_RUNS]
    if not any(_is_tested(one) for one in findings):
        return [UNTESTED]
    contested = [one for one in findings if len(one.table.rows) > 1] or list(findings)
    if len(findings) == 1:
        return finding_sentences(findings[0])
    length = length_sentence([record for one in findings for record in one.comparison.records])
    return [*_against_baselines(contested), *_joint_verdict(contested), *filter(None, [length])]


def finding_sentences(findings: Findings) -> list[str]:
    """Return the sentences on one comparison: no network, the three, training length; one if nothing was tested."""
    if not _is_tested(findings):
        return [UNTESTED]
    records = findings.comparison.records
    length = (length_sentence(records), last_epoch_sentence(records, findings.table.metric))
    return [
        *filter(None, [baseline_sentence(findings)]),
        f"Few labels: {_few(findings)}.",
        f"Full supervision: {_full(findings)}.",
        f"Labels needed: {findings.need.sentence}.",
        *filter(None, length),
    ]


def _is_tested(findings: Findings) -> bool:
    return any((findings.few, findings.full, findings.none))


def _few(findings: Findings) -> str:
    ranking, unlabelled = findings.few, findings.none
    text = "nothing was tested between 0 % and 100 % of the labels" if ranking is None else _winner(findings, ranking)
    if unlabelled is None:
        return text
    best = unlabelled.entries[0]
    return f"{text}; without labels {best.technique.label} reaches {score_text(findings, best.interval)}"


def _winner(findings: Findings, ranking: Ranking) -> str:
    """Technique with the best mean of a column, and whether its lead is significant."""
    best, *others = ranking.entries
    name, score, caveat = best.technique.label, score_text(findings, best.interval), majority_caveat(ranking)
    column = f"at {ranking.column.title} of the labels ({ranking.column.labelled} images)"
    if not others:
        return f"only {name} was tested {column}, {score}{caveat}"
    undecided = findings.undecided(ranking)
    if not undecided:
        rest = "the other technique" if len(others) == 1 else f"all {len(others)} others"
        test = f"paired over seeds, p < {ALPHA:g} after Holm's correction"
        return f"{name} is best {column}, {score}, significantly better than {rest} ({test}){caveat}"
    rival = undecided[0].technique.label
    if len(undecided) < len(others):
        decided = len(others) - len(undecided)
        lead = f"significantly better than {decided} of the {len(others)} others, but not than {rival}"
    else:
        more = f" and {plural(len(undecided) - 1, 'other')}" if len(undecided) > 1 else ""
        lead = f"difference to {rival}{more} is not significant across seeds"
    return f"{name} has the best mean {column}, {score}; {lead}{caveat}"


def _full(findings: Findings) -> str:
    reference, ranking = findings.reference, findings.full
    if reference is None:
        text = "no supervised technique was tested with 100 % of the labels"
        return text if ranking is None else f"{text}; {_winner(findings, ranking)}"
    score = score_text(findings, mean_interval(list(reference.scores.values()), limits=findings.table.metric.limits))
    text = f"{reference.technique.label} reaches {score} with all {reference.labels:.0f} labels"
    if ranking is None or len(ranking.entries) == 1:
        return text if ranking is None else f"{text}{majority_caveat(ranking)}"
    best = ranking.entries[0]
    if best.technique == reference.technique:
        return f"{text}; no other technique has a better mean{majority_caveat(ranking)}"
    decided = findings.significantly_better(ranking, best.technique, reference.technique)
    lead = f"{score_text(findings, best.interval)}, and the difference is {_significance(decided)}"
    return f"{text}; with the same labels {best.technique.label} has the best mean, {lead}{majority_caveat(ranking)}"


def _significance(significant: bool) -> str:
    return "significant" if significant else "not significant"


def _joint_verdict(findings: Sequence[Findings]) -> list[str]:
    """Three sentences on two comparisons or more."""
    if len(findings) > BRIEF_UP_TO:
        return [_few_counted(findings), _full_counted(findings), _needed_counted(findings)]
    return [
        f"{topic}: " + "; ".join(f"{one.comparison.title}, {describe(one)}" for one in findings) + "."
        for topic, describe in (
            ("Few labels", _few_briefly),
            ("Full supervision", _full_briefly),
            ("Labels needed", _needed_briefly),
        )
    ]


def _against_baselines(findings: Sequence[Findings]) -> list[str]:
    """A sentence on each comparison that has techniques with and without a network, or one that counts many."""
    if len(findings) > BRIEF_UP_TO:
        return list(filter(None, [counted_sentence(findings)]))
    return list(filter(None, (baseline_sentence(one, title=one.comparison.title) for one in findings)))


def _few_briefly(findings: Findings) -> str:
    ranking = findings.few
    if ranking is None:
        return "nothing tested between 0 % and 100 % of the labels"
    best, *others = ranking.entries
    score = f"{findings.table.metric.label} {best.cell.value} ({best.cell.count})"
    if not others:
        return f"only {best.technique.label} was tested at {ranking.column.title}, {score}"
    decided = len(others) - len(findings.undecided(ranking))
    lead = f"lead {_significance(decided == len(others))}"
    if 0 < decided < len(others):
        lead = f"lead significant over {decided} of {len(others)}"
    return f"{best.technique.label} leads at {ranking.column.title} with {score}, {lead}{majority_caveat(ranking)}"


def _full_briefly(findings: Findings) -> str:
    reference, ranking = findings.reference, findings.full
    if reference is None:
        return "not tested"
    score = score_text(findings, mean_interval(list(reference.scores.values()), limits=findings.table.metric.limits))
    text = f"{reference.technique.label} reaches {score}"
    if ranking is None or ranking.entries[0].technique == reference.technique:
        return text
    best = ranking.entries[0]
    decided = findings.significantly_better(ranking, best.technique, reference.technique)
    name = best.technique.label
    return f"{text}, {name} {best.cell.value} ({best.cell.count}), difference {_significance(decided)}"


def _needed_briefly(findings: Findings) -> str:
    need = findings.need
    if need.best is not None:
        return f"{need.best.technique} reaches full supervision at {need.best.labels} ({need.best.percent} saved)"
    texts = {"open": "uncertain", "never": "full supervision not reached by any technique"}
    return texts.get(need.kind, "not estimable")


def _few_counted(findings: Sequence[Findings]) -> str:
    ranked = [(one, ranking) for one in findings if (ranking := one.few) and len(ranking.entries) > 1]
    if not ranked:
        return "Few labels: no comparison has two techniques tested between 0 % and 100 % of the labels."
    wins = Counter(ranking.entries[0].technique.label for _, ranking in ranked)
    decided = sum(not one.undecided(ranking) for one, ranking in ranked)
    winners = ", ".join(f"{name} in {n}" for name, n in sorted(wins.items(), key=lambda win: (-win[1], win[0])))
    return (
        f"Few labels: best mean at the smallest label fraction of {len(ranked)} comparisons: {winners}; "
        f"significantly better than every other technique in {decided or 'none'}."
    )


def _full_counted(findings: Sequence[Findings]) -> str:
    tested = [one for one in findings if one.reference is not None and one.full is not None]
    if not tested:
        return "Full supervision: no comparison has a supervised technique tested with 100 % of the labels."
    ahead = decided = 0
    for one in tested:
        assert one.reference is not None
        assert one.full is not None
        best = one.full.entries[0].technique
        ahead += best != one.reference.technique
        decided += one.significantly_better(one.full, best, one.reference.technique)
    better = "no other technique has a better mean in any"
    if ahead:
        better = f"another technique has a better mean in {ahead}, significantly in {decided or 'none'}"
    return f"Full supervision: tested in {len(tested)} of {len(findings)} comparisons; with the same labels {better}."


def _needed_counted(findings: Sequence[Findings]) -> str:
    needs = [one.need for one in findings]
    reached = [
        f"{need.best.technique} at {need.best.labels} labels on {one.comparison.title} ({need.best.percent} saved)"
        for one, need in zip(findings, needs, strict=True)
        if need.kind == "reached" and need.best is not None
    ]
    counts: Counter[str] = Counter(need.kind for need in needs)
    texts = {"open": "uncertain", "never": "not reached by any technique", "unknown": "not estimable"}
    others = [f"{text} in {counts[kind]}" for kind, text in texts.items() if counts[kind]]
    first = "no technique is shown to reach full supervision with fewer labels"
    if reached:
        first = f"full supervision is reached by {'; '.join(reached)}"
    return f"Labels needed: {'; '.join([first, *others])}."
