"""Erase a patient: from a data set and all its versions, caches, and what runs wrote about single images.

Trained weights cannot forget; the result says which runs have seen the patient, and how.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any

from s4mi.active_learning.suggestion_lists import erase_suggestions, names_patient, read_table
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
from s4mi.data.spec import load_spec
from s4mi.errors import S4miError
from s4mi.records import (
    CONFIG_NAME,
    MAP_NAME,
    RECORD_NAME,
    SUPERSEDED,
    TEST_IMAGES_NAME,
    TEST_PREDICTIONS_NAME,
    external_images,
    external_predictions,
    write_text_atomically,
)
from s4mi.records.atomic import write_bytes_atomically
from s4mi.records.lock import file_lock
from s4mi.records.plain import load_json, load_yaml
from s4mi.training.data_state import DATA_NAME, DIGITS
from s4mi.training.outdated_runs import is_outdated
from s4mi.training.pretrained_start import SEEN
from s4mi.training.searched_folders import folders_above, outermost, run_folders
from s4mi.visualisation.render import FOLDER as SHEETS

PARTS = ("train", "val", "test")
PRETRAINING, EXTERNAL = "pre-training", "external test"
SCORED_ONLY = frozenset({"test", EXTERNAL})
"""Parts that only scores have been made from, not weights."""
SPLIT, CHOSEN = "split.json", "chosen.json"
MARK = b"default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""In the head of every page that s4mi writes: it loads nothing."""


@dataclass(frozen=True)
class Erasure:
    """What an erasure removes, or has removed.

    Attributes:
        plan: rows and files of the data set, and runs that have read them.
        caches: decode caches with images of the patient. features: whether there are stored features.
        pictures: reports and sheets that may show images of the patient, and pre-annotations of them.
        lists: lists of `s4mi suggest` with images of the patient.
        done: whether it has been removed.
        outdated: finished runs on the data set, or from pre-training on it, whether they have seen the patient or not:
            a study whose data set changes trains its runs again. Runs on other data sets with copies do not count.
    """

    plan: ErasurePlan
    caches: tuple[Path, ...]
    features: bool
    pictures: tuple[Path, ...]
    done: bool
    lists: tuple[Path, ...] = ()
    outdated: tuple[Path, ...] = ()


def erase_patient(
    dataset: Path, patient: str, *, runs: Sequence[Path] = (), cache: Path, confirmed: bool = False
) -> Erasure:
    """Erase a patient, or only say what that would remove.

    Args:
        dataset: data set folder. patient: value of the column group.
        runs: folders that hold runs of this data set, at any depth; those of an erasure that was killed are added.
        cache: folder of the caches.
        confirmed: remove; else nothing is changed.

    Raises:
        S4miError: there is no such patient, or no such folder.
    """
    for folder in runs:
        if not folder.is_dir():
            raise S4miError(f"{folder}: not a folder; pass folders that hold runs")
    if not confirmed:
        return _found(plan_erasure(dataset, patient, cache), runs, cache, load_spec(dataset).name, dataset)
    with file_lock(dataset / LOCK):
        plan = plan_erasure(dataset, patient, cache)
        title = load_spec(dataset).name
        found = _found(plan, runs, cache, title, dataset)
        plan = found.plan
        places = _caches(plan, cache)
        begin_erasure(dataset, _with_real_folders(plan))
        erase_from_dataset(dataset, plan)
        for place in places:
            erase_from_cache(dataset, place, plan)
        for run in run_folders(plan.roots):
            _erase_from_run(run, plan, title)
        for table in found.lists:
            erase_suggestions(table, plan.patient, plan.ids)
        for picture in found.pictures:
            picture.unlink(missing_ok=True)
        end_erasure(dataset)
    return replace(found, done=True)


def _found(plan: ErasurePlan, runs: Sequence[Path], cache: Path, title: str, dataset: Path) -> Erasure:
    roots = outermost([*runs, *(root for root in plan.roots if root.is_dir())])
    searched = list(run_folders(roots))
    names = {run.resolve(): run for run in searched}
    known = {names.get(run.resolve(), run): parts for run, parts in plan.runs}
    seen = {run: parts for run in searched if (parts := _parts_of(run, plan, title))} | known
    plan = plan.model_copy(update={"runs": tuple(seen.items()), "roots": tuple(roots)})
    folders = dict.fromkeys(folder for run in seen for folder in folders_above(run, roots))
    pages = [path for folder in folders for path in folder.glob("*.htm*") if _is_report(path)]
    sheets = [path for folder in folders for path in folder.glob(f"{SHEETS}/*-*") if path.suffix in (".jpg", ".png")]
    lists = sorted(
        {path for root in roots for path in root.rglob("*.csv") if names_patient(path, plan.patient, plan.ids)}
    )
    drafts = [path for table in lists for path in table.parent.glob(f"{escape(table.stem)}.*.json")]
    places = _caches(plan, cache)
    features = any((place / FEATURES).is_dir() for place in places)
    decoded = tuple(location for place in places for location in caches_with(place, plan))
    return Erasure(
        plan, decoded, features, tuple(sorted({*pages, *sheets, *drafts})), done=False, lists=tuple(lists),
        outdated=tuple(run for run in searched if SUPERSEDED not in run.parts and is_outdated(run, dataset)),
    )  # fmt: skip


def _with_real_folders(plan: ErasurePlan) -> ErasurePlan:
    """The plan with folders that hold from anywhere, and by another path to them."""
    runs = tuple((run.resolve(), parts) for run, parts in plan.runs)
    return plan.model_copy(update={"runs": runs, "roots": tuple(root.resolve() for root in plan.roots)})


def _caches(plan: ErasurePlan, cache: Path) -> list[Path]:
    """The folder of the caches, and those that runs which have seen the patient were given."""
    places = {cache.resolve(): None}
    for run, _ in plan.runs:
        try:
            settings = load_yaml((run / CONFIG_NAME).read_text(encoding="utf-8"))
            place = Path(settings["data"]["cache"]).resolve()
        except (OSError, ValueError, KeyError, TypeError):  # the run is gone, or damaged
            continue
        if place.is_dir():
            places[place] = None
    return list(places)


def _is_report(path: Path) -> bool:
    """Whether a page is one of ours; others are left alone."""
    try:
        with path.open("rb") as file:
            return MARK in file.read(4096)
    except OSError:
        return False


def _parts_of(run: Path, plan: ErasurePlan, title: str) -> tuple[str, ...]:
    """Return the parts of a run's data that hold images of the patient, by the hash of their files."""
    ids, split = _ids(run, plan), _json(run / SPLIT)
    parts = [part for part in (*PARTS, "labelled") if ids & set(map(str, split.get(part, ())))]
    if _seen_by_pretraining(run) & _digests(plan):
        parts.append(PRETRAINING)
    if any(
        {row.get("id") or row.get("image") for row in read_table(file)} & {*plan.ids} for file in _external(run, title)
    ):
        parts.append(EXTERNAL)
    return tuple(parts)


def _external(run: Path, title: str) -> list[Path]:
    """Tables of the results of a run on the data set as an external test set, in any version."""
    tests = _json(run / RECORD_NAME).get("external", {})
    names = [name for name, test in tests.items()
             if test.get("dataset") == title or test.get("dataset", "").startswith(f"{title}, version ")]  # fmt: skip
    return [run / file for name in names for file in (external_images(name), external_predictions(name))]


def _digests(plan: ErasurePlan) -> set[str]:
    return {digest[:DIGITS] for digest in plan.digests}


def _ids(run: Path, plan: ErasurePlan) -> set[str]:
    """The ids that a run gives the images of the patient; runs of old versions keep no hashes to tell them by."""
    rows = _rows(run)
    return {name for name, hashes in rows.items() if hashes[0] in _digests(plan)} if rows else set(plan.ids)


def _seen_by_pretraining(run: Path) -> set[str]:
    """Hashes of the images that the pre-training has seen from which a run started."""
    try:
        settings = load_yaml((run / CONFIG_NAME).read_text(encoding="utf-8"))
        lines = (Path(settings["method"]["pretrained"]) / SEEN).read_text(encoding="utf-8").split()
    except (OSError, ValueError, KeyError, TypeError):  # started from other weights, or the folder is gone
        return set()
    return {line[:DIGITS] for line in lines}


def _rows(run: Path) -> dict[str, Any]:
    rows: dict[str, Any] = _json(run / DATA_NAME).get("rows", {})
    return rows


def _json(path: Path) -> dict[str, Any]:
    contents = _loaded(path)
    return contents if isinstance(contents, dict) else {}


def _loaded(path: Path) -> object:
    try:
        return load_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _erase_from_run(run: Path, plan: ErasurePlan, title: str) -> None:
    """Remove the images of the patient from the lists of a run; scores and weights stay as they are."""
    digests, rows, ids = _digests(plan), _rows(run), _ids(run, plan)
    for table in (TEST_IMAGES_NAME, TEST_PREDICTIONS_NAME):
        erase_rows(run / table, ids)
    for external in _external(run, title):
        erase_rows(external, plan.ids)
    seen = run / SEEN
    if seen.is_file():
        lines = seen.read_bytes().splitlines()
        kept = [line for line in lines if line[:DIGITS].decode("ascii", "replace") not in digests]
        if len(kept) < len(lines):
            write_bytes_atomically(seen, b"".join(line + b"\n" for line in kept))
    for folder in (run.parent, run):  # a round of a simulation holds the split of its runs
        _erase_from_split(folder / SPLIT, ids)
    chosen = _loaded(run.parent / CHOSEN)
    if isinstance(chosen, list) and ids & {*map(str, chosen)}:
        kept_ids = [one for one in chosen if str(one) not in ids]
        write_text_atomically(run.parent / CHOSEN, json.dumps(kept_ids, ensure_ascii=False, indent=1) + "\n")
    points = _json(run / MAP_NAME)
    if ids & {str(point.get("id")) for point in points.get("points", ())}:
        points["points"] = [point for point in points["points"] if str(point.get("id")) not in ids]
        write_text_atomically(run / MAP_NAME, json.dumps(points, ensure_ascii=False) + "\n")
    if ids & rows.keys():  # last: by these the images are found
        state = _json(run / DATA_NAME)
        state["rows"] = {name: hashes for name, hashes in rows.items() if name not in ids}
        write_text_atomically(run / DATA_NAME, json.dumps(state, ensure_ascii=False) + "\n")


def _erase_from_split(path: Path, ids: set[str]) -> None:
    split = _json(path)
    if not ids & {str(name) for part in PARTS for name in split.get(part, ())}:
        return
    for part in (*PARTS, "labelled"):
        split[part] = [name for name in split.get(part, ()) if name not in ids]
    for name, listed in split.get("fractions", {}).items():
        split["fractions"][name] = [one for one in listed if one not in ids]
    write_text_atomically(path, json.dumps(split, indent=1, ensure_ascii=False) + "\n")
