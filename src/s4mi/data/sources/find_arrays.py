"""Find the arrays of images, masks, labels and patients in `.npy`, `.npz` and HDF5 files by their names.

What an array is, and its part of the split, is said by words in its key, the name of its file or those of its folders:

    {train,test}.npz: x, y              camelyonpatch_level_2_split_valid_x.h5: x, …_y.h5: y
    data.npz: train_images, …           fold1/images.npy, fold1/masks.npy, fold1/types.npy
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s4mi.data.formats.stacks import HDF5, ONLY, SUFFIXES, ArrayHeader, headers
from s4mi.data.sources.types import PART_NAMES
from s4mi.data.walk import visible_files
from s4mi.errors import S4miError, nearest
from s4mi.records import Part

Role = Literal["images", "masks", "labels", "groups"]
ROLES: tuple[Role, ...] = ("images", "masks", "labels", "groups")
WORDS: dict[str, Role] = {
    **dict.fromkeys(("x", "images", "image", "imgs", "img", "pictures"), "images"),
    **dict.fromkeys(("masks", "mask", "segmentations", "segmentation", "seg", "segs", "gt"), "masks"),
    **dict.fromkeys(("y", "labels", "label", "targets", "target", "classes", "types", "type"), "labels"),
    **dict.fromkeys(("groups", "group", "patients", "patient", "subjects", "subject"), "groups"),
}  # fmt: skip


@dataclass(frozen=True)
class ArrayRef:
    """An array in a file."""

    file: Path
    key: str
    header: ArrayHeader

    @property
    def name(self) -> str:
        """Name for messages: the file, and the key if it has one."""
        return self.file.name if self.key == ONLY else f"{self.file.name}:{self.key}"


@dataclass(frozen=True)
class ArrayStack:
    """The arrays whose items belong together, and their part of the split."""

    images: ArrayRef
    masks: ArrayRef | None = None
    labels: ArrayRef | None = None
    groups: ArrayRef | None = None
    part: Part | None = None


def arrays_of(source: Path) -> list[ArrayRef]:
    """List all arrays in a file, or in the files below a folder.

    Raises:
        S4miError: a file cannot be read.
    """
    files = [source] if source.is_file() else [p for p in visible_files(source) if p.suffix.lower() in SUFFIXES]
    return [ArrayRef(file, key, header) for file in files for key, header in headers(file).items()]


def is_arrays(source: Path) -> bool:
    """Whether a file or folder holds arrays of which some are images, without reading them."""
    if source.is_file():
        return source.suffix.lower() in (".npz", *HDF5)
    if any(path.suffix.lower() in (".npz", *HDF5) for path in visible_files(source)):
        return True
    stacks = [path for path in visible_files(source) if path.suffix.lower() == ".npy"]
    roles = {_role(_words(path.relative_to(source).with_suffix("").as_posix())) for path in stacks}
    return "images" in roles and len(roles) > 1


def find_stacks(source: Path, keys: dict[Role, Sequence[str]]) -> list[ArrayStack]:
    """Return the stacks of images with what belongs to them: the arrays whose names differ by their role alone.

    Args:
        keys: of each role, the keys, names of files (`images.npy`) or both (`a.npz:images`), if they are not found by
            their words; `''` for none.

    Raises:
        S4miError: there are no images, a key does not exist, or two arrays have one role in a stack.
    """
    root = source if source.is_dir() else source.parent
    found = arrays_of(source)
    role_of: dict[int, Role] = {}
    for role in ROLES:
        asked = keys.get(role)
        chosen = _chosen(found, asked, role, root=root, source=source) if asked else _by_words(found, role, root=root)
        if asked or asked is None:
            role_of |= dict.fromkeys((number for number in chosen if asked or number not in role_of), role)
    stacks: dict[tuple[Part | None, frozenset[str]], dict[Role, ArrayRef]] = {}
    for number, role in role_of.items():
        words = _words(_name(found[number], root))
        part = next((PART_NAMES[word] for word in words if word in PART_NAMES), None)
        rest = frozenset(word for word in words if word not in WORDS and word not in PART_NAMES)
        members = stacks.setdefault((part, rest), {})
        if role in members:
            raise S4miError(
                f"{source}: {members[role].name} and {found[number].name} are both {role} of one stack; choose with "
                f"--{role} KEY"
            )
        members[role] = found[number]
    complete = _completed(stacks)
    if not complete:
        listed = ", ".join(f"{ref.name} {ref.header.shape}" for ref in found[:8]) or "none"
        raise S4miError(f"{source}: no array of images (arrays: {listed}); name it with --images KEY")
    return complete


def _completed(
    stacks: dict[tuple[Part | None, frozenset[str]], dict[Role, ArrayRef]],
) -> list[ArrayStack]:
    """Return the stacks with images; arrays without images of the same name go to the only stack of their part."""
    with_images = {key: dict(members) for key, members in stacks.items() if "images" in members}
    for key, members in stacks.items():
        if "images" in members:
            continue
        candidates = [other for other in with_images if other[0] == key[0]]
        if len(candidates) == 1:
            for role, ref in members.items():
                with_images[candidates[0]].setdefault(role, ref)
    return [ArrayStack(**members, part=part) for (part, _), members in with_images.items()]


def _by_words(found: Sequence[ArrayRef], role: Role, *, root: Path) -> list[int]:
    return [number for number, ref in enumerate(found) if _role(_words(_name(ref, root))) == role]


def _chosen(found: Sequence[ArrayRef], asked: Sequence[str], role: Role, *, root: Path, source: Path) -> list[int]:
    chosen = []
    for key in asked:
        if not key:
            continue
        hits = [number for number, ref in enumerate(found) if key in _aliases(ref, root)]
        if not hits:
            known = sorted({ref.name for ref in found})
            raise S4miError(f"--{role} {key!r}: no such array in {source}{nearest(key, known) or f'; {known[:8]}'}")
        chosen += hits
    return chosen


def _aliases(ref: ArrayRef, root: Path) -> set[str]:
    path = ref.file.relative_to(root).as_posix()
    return {ref.key, ref.file.name, path, f"{ref.file.name}:{ref.key}", f"{path}:{ref.key}"}


def _name(ref: ArrayRef, root: Path) -> str:
    path = ref.file.relative_to(root).with_suffix("").as_posix()
    return path if ref.key == ONLY else f"{path}/{ref.key}"


def _role(words: Sequence[str]) -> Role | None:
    """Return the role that the last word for one says."""
    return next((WORDS[word] for word in reversed(words) if word in WORDS), None)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
