import dataclasses
import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.row import PARTS, Row
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.data.spec import DatasetSpec
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.splits.split import SplitMethod, first_labels, label_order, make_split
from s4mi.data.splits.split_balance import split_balance
from s4mi.data.splits.split_file import Split, read_split_hash, save_split
from s4mi.data.splits.stratification import SIZE_BINS, strata_of
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
    fraction: float | str = 100.0,
    method: SplitMethod | None = None,
    ratios: tuple[float, float, float] | None = RATIOS,
    seed: int = 0,
    fraction_seed: int | None = None,
    foreground: list[float] | None = None,
) -> Split:
    method = method or (
        SplitMethod("official") if ratios is None else SplitMethod("random", ratios=ratios, seed=seed)
    )  # fmt: skip
    return make_split(
        data,
        kind,
        method=method,
        amount=LabelAmount.parse(fraction),
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
def test_no_patient_is_in_two_parts(data: Manifest, seed: int, fraction: float) -> None:
    split = possible(data, seed=seed, fraction=fraction)
    groups_of_parts = [{data.rows[number].group for number in split.rows(part)} - {None} for part in PARTS]
    assert sum(map(len, groups_of_parts)) == len(set.union(*groups_of_parts))


@few
@given(data=grouped(), seed=seeds, fraction=st.sampled_from(FRACTIONS))
def test_annotations_of_a_patient_are_used_together_or_not_at_all(data: Manifest, seed: int, fraction: float) -> None:
    split = possible(data, seed=seed, fraction=fraction)
    hidden = {n for n in split.train if data.rows[n].labels is not None} - set(split.labelled)
    read_groups = {data.rows[number].group for number in split.labelled} - {None}
    assert not read_groups & {data.rows[number].group for number in hidden}


@few
@given(data=grouped(), seed=seeds)
def test_a_smaller_label_fraction_is_contained_in_a_larger_one(data: Manifest, seed: int) -> None:
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
def test_parts_are_within_one_group_of_the_requested_size(data: Manifest, seed: int) -> None:
    split = possible(data, seed=seed)
    of = [row.group or row.id for row in data.rows]
    annotated = {group for group, row in zip(of, data.rows, strict=True) if row.labels is not None}
    largest, whole = max(Counter(of).values()), sum(group in annotated for group in of)
    for part, share in (("train", 0.7), ("val", 0.1)):
        placed = [number for number in split.rows(part) if of[number] in annotated]
        assert abs(len(placed) - share * whole) <= largest


@few
@given(data=grouped(), seed=seeds)
def test_a_patient_without_any_annotation_is_in_the_training_set(data: Manifest, seed: int) -> None:
    split = possible(data, seed=seed)
    of = [row.group or row.id for row in data.rows]
    annotated = {group for group, row in zip(of, data.rows, strict=True) if row.labels is not None}
    assert all(of[number] in annotated for number in (*split.val, *split.test))


@few
@given(data=labelled_singles, seed=seeds, fraction=st.floats(0.5, 100))
def test_parts_of_single_images_have_the_requested_size(data: Manifest, seed: int, fraction: float) -> None:
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
def test_a_group_unlike_all_others_is_not_always_in_the_same_part(odd: int) -> None:
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


def test_an_image_without_a_label_is_in_the_training_set_and_never_counted_as_labelled() -> None:
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
    with pytest.raises(
        S4miError, match=r"^set/manifest\.csv:4: no split given, but split\.kind=official requires [^\n]*$"
    ):
        split_of(official("train", "val", None, "test", None), ratios=None)


def test_an_official_test_part_may_be_missing_and_the_others_may_not() -> None:
    assert split_of(official("train", "val"), ratios=None).test == ()
    for sides, missing in ((["train", "test"], "val"), (["val", "test"], "train")):
        with pytest.raises(S4miError, match=rf"^set: the {missing} part of the split has no image [^\n]*random$"):
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
def test_a_part_without_annotated_images_gives_a_one_line_error(data: Manifest) -> None:
    for seed in range(5):
        with pytest.raises(S4miError, match=r"^set: the (train|val|test) part of the split has no image [^\n]*$"):
            split_of(data, seed=seed)


@few
@given(data=grouped(), seeds=st.tuples(st.integers(0, 3), st.integers(0, 3)), fraction=st.sampled_from(FRACTIONS))
def test_the_hash_depends_only_on_parts_and_labels(data: Manifest, seeds: tuple[int, int], fraction: float) -> None:
    one, other = (possible(data, seed=seed, fraction=fraction) for seed in seeds)
    members = [tuple(ids(data, getattr(some, name)) for name in (*PARTS, "labelled")) for some in (one, other)]
    assert (one.hash == other.hash) == (members[0] == members[1])
    renamed = tuple(dataclasses.replace(row, image=Path("elsewhere.png"), line=row.line + 7) for row in data.rows)
    moved = dataclasses.replace(data, rows=renamed, folder=Path("elsewhere"))
    assert possible(moved, seed=seeds[0], fraction=fraction).hash == one.hash


def test_fractions_have_different_hashes() -> None:
    data = singles(*"ab" * 50)
    assert len({split_of(data, fraction=fraction).hash for fraction in FRACTIONS}) == len(FRACTIONS)


def test_a_saved_split_lists_its_ids_and_hash(tmp_path: Path) -> None:
    data = singles(*"aaabbc" * 5)
    split = split_of(data, fraction=30)
    save_split(split, data, tmp_path / "split.json")
    assert read_split_hash(tmp_path / "split.json") == split.hash
    saved = json.loads((tmp_path / "split.json").read_text())
    for name in (*PARTS, "labelled"):
        assert set(saved[name]) == ids(data, getattr(split, name))


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", "7", "\x00"])
def test_a_damaged_saved_split_gives_a_one_line_error(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "split.json").write_text(text)
    with pytest.raises(S4miError, match=r"split\.json: not a valid split file \([^\n]*\); train the run again$"):
        read_split_hash(tmp_path / "split.json")


@few
@given(data=grouped(), seed=seeds, folds=st.integers(3, 6))
def test_every_annotated_image_is_tested_in_exactly_one_fold(data: Manifest, seed: int, folds: int) -> None:
    method = [SplitMethod("kfold", folds=folds, fold=fold, seed=seed) for fold in range(folds)]
    splits = [possible(data, method=one) for one in method]
    tested = [number for split in splits for number in split.test]
    assert len(set(tested)) == len(tested)
    of = [row.group or row.id for row in data.rows]
    annotated = {group for group, row in zip(of, data.rows, strict=True) if row.labels is not None}
    assert {of[number] for number in tested} == annotated
    for split, following in zip(splits, [*splits[1:], splits[0]], strict=True):
        assert split.val == following.test
        assert sorted([*split.train, *split.val, *split.test]) == list(range(len(data.rows)))


@few
@given(data=labelled_singles, seed=seeds)
def test_folds_are_of_one_size(data: Manifest, seed: int) -> None:
    sizes = [len(split_of(data, method=SplitMethod("kfold", folds=3, fold=fold, seed=seed)).test) for fold in range(3)]
    assert max(sizes) - min(sizes) <= 1


@few
@given(data=grouped(), seed=seeds, kind=st.sampled_from(["random", "kfold"]))
def test_every_class_is_within_the_stated_tolerance(data: Manifest, seed: int, kind: str) -> None:
    method = SplitMethod(kind, seed=seed)  # type: ignore[arg-type]
    split = possible(data, method=method, fraction=30)
    counts_ = split_balance(data, split, {"30 %": split.labelled}, strata_of(data, "multiclass", None))
    assert counts_.within_tolerance, counts_.worst_at


@settings(max_examples=15, deadline=None)
@given(classes=st.integers(2, 14), images=st.integers(40, 300), per_group=st.integers(1, 6), seed=st.integers(0, 9999))
def test_every_label_of_many_is_within_the_stated_tolerance(
    classes: int, images: int, per_group: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    names = tuple(map(str, range(classes)))
    spec = DatasetSpec(name="set", tasks=("multilabel",), classes=names)
    shown = generator.random((images, classes)) < generator.uniform(0.02, 0.5, classes)
    labels = [tuple(np.array(names)[some].tolist()) for some in shown]
    groups = [f"p{group}" for group in generator.integers(0, max(5, images // per_group), images)]
    data = manifest(*map(row, range(images), labels, groups), spec=spec)
    split = possible(data, kind="multilabel", seed=seed, fraction=10)
    counts_ = split_balance(data, split, {"10 %": split.labelled}, strata_of(data, "multilabel", None))
    assert counts_.within_tolerance, counts_.worst_at


AMOUNTS = ("1 image", 5, "3 patients", "10 images", 30, "10 patients", "20 images", 100)


@few
@given(data=grouped(), seed=seeds)
def test_amounts_of_any_unit_are_contained_in_larger_ones(data: Manifest, seed: int) -> None:
    labelled = []
    for amount in AMOUNTS:
        try:
            labelled.append(set(split_of(data, seed=seed, fraction=amount).labelled))
        except S4miError:
            continue
    for one, other in itertools.combinations(labelled, 2):
        assert one <= other or other <= one


@given(data=grouped(), seed=seeds)
@few
def test_all_labels_are_those_of_the_whole_order(data: Manifest, seed: int) -> None:
    split = possible(data, seed=seed)
    order = label_order(data, "multiclass", strata_of(data, "multiclass", None), train=split.train, seed=seed)
    assert split.labelled == tuple(sorted(first_labels(data, order, LabelAmount(100))))


def test_numbers_of_images_and_patients_are_exact() -> None:
    data = manifest(*(row(number, (CLASSES[number % 3],), f"patient {number // 4}") for number in range(120)))
    groups = lambda rows: {data.rows[number].group for number in rows}  # noqa: E731
    for seed in range(3):
        assert len(groups(split_of(data, fraction="5 patients", seed=seed).labelled)) == 5
        assert len(split_of(data, fraction="8 images", seed=seed).labelled) == 8
    alone = singles(*"abc" * 30)
    assert len(split_of(alone, fraction="17 images").labelled) == 17


@pytest.mark.parametrize(
    ("amount", "there"), [("85 images", "84 with annotations"), ("22 patients", "21 with annotations")]
)
def test_an_amount_above_the_available_gives_a_one_line_error(amount: str, there: str) -> None:
    data = manifest(*(row(number, (CLASSES[number % 3],), f"patient {number // 4}") for number in range(120)))
    with pytest.raises(
        S4miError, match=rf"label_fraction is {amount}, but the training part has only {there}; use fewer"
    ):
        split_of(data, fraction=amount)


def test_a_saved_split_is_reused_unchanged(tmp_path: Path) -> None:
    data = singles(*"aaabbc" * 10)
    split = split_of(data, seed=4, fraction=30)
    save_split(split, data, tmp_path / "split.json", fractions={"30 %": split.labelled}, settings={"seed": 4})
    text = (tmp_path / "split.json").read_text()
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    shuffled = dataclasses.replace(data, rows=tuple(reversed(data.rows)))
    again = split_of(shuffled, method=SplitMethod("file", file=tmp_path / "split.json"), fraction=30, seed=4)
    assert again.hash == split.hash
    assert ids(shuffled, again.test) == ids(data, split.test)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda parts: parts["test"].append("strange"), "1 image not in the manifest, e.g. 'strange'"),
        (lambda parts: parts["test"].pop(), "1 image missing, e.g. "),
        (lambda parts: parts["test"].append(parts["train"][0]), "is in train and in test"),
        (lambda parts: parts.pop("val"), "not a valid split file"),
    ],
)
def test_a_saved_split_that_does_not_match_gives_a_one_line_error(tmp_path: Path, change, words: str) -> None:  # type: ignore[no-untyped-def]
    data, path = singles(*"aaabbc" * 10), tmp_path / "split.json"
    save_split(split_of(data), data, path)
    contents = json.loads(path.read_text())
    change(contents)
    path.write_text(json.dumps(contents))
    with pytest.raises(S4miError, match=words) as caught:
        split_of(data, method=SplitMethod("file", file=path))
    assert "\n" not in str(caught.value)


def test_a_saved_split_with_a_patient_in_two_parts_is_refused(tmp_path: Path) -> None:
    data, path = singles(*"aaabbc" * 10), tmp_path / "split.json"
    split = split_of(data)
    save_split(split, data, path)
    one, other = split.train[0], split.test[0]
    rows = [dataclasses.replace(r, group="p" if n in (one, other) else None) for n, r in enumerate(data.rows)]
    with pytest.raises(S4miError, match="group 'p' is in train and in test"):
        split_of(dataclasses.replace(data, rows=tuple(rows)), method=SplitMethod("file", file=path))


@pytest.mark.parametrize(
    ("text", "shown"),
    [(10, "10 %"), (10.0, "10 %"), ("10%", "10 %"), ("2.5 percent", "2.5 %"), ("50 images", "50 images"),
     ("1 image", "1 image"), ("5 groups", "5 patients")],
)  # fmt: skip
def test_amounts_are_parsed(text: float | str, shown: str) -> None:
    assert str(LabelAmount.parse(text)) == shown
    assert LabelAmount.parse(LabelAmount.parse(text).setting) == LabelAmount.parse(text)


@pytest.mark.parametrize("text", [0, -1, 101, "0 images", "2.5 images", "many", "", "10 lesions", "1.2.3"])
def test_invalid_amounts_are_refused(text: float | str) -> None:
    with pytest.raises(S4miError, match="is not a valid amount of labels; "):
        LabelAmount.parse(text)


def test_ten_thousand_images_are_split_in_proportion() -> None:
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 3000, 10_000)
    data = manifest(
        *(row(n, (CLASSES[int(k)],), f"p{groups[n]}") for n, k in enumerate(generator.integers(0, 3, 10_000)))
    )
    split = split_of(data, fraction=10)
    assert split_balance(data, split, {"10 %": split.labelled}, strata_of(data, "multiclass", None)).within_tolerance


@pytest.mark.real
def test_the_eyes_of_900_patients_are_split_by_patient_with_every_disease_in_proportion(
    real_data: Path, tmp_path: Path
) -> None:
    names = tuple(f"eye_{letter}" for letter in "NDGCAHMO")
    options = TableOptions(one_hot=names, one_hot_prefix="eye_", group="patient")
    write_import(read_tables(real_data / "fundus", options), tmp_path / "fundus", naming=DatasetNaming("fundus"))
    data = load_manifest(tmp_path / "fundus")
    assert len({r.group for r in data.rows}) == 900
    for seed in range(3):
        split = split_of(data, "multilabel", seed=seed, fraction=10)
        counts_ = split_balance(data, split, {"10 %": split.labelled}, strata_of(data, "multilabel", None))
        assert counts_.within_tolerance, counts_.worst_at
        groups_of_parts = [{data.rows[number].group for number in split.rows(part)} for part in PARTS]
        assert sum(map(len, groups_of_parts)) == 900
