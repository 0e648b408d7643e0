"""Versions of a data set: merging annotations creates a new one and keeps the old ones.

    manifest.csv, dataset.yaml         the newest version
    manifest-v1.csv, dataset-v1.yaml   the first version, and so on

A version adds or corrects annotations and changes nothing else: images, patients and official split stay the same. A
run continues to use the version it started with, so that it can be resumed and evaluated again later.
"""

import filecmp
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s4mi.data.erased import read_erased
from s4mi.data.manifest import Manifest, load_manifest, read_manifest, write_dataset
from s4mi.data.row import MANIFEST_NAME, Row
from s4mi.data.spec import SPEC_NAME, DatasetSpec, read_spec, write_spec
from s4mi.errors import S4miError
from s4mi.records.atomic import replacing

_KEPT_NAME = re.compile(r"manifest-v([1-9][0-9]*)\.csv")


def newest_version(folder: Path) -> int:
    """Return the number of the version in `manifest.csv`; 1 without any merge, or without the folder."""
    names = (path.name for path in folder.glob("manifest-v*.csv"))
    kept = [int(match.group(1)) for name in names if (match := _KEPT_NAME.fullmatch(name))]
    if not kept:
        return 1
    last = folder / manifest_name(max(kept))
    # A merge copies the old manifest, then writes the new one: if both are identical, it was killed in between.
    unfinished = (folder / MANIFEST_NAME).is_file() and filecmp.cmp(last, folder / MANIFEST_NAME, shallow=False)
    return max(kept) if unfinished else max(kept) + 1


def first_annotated(folder: Path) -> int:
    """Return the first version that has a task; the newest if none has one or can be read."""
    newest = newest_version(folder)
    for version in range(1, newest):
        spec, _ = read_spec(folder, file=spec_name(version))
        if spec is not None and spec.tasks:
            return version
    return newest


def annotated_tasks(folder: Path) -> frozenset[str] | None:
    """Return the tasks that the newest version is annotated for; None if it cannot be read."""
    spec, _ = read_spec(folder)
    return None if spec is None else frozenset(spec.tasks)


def manifest_name(version: int) -> str:
    """Return the name of the manifest of an older version."""
    return f"manifest-v{version}.csv"


def spec_name(version: int) -> str:
    """Return the name of the `dataset.yaml` of an older version."""
    return f"dataset-v{version}.yaml"


def load_version(folder: Path, version: int | None = None) -> Manifest:
    """Read a version of a data set for use; by default the newest.

    Raises:
        S4miError: the version does not exist, or has an error that is detectable without opening an image.
    """
    newest = newest_version(folder)
    if version is None or version == newest:
        return replace(load_manifest(folder), version=newest)
    file = manifest_name(version)
    if version > newest or not (folder / file).is_file():
        raise S4miError(
            f"{folder}: no version {version} (data.version), only {_available(folder, newest)}; "
            "remove data.version to use the newest"
        )
    manifest, findings = read_manifest(folder, file=file, spec_file=spec_name(version))
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors or manifest is None:
        location = errors[0].location.replace(MANIFEST_NAME, file).replace(SPEC_NAME, spec_name(version))
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise S4miError(f"{folder / location}: {errors[0].message}{more}")
    return replace(manifest, version=version, erased=read_erased(folder, manifest.spec, version))


def write_version(manifest: Manifest, spec: DatasetSpec, rows: Sequence[Row]) -> int:
    """Keep the newest version under its number, write the next one and return the number of that.

    At any time a reader sees either the old or the new version. Writing the manifest is the last step and commits the
    new version.
    """
    folder, version = manifest.folder, manifest.version
    for current, kept in ((SPEC_NAME, spec_name(version)), (MANIFEST_NAME, manifest_name(version))):
        if not (folder / kept).exists():
            with replacing(folder / kept, private=True) as draft:
                shutil.copyfile(folder / current, draft)
    write_spec(folder, spec)  # before the manifest, whose labels may be new classes
    write_dataset(folder, spec, rows)
    return version + 1


def _available(folder: Path, newest: int) -> str:
    kept = [number for number in range(1, newest) if (folder / manifest_name(number)).is_file()]
    names = [str(number) for number in (*kept, newest)]
    return f"version{'s' if len(names) > 1 else ''} {', '.join(names)}"
