"""Find the row of the manifest for an image named in a file of annotations."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from s4mi.data.files import stem_of
from s4mi.data.manifest import Manifest
from s4mi.data.names import NameIndex
from s4mi.errors import S4miError, closest

_UPLOADED = re.compile(r"[0-9a-f]{8}-(?P<name>.+)", re.DOTALL)
"""Names of uploaded files in Label Studio: the start of a random UUID and the cleaned name."""


class UnknownImageError(S4miError):
    """The data set has no image of this name, or several."""


class RowFinder:
    """Finds rows by id, else by the end of their path, else by name without extension, else by name after an upload."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._ids, self._by_name, self._by_stem = NameIndex[int](), NameIndex[int](), NameIndex[int]()
        self._by_uploaded: dict[str, list[int]] = defaultdict(list)
        self._by_uploaded_stem: dict[str, list[int]] = defaultdict(list)
        self._folders = {row.image.parent.name for row in manifest.rows}
        for number, row in enumerate(manifest.rows):
            self._ids.add(row.id, number)
            self._by_name.add(row.image.name, number)
            self._by_stem.add(stem_of(row.image), number)
            self._by_uploaded[_uploaded(row.image.name)].append(number)
            self._by_uploaded_stem[_uploaded(stem_of(row.image))].append(number)

    def find(self, names: Sequence[str], *, agreeing: Sequence[str] = ()) -> int:
        """Return the number of the row for any of these names, the most reliable first.

        Args:
            agreeing: names that must not be those of different images.

        Raises:
            UnknownImageError: there is no such image, or more than one.
        """
        known = {name: number for name in agreeing if (number := self._known(name)) is not None}
        if len(set(known.values())) > 1:
            said = " and ".join(f"{name!r}, which is {self._manifest.rows[n].id!r}" for name, n in known.items())
            raise UnknownImageError(f"names different images, {said}; correct or remove the wrong name")
        if (number := self._lookup(names)) is not None:
            return number
        name = names[0]
        ids = [row.id for row in self._manifest.rows]
        near = closest(name, ids) or closest(PurePosixPath(name).stem, ids)
        hint = f"; did you mean {near!r}?" if near is not None else "; remove it, or correct its name"
        raise UnknownImageError(f"image {name!r} not found in {self._manifest.folder}{hint}")

    def _known(self, name: str) -> int | None:
        """Return the number of the row for a name; None if there is no such image, or more than one."""
        try:
            return self._lookup((name,))
        except UnknownImageError:
            return None

    def _lookup(self, names: Sequence[str]) -> int | None:
        for name in names:
            found = self._find(name)
            if found is not None:
                return found
        for name in names:
            found = self._find_uploaded(name)
            if found is not None:
                return found
        return None

    def _find(self, name: str) -> int | None:
        if not name:
            raise UnknownImageError("no image name; fill in an id or a file name")
        if (number := self._ids.only(name)) is not None:
            return number
        path = PurePosixPath(name.replace("\\", "/"))
        matches = self._by_name.get(path.name) or self._by_stem.get(path.name) or self._by_stem.get(path.stem)
        folder, rows = path.parent.name, self._manifest.rows
        if matches and folder in self._folders and all(rows[n].image.parent.name != folder for n in matches):
            raise UnknownImageError(
                f"image {name!r} not found in {self._manifest.folder}, where {rows[matches[0]].id!r} is in another "
                f"folder than {folder!r}; remove it, or correct its name"
            )
        if len(matches) > 1:
            parts = path.parent.parts
            same_folder = [n for n in matches if rows[n].image.parent.parts[-len(parts) :] == parts]
            matches = same_folder if parts and same_folder else matches
        return self._only(matches, name)

    def _find_uploaded(self, name: str) -> int | None:
        """Find the row of an image that was uploaded to Label Studio, which cleans names so that some become equal."""
        uploaded = _UPLOADED.fullmatch(PurePosixPath(name.replace("\\", "/")).name)
        if uploaded is None:
            return None
        path = PurePosixPath(uploaded["name"])
        return self._only(self._by_uploaded.get(path.name) or self._by_uploaded_stem.get(path.stem) or [], name)

    def _only(self, matches: Sequence[int], name: str) -> int | None:
        if len(matches) > 1:
            ids = ", ".join(repr(self._manifest.rows[number].id) for number in matches[:3])
            raise UnknownImageError(f"image {name!r} is ambiguous, {len(matches)} match ({ids}); use the id")
        return matches[0] if matches else None


def _uploaded(name: str) -> str:
    """Clean a name as the server of Label Studio does (Django's `get_valid_filename`, after a prefix)."""
    return re.sub(r"[^-\w.]", "", name.rstrip().replace(" ", "_"))
