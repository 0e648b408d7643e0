"""What the records say, in three plain sentences that claim no more than the tests between techniques carry.

    few labels         which technique has the best mean, and over which others that is beyond chance
    full supervision   what the labels alone give, all of them
    labels needed      at how many labels another technique gives as much

Beyond chance is by a paired test over seeds, p < 0.05 after Holm's correction, the same that the table of pairs shows.
"""

from collections.abc import Sequence

from s4mi.maths.stats import mean_interval
from s4mi.report.pairs import ALPHA
from s4mi.report.story import Ranking, Story, score_text, weak_words
from s4mi.report.verdict_of_many import verdict_of_many

NOTHING = "There is no finished run yet."
UNTESTED = "No run was tested yet, so there is nothing to compare."


def verdict(stories: Sequence[Story]) -> list[str]:
    """Three sentences on all comparisons together; one where there is nothing to say.

    Of several comparisons those count in which techniques compete, if there are any.
    """
    if not stories:
        return [NOTHING]
    if not any(story.few or story.full or story.none for story in stories):
        return [UNTESTED]
    contested = [story for story in stories if len(story.table.rows) > 1] or list(stories)
    return findings(stories[0]) if len(stories) == 1 else verdict_of_many(contested)


def findings(story: Story) -> list[str]:
    """The three sentences on one comparison; one where nothing was tested."""
    if not (story.few or story.full or story.none):
        return [UNTESTED]
    return [
        f"{name}: {_body(say(story))}."
        for name, say in (("Few labels", _few), ("Full supervision", _full), ("Labels needed", _needed))
    ]


def _few(story: Story) -> str:
    ranking, unlabelled = story.few, story.none
    told = "nothing was tested with some of the labels and not all" if ranking is None else _winner(story, ranking)
    if unlabelled is None:
        return told
    best = unlabelled.entries[0]
    return f"{told}; without any label {best.technique.label} gives {score_text(story, best.interval)}"


def _winner(story: Story, ranking: Ranking) -> str:
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


def _full(story: Story) -> str:
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


def _needed(story: Story) -> str:
    return story.need.sentence


def _body(sentence: str) -> str:
    return sentence.removesuffix(".")


def _at(ranking: Ranking) -> str:
    return f"at {ranking.column.title} of the labels ({ranking.column.labelled} images)"
