"""Which row of a manifest a file of annotations means."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from s4mi.data.files import stem_of
from s4mi.data.manifest import Manifest
from s4mi.errors import S4miError, closest


class UnknownImageError(S4miError):
    """A file names an image that the data set does not have, or several that it might mean."""


class RowFinder:
    """Finds rows by id, by path from the end, or by name without ending: the first of these that fits anything."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._by_id = {row.id: number for number, row in enumerate(manifest.rows)}
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._by_stem: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(manifest.rows):
            self._by_name[row.image.name].append(number)
            self._by_stem[stem_of(row.image)].append(number)

    def find(self, names: Sequence[str]) -> int:
        """The row of the image that goes by any of these names, the surest first.

        Raises:
            UnknownImageError: there is none, or more than one.
        """
        for name in names:
            found = self._find(name)
            if found is not None:
                return found
        name = names[0]
        ids = list(self._by_id)
        near = closest(name, ids) or closest(PurePosixPath(name).stem, ids)
        hint = f"; did you mean {near!r}?" if near is not None else "; take it out, or mend its name"
        raise UnknownImageError(f"image {name!r} is not in {self._manifest.folder}{hint}")

    def _find(self, name: str) -> int | None:
        if not name:
            raise UnknownImageError("names no image; write an id or a file name")
        if name in self._by_id:
            return self._by_id[name]
        path = PurePosixPath(name.replace("\\", "/"))
        alike = self._by_name.get(path.name) or self._by_stem.get(path.name) or self._by_stem.get(path.stem) or []
        if len(alike) > 1:
            folders = path.parent.parts
            inside = [n for n in alike if self._manifest.rows[n].image.parent.parts[-len(folders) :] == folders]
            alike = inside if folders and inside else alike
        if len(alike) > 1:
            ids = ", ".join(repr(self._manifest.rows[number].id) for number in alike[:3])
            raise UnknownImageError(f"image {name!r} may be any of {len(alike)} in the data set ({ids}); write its id")
        return alike[0] if alike else None
