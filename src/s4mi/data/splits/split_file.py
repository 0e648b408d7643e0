"""Splits saved as lists of image ids: human-readable, comparable by hash, and reusable by other runs."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from s4mi.data.manifest import Manifest
from s4mi.data.row import PARTS
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import Part, write_text_atomically
from s4mi.records.plain import load_json

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """Manifest rows by part, ascending; `labelled` are the training rows whose annotations may be used.

    Attributes:
        erased: places of erased images in the training part, numbered on from the rows (`erased_rows.py`).
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    labelled: tuple[int, ...]
    hash: str
    erased: tuple[int, ...] = ()

    def rows(self, part: Part) -> tuple[int, ...]:
        """Return the rows of a part."""
        return {"train": self.train, "val": self.val, "test": self.test}[part]


def hash_of(manifest: Manifest, parts: Mapping[Part, Sequence[int]], labelled: Sequence[int]) -> str:
    """Hash which images are in which part and labelled, independent of the order of the manifest."""
    ids = [sorted(manifest.rows[number].id for number in rows) for rows in (*parts.values(), labelled)]
    return hashlib.blake2b(json.dumps(ids).encode(), digest_size=8).hexdigest()


def save_split(
    split: Split,
    manifest: Manifest,
    path: Path,
    *,
    fractions: Mapping[str, Sequence[int]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write a split as lists of image ids.

    Args:
        fractions: labelled rows of further label fractions, by their names.
        settings: settings that the split was made with.
    """  # fmt: skip
    contents: dict[str, Any] = {"hash": split.hash}
    if settings:
        contents["settings"] = dict(settings)
    for part in PARTS:
        contents[part] = [manifest.rows[number].id for number in split.rows(part)]
    contents["labelled"] = [manifest.rows[number].id for number in split.labelled]
    if fractions:
        contents["fractions"] = {
            name: [manifest.rows[number].id for number in rows] for name, rows in fractions.items()
        }
    write_text_atomically(path, _indented(contents) + "\n")


def _indented(contents: Any, depth: int = 1) -> str:
    """Return what `json.dumps(contents, indent=1)` does, but encode the lists of ids in C, twenty times as fast."""
    line = "\n" + " " * depth
    if isinstance(contents, dict) and contents:
        items = (f"{json.dumps(key, ensure_ascii=False)}: {_indented(one, depth + 1)}" for key, one in contents.items())
        return "{" + line + f",{line}".join(items) + line[:-1] + "}"
    if isinstance(contents, list) and contents and all(isinstance(one, str) for one in contents):
        text = json.dumps(contents, ensure_ascii=False, separators=(f",{line}", ": "))
        return "[" + line + text[1:-1] + line[:-1] + "]"
    return json.dumps(contents, ensure_ascii=False)


def remaining_parts(path: Path, manifest: Manifest) -> dict[Part, frozenset[str]] | None:
    """Return the ids of each part of a run's split that are still in the manifest; None if others were not erased.

    Raises:
        S4miError: the file is missing or damaged.
    """
    ids_of = read_split_ids(path)
    if not manifest.erased or _unknown(frozenset.union(*(ids_of[part] for part in PARTS)), manifest):
        return None
    known = {row.id for row in manifest.rows}
    return {part: ids_of[part] & known for part in PARTS}


def read_split_hash(path: Path) -> str:
    """Read the hash of a saved split.

    Raises:
        S4miError: the file is missing or damaged.
    """
    return _read(path, lambda contents: str(contents["hash"]))


def read_split_ids(path: Path) -> dict[Part | Literal["labelled"], frozenset[str]]:
    """Read the ids of the images of each part of a saved split, and of those that are labelled.

    Raises:
        S4miError: the file is missing or damaged.
    """
    lists: tuple[Part | Literal["labelled"], ...] = (*PARTS, "labelled")
    return _read(path, lambda contents: {name: frozenset(map(str, contents[name])) for name in lists})


def _read(path: Path, get: Callable[[Any], T]) -> T:
    """Return what `get` takes from the split file of a run."""
    try:
        return get(load_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise S4miError(f"{path}: not a valid split file ({error}); train the run again") from error


def read_parts(path: Path, manifest: Manifest) -> dict[Part, tuple[int, ...]]:
    """Read the parts of a saved split as rows of `manifest`.

    Raises:
        S4miError: the file is missing or damaged, or does not list every image of the manifest exactly once. It may
            list others, up to the number of erased images.
    """
    try:
        contents = load_json(path.read_text(encoding="utf-8"))
        ids_of = {part: [str(name) for name in contents[part]] for part in PARTS}
    except OSError as error:
        raise S4miError(f"{path}: cannot be read ({error.strerror}); create it with: s4mi data split … -o") from error
    except (ValueError, KeyError, TypeError) as error:
        raise S4miError(
            f"{path}: not a valid split file ({error}); create it with: s4mi data split … -o {path}"
        ) from error
    number_of = {row.id: number for number, row in enumerate(manifest.rows)}
    part_of: dict[str, Part] = {}
    for part, names in ids_of.items():
        for name in names:
            if name in part_of:
                raise S4miError(f"{path}: image {name!r} is in {part_of[name]} and in {part}; keep it in one part")
            part_of[name] = part
    unknown = _unknown(part_of, manifest)
    missing = [name for name in number_of if name not in part_of]
    for names, problem in ((unknown, "not in the manifest"), (missing, "missing")):
        if names:
            raise S4miError(
                f"{path}: {plural(len(names), 'image')} {problem}, e.g. {names[0]!r}; it belongs to another state of "
                f"{manifest.folder}; split again"
            )
    rows = {part: tuple(sorted(number_of[name] for name in ids_of[part] if name in number_of)) for part in PARTS}
    _check_groups(path, manifest, rows)
    return rows


def read_labelled(path: Path, manifest: Manifest) -> tuple[int, ...]:
    """Read the rows of `manifest` that a saved split lists as labelled, ascending.

    Raises:
        S4miError: the file is missing or damaged, lists no image, or one that is not in the manifest.
    """
    number_of = {row.id: number for number, row in enumerate(manifest.rows)}
    try:
        ids = [str(name) for name in load_json(path.read_text(encoding="utf-8"))["labelled"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise S4miError(
            f"{path}: not a valid split file ({error}); create it with: s4mi data split … -o {path}"
        ) from error
    unknown = _unknown(ids, manifest)
    if unknown or not ids:
        problem = f"image {unknown[0]!r} is not in the manifest" if unknown else "no image listed"
        raise S4miError(f"{path}: labelled: {problem}; it belongs to another state of {manifest.folder}; split again")
    return tuple(sorted({number_of[name] for name in ids if name in number_of}))


def _unknown(ids: Iterable[str], manifest: Manifest) -> list[str]:
    """Return the ids that are not in the manifest; none if they can all be of erased images."""
    known = {row.id for row in manifest.rows}
    unknown = [name for name in ids if name not in known]
    return unknown if len(unknown) > len(manifest.erased) else []


def _check_groups(path: Path, manifest: Manifest, rows: Mapping[Part, Sequence[int]]) -> None:
    """Refuse a patient in two parts, which no setting allows: the file contradicts the column group."""
    part_of: dict[str, Part] = {}
    for part, numbers in rows.items():
        for number in numbers:
            group = manifest.rows[number].group
            if group is not None and part_of.setdefault(group, part) != part:
                raise S4miError(f"{path}: group {group!r} is in {part_of[group]} and in {part}; keep it in one part")
