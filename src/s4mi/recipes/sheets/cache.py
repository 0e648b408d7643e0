"""Sheets that were drawn before: a picture of unchanged runs is not computed again.

<folder>/sheets/<kind>-<key>.jpg     the key is a hash of the records of the runs on it, and of what is shown
"""

import hashlib
import io
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from s4mi.records import write_bytes_atomically

FOLDER = "sheets"
DRAWING = 2
"""Raise it when sheets look different, and all are drawn again."""
QUALITY = 82
_NAME = re.compile(r"[a-z]+-[0-9a-f]{16}\.(?:jpg|png)")
log = logging.getLogger("s4mi")


class SheetCache:
    """The sheets below one folder. One that cannot be written is drawn each time, and nothing is said."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._used: set[str] = set()

    def get(self, kind: str, key: str) -> bytes | None:
        """The sheet of that key, if it is there."""
        for ending in ("jpg", "png"):
            path = self._folder / f"{kind}-{key}.{ending}"
            try:
                picture = path.read_bytes()
                Image.open(io.BytesIO(picture)).verify()
            except (OSError, SyntaxError):
                continue
            self._used.add(path.name)
            return picture
        return None

    def put(self, kind: str, key: str, picture: bytes) -> None:
        """Keep a sheet, whole or not at all."""
        name = f"{kind}-{key}.{'jpg' if picture.startswith(JPEG) else 'png'}"
        self._used.add(name)
        try:
            write_bytes_atomically(self._folder / name, picture)
        except OSError:
            log.debug("sheet %s is not kept", name, exc_info=True)

    def prune(self) -> None:
        """Take away the sheets that were neither found nor put since this was made; other files stay."""
        try:
            for path in self._folder.iterdir():
                if _NAME.fullmatch(path.name) and path.name not in self._used:
                    path.unlink()
        except OSError:
            log.debug("sheets that are not used stay", exc_info=True)


JPEG = b"\xff\xd8"


def key_of(facts: Sequence[object]) -> str:
    """A hash of whatever JSON can hold, the same on every machine."""
    text = json.dumps([DRAWING, *facts], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def compact(png: bytes) -> bytes:
    """The same picture as a JPEG where that is smaller, as it is of photographs; colours keep their full resolution."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(
        buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True, progressive=True
    )
    jpeg = buffer.getvalue()
    return jpeg if len(jpeg) < len(png) else png
