import dataclasses
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from s4mi.data.manifest import PARTS, Manifest, Row
from s4mi.data.spec import DatasetSpec
from s4mi.data.split import SIZE_BINS, Split, make_split, read_split_hash, save_split
from s4mi.errors import S4miError
from s4mi.records import Part, TaskKind

CLASSES = ("a", "b", "c")
MULTICLASS = DatasetSpec(name="set", tasks=("multiclass",), classes=CLASSES)
MULTILABEL = DatasetSpec(name="set", tasks=("multilabel",), classes=CLASSES)
SEGMENTATION = DatasetSpec(name="set", tasks=("segmentation",), mask_values={0: "background", 1: "lesion"})
RATIOS = (0.7, 0.1, 0.2)
FRACTIONS = (1.0, 10.0, 30.0, 50.0, 100.0)

few = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31 - 1)


def row(number: int, labels: tuple[str, ...] | None = None, group: str | None = None, **more: object) -> Row:
    name = f"{number:04d}"
    plain = Row(
        id=name, image=Path(f"{name}.png"), mask=None, labels=labels, group=group, split=None, line=number + 2
    )  # fmt: skip
    return dataclasses.replace(plain, **more)  # type: ignore[arg-type]


def manifest(*rows: Row, spec: DatasetSpec = MULTICLASS) -> Manifest:
    return Manifest(folder=Path("set"), spec=spec, rows=rows)


def singles(*labels: str | None) -> Manifest:
    """One image a group, with the given labels."""
    return manifest(*(row(number, None if label is None else (label,)) for number, label in enumerate(labels)))


def split_of(
    data: Manifest,
    kind: TaskKind = "multiclass",
    *,
    fraction: float = 100.0,
    ratios: tuple[float, float, float] | None = RATIOS,
    seed: int = 0,
    fraction_seed: int | None = None,
    foreground: list[float] | None = None,
) -> Split:
    return make_split(
        data,
        kind,
        label_fraction=fraction,
        ratios=ratios,
        split_seed=seed,
        fraction_seed=seed if fraction_seed is None else fraction_seed,
        foreground=foreground,
    )


def possible(data: Manifest, **settings: object) -> Split:
    """The split, leaving out examples for which there is none."""
    try:
        return split_of(data, **settings)  # type: ignore[arg-type]
    except S4miError:
        assume(False)
        raise


def ids(data: Manifest, rows: tuple[int, ...]) -> set[str]:
    return {data.rows[number].id for number in rows}


def counts(data: Manifest, rows: tuple[int, ...]) -> Counter[str]:
    return Counter(name for number in rows for name in data.rows[number].labels or ())


@st.composite
def grouped(draw: st.DrawFn) -> Manifest:
    """Up to 80 images of up to 40 groups and three classes, some without a label, some without a group."""
    count = draw(st.integers(8, 80))
    patients = draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(seeds))
    share = generator.dirichlet([1, 1, 1])
    unlabelled = draw(st.sampled_from([0.0, 0.3]))
    return manifest(
        *(
            row(
                number,
                None if generator.random() < unlabelled else (str(generator.choice(CLASSES, p=share)),),
                None if generator.random() < 0.2 else f"patient {generator.integers(patients)}",
            )
            for number in range(count)
        )
    )


labelled_singles = st.lists(st.sampled_from(CLASSES), min_size=10, max_size=120).map(lambda labels: singles(*labels))


@few
@given(data=grouped(), seed=seeds, fraction=st.sampled_from(FRACTIONS))
def test_every_image_is_in_one_part(data: Manifest, seed: int, fraction: float) -> None:
    split = possible(data, seed=seed, fraction=fraction)
    together = [*split.train, *split.val, *split.test]
    assert sorted(together) == list(range(len(data.rows)))
    assert all(list(split.rows(part)) == sorted(split.rows(part)) for part in PARTS)
    assert set(split.labelled) <= set(split.train)


@few
@given(data=grouped(), seed=seeds, fraction=st.sampled_from(FRACTIONS))
def test_no_patient_is_on_two_sides(data: Manifest, seed: int, fraction: float) -> None:
    split = possible(data, seed=seed, fraction=fraction)
    sides = [{data.rows[number].group for number in split.rows(part)} - {None} for part in PARTS]
    assert sum(map(len, sides)) == len(set.union(*sides))


@few
@given(data=grouped(), seed=seeds, fraction=st.sampled_from(FRACTIONS))
def test_a_patients_annotations_are_read_together_or_not_at_all(data: Manifest, seed: int, fraction: float) -> None:
    split = possible(data, seed=seed, fraction=fraction)
    hidden = {n for n in split.train if data.rows[n].labels is not None} - set(split.labelled)
    read_groups = {data.rows[number].group for number in split.labelled} - {None}
    assert not read_groups & {data.rows[number].group for number in hidden}


@few
@given(data=grouped(), seed=seeds)
def test_a_smaller_label_fraction_lies_inside_a_larger_one(data: Manifest, seed: int) -> None:
    splits = [possible(data, seed=seed, fraction=fraction) for fraction in FRACTIONS]
    for smaller, larger in itertools.pairwise(splits):
        assert set(smaller.labelled) <= set(larger.labelled)
    assert len({(split.train, split.val, split.test) for split in splits}) == 1
    everything = tuple(number for number in splits[-1].train if data.rows[number].labels is not None)
    assert splits[-1].labelled == everything


@few
@given(data=grouped(), seed=seeds, fraction=st.sampled_from(FRACTIONS), shuffle=st.randoms())
def test_the_order_of_the_manifest_does_not_matter(data: Manifest, seed: int, fraction: float, shuffle) -> None:
    rows = list(data.rows)
    shuffle.shuffle(rows)
    other = dataclasses.replace(data, rows=tuple(rows))
    split, again = (possible(some, seed=seed, fraction=fraction) for some in (data, other))
    assert split.hash == again.hash
    for name in (*PARTS, "labelled"):
        assert ids(data, getattr(split, name)) == ids(other, getattr(again, name))


@few
@given(data=grouped(), seed=seeds)
def test_the_same_seed_gives_the_same_split(data: Manifest, seed: int) -> None:
    assert possible(data, seed=seed, fraction=30.0) == possible(data, seed=seed, fraction=30.0)


@few
@given(data=grouped(), seed=seeds)
def test_parts_are_within_one_group_of_the_size_asked_for(data: Manifest, seed: int) -> None:
    split = possible(data, seed=seed)
    of = [row.group or row.id for row in data.rows]
    annotated = {group for group, row in zip(of, data.rows, strict=True) if row.labels is not None}
    largest, whole = max(Counter(of).values()), sum(group in annotated for group in of)
    for part, share in (("train", 0.7), ("val", 0.1)):
        placed = [number for number in split.rows(part) if of[number] in annotated]
        assert abs(len(placed) - share * whole) <= largest


@few
@given(data=grouped(), seed=seeds)
def test_a_patient_without_any_annotation_is_trained_on(data: Manifest, seed: int) -> None:
    split = possible(data, seed=seed)
    of = [row.group or row.id for row in data.rows]
    annotated = {group for group, row in zip(of, data.rows, strict=True) if row.labels is not None}
    assert all(of[number] in annotated for number in (*split.val, *split.test))


@few
@given(data=labelled_singles, seed=seeds, fraction=st.floats(0.5, 100))
def test_parts_of_single_images_have_the_size_asked_for(data: Manifest, seed: int, fraction: float) -> None:
    split = split_of(data, seed=seed, fraction=fraction)
    assert len(split.train) == round(0.7 * len(data.rows))
    assert len(split.val) == max(1, round(0.1 * len(data.rows)))
    assert len(split.labelled) == max(1, round(len(split.train) * fraction / 100))


@few
@given(data=labelled_singles, seed=seeds, fraction=st.sampled_from(FRACTIONS))
def test_each_class_has_its_share_to_within_two_images(data: Manifest, seed: int, fraction: float) -> None:
    split = split_of(data, seed=seed, fraction=fraction)
    whole, everything = counts(data, tuple(range(len(data.rows)))), len(data.rows)
    train, labelled = counts(data, split.train), counts(data, split.labelled)
    for name in CLASSES:
        assert abs(train[name] - whole[name] * len(split.train) / everything) < 2
        assert abs(labelled[name] - train[name] * len(split.labelled) / len(split.train)) < 2


def test_a_rare_class_does_not_upset_the_others() -> None:
    data = singles(*["a"] * 320, *["b"] * 79, "c")
    for seed in range(20):
        assert abs(counts(data, split_of(data, seed=seed).train)["b"] - 0.7 * 79) < 2


@pytest.mark.parametrize("odd", [1, 30])
def test_a_group_unlike_all_others_is_not_always_on_the_same_side(odd: int) -> None:
    rows = [row(number, ("c",), "odd") for number in range(odd)]
    data = manifest(*rows, *(row(odd + number, (CLASSES[number % 2],)) for number in range(100)))
    splits = [split_of(data, seed=seed) for seed in range(40)]
    in_train = sum(0 in split.train for split in splits)
    assert 15 <= in_train <= 39


def test_the_labels_of_a_multi_label_set_are_each_in_proportion() -> None:
    generator = np.random.default_rng(0)
    shown = generator.random((400, 3)) < (0.6, 0.2, 0.05)
    labels = [tuple(np.array(CLASSES)[some].tolist()) for some in shown]
    groups = [f"patient {number // 3}" for number in range(400)]
    data = manifest(*map(row, range(400), labels, groups), spec=MULTILABEL)
    for seed in range(5):
        split = split_of(data, "multilabel", seed=seed)
        train, whole = counts(data, split.train), counts(data, tuple(range(400)))
        for name in CLASSES:
            assert abs(train[name] - whole[name] * len(split.train) / 400) < 5


def test_other_seeds_give_other_splits() -> None:
    data = singles(*"aaabbc" * 10)
    assert len({split_of(data, seed=seed).hash for seed in range(10)}) == 10


def test_the_seed_of_the_fraction_leaves_the_parts_alone() -> None:
    data = singles(*"aaabbc" * 10)
    one, other = (split_of(data, fraction=30, seed=0, fraction_seed=seed) for seed in (0, 1))
    assert (one.train, one.val, one.test) == (other.train, other.val, other.test)
    assert one.labelled != other.labelled


def test_an_image_without_a_label_is_trained_on_and_never_counted_as_labelled() -> None:
    data = singles(*("a", "b", None) * 30)
    for fraction in FRACTIONS:
        split = split_of(data, fraction=fraction)
        without = {number for number in split.train if data.rows[number].labels is None}
        assert len(without) == 30  # none is wasted on validation or test, which could not score it
        assert len(split.train) - 30 == round(0.7 * 60)
        assert not without & set(split.labelled)


def test_an_image_annotated_with_no_class_is_labelled() -> None:
    data = manifest(*(row(number, ("a",) if number % 2 else ()) for number in range(60)), spec=MULTILABEL)
    split = split_of(data, "multilabel")
    assert split.labelled == split.train
    assert abs(sum(not data.rows[number].labels for number in split.train) - 21) < 2


def test_masks_without_labels_are_split_by_their_foreground() -> None:
    masked = [row(number, mask=Path("m.png")) for number in range(120)]
    foreground = np.random.default_rng(0).permutation(np.linspace(0, 1, 120) ** 3)
    data = manifest(*masked, spec=SEGMENTATION)
    for seed in range(5):
        split = split_of(data, "segmentation", fraction=30, seed=seed, foreground=foreground.tolist())
        rank = foreground.argsort().argsort() * SIZE_BINS // 120
        for part in (split.train, split.labelled):
            share = np.bincount(rank[list(part)], minlength=SIZE_BINS)
            assert abs(share - len(part) / SIZE_BINS).max() < 2


def test_an_image_without_a_mask_is_not_labelled_for_segmentation() -> None:
    rows = [row(number, mask=Path("m.png") if number % 2 else None) for number in range(40)]
    split = split_of(manifest(*rows, spec=SEGMENTATION), "segmentation", foreground=[0.5] * 40)
    assert set(split.labelled) == {number for number in split.train if number % 2}


def official(*sides: Part | None) -> Manifest:
    return manifest(*(row(number, (CLASSES[number % 2],), split=side) for number, side in enumerate(sides)))


def test_an_official_split_is_kept() -> None:
    split = split_of(official("test", "train", "train", "val", "train"), ratios=None)
    assert (split.train, split.val, split.test) == ((1, 2, 4), (3,), (0,))


def test_an_official_split_has_no_seed_but_its_fractions_do() -> None:
    data = official(*["train"] * 20, "val", "test")
    one, other = (split_of(data, ratios=None, fraction=50, seed=seed) for seed in (0, 1))
    assert one.train == other.train
    assert one.labelled != other.labelled


def test_an_incomplete_official_split_names_the_first_line_without_one() -> None:
    with pytest.raises(S4miError, match=r"^set/manifest\.csv:4: has no split, but split\.kind=official wants [^\n]*$"):
        split_of(official("train", "val", None, "test", None), ratios=None)


def test_an_official_test_part_may_be_missing_and_the_others_may_not() -> None:
    assert split_of(official("train", "val"), ratios=None).test == ()
    for sides, missing in ((["train", "test"], "val"), (["val", "test"], "train")):
        with pytest.raises(S4miError, match=rf"^set: the {missing} part of the split holds no image [^\n]*random$"):
            split_of(official(*sides), ratios=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        manifest(*(row(number, ("a",), "one patient") for number in range(50))),
        manifest(*(row(number, ("a",), f"patient {number == 0}") for number in range(50))),
        singles("a", "b", "a"),
        singles("a", "b"),
        singles("a"),
        singles(None, None, None, None),
        singles("a", *[None] * 40),
    ],
    ids=["one patient", "two patients", "3 images", "2 images", "1 image", "no label", "one label"],
)
def test_a_part_that_would_be_empty_is_one_line(data: Manifest) -> None:
    for seed in range(5):
        with pytest.raises(S4miError, match=r"^set: the (train|val|test) part of the split holds no image [^\n]*$"):
            split_of(data, seed=seed)


@few
@given(data=grouped(), seeds=st.tuples(st.integers(0, 3), st.integers(0, 3)), fraction=st.sampled_from(FRACTIONS))
def test_the_hash_is_of_who_is_where_alone(data: Manifest, seeds: tuple[int, int], fraction: float) -> None:
    one, other = (possible(data, seed=seed, fraction=fraction) for seed in seeds)
    members = [tuple(ids(data, getattr(some, name)) for name in (*PARTS, "labelled")) for some in (one, other)]
    assert (one.hash == other.hash) == (members[0] == members[1])
    renamed = tuple(dataclasses.replace(row, image=Path("elsewhere.png"), line=row.line + 7) for row in data.rows)
    moved = dataclasses.replace(data, rows=renamed, folder=Path("elsewhere"))
    assert possible(moved, seed=seeds[0], fraction=fraction).hash == one.hash


def test_the_hash_tells_fractions_apart() -> None:
    data = singles(*"ab" * 50)
    assert len({split_of(data, fraction=fraction).hash for fraction in FRACTIONS}) == len(FRACTIONS)


def test_a_saved_split_can_be_read_by_people_and_held_against_another(tmp_path: Path) -> None:
    data = singles(*"aaabbc" * 5)
    split = split_of(data, fraction=30)
    save_split(split, data, tmp_path / "split.json")
    assert read_split_hash(tmp_path / "split.json") == split.hash
    saved = json.loads((tmp_path / "split.json").read_text())
    for name in (*PARTS, "labelled"):
        assert set(saved[name]) == ids(data, getattr(split, name))


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", "7", "\x00"])
def test_a_damaged_saved_split_is_one_line(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "split.json").write_text(text)
    with pytest.raises(S4miError, match=r"split\.json: is no saved split \([^\n]*\); train the run again$"):
        read_split_hash(tmp_path / "split.json")
