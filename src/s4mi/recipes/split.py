"""Split a data set without training, into the parts and labelled images that a run with these settings uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from s4mi.data.cyclic_garbage import no_cyclic_garbage
from s4mi.data.formats.frame import ImageError
from s4mi.data.loading.default_cache import default_cache
from s4mi.data.loading.file_hashes import DATABASE_NAME, FileHashes
from s4mi.data.loading.mask_shares import MaskShares
from s4mi.data.loading.thumbnail_store import dataset_digests, thumbnails_with, writing_thumbnails
from s4mi.data.manifest import Manifest
from s4mi.data.masks import foreground_share, read_mask
from s4mi.data.parallel import in_parallel
from s4mi.data.spec import MaskKey
from s4mi.data.splits.erased_rows import present_rows
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.splits.label_budget import LabelBudget
from s4mi.data.splits.leakage import Leak, find_leaks, refuse_leaks
from s4mi.data.splits.split import SplitMethod, first_labels, fraction_order, make_split
from s4mi.data.splits.split_balance import SplitBalance, split_balance
from s4mi.data.splits.split_file import Split, save_split
from s4mi.data.splits.split_version import base_version
from s4mi.data.splits.stratification import strata_of
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.records import TaskKind
from s4mi.records.atomic import make_private

ProgressCallback = Callable[[str, int, int], None]
"""Called with a description of the current work, the number of finished items and their total."""


@dataclass(frozen=True)
class SplitResult:
    """A split, the rows labelled at each label fraction, the resulting class balance, and leaks that were allowed."""

    manifest: Manifest
    kind: TaskKind
    division: SplitMethod
    seed: int
    split: Split
    fractions: dict[str, tuple[int, ...]]
    counts: SplitBalance
    leaks: tuple[Leak, ...] = ()


@no_cyclic_garbage()
def split_dataset(
    folder: Path,
    *,
    division: SplitMethod | None,
    kind: TaskKind | None = None,
    ratios: tuple[float, float, float] = SplitMethod.ratios,
    seed: int = 0,
    test_seed: int | None = None,
    count_validation: bool = False,
    amounts: Sequence[LabelAmount] = (LabelAmount(100),),
    allow_leakage: bool = False,
    cache: Path | None = None,
    progress: ProgressCallback = lambda *_: None,
) -> SplitResult:
    """Split the data set in `folder` as a run with this seed does, and look for leaks as it does.

    Args:
        division: split method; None for the official split if there is one, else a random split.
        kind: the task; None for the data set's first.
        ratios, test_seed: shares of the parts, and seed of the test part, where `division` is None.
        count_validation: amounts are of all images outside the test part, which are all in `train`.
        amounts: amounts of labels, each of which contains the smaller ones.
        allow_leakage: whether the same image in two parts is a warning instead of an error; a patient never is.
        cache: folder of the thumbnails by which copies are found; None: that of runs.

    Raises:
        S4miError: the data set cannot be read or split this way, or the split leaks.
    """
    manifest = load_version(folder)
    kind = _kind(manifest, kind)
    if division is None:
        drawn: Literal["official", "random"] = "official" if manifest.official else "random"
        division = SplitMethod(drawn, ratios, seed=seed, test_seed=test_seed)
    cache = cache or default_cache()
    foreground = _foreground(manifest, cache, partial(progress, "reading masks")) if kind == "segmentation" else None
    basis = base_version(manifest, kind, division, foreground=foreground)
    budget = LabelBudget() if count_validation else None
    whole = make_split(
        manifest, kind, method=division, fraction_seed=seed, foreground=foreground, base=basis, budget=budget
    )
    digests = dataset_digests(manifest, cache)
    thumbnails = partial(thumbnails_with, manifest, cache, digests, progress=partial(progress, "reading images"))
    leaks = find_leaks(manifest, whole, digests=digests, thumbnails=thumbnails, cache=cache)
    refuse_leaks(leaks, manifest, allowed=allow_leakage, option="--allow-leakage")
    strata = strata_of(manifest, kind, foreground)
    order = fraction_order(manifest, kind, whole, foreground=foreground, seed=seed)
    fractions = {
        str(amount): tuple(sorted(present_rows(manifest, first_labels(manifest, order, amount)))) for amount in amounts
    }
    counts = split_balance(manifest, whole, fractions, strata)
    return SplitResult(manifest, kind, division, seed, split=whole, fractions=fractions, counts=counts, leaks=leaks)


def save_split_result(result: SplitResult, path: Path) -> None:
    """Write the split as a readable file that a run can use with `split.kind=file`."""
    division = result.division
    settings: dict[str, object] = {"task": result.kind, "kind": division.kind, "seed": division.seed}
    if division.kind == "random":
        settings["ratios"] = list(division.ratios)
    if division.kind == "kfold":
        settings |= {"folds": division.folds, "fold": division.fold}
    if division.test_seed is not None:
        settings["test_seed"] = division.test_seed
    settings["fraction_seed"] = result.seed
    save_split(result.split, result.manifest, path, fractions=result.fractions, settings=settings)


def _kind(manifest: Manifest, kind: TaskKind | None) -> TaskKind:
    tasks = manifest.spec.tasks
    if not tasks:
        raise S4miError(f"{manifest.folder}: no image is annotated, so there is nothing to split; annotate some")
    if kind is not None and kind not in tasks:
        raise S4miError(f"{manifest.folder}: has no annotations for {kind}; choose --task {' or '.join(tasks)}")
    return kind or tasks[0]


def _foreground(manifest: Manifest, cache: Path, progress: Callable[[int, int], None]) -> list[float]:
    """Return each row's foreground share at the mask's own resolution, as in the decode cache; 0 without a mask."""
    numbers = [number for number, row in enumerate(manifest.rows) if row.mask is not None]
    masks = [mask for row in manifest.rows if (mask := row.mask) is not None]
    kept = MaskShares(cache, manifest.spec.mask_values)
    with writing_thumbnails(cache):
        make_private(cache)
        digests = FileHashes(cache / DATABASE_NAME).of(masks)
        shares = kept.read(masks, digests)
    missing = [place for place, share in enumerate(shares) if share is None]
    work = partial(_share, mask_values=manifest.spec.mask_values)
    for place, share in zip(missing, in_parallel(work, [masks[n] for n in missing], progress=progress), strict=True):
        if isinstance(share, str):
            row = manifest.rows[numbers[place]]
            raise S4miError(f"{manifest.folder / row.location}: mask {masks[place].name!r} {share}")
        shares[place] = share
    known = [share or 0.0 for share in shares]
    with writing_thumbnails(cache):
        kept.add([masks[n] for n in missing], [digests[n] for n in missing], [known[n] for n in missing])
    foreground = np.zeros(len(manifest.rows))
    foreground[numbers] = known
    return foreground.tolist()


def _share(mask: Path, *, mask_values: dict[MaskKey, str]) -> float | str:
    try:
        return foreground_share(read_mask(mask, mask_values))
    except ImageError as error:
        return str(error)
