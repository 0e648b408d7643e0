import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s4mi.data.manifest import Manifest
from s4mi.data.row import PARTS, Row
from s4mi.data.spec import DatasetSpec
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.splits.label_budget import MOST, LabelBudget, held_out
from s4mi.data.splits.split import SplitMethod, make_split
from s4mi.data.splits.split_file import Split, save_split
from s4mi.records import TaskKind

CLASSES = ("a", "b", "c")
TASKS: tuple[TaskKind, ...] = ("multiclass", "multilabel", "segmentation")
SPECS = {
    "multiclass": DatasetSpec(name="set", tasks=("multiclass",), classes=CLASSES),
    "multilabel": DatasetSpec(name="set", tasks=("multilabel",), classes=CLASSES),
    "segmentation": DatasetSpec(name="set", tasks=("segmentation",), mask_values={0: "none", 1: "a", 2: "b"}),
}
few = settings(max_examples=40, deadline=None)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A drawn data set, with what its masks show."""

    kind: TaskKind
    manifest: Manifest
    shows: NDArray[np.bool_]
    foreground: list[float]

    def split(self, *, amount: float | str = 100.0, hold_out: float = 0.25, **method: object) -> Split:
        own = {"kind": "random", "ratios": (0.6, 0.15, 0.25), "test_seed": 0, **method}
        seed = int(own.setdefault("seed", 0))  # type: ignore[call-overload]
        return make_split(
            self.manifest, self.kind, method=SplitMethod(**own), amount=LabelAmount.parse(amount),  # type: ignore[arg-type]
            fraction_seed=seed, foreground=self.foreground, budget=self.budget(hold_out),
        )  # fmt: skip

    def budget(self, hold_out: float) -> LabelBudget:
        return LabelBudget(hold_out, self.shows, self.foreground if self.kind == "segmentation" else None)

    def groups(self, rows: tuple[int, ...]) -> set[str]:
        return {self.manifest.rows[row].group or f"row {row}" for row in rows}

    def annotated(self, rows: tuple[int, ...]) -> set[int]:
        return {row for row in rows if self.manifest.rows[row].annotated(self.kind)}


def drawn(kind: TaskKind, *, images: int, patients: int, seed: int, unannotated: float = 0.1) -> Drawn:
    """A data set with `patients` patients, the first images of which are of all classes."""
    generator = np.random.default_rng(seed)
    masks = kind == "segmentation"
    shows = generator.random((images, 3)) < 0.4
    if kind == "multiclass":
        shows = np.eye(3, dtype=bool)[generator.integers(3, size=images)]
    if masks:
        shows[:, 0] = True
    rows = []
    for number in range(images):
        known = number < 6 or generator.random() > unannotated
        labels = None if masks or not known else tuple(n for n, one in zip(CLASSES, shows[number], strict=True) if one)
        rows.append(
            Row(
                id=f"{number:04d}",
                image=Path(f"{number}.png"),
                mask=Path(f"{number}-m.png") if masks and known else None,
                labels=labels,
                group=f"p{generator.integers(patients)}" if patients else None,
                split=None,
                line=number + 2,
            )
        )
    shows &= np.array([row.annotated(kind) for row in rows])[:, None]
    foreground = (generator.random(images) * shows[:, 1]).tolist()
    return Drawn(kind, Manifest(Path("set"), SPECS[kind], tuple(rows)), shows, foreground)


sets = st.builds(
    drawn, st.sampled_from(TASKS), images=st.integers(30, 90), patients=st.sampled_from([0, 12, 25]),
    seed=st.integers(0, 10**6),
)  # fmt: skip


@few
@given(sets, st.integers(0, 50), st.integers(51, 99))
def test_all_seeds_have_one_test_part_and_validation_differs(data: Drawn, one: int, other: int) -> None:
    first, second = (
        make_split(
            data.manifest, data.kind, method=SplitMethod(seed=seed, test_seed=7), fraction_seed=seed,
            foreground=data.foreground,
        )
        for seed in (one, other)
    )  # fmt: skip
    assert first.test == second.test
    assert {*first.train} | {*first.val} == {*second.train} | {*second.val}


def test_seeds_draw_other_validation_parts_and_other_labels() -> None:
    data = drawn("multiclass", images=90, patients=0, seed=3)
    method = [SplitMethod(seed=seed, test_seed=7) for seed in range(8)]
    splits = [
        make_split(data.manifest, "multiclass", method=one, fraction_seed=one.seed, amount=LabelAmount(30))
        for one in method
    ]
    assert len({split.val for split in splits}) > 4
    assert len({split.labelled for split in splits}) > 4
    sizes = {len(split.val) for split in splits}
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("kind", ["random", "kfold"])
def test_the_test_part_is_that_of_the_seed_alone(kind: str) -> None:
    data = drawn("multiclass", images=80, patients=20, seed=1)
    method = {"kind": kind, "folds": 4, "fold": 2}
    for seed in range(4):
        alone = make_split(data.manifest, "multiclass", method=SplitMethod(**method, seed=5), fraction_seed=0)  # type: ignore[arg-type]
        shared = make_split(
            data.manifest, "multiclass", method=SplitMethod(**method, seed=seed, test_seed=5), fraction_seed=0  # type: ignore[arg-type]
        )  # fmt: skip
        assert shared.test == alone.test


@few
@given(sets, st.sampled_from([5, 20, 50, 100, "12 images", "3 patients"]), st.integers(0, 99))
def test_patients_and_labels_are_divided_and_every_label_is_counted_once(
    data: Drawn, amount: float | str, seed: int
) -> None:
    whole, split = (data.split(amount=amount, hold_out=share, seed=seed) for share in (0.0, 0.25))
    chosen = data.annotated(split.val)
    assert {*whole.labelled} == {*split.labelled} | chosen
    assert not {*split.labelled} & chosen
    for one, other in itertools.combinations(PARTS, 2):
        assert not data.groups(split.rows(one)) & data.groups(split.rows(other))
    assert {*split.train} | {*split.val} == {*whole.train}
    assert split.test == whole.test
    assert not whole.val


@few
@given(sets, st.sampled_from([10, 30, 100]), st.integers(0, 99))
def test_what_is_held_out_can_judge_and_training_keeps_every_class(data: Drawn, amount: float, seed: int) -> None:
    whole, split = (data.split(amount=amount, hold_out=share, seed=seed) for share in (0.0, 0.25))
    foreground = data.shows[:, 1:] if data.kind == "segmentation" else data.shows
    labelled = foreground[list(whole.labelled)].any(axis=0)
    assert (foreground[list(split.labelled)].any(axis=0) == labelled).all()
    held = foreground[sorted(data.annotated(split.val))]
    assert len(held) <= MOST * max(1, round(0.25 * len(whole.labelled)))
    if not len(held):
        return
    if data.kind == "multiclass":
        assert (held.any(axis=0) == labelled).all()
        assert labelled.sum() > 1
    elif data.kind == "multilabel":
        assert any(0 < count < len(held) for count in held.sum(axis=0))
    else:
        assert held.any()


@few
@given(sets, st.integers(0, 99))
def test_labels_outside_the_budget_do_not_decide_what_is_held_out(data: Drawn, seed: int) -> None:
    labelled = data.split(amount=40, hold_out=0, seed=seed).labelled
    generator = np.random.default_rng(seed)
    others = np.setdiff1d(np.arange(len(data.shows)), labelled)
    shows, foreground = data.shows.copy(), np.array(data.foreground)
    shows[others] = generator.random((len(others), 3)) < 0.5
    foreground[others] = generator.random(len(others))
    own = data.budget(0.25)
    changed = dataclasses.replace(own, shows=shows, foreground=None if own.foreground is None else foreground.tolist())
    results = [held_out(data.manifest, data.kind, labelled, one, seed=seed) for one in (own, changed)]
    assert results[0] == results[1]


def labelled(*labels: str, groups: tuple[str, ...] | None = None) -> Drawn:
    shows = np.array([[name == label for name in CLASSES] for label in labels])
    rows = tuple(
        Row(f"{n}", Path(f"{n}.png"), None, (label,), None if groups is None else groups[n], None, n + 2)
        for n, label in enumerate(labels)
    )
    return Drawn("multiclass", Manifest(Path("set"), SPECS["multiclass"], rows), shows, [])


@pytest.mark.parametrize(
    ("data", "share"),
    [
        (labelled(*"aaaaaaaab"), 0.25),  # one patient of class b
        (labelled(*"aaaabbbb", groups=("p", "q", "r", "s", "t", "t", "t", "t")), 0.25),  # b is of one patient
        (labelled(*"aaaaaaaa"), 0.25),  # one class cannot be judged
        (labelled(*"abcabc"), 0.1),  # a tenth of six is less than three classes
        (labelled(*"ab"), 0.2),  # nothing to hold out
    ],
)
def test_too_few_labels_are_all_trained_on(data: Drawn, share: float) -> None:
    rows = range(len(data.shows))
    assert held_out(data.manifest, "multiclass", rows, data.budget(share), seed=0) == ()


def test_enough_labels_are_held_out_by_class() -> None:
    data = labelled(*"aaaaaaaabbbb")
    rows = held_out(data.manifest, "multiclass", range(12), data.budget(0.25), seed=0)
    assert sorted(data.shows[list(rows)].argmax(axis=1)) == [0, 0, 1]


def test_a_saved_split_keeps_what_it_held_out(tmp_path: Path) -> None:
    data = drawn("multiclass", images=80, patients=25, seed=2)
    split = data.split(amount=50, seed=4)
    assert split.val
    save_split(split, data.manifest, tmp_path / "split.json")
    again = data.split(amount="saved", kind="file", file=tmp_path / "split.json", seed=9)
    assert again.hash == split.hash
    without = data.split(amount="saved", kind="file", file=tmp_path / "split.json", seed=9, hold_out=0)
    assert (without.labelled, without.val) == (split.labelled, ())
