"""Find and remove what a data set folder, its versions and its caches hold of one patient.

Every step can be repeated, and a plan in the data set folder says what to remove until all is done: an erasure that is
killed goes on when it is started again. The rows go first, so that the data set is whole at every moment.
"""

import csv
import io
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from s4mi.data.annotations.journal import forget_images
from s4mi.data.erased import ERASED_NAME, ErasedImage, erased_table, read_erased
from s4mi.data.formats.frame import ImageError
from s4mi.data.loading.file_hashes import DATABASE_NAME, FileHashes
from s4mi.data.loading.judged_store import JudgedStore
from s4mi.data.loading.mask_shares import forget_mask_shares
from s4mi.data.loading.thumbnail_store import forget_thumbnails
from s4mi.data.manifest import read_manifest
from s4mi.data.masks import foreground_share, read_mask
from s4mi.data.patient_files import divide_files, placed, remove_files
from s4mi.data.row import MANIFEST_NAME, Row
from s4mi.data.spec import SPEC_NAME, DatasetSpec, Finding, read_spec, write_spec
from s4mi.data.versions import manifest_name, newest_version, spec_name
from s4mi.errors import S4miError, nearest
from s4mi.records import write_text_atomically
from s4mi.records.atomic import sweep
from s4mi.records.plain import load_yaml

PLAN_NAME = ".erase.json"
JOURNAL = ".import.jsonl"
FEATURES = "features"
"""Folder of the stored features in a cache. Their ids are hashes of pixels, of turned and cropped images too, so that
nobody can tell which are a patient's: all are removed, and computed again when they are needed."""
VIEW = "view"
"""Folder of the predictions that `s4mi view` keeps in a cache; they are made again when they are needed."""
_KEY = re.compile(r"[0-9a-f]{32}")


class ErasurePlan(BaseModel):
    """What is removed.

    Attributes:
        patient: the group of the rows.
        ids: ids of their rows, in any version.
        files: images and masks within the data set folder, relative to where it really lies.
        outside: images and masks elsewhere, which are left: originals that the data set only refers to.
        names: the same files under the names that caches know them by.
        digests: hashes of the contents of all these files.
        places: contents of `erased.csv` afterwards, without which random splits would be drawn anew.
        runs: folders of runs that have read images of the patient, each with the parts of its data that these are in;
            noted before any list is changed, so that a killed erasure still knows them.
        roots: folders in which runs were searched.
    """

    model_config = ConfigDict(frozen=True)

    patient: str
    ids: tuple[str, ...]
    files: tuple[str, ...]
    outside: tuple[str, ...]
    digests: tuple[str, ...]
    names: tuple[str, ...] = ()
    runs: tuple[tuple[Path, tuple[str, ...]], ...] = ()
    roots: tuple[Path, ...] = ()
    places: str = ""


def plan_erasure(folder: Path, patient: str, cache: Path) -> ErasurePlan:
    """Find the rows and files of a patient in all versions of a data set, or read the plan of a killed erasure.

    Raises:
        S4miError: no row has this patient, one of the patient's rows has an error, so that its files are not known, or
            a version of the data set cannot be read.
    """
    pending = read_plan(folder)
    if pending is not None and pending.patient == patient:
        return pending
    if pending is not None:
        raise S4miError(f"{folder}: the erasure of another patient was interrupted; finish it first, with: "
                        f"s4mi data erase {folder} {pending.patient!r} --yes")  # fmt: skip
    ids: dict[str, None] = {}
    paths: dict[Path, None] = {}
    others: dict[Path, None] = {}
    groups: set[str] = set()
    known_ids: set[str] = set()
    erased: dict[int, tuple[DatasetSpec, list[ErasedImage]]] = {}
    for version, manifest_file, spec_file in _versions(folder):
        manifest, findings = read_manifest(folder, file=manifest_file, spec_file=spec_file)
        if manifest is None:
            raise S4miError(f"{folder / findings[0].location}: {findings[0].message}")
        _refuse_rows_with_errors(folder / manifest_file, patient, findings)
        groups.update(row.group for row in manifest.rows if row.group)
        known_ids.update(row.id for row in manifest.rows)
        before = read_erased(folder, manifest.spec, version)
        now = [_place(row, manifest.spec) for row in manifest.rows if row.group == patient]
        erased[version] = (manifest.spec, [*before, *now])
        for row in manifest.rows:
            if row.group == patient:
                ids[row.id] = None
            files = paths if row.group == patient else others
            files |= dict.fromkeys(path for path in (row.image, row.mask) if path is not None)
    if not ids:
        raise S4miError(f"{folder}: no image has the patient {patient!r} in the column group{nearest(patient, groups)}")
    inside, outside = divide_files(folder, paths, others)
    present = [path for path in paths if path.is_file()]
    known = FileHashes(cache / DATABASE_NAME).digests(present) if cache.is_dir() else FileHashes.hashed(present)
    return ErasurePlan(
        patient=patient,
        ids=tuple(ids),
        files=inside,
        outside=outside,
        digests=tuple(sorted(set(known.values()))),
        names=tuple(map(str, paths)),
        places=erased_table(erased, ids, known_ids),
    )


def _refuse_rows_with_errors(table: Path, patient: str, findings: Sequence[Finding]) -> None:
    """Raise S4miError if a row of the patient has an error: it would stay, as rows with errors are read by nobody."""
    errors = {line: finding for finding in findings if finding.severity == "error" for line in finding.rows}
    if not errors:
        return
    if joined := next((finding for finding in findings if finding.code == "bad-csv"), None):  # of any patients
        raise S4miError(f"{table}:{joined.line}: {joined.message}")
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = [cell.strip() for cell in next(reader, [])]
        column = header.index("group") if "group" in header else len(header)
        for row in reader:
            finding = errors.get(reader.line_num)
            if finding is not None and len(row) > column and row[column].strip() == patient:
                raise S4miError(
                    f"{table}:{reader.line_num}: a row of the patient {patient!r} has an error, so that its files "
                    f"cannot be found: {finding.message}"
                )


def read_plan(folder: Path) -> ErasurePlan | None:
    """Read the plan of an erasure that is not finished, or return None.

    Raises:
        S4miError: it is damaged.
    """
    path = folder / PLAN_NAME
    try:
        return ErasurePlan.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValidationError, UnicodeDecodeError) as error:
        raise S4miError(f"{path}: damaged; remove it and start the erasure again") from error


def begin_erasure(folder: Path, plan: ErasurePlan) -> None:
    """Write the plan, so that a killed erasure can go on."""
    sweep(folder)
    write_text_atomically(folder / PLAN_NAME, plan.model_dump_json(indent=1) + "\n", private=True)


def end_erasure(folder: Path) -> None:
    """Remove the plan: all is done."""
    (folder / PLAN_NAME).unlink(missing_ok=True)


def erase_from_dataset(folder: Path, plan: ErasurePlan) -> None:
    """Remove the rows of all versions, the files, annotations that are not merged, and the journal of the import."""
    gone = set(plan.ids)
    forget_images(folder, gone)
    if plan.places:  # of plans of older versions there are none
        write_text_atomically(folder / ERASED_NAME, plan.places, private=True)
    for _, manifest_file, spec_file in _versions(folder):
        erase_rows(folder / manifest_file, gone)
        spec, _ = read_spec(folder, file=spec_file)
        if spec is not None and any(gone & set(pair) for pair in spec.different):
            kept = tuple(pair for pair in spec.different if not gone & set(pair))
            if spec_file == SPEC_NAME:
                write_spec(folder, spec.model_copy(update={"different": kept}))
            else:
                _rewrite_different(folder / spec_file, kept)
    remove_files(folder, plan.files)
    (folder / JOURNAL).unlink(missing_ok=True)


def erase_rows(table: Path, ids: Iterable[str]) -> bool:
    """Remove the rows of a CSV file with one of these in the column id, else in the first; return if there were any."""
    gone, table = set(ids), table.resolve()  # where it is a link, the rows are in its target
    try:
        rows = list(csv.reader(io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")))
    except (FileNotFoundError, UnicodeDecodeError, csv.Error):
        return False
    header = [cell.strip() for cell in rows[0]] if rows else []
    column = header.index("id") if "id" in header else 0
    kept = [
        row for number, row in enumerate(rows) if not number or len(row) <= column or row[column].strip() not in gone
    ]
    if len(kept) == len(rows):
        return False
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(kept)
    write_text_atomically(table, text.getvalue())
    return True


def caches_with(cache: Path, plan: ErasurePlan) -> list[Path]:
    """Return the decode caches that hold an image of the patient, and those that cannot be read."""
    found = []
    for location in sorted(cache.iterdir()) if cache.is_dir() else ():
        if location.is_dir() and _KEY.fullmatch(location.name):
            try:
                with np.load(location / "index.npz") as index:
                    holds = bool(set(index["digests"].tolist()) & set(plan.digests))
            except Exception:  # damaged, so nobody can tell; on such files numpy raises almost any exception
                holds = True
            if holds:
                found.append(location)
    return found


def erase_from_cache(folder: Path, cache: Path, plan: ErasurePlan) -> None:
    """Remove decode caches, thumbnails and file names with an image of the patient, all features and predictions."""
    for location in caches_with(cache, plan):
        shutil.rmtree(location)
    for name in (FEATURES, VIEW):
        if (cache / name).is_dir():
            shutil.rmtree(cache / name)
    forget_thumbnails(cache, plan.digests)
    forget_mask_shares(cache, plan.digests)
    JudgedStore(cache).forget(plan.digests)
    if (cache / DATABASE_NAME).is_file():
        names = [*plan.names, *map(str, placed(folder, plan.files)), *plan.outside]
        FileHashes(cache / DATABASE_NAME).forget(names, plan.digests)


def _versions(folder: Path) -> list[tuple[int, str, str]]:
    """Return the number, manifest and description of every version that is kept, the newest last."""
    newest = newest_version(folder)
    kept = [(number, manifest_name(number), spec_name(number)) for number in range(1, newest + 1)]
    return [one for one in kept if (folder / one[1]).is_file()] + [(newest, MANIFEST_NAME, SPEC_NAME)]


def _place(row: Row, spec: DatasetSpec) -> ErasedImage:
    """Return what is kept of an image; of a mask that cannot be read, only that there was one."""
    if row.mask is None:
        return ErasedImage(row)
    try:
        mask = read_mask(row.mask, spec.mask_values)
    except (ImageError, OSError):
        return ErasedImage(row)
    shown = {*np.unique(mask).tolist()}
    return ErasedImage(
        row, foreground_share(mask), tuple(name for number, name in enumerate(spec.mask_classes) if number in shown)
    )


def _rewrite_different(path: Path, kept: tuple[tuple[str, str], ...]) -> None:
    contents = load_yaml(path.read_text(encoding="utf-8"))
    contents["different"] = [list(pair) for pair in kept]
    write_text_atomically(path, yaml.safe_dump(contents, sort_keys=False, allow_unicode=True))
