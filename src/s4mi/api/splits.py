"""Split a data set without training, as a run with the same settings does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from s4mi.api.inputs import StrPath, as_path, one_of
from s4mi.api.progress import StepCallback, step_progress
from s4mi.api.quiet import quiet
from s4mi.api.show import heading, table
from s4mi.errors import S4miError
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import polars

    from s4mi.data.splits.split import SplitMethod
    from s4mi.recipes.split import SplitResult
    from s4mi.records import TaskKind

SplitKind = Literal["auto", "official", "random", "kfold", "file"]
KINDS: tuple[SplitKind, ...] = ("auto", "official", "random", "kfold", "file")
TASKS = ("multiclass", "multilabel", "segmentation")
MAX_FOLDS = 1000
SIDES = ("train", "val", "test")


@dataclass(frozen=True, repr=False)
class SplitOutput:
    """A dataset split, and the images labelled at each label fraction.

    Attributes:
        result: the split by rows of the manifest, and how balanced it is.
    """

    result: "SplitResult"

    @property
    def hash(self) -> str:
        """Identifies the split; runs with the same hash are trained and tested on the same images."""
        return self.result.split.hash

    @property
    def parts(self) -> dict[str, list[str]]:
        """Ids of the images in train, val and test, and of those labelled at each label fraction."""
        rows = self.result.manifest.rows
        named = {part: self.result.split.rows(part) for part in ("train", "val", "test")}
        columns: dict[str, Sequence[int]] = {**named, **self.result.fractions}
        return {name: [rows[row].id for row in own] for name, own in columns.items()}

    @property
    def table(self) -> "polars.DataFrame":
        """Images, annotated images, patients and images of each class: by part, and by label fraction."""
        import polars

        counts = self.result.counts
        counted = {"images": counts.images, "annotated": counts.annotated, "patients": counts.groups}
        counted |= {f"class {name}": row for name, row in counts.classes.items()}
        columns = {_title(name): [row[name] for row in counted.values()] for name in counts.columns}
        return polars.DataFrame({"count": [*counted], **columns})

    @system_errors()
    def save(self, path: StrPath) -> Path:
        """Write the split as JSON, for runs with `split.kind=file split.file=PATH`, and return its path.

        Raises:
            S4miError: the file cannot be written.
        """
        from s4mi.recipes.split import save_split_result

        path = as_path(path)
        try:
            save_split_result(self.result, path)
        except OSError as error:
            raise S4miError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from error
        return path

    def __repr__(self) -> str:
        split = self.result.split
        sizes = ", ".join(f"{len(split.rows(part))} {part}" for part in ("train", "val", "test"))
        return f"SplitOutput of {self.result.manifest.spec.name}: {sizes}, hash {self.hash}"

    def _repr_html_(self) -> str:
        spec, frame = self.result.manifest.spec, self.table
        title = f"{spec.name}: {self.result.kind}, split {self.hash}"
        return heading(title, synthetic=spec.synthetic) + table(frame.columns, frame.rows())


@system_errors()
def split(
    dataset: StrPath,
    *,
    task: "TaskKind | None" = None,
    kind: SplitKind = "auto",
    ratios: Sequence[float] = (0.7, 0.1, 0.2),
    folds: int = 5,
    fold: int = 0,
    seed: int = 0,
    test_seed: int | None = None,
    count_validation: bool = False,
    fractions: Sequence[float | str] = (10, 30, 50, 70, 100),
    file: StrPath | None = None,
    allow_leakage: bool = False,
    cache: StrPath | None = None,
    progress: bool | StepCallback = True,
) -> SplitOutput:
    """Split a data set by patient and in proportion to its classes, as a run with these settings does.

    Args:
        dataset: a data set folder.
        task: the task; None for the first that the data set has.
        kind: auto takes the official split where there is one, else a random one; or official, random, kfold, file.
        ratios: shares of train, val and test of a random split; they sum to 1. An official split without val draws val.
        folds: folds of a k-fold split.
        fold: the fold that is the test part, from 0.
        seed: seed of the split and of the label fractions.
        test_seed: seed of the test part alone, as the runs of a study share it; None: `seed`.
        count_validation: label fractions are of all images outside the test part, as under
            `labels.count_validation=true`; what a run holds out to choose with comes out of them.
        fractions: label fractions: percent, or such as `'50 images'` or `'5 patients'`.
        file: a saved split, for kind file.
        allow_leakage: whether the same image in two parts is a warning instead of an error; a patient never is.
        cache: folder of the thumbnails by which copies of images are found; None for that of runs.
        progress: True shows a bar (terminal, notebook); a function is called with what is done, done and total.

    Raises:
        S4miError: the data set cannot be read, cannot be split in this way, or the split leaks.
    """
    with quiet(), step_progress(progress) as step:
        from s4mi.data.splits.label_amount import LabelAmount
        from s4mi.recipes.split import split_dataset

        one_of("task", task or TASKS[0], TASKS)
        result = split_dataset(
            as_path(dataset),
            division=_method(kind, ratios, folds=folds, fold=fold, seed=seed, test_seed=test_seed, file=file),
            kind=task,
            ratios=(ratios[0], ratios[1], ratios[2]),
            seed=seed,
            test_seed=test_seed,
            count_validation=count_validation,
            amounts=[LabelAmount.parse(one) for one in fractions] or [LabelAmount(100)],
            allow_leakage=allow_leakage,
            cache=None if cache is None else as_path(cache),
            progress=step,
        )
    return SplitOutput(result)


def _method(
    kind: SplitKind,
    ratios: Sequence[float],
    *,
    folds: int,
    fold: int,
    seed: int,
    test_seed: int | None,
    file: StrPath | None,
) -> "SplitMethod | None":
    from s4mi.data.splits.split import SplitMethod

    one_of("kind of split", kind, KINDS)
    if len(ratios) != 3 or not all(0 < ratio < 1 for ratio in ratios) or abs(sum(ratios) - 1) > 1e-6:
        given = ", ".join(map(str, ratios))
        raise S4miError(f"ratios must be three positive numbers that sum to 1, e.g. 0.7, 0.1, 0.2 (given {given})")
    if not 3 <= folds <= MAX_FOLDS:
        raise S4miError(f"folds must be 3–{MAX_FOLDS} (given {folds})")
    shares = (ratios[0], ratios[1], ratios[2])
    settings: tuple[tuple[str, object, object, tuple[SplitKind, ...]], ...] = (
        ("ratios", shares, SplitMethod.ratios, ("auto", "official", "random")),
        ("folds", folds, SplitMethod.folds, ("kfold",)), ("fold", fold, SplitMethod.fold, ("kfold",)),
        ("file", file, None, ("file",)),
    )  # fmt: skip
    for name, value, default, kinds in settings:
        if value != default and kind not in kinds:
            raise S4miError(f"{name} has no effect with kind {kind!r}; leave it out, or use kind {kinds[-1]!r}")
    if kind == "auto":
        return None
    if kind == "kfold" and not 0 <= fold < folds:
        raise S4miError(f"fold must be 0–{folds - 1} for {folds} folds (given {fold})")
    if kind == "file" and file is None:
        raise S4miError("kind 'file' requires a saved split; pass it as file")
    path = None if file is None else as_path(file)
    return SplitMethod(kind, shares, folds=folds, fold=fold, seed=seed, file=path, test_seed=test_seed)


def _title(column: str) -> str:
    return column if column in SIDES else f"labels {column}"
