"""Which images of a data set were compared, and the pairs that look alike: kept by content, so that no command looks at
a pair again that another has looked at.

    <cache>/copies/<key>.npz   digests (U, 16), relations (U,), first, second, similarity, same (P,), kind, about

A file holds the images by the hash of their files, and the pairs among them whose thumbnails are similar, each with the
verdict of the second look. All other pairs are not similar, but for those of one relation (a patient in one part of the
official split), which nobody asks about. The name is a hash of all that this depends on, so that a file is never stale;
it is written beside and renamed, so that it is whole or absent; one that is damaged counts as absent.
"""

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.records.atomic import make_private, replacing

FOLDER = "copies"
"""Folder in that of the caches."""
FORMAT = 1
MOST_FILES = 32
"""Files that are kept, the newest."""
DIGEST_BYTES = 16
COLUMNS = ("digests", "relations", "first", "second", "similarity", "same")

log = logging.getLogger("s4mi")


@dataclass(frozen=True)
class ImageSet:
    """Images that are compared.

    Attributes:
        digests: (U, 16) uint8 hashes of their files, each once.
        relations: (U,) int32; two images of the same one, unless it is -1, are not compared.
        kind: what else decides about thumbnails: thresholds, intensity rule, revision of the decoding.
        about: what else decides about the second look: the images that say what the set shares.
    """

    digests: NDArray[np.uint8]
    relations: NDArray[np.int32]
    kind: bytes
    about: bytes

    @property
    def key(self) -> str:
        """Name of what is kept of these images."""
        parts = (str(FORMAT).encode(), self.kind, self.about, self.digests.tobytes(), self.relations.tobytes())
        hashed = blake2b(digest_size=16)
        for part in parts:
            hashed.update(len(part).to_bytes(8, "little") + part)
        return hashed.hexdigest()


@dataclass(frozen=True)
class JudgedSet:
    """Images, and their pairs with similar thumbnails.

    Attributes:
        first, second: (P,) int32 images of each pair, the smaller first. similarity: (P,) correlation of thumbnails.
        same: (P,) whether the second look found the same image.
        complete: whether all pairs of different relations were compared; if not, these pairs are a beginning.
        note: what was left out, if there were too many pairs.
    """

    images: ImageSet
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    similarity: NDArray[np.float64]
    same: NDArray[np.bool_]
    complete: bool = True
    note: str = ""

    def __len__(self) -> int:
        return len(self.first)


class JudgedStore:
    """Judged sets in a folder of caches."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / FOLDER

    def get(self, images: ImageSet) -> JudgedSet | None:
        """Return what is kept of exactly these images."""
        found = _read(self._folder / f"{images.key}.npz")
        if found is None or found.images.key != images.key:
            return None
        return found

    def others(self, images: ImageSet) -> Iterator[JudgedSet]:
        """Yield what is kept of other sets of the same kind, the newest first."""
        for path in self._newest():
            if path.stem != images.key:
                found = _read(path)
                if found is not None and found.images.kind == images.kind:
                    yield found

    def put(self, judged: JudgedSet) -> None:
        """Keep a judged set; if the disk is full or read-only, say so, and go on."""
        try:
            make_private(self._folder.parent)
            _write(self._folder / f"{judged.images.key}.npz", judged)
            for path in self._newest()[MOST_FILES:]:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: cannot keep which images were compared (%s); they will be again", self._folder, error)

    def forget(self, digests: Iterable[str]) -> None:
        """Remove images with these hashes, and files that are damaged; the pairs of others stay known.

        Raises:
            OSError: the folder cannot be written.
        """
        gone = np.array(sorted(set(map(bytes.fromhex, digests))), dtype=f"S{DIGEST_BYTES}")
        for path in self._newest():
            found = _read(path)
            if found is not None:
                kept = ~np.isin(as_values(found.images.digests), gone)
                if kept.all():
                    continue
                rest = _restricted(found, kept)
                if len(rest.images.digests):
                    _write(self._folder / f"{rest.images.key}.npz", rest)
            path.unlink(missing_ok=True)

    def _newest(self) -> list[Path]:
        dated = []
        for path in self._folder.glob("*.npz"):
            with contextlib.suppress(FileNotFoundError):  # another process has removed it
                dated.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(dated, reverse=True) if not path.name.startswith(".")]


def _restricted(judged: JudgedSet, kept: NDArray[np.bool_]) -> JudgedSet:
    """Return what is known of some of the images."""
    place = np.cumsum(kept, dtype=np.int32) - np.int32(1)
    pairs = kept[judged.first] & kept[judged.second]
    images = ImageSet(
        judged.images.digests[kept], judged.images.relations[kept], judged.images.kind, judged.images.about
    )
    return JudgedSet(
        images, place[judged.first[pairs]], place[judged.second[pairs]], judged.similarity[pairs], judged.same[pairs],
        judged.complete, judged.note,
    )  # fmt: skip


def _write(path: Path, judged: JudgedSet) -> None:
    images = judged.images
    about = {"format": FORMAT, "kind": images.kind.hex(), "about": images.about.hex(), "complete": judged.complete,
             "note": judged.note}  # fmt: skip
    arrays = {
        "digests": images.digests, "relations": images.relations, "first": judged.first, "second": judged.second,
        "similarity": judged.similarity, "same": judged.same,
        "header": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
    }  # fmt: skip
    with replacing(path, private=True) as draft, draft.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _read(path: Path) -> JudgedSet | None:
    """Read a file; None if it is missing, damaged or of another format."""
    try:
        with np.load(path, allow_pickle=False) as file:
            digests, relations, first, second, similarity, same = (file[name] for name in COLUMNS)
            header = json.loads(file["header"].tobytes())
        images = ImageSet(digests, relations, bytes.fromhex(header["kind"]), bytes.fromhex(header["about"]))
        found = JudgedSet(images, first, second, similarity, same, bool(header["complete"]), str(header["note"]))
        return found if header["format"] == FORMAT and _is_whole(found) else None
    except Exception:  # on damaged files numpy and zipfile raise almost any exception
        return None


def _is_whole(judged: JudgedSet) -> bool:
    count, pairs = len(judged.images.digests), len(judged.first)
    return (
        judged.images.digests.dtype == np.uint8
        and judged.images.digests.shape == (count, DIGEST_BYTES)
        and judged.images.relations.shape == (count,)
        and all(len(one) == pairs for one in (judged.second, judged.similarity, judged.same))
        and bool((judged.first >= 0).all() and (judged.first < judged.second).all() and (judged.second < count).all())
    )


def as_values(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """(U,) digests that can be sorted and compared."""
    return np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}").ravel()
