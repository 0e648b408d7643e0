"""Sentences on one comparison that claim no more than the paired tests support.

    no network         whether any network beats the baseline without one, where there is such a baseline
    few labels         the technique with the best mean, and to which others the difference is significant
    full supervision   the score of supervised training with all labels
    labels needed      how many labels a score takes, or why that is not estimable and what to add

Significant: p < 0.05 in a paired test over seeds after Holm's correction, as in the table of paired comparisons.
"""

from typing import Final

from s4mi.formatting import plural
from s4mi.reporting.results.cards import UNTESTED
from s4mi.reporting.results.findings import Findings, Ranking, baseline_caveat, score_text
from s4mi.reporting.results.label_efficiency import FULL
from s4mi.reporting.results.paired_tests import ALPHA
from s4mi.reporting.results.training_length import last_epoch_sentence, length_sentence
from s4mi.reporting.results.without_network import baseline_sentence

FIRST: Final = {
    "mean": "has the best mean",
    "shared": "is ahead of the others over the seeds that it shares with each",
    "seeds": "was tested with most seeds",
}
"""Why a technique is the first of its column; see `findings.Ranking`."""


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
        findings.answers.sentence,
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
    """The first technique of a column, and whether its lead is significant."""
    best, *others = ranking.entries
    name, score, caveat = best.technique.label, score_text(findings, best.interval), baseline_caveat(ranking)
    column = f"at {ranking.column.with_images}"
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
    return f"{name} {FIRST[ranking.first]} {column}, {score}; {lead}{caveat}"


def _full(findings: Findings) -> str:
    reference, ranking = findings.reference, findings.full
    if reference is None:
        text = "no supervised technique was tested with 100 % of the labels"
        return text if ranking is None else f"{text}; {_winner(findings, ranking)}"
    interval = findings.table.interval(reference.technique, FULL)
    assert interval is not None
    score = score_text(findings, interval)
    text = f"{reference.technique.label} reaches {score} with all {reference.labels:.0f} labels"
    if ranking is None or len(ranking.entries) == 1:
        return text if ranking is None else f"{text}{baseline_caveat(ranking)}"
    best = ranking.entries[0]
    if best.technique == reference.technique:
        none = "has a better mean" if ranking.first == "mean" else "is ahead of it over the seeds that both have"
        return f"{text}; no other technique {none}{baseline_caveat(ranking)}"
    decided = findings.significantly_better(ranking, best.technique, reference.technique)
    lead = f"{score_text(findings, best.interval)}, and the difference is {_significance(decided)}"
    first = f"{best.technique.label} {FIRST[ranking.first]}"
    return f"{text}; with the same labels {first}, {lead}{baseline_caveat(ranking)}"


def _significance(significant: bool) -> str:
    return "significant" if significant else "not significant"
