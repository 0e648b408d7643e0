"""The three sentences of a verdict on several comparisons together: briefly on each of a few, in counts on many."""

from collections import Counter
from collections.abc import Sequence

from s4mi.maths.stats import mean_interval
from s4mi.report.story import Story, score_text, weak_words

MANY = 3
"""Of more comparisons a verdict gives counts; each has its own sentences in its section."""


def verdict_of_many(stories: Sequence[Story]) -> list[str]:
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


def _few_briefly(story: Story) -> str:
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


def _full_briefly(story: Story) -> str:
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


def _needed_briefly(story: Story) -> str:
    need = story.need
    if need.best is not None:
        return f"{need.best.technique} reaches it at {need.best.labels} ({need.best.percent} saved)"
    words = {"open": "not certain whether any technique reaches it", "never": "not reached by any technique"}
    return words.get(need.kind, "cannot be told")


def _few_counted(stories: Sequence[Story]) -> str:
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


def _full_counted(stories: Sequence[Story]) -> str:
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


def _needed_counted(stories: Sequence[Story]) -> str:
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
