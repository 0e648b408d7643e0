"""Erase a patient: from a data set and all its versions, caches, and what runs wrote about single images.

Trained weights cannot forget; the result says which runs have seen the patient, and how.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s4mi.data.annotations.merge import LOCK
from s4mi.data.erase import (
    FEATURES,
    ErasurePlan,
    begin_erasure,
    caches_with,
    end_erasure,
    erase_from_cache,
    erase_from_dataset,
    erase_rows,
    plan_erasure,
)
from s4mi.errors import S4miError
from s4mi.records import CONFIG_NAME, TEST_IMAGES_NAME, TEST_PREDICTIONS_NAME, write_text_atomically
from s4mi.records.lock import file_lock
from s4mi.records.plain import load_json
from s4mi.training.data_state import DATA_NAME, DIGITS
from s4mi.training.pretrained_start import SEEN
from s4mi.visualisation.render import FOLDER as SHEETS

PARTS = ("train", "val", "test")
SPLIT = "split.json"
MARK = b"default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""In the head of every page that s4mi writes: it loads nothing."""


@dataclass(frozen=True)
class Erasure:
    """What an erasure removes, or has removed.

    Attributes:
        plan: rows and files of the data set.
        caches: decode caches with images of the patient. features: whether there are stored features.
        runs: run folders whose lists name images of the patient, each with the parts that these are in.
        pictures: reports and sheets that may show images of the patient.
        done: whether it has been removed.
    """

    plan: ErasurePlan
    caches: tuple[Path, ...]
    features: bool
    runs: tuple[tuple[Path, tuple[str, ...]], ...]
    pictures: tuple[Path, ...]
    done: bool


def erase_patient(
    dataset: Path, patient: str, *, runs: Sequence[Path] = (), cache: Path, confirmed: bool = False
) -> Erasure:
    """Erase a patient, or only say what that would remove.

    Args:
        dataset: data set folder. patient: value of the column group.
        runs: folders that hold runs of this data set, at any depth.
        cache: folder of the caches.
        confirmed: remove; else nothing is changed.

    Raises:
        S4miError: there is no such patient, or no such folder.
    """
    for folder in runs:
        if not folder.is_dir():
            raise S4miError(f"{folder}: not a folder; pass folders that hold runs")
    if not confirmed:
        return _found(plan_erasure(dataset, patient, cache), runs, cache)
    with file_lock(dataset / LOCK):
        plan = plan_erasure(dataset, patient, cache)
        found = _found(plan, runs, cache)
        begin_erasure(dataset, plan)
        erase_from_dataset(dataset, plan)
        erase_from_cache(dataset, cache, plan)
        for run in _run_folders(runs):
            _erase_from_run(run, plan)
        for picture in found.pictures:
            picture.unlink(missing_ok=True)
        end_erasure(dataset)
    return Erasure(plan, found.caches, found.features, found.runs, found.pictures, done=True)


def _found(plan: ErasurePlan, runs: Sequence[Path], cache: Path) -> Erasure:
    seen = tuple((run, parts) for run in _run_folders(runs) if (parts := _parts_of(run, plan)))
    folders = dict.fromkeys(folder for run, _ in seen for folder in _above(run, runs))
    pages = [path for folder in folders for path in folder.glob("*.htm*") if _is_report(path)]
    sheets = [path for folder in folders for path in folder.glob(f"{SHEETS}/*-*") if path.suffix in (".jpg", ".png")]
    pictures = sorted({*pages, *sheets})
    features = (cache / FEATURES).is_dir()
    return Erasure(plan, tuple(caches_with(cache, plan)), features, seen, tuple(pictures), done=False)


def _is_report(path: Path) -> bool:
    """Whether a page is one of ours; others are left alone."""
    try:
        with path.open("rb") as file:
            return MARK in file.read(4096)
    except OSError:
        return False


def _run_folders(roots: Sequence[Path]) -> Iterator[Path]:
    for root in roots:
        yield from sorted(path.parent for path in root.rglob(CONFIG_NAME))


def _above(run: Path, roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the folder of a run and those above it, up to the one that was passed."""
    for root in roots:
        if run == root or run.is_relative_to(root):
            yield run
            yield from (parent for parent in run.parents if parent == root or parent.is_relative_to(root))


def _parts_of(run: Path, plan: ErasurePlan) -> tuple[str, ...]:
    """Return the parts of a run's split that hold images of the patient, by the hash of their files."""
    ids, split = _images_of(plan, _rows(run)), _json(run / SPLIT)
    return tuple(part for part in (*PARTS, "labelled") if ids & set(map(str, split.get(part, ()))))


def _rows(run: Path) -> dict[str, Any]:
    rows: dict[str, Any] = _json(run / DATA_NAME).get("rows", {})
    return rows


def _images_of(plan: ErasurePlan, rows: dict[str, Any]) -> set[str]:
    """Ids of the patient's images in a run, by the hash of their files; of a run without hashes those of the plan."""
    digests = _short(plan)
    return {name for name, hashes in rows.items() if hashes[0] in digests} if rows else set(plan.ids)


def _short(plan: ErasurePlan) -> set[str]:
    return {digest[:DIGITS] for digest in plan.digests}


def _json(path: Path) -> dict[str, Any]:
    try:
        contents = load_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return contents if isinstance(contents, dict) else {}


def _erase_from_run(run: Path, plan: ErasurePlan) -> None:
    """Remove the images of the patient from the lists of a run; scores and weights stay as they are."""
    rows = _rows(run)
    ids = _images_of(plan, rows)
    for table in (TEST_IMAGES_NAME, TEST_PREDICTIONS_NAME):
        erase_rows(run / table, ids)
    seen = run / SEEN
    if seen.is_file():
        lines = seen.read_text(encoding="utf-8").splitlines()
        digests = _short(plan)
        kept = [line for line in lines if line[:DIGITS] not in digests]
        if len(kept) < len(lines):
            write_text_atomically(seen, "".join(f"{line}\n" for line in kept))
    split = _json(run / SPLIT)
    if ids & {str(name) for part in PARTS for name in split.get(part, ())}:
        for part in (*PARTS, "labelled"):
            split[part] = [name for name in split.get(part, ()) if name not in ids]
        for name, listed in split.get("fractions", {}).items():
            split["fractions"][name] = [one for one in listed if one not in ids]
        write_text_atomically(run / SPLIT, json.dumps(split, indent=1, ensure_ascii=False) + "\n")
    if ids & rows.keys():  # last: by these the images are found
        state = _json(run / DATA_NAME)
        state["rows"] = {name: hashes for name, hashes in rows.items() if name not in ids}
        write_text_atomically(run / DATA_NAME, json.dumps(state, ensure_ascii=False) + "\n")
