"""What the records say, in three plain sentences that claim no more than the tests between techniques carry.

    few labels         which technique has the best mean, and over which others that is beyond chance
    full supervision   what the labels alone give, all of them
    labels needed      at how many labels another technique gives as much

Beyond chance is by a paired test over seeds, p < 0.05 after Holm's correction, the same that the table of pairs shows.
"""

from collections import Counter
from collections.abc import Sequence

from s4mi.maths.stats import mean_interval
from s4mi.report.results.findings import Findings, Ranking, score_text, weak_words
from s4mi.report.results.paired_tests import ALPHA

NOTHING = "There is no finished run yet."
UNTESTED = "No run was tested yet, so there is nothing to compare."


def verdict(stories: Sequence[Findings]) -> list[str]:
    """Three sentences on all comparisons together; one where there is nothing to say.

    Of several comparisons those count in which techniques compete, if there are any.
    """
    if not stories:
        return [NOTHING]
    if not any(story.few or story.full or story.none for story in stories):
        return [UNTESTED]
    contested = [story for story in stories if len(story.table.rows) > 1] or list(stories)
    return findings(stories[0]) if len(stories) == 1 else verdict_of_many(contested)


def findings(story: Findings) -> list[str]:
    """The three sentences on one comparison; one where nothing was tested."""
    if not (story.few or story.full or story.none):
        return [UNTESTED]
    return [
        f"{name}: {_body(say(story))}."
        for name, say in (("Few labels", _few), ("Full supervision", _full), ("Labels needed", _needed))
    ]


def _few(story: Findings) -> str:
    ranking, unlabelled = story.few, story.none
    told = "nothing was tested with some of the labels and not all" if ranking is None else _winner(story, ranking)
    if unlabelled is None:
        return told
    best = unlabelled.entries[0]
    return f"{told}; without any label {best.technique.label} gives {score_text(story, best.interval)}"


def _winner(story: Findings, ranking: Ranking) -> str:
    """Who has the best mean in a column, and how sure that is."""
    best, *others = ranking.entries
    at, score = _at(ranking), score_text(story, best.interval)
    if not others:
        return f"only {best.technique.label} was tested {at}, {score}{weak_words(ranking)}"
    doubtful = story.doubtful(ranking)
    if not doubtful:
        whom = "the other" if len(others) == 1 else f"each of the {len(others)} others"
        return (
            f"{best.technique.label} is best {at}, {score}, and its lead over {whom} is beyond chance (paired over "
            f"seeds, p < {ALPHA:g} after Holm's correction){weak_words(ranking)}"
        )
    rival = doubtful[0].technique.label
    if len(doubtful) < len(others):
        sure = len(others) - len(doubtful)
        doubt = f"its lead is beyond chance over {sure} of the {len(others)} others, but not over {rival}"
    else:
        more = len(doubtful) - 1
        doubt = f"but over seeds it cannot be told apart from {rival}{f' and {more} more' if more else ''}"
    return f"{best.technique.label} has the best mean {at}, {score}; {doubt}{weak_words(ranking)}"


def _full(story: Findings) -> str:
    reference, ranking = story.reference, story.full
    if reference is None:
        told = "no technique that learns from labels alone was tested with 100 % of them"
        return told if ranking is None else f"{told}; {_winner(story, ranking)}"
    known = mean_interval(list(reference.scores.values()))
    told = f"{reference.technique.label} gives {score_text(story, known)} with all {reference.labels:.0f} labels"
    if ranking is None or len(ranking.entries) == 1:
        return told if ranking is None else f"{told}{weak_words(ranking)}"
    best = ranking.entries[0]
    if best.technique == reference.technique:
        return f"{told}, and no other technique has a better mean there{weak_words(ranking)}"
    sure = story.surely_better(ranking, best.technique, reference.technique)
    lead = "that lead is beyond chance" if sure else "that lead may be chance"
    return (
        f"{told}; with as many {best.technique.label} has the best mean, {score_text(story, best.interval)}, and "
        f"{lead}{weak_words(ranking)}"
    )


def _needed(story: Findings) -> str:
    return story.need.sentence


def _body(sentence: str) -> str:
    return sentence.removesuffix(".")


def _at(ranking: Ranking) -> str:
    return f"at {ranking.column.title} of the labels ({ranking.column.labelled} images)"


MANY = 3
"""Of more comparisons a verdict gives counts; each has its own sentences in its section."""


def verdict_of_many(stories: Sequence[Findings]) -> list[str]:
    """Three sentences on two comparisons or more."""
    if len(stories) > MANY:
        return [_few_counted(stories), _full_counted(stories), _needed_counted(stories)]
    return [
        f"{name}: " + "; ".join(f"{story.comparison.title}, {say(story)}" for story in stories) + "."
        for name, say in (
            ("Few labels", _few_briefly),
            ("Full supervision", _full_briefly),
            ("Labels needed", _needed_briefly),
        )
    ]


def _few_briefly(story: Findings) -> str:
    ranking = story.few
    if ranking is None:
        return "nothing tested with some of the labels and not all"
    best, *others = ranking.entries
    score = f"{story.table.metric.label} {best.cell.value} ({best.cell.count})"
    if not others:
        return f"only {best.technique.label} was tested at {ranking.column.title}, {score}"
    sure = len(others) - len(story.doubtful(ranking))
    how = "beyond chance" if sure == len(others) else "which may be chance"
    if 0 < sure < len(others):
        how = f"beyond chance over {sure} of {len(others)}"
    return f"{best.technique.label} leads at {ranking.column.title} with {score}, {how}{weak_words(ranking)}"


def _full_briefly(story: Findings) -> str:
    reference, ranking = story.reference, story.full
    if reference is None:
        return "not tested"
    told = f"{reference.technique.label} gives {score_text(story, mean_interval(list(reference.scores.values())))}"
    if ranking is None or ranking.entries[0].technique == reference.technique:
        return told
    best = ranking.entries[0]
    sure = story.surely_better(ranking, best.technique, reference.technique)
    lead = "a lead beyond chance" if sure else "which may be chance"
    return f"{told}, {best.technique.label} {best.cell.value} ({best.cell.count}), {lead}"


def _needed_briefly(story: Findings) -> str:
    need = story.need
    if need.best is not None:
        return f"{need.best.technique} reaches it at {need.best.labels} ({need.best.percent} saved)"
    words = {"open": "not certain whether any technique reaches it", "never": "not reached by any technique"}
    return words.get(need.kind, "cannot be told")


def _few_counted(stories: Sequence[Findings]) -> str:
    known = [(story, ranking) for story in stories if (ranking := story.few) and len(ranking.entries) > 1]
    if not known:
        return "Few labels: nowhere were two techniques tested with some of the labels and not all."
    wins = Counter(ranking.entries[0].technique.label for _, ranking in known)
    sure = sum(not story.doubtful(ranking) for story, ranking in known)
    told = ", ".join(f"{label} in {count}" for label, count in sorted(wins.items(), key=lambda win: (-win[1], win[0])))
    return (
        f"Few labels: in {len(known)} comparisons at their smallest label fraction, the best mean is that of {told}; "
        f"its lead over every other technique is beyond chance in {sure or 'none'} of them."
    )


def _full_counted(stories: Sequence[Findings]) -> str:
    known = [story for story in stories if story.reference is not None and story.full is not None]
    if not known:
        return "Full supervision: nowhere was a technique that learns from labels alone tested with 100 % of them."
    ahead = sure = 0
    for story in known:
        assert story.reference is not None
        assert story.full is not None
        best = story.full.entries[0].technique
        ahead += best != story.reference.technique
        sure += story.surely_better(story.full, best, story.reference.technique)
    beaten = (
        f"another technique has a better mean in {ahead}, beyond chance in {sure or 'none'}"
        if ahead
        else ("no other technique has a better mean in any")
    )
    return f"Full supervision: tested in {len(known)} of {len(stories)} comparisons; with as many labels {beaten}."


def _needed_counted(stories: Sequence[Findings]) -> str:
    needs = [story.need for story in stories]
    shown = [
        f"{need.best.technique} at {need.best.labels} labels on {story.comparison.title} ({need.best.percent} saved)"
        for story, need in zip(stories, needs, strict=True)
        if need.kind == "reached" and need.best is not None
    ]
    counts: Counter[str] = Counter(need.kind for need in needs)
    others = [
        f"in {counts[kind]} {words}"
        for kind, words in (
            ("open", "that is not certain"),
            ("never", "no technique reaches it"),
            ("unknown", "it cannot be told"),
        )
        if counts[kind]
    ]
    first = (
        f"full supervision is reached by {'; '.join(shown)}"
        if shown
        else ("nowhere is a technique shown to reach full supervision with fewer labels")
    )
    return f"Labels needed: {'; '.join([first, *others])}."
