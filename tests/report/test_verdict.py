import pytest
from made_records import record

from s4mi.report.tables import result_tables
from s4mi.report.verdict import finding, rank, verdict


def say(*runs) -> str:
    (sentence,) = verdict(result_tables(runs))
    return sentence


def seeds(scores, **about):
    return [record(score, seed=seed, **about) for seed, score in enumerate(scores)]


def test_overlapping_intervals_are_not_told_apart() -> None:
    sentence = say(*seeds([0.5, 0.6], method="a"), *seeds([0.52, 0.64], method="b"))
    assert "b · resnet10 has the best mean, macro F1 0.580" in sentence
    assert "cannot be told apart from a · resnet10 with n = 2 seeds" in sentence


def test_intervals_without_a_common_point_are_told_apart() -> None:
    sentence = say(*seeds([0.500, 0.501], method="a"), *seeds([0.800, 0.801], method="b"))
    assert "b · resnet10 is best with macro F1 0.800 ± 0.006, its interval clear of every other" in sentence


def test_one_seed_tells_nothing_apart_however_far_the_scores() -> None:
    sentence = say(record(0.1, method="a"), record(0.9, method="b"))
    assert "cannot be told apart from a · resnet10 with n = 1 seed" in sentence
    assert "±" not in sentence


def test_the_rival_named_is_one_that_overlaps() -> None:
    # b is second and clear of c; a is third and so uncertain that it overlaps everything.
    runs = [*seeds([0.1, 0.9], method="a"), *seeds([0.700, 0.701], method="b"), *seeds([0.8, 0.801], method="c")]
    (table,) = result_tables(runs)
    assert [entry.technique.method for entry in rank(table, 0).rivals] == ["a"]
    assert "cannot be told apart from a · resnet10" in finding(table)


def test_smallest_and_largest_fraction_are_both_told() -> None:
    runs = [record(0.5 + 0.1 * (m == "b"), method=m, fraction=f) for m in "ab" for f in (10, 50, 100)]
    sentence = say(*runs)
    assert "at 10 % of the labels (48 images)" in sentence
    assert "at 100 % of the labels (480 images)" in sentence
    assert "50 %" not in sentence


def test_who_does_not_beat_the_majority_answer_is_named_so() -> None:
    assert "no better than always giving the most frequent answer" in say(record(0.2))
    assert "no better" not in say(record(0.21))


def test_a_lone_technique_wins_nothing() -> None:
    sentence = say(record(0.6, task="segmentation"))
    assert "only transfer · resnet10 was tested; IoU is 0.600 (n = 1) at 10 %" in sentence
    assert "best" not in sentence


def test_without_tests_nothing_is_claimed() -> None:
    assert "no run was tested yet" in say(record(None))
    assert verdict([]) == ["There is no finished run yet."]


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_there_are_at_most_three_sentences(count: int) -> None:
    runs = [record(0.5 + 0.1 * (m == "b"), method=m, dataset=f"set{i}") for m in "ab" for i in range(count)]
    sentences = verdict(result_tables(runs))
    assert 1 <= len(sentences) <= 3
    if count > 3:
        assert f"best mean is that of b · resnet10 in {count}" in sentences[0]
        assert f"in {count} it cannot be told apart" in sentences[0]
