"""Whether any network beats the techniques without one: the first thing that a reader with few labels must know.

    baseline    of the techniques without a network, the one with the best mean at a label fraction
    beaten      a network has the better mean, and the paired test over seeds is significant after Holm's correction
    unbeaten    none has
    untold      none has, and too few seeds were tested to expect one

The tests are those of the table of paired comparisons, at its label fractions. The method in the record decides, not
the name that a study gives it; frozen features joined with classical ones come from a network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from s4mi.formatting import plural
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.few import and_few
from s4mi.reporting.results.findings import Findings, RankedTechnique, Ranking, rank
from s4mi.reporting.results.paired_tests import TechniquePair, compared, tested_fractions
from s4mi.reporting.results.scores import spread
from s4mi.reporting.results.shared_seeds import in_common

WITHOUT_NETWORK: Final = frozenset({"classical", "classical_segmenter", "colour_clusters"})
FEWEST_SEEDS: Final = 3
"""With two seeds, a paired test has one degree of freedom and misses nearly every difference."""

Outcome = Literal["beaten", "unbeaten", "untold"]


@dataclass(frozen=True)
class Rival:
    """A technique with a network beside the baseline.

    Attributes:
        seeds: number of seeds that both were tested with, on the same split.
        pair: their paired test; None with fewer than two such seeds.
    """

    ranked: RankedTechnique
    seeds: int
    pair: TechniquePair | None

    @property
    def ahead(self) -> bool:
        return self.pair is not None and self.pair.ahead == self.ranked.technique

    @property
    def beats(self) -> bool:
        return self.pair is not None and self.ahead and self.pair.seeds.significant

    @property
    def tested(self) -> bool:
        return self.seeds >= FEWEST_SEEDS and self.pair is not None and self.pair.seeds.test.p is not None


@dataclass(frozen=True)
class AtFraction:
    """The baseline and all networks at one label fraction.

    Attributes:
        rivals: best mean first; never empty.
        elsewhere: number of techniques with a network that were not tested at this fraction.
    """

    ranking: Ranking
    baseline: RankedTechnique
    rivals: tuple[Rival, ...]
    elsewhere: int

    @property
    def winners(self) -> tuple[Rival, ...]:
        """Networks that beat the baseline beyond chance, best mean first."""
        return tuple(rival for rival in self.rivals if rival.beats)

    @property
    def open(self) -> Rival | None:
        """The network with the best mean of those that too few seeds decide about; None where others settle it."""
        undecided = [rival for rival in self.rivals if not rival.tested]
        if len(undecided) < len(self.rivals):
            order = self.ranking.entries.index
            undecided = [one for one in undecided if one.ahead or order(one.ranked) < order(self.baseline)]
        return undecided[0] if undecided else None

    @property
    def outcome(self) -> Outcome:
        if self.winners:
            return "beaten"
        return "unbeaten" if self.open is None else "untold"


def has_network(comparison: Comparison, technique: Technique) -> bool:
    """Whether any run of a technique has a network."""
    methods = {record.method for at in comparison.fractions for record in comparison.at(technique, at)}
    return not methods <= WITHOUT_NETWORK


def against_baseline(findings: Findings) -> tuple[AtFraction, ...]:
    """Networks beside the best technique without one, by label fraction; empty where the two do not meet."""
    comparison = findings.comparison
    networks = {one for one in comparison.techniques if has_network(comparison, one)}
    if networks == set(comparison.techniques):
        return ()
    fractions = tested_fractions(comparison)
    found = []
    for number, column in enumerate(findings.table.columns):
        ranking = rank(findings.table, number) if column.fraction in fractions else None
        if ranking is None:
            continue
        baseline = next((entry for entry in ranking.entries if entry.technique not in networks), None)
        rivals = [entry for entry in ranking.entries if entry.technique in networks]
        if baseline is not None and rivals:
            met = tuple(_rival(findings, ranking, baseline, entry) for entry in rivals)
            found.append(AtFraction(ranking, baseline, met, len(networks) - len(rivals)))
    return tuple(found)


def _rival(findings: Findings, ranking: Ranking, baseline: RankedTechnique, entry: RankedTechnique) -> Rival:
    one, other, fraction = baseline.technique, entry.technique, ranking.column.fraction
    seeds = len(in_common(findings.comparison, findings.table.metric, one, other, fraction=fraction))
    rows = (row for row in findings.pairs.rows if row.column.fraction == fraction)
    return Rival(entry, seeds, next((row for row in rows if {row.ahead, row.behind} == {one, other}), None))


def baseline_sentence(findings: Findings) -> str | None:
    """One sentence on one comparison, with the scores at each label fraction; None without a baseline and a network."""
    met = against_baseline(findings)
    if not met:
        return None
    return f"{_headline(met)}: {'; '.join(_at(findings, one) for one in met)}."


def _headline(met: Sequence[AtFraction]) -> str:
    outcomes = {one.outcome for one in met}
    if outcomes == {"unbeaten"}:
        return "No network beats the baseline without one beyond chance"
    if outcomes == {"untold"}:
        seeds = max(one.open.seeds for one in met if one.open is not None)
        few = f" with {plural(seeds, 'common seed')}" if seeds < FEWEST_SEEDS else ""
        return f"Whether a network beats the baseline without one is not estimable{few}"
    if outcomes == {"beaten"}:
        return "A network beats the baseline without one beyond chance"
    if "beaten" not in outcomes:
        return "No network is shown to beat the baseline without one"
    won, lost = (
        [one.ranking.column.title for one in met if (one.outcome == "beaten") == wins] for wins in (True, False)
    )
    share = "" if any(one.ranking.column.asked for one in met) else " of the labels"
    return f"A network beats the baseline without one at {_listed(won)}{share}, none is shown to at {_listed(lost)}"


def _at(findings: Findings, one: AtFraction) -> str:
    """What holds at one label fraction, with means, intervals and seeds."""
    column, baseline, label = one.ranking.column, one.baseline, findings.table.metric.label
    where = "without labels" if not column.fraction else f"at {column.with_images}"
    name = baseline.technique.label
    if one.outcome == "beaten":
        best, more = one.winners[0], len(one.winners) - 1
        share = f", as {'does' if more == 1 else 'do'} {plural(more, 'other network')}" if more else ""
        scores = f"{label} {_score(best.ranked, best)} against {_score(baseline, best)}"
        return f"{where} {best.ranked.technique.label} beats {name}, {scores}, {_lead(findings, best)}{share}"
    if one.open is not None:
        why = "too few seeds to tell" if one.open.seeds < FEWEST_SEEDS else "which no test can judge"
        score = f"{label} {_score(baseline, one.open)}"
        return f"{where} {name} has {score}, and {_beside(findings, one.open)}, {why}"
    tested = [rival for rival in one.rivals if rival.tested]
    which = "the only network" if len(tested) == 1 else f"the best of {len(tested)} networks"
    others = one.elsewhere + len(one.rivals) - len(tested)
    untested = f" ({plural(others, 'other')} with too few seeds there)" if others else ""
    score = f"{label} {_score(baseline, tested[0])}"
    return f"{where} {name} has {score}, and {which} tested{untested}, {_beside(findings, tested[0])}"


def _beside(findings: Findings, rival: Rival) -> str:
    return f"{rival.ranked.technique.label}, {_score(rival.ranked, rival)}, {_lead(findings, rival)}"


def _score(ranked: RankedTechnique, rival: Rival) -> str:
    """A mean with its interval, and its seeds where they are not those of the paired test."""
    return ranked.cell.value if ranked.interval.n == rival.seeds else ranked.cell.text


def _lead(findings: Findings, rival: Rival) -> str:
    """`ahead by 0.050 ± 0.012 (n = 5 common seeds, Holm-corrected p = 0.003)`."""
    seeds = f"n = {plural(rival.seeds, 'common seed')}"
    if rival.pair is None:
        return seeds
    result, metric = rival.pair.seeds, findings.table.metric
    apart = result.test.difference
    difference = f"{abs(apart.mean):.{metric.digits}f}{spread(apart, digits=metric.digits) if apart.symmetric else ''}"
    p = compared(result.p_holm)
    test = "no variance between them" if result.holm is None else f"Holm-corrected p {p}"
    return f"{'ahead' if rival.ahead else 'behind'} by {difference} ({and_few(seeds, apart)}, {test})"


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
