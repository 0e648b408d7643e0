"""The versions of a data set: what it was before each time that annotations were merged into it.

    manifest.csv, dataset.yaml         the newest version
    manifest-v1.csv, dataset-v1.yaml   what they were at the first, and so on

A version adds or corrects annotation and changes nothing else: the same images, patients and official split. A run
keeps to the version that it began with, so that it can go on and be scored again later.
"""

import filecmp
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s4mi.data.manifest import MANIFEST_NAME, Manifest, Row, load_manifest, read_manifest, write_dataset
from s4mi.data.spec import SPEC_NAME, DatasetSpec, read_spec, write_spec
from s4mi.errors import S4miError

_KEPT = re.compile(r"manifest-v([1-9][0-9]*)\.csv")


def newest_version(folder: Path) -> int:
    """The number of the version in `manifest.csv`; 1 where nothing was ever merged, or there is no such folder."""
    kept = [int(found.group(1)) for path in folder.glob("manifest-v*.csv") if (found := _KEPT.fullmatch(path.name))]
    if not kept:
        return 1
    last = folder / manifest_name(max(kept))
    # A merge keeps the old manifest and then writes the new one: both alike, it was killed in between.
    unfinished = (folder / MANIFEST_NAME).is_file() and filecmp.cmp(last, folder / MANIFEST_NAME, shallow=False)
    return max(kept) if unfinished else max(kept) + 1


def first_annotated(folder: Path) -> int:
    """The first version that has a task; the newest where none has, or nothing can be read."""
    newest = newest_version(folder)
    for version in range(1, newest):
        spec, _ = read_spec(folder, file=spec_name(version))
        if spec is not None and spec.tasks:
            return version
    return newest


def manifest_name(version: int) -> str:
    """The file that an older version is kept in."""
    return f"manifest-v{version}.csv"


def spec_name(version: int) -> str:
    """The file that the description of an older version is kept in."""
    return f"dataset-v{version}.yaml"


def load_version(folder: Path, version: int | None = None) -> Manifest:
    """Read a version of a data set for use; None: the newest.

    Raises:
        S4miError: there is no such version, or anything is wrong with it that shows without opening an image.
    """
    newest = newest_version(folder)
    if version is None or version == newest:
        return replace(load_manifest(folder), version=newest)
    file = manifest_name(version)
    if version > newest or not (folder / file).is_file():
        raise S4miError(
            f"{folder}: has no version {version} (data.version), but {_listed(folder, newest)}; "
            "leave data.version out to take the newest"
        )
    manifest, findings = read_manifest(folder, file=file, spec_file=spec_name(version))
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors or manifest is None:
        place = errors[0].place.replace(MANIFEST_NAME, file).replace(SPEC_NAME, spec_name(version))
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise S4miError(f"{folder / place}: {errors[0].message}{more}")
    return replace(manifest, version=version)


def write_version(manifest: Manifest, spec: DatasetSpec, rows: Sequence[Row]) -> int:
    """Keep the newest version under its number and write the next one; its number.

    A reader sees the old version or the new one at any time. Of two steps the last one counts: where it is missing, the
    new version was never written.
    """
    folder, version = manifest.folder, manifest.version
    for current, kept in ((SPEC_NAME, spec_name(version)), (MANIFEST_NAME, manifest_name(version))):
        part = folder / f".{kept}.part"
        if not (folder / kept).exists():
            shutil.copy2(folder / current, part)
            part.replace(folder / kept)
    write_spec(folder, spec)  # before the manifest, whose new labels the old description might not know
    write_dataset(folder, spec, rows)
    return version + 1


def _listed(folder: Path, newest: int) -> str:
    kept = [number for number in range(1, newest) if (folder / manifest_name(number)).is_file()]
    names = [str(number) for number in (*kept, newest)]
    return f"version{'s' if len(names) > 1 else ''} {', '.join(names)}"
