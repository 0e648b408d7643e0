"""A split as ids in a file: for a person to read, for a run to be held against, and for another run to use."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s4mi.data.manifest import PARTS, Manifest
from s4mi.errors import S4miError
from s4mi.records import Part, write_text_atomically


@dataclass(frozen=True)
class Split:
    """Manifest rows by part, in ascending order; `labelled` are the training rows whose annotation may be read."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    labelled: tuple[int, ...]
    hash: str

    def rows(self, part: Part) -> tuple[int, ...]:
        """Rows of one part."""
        return {"train": self.train, "val": self.val, "test": self.test}[part]


def hash_of(manifest: Manifest, parts: Mapping[Part, Sequence[int]], labelled: Sequence[int]) -> str:
    """Of who is where, whatever the order of the manifest."""
    names = [sorted(manifest.rows[number].id for number in rows) for rows in (*parts.values(), labelled)]
    return hashlib.blake2b(json.dumps(names).encode(), digest_size=8).hexdigest()


def save_split(
    split: Split,
    manifest: Manifest,
    path: Path,
    *,
    fractions: Mapping[str, Sequence[int]] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write a split as ids.

    Args:
        fractions: rows that may be read at further label fractions, by their names.
        settings: what the split was made from.
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
    write_text_atomically(path, json.dumps(contents, indent=1, ensure_ascii=False) + "\n")


def read_split_hash(path: Path) -> str:
    """The hash of a saved split.

    Raises:
        S4miError: the file is missing or damaged.
    """
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise S4miError(f"{path}: is no saved split ({error}); train the run again") from error


def read_parts(path: Path, manifest: Manifest) -> dict[Part, tuple[int, ...]]:
    """The parts of a saved split as rows of `manifest`.

    Raises:
        S4miError: the file is missing or damaged, or does not name every image of the manifest once.
    """
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        named = {part: [str(name) for name in contents[part]] for part in PARTS}
    except OSError as error:
        raise S4miError(f"{path}: cannot be read ({error.strerror}); make one with: s4mi data split … -o") from error
    except (ValueError, KeyError, TypeError) as error:
        raise S4miError(f"{path}: is no saved split ({error}); make one with: s4mi data split … -o {path}") from error
    number_of = {row.id: number for number, row in enumerate(manifest.rows)}
    place: dict[str, Part] = {}
    for part, names in named.items():
        for name in names:
            if name in place:
                raise S4miError(f"{path}: image {name!r} is in {place[name]} and in {part}; keep it in one part")
            place[name] = part
    strangers = [name for name in place if name not in number_of]
    missing = [name for name in number_of if name not in place]
    for names, what in ((strangers, "are not in the manifest"), (missing, "are in no part")):
        if names:
            raise S4miError(
                f"{path}: {len(names)} images {what}, the first is {names[0]!r}; "
                f"it is of another state of {manifest.folder}; split it again"
            )
    rows = {part: tuple(sorted(number_of[name] for name in named[part])) for part in PARTS}
    _refuse_shared_groups(path, manifest, rows)
    return rows


def read_labelled(path: Path, manifest: Manifest) -> tuple[int, ...]:
    """The rows of `manifest` that a saved split says to be labelled, ascending.

    Raises:
        S4miError: the file is missing or damaged, names none, or one that is not in the manifest.
    """
    number_of = {row.id: number for number, row in enumerate(manifest.rows)}
    try:
        named = [str(name) for name in json.loads(path.read_text(encoding="utf-8"))["labelled"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise S4miError(f"{path}: is no saved split ({error}); make one with: s4mi data split … -o {path}") from error
    strangers = [name for name in named if name not in number_of]
    if strangers or not named:
        what = f"names {strangers[0]!r}, which is not in the manifest" if strangers else "names no image"
        raise S4miError(f"{path}: labelled: {what}; it is of another state of {manifest.folder}; split it again")
    return tuple(sorted({number_of[name] for name in named}))


def _refuse_shared_groups(path: Path, manifest: Manifest, rows: Mapping[Part, Sequence[int]]) -> None:
    side: dict[str, Part] = {}
    for part, numbers in rows.items():
        for number in numbers:
            group = manifest.rows[number].group
            if group is not None and side.setdefault(group, part) != part:
                raise S4miError(f"{path}: group {group!r} is in {side[group]} and in {part}; keep it on one side")
