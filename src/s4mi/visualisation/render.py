"""The pictures that a report shows: what techniques predict and where they look, best and worst cases, disputes.

They show images of the data set. Each is drawn once for unchanged runs, and all together in little time; a picture that
cannot be drawn becomes a line, and never stops a report.
"""

import hashlib
import io
import json
import logging
import re
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from s4mi.data.manifest import Manifest, load_manifest
from s4mi.errors import S4miError
from s4mi.records import RECORD_NAME, write_bytes_atomically
from s4mi.report.results.comparison import compare
from s4mi.report.results.runs import ReportRun, shorten_paths
from s4mi.report.results.scores import TASK_NAMES
from s4mi.report.writers.html import ReportImage
from s4mi.training.run_dir import RunDir
from s4mi.visualisation.report_sheets import PlannedSheet, SheetRun, plan_sheets

SECONDS = 120.0
"""After so long no further sheet is begun; the next report goes on."""
BYTES = 4_000_000
"""A page holds no more of pictures, which text makes a third larger, so that it can be sent by mail."""
log = logging.getLogger("s4mi")


def study_sheets(
    folder: Path, runs: Sequence[ReportRun], *, seconds: float = SECONDS
) -> tuple[list[ReportImage], list[str]]:
    """Every sheet of the runs below `folder`, by data set and task, and a line on what cannot be shown and why.

    What is drawn is kept in `folder`/sheets.
    """
    drawing = _Drawing(folder, until=time.monotonic() + seconds)
    found = [SheetRun(run, _place(folder, run)) for run in runs]
    sheets: list[ReportImage] = []
    notes: list[str] = []
    for comparison in compare([run.record for run in runs]):
        own = [run for run in found if (run.record.dataset, run.record.task) == (comparison.dataset, comparison.task)]
        lacking: dict[str, list[str]] = {}
        try:
            planned = plan_sheets(comparison, own)
        except Exception as error:  # a picture is not worth a report: whatever is wrong, the numbers are still right
            lacking.setdefault(_reason(error, folder), []).append("pictures")
            planned = []
        for one in planned:
            try:
                picture = drawing.picture(one)
                sheets.append(ReportImage(one.title, one.caption, picture, one.alt, comparison.dataset, one.wide))
            except Exception as error:
                lacking.setdefault(_reason(error, folder), []).append(one.what)
        name = f"{comparison.dataset}, {TASK_NAMES[comparison.task]}"
        notes += [f"{name}: no sheet of {', '.join(whats)}: {reason}" for reason, whats in lacking.items()]
    if not notes:  # what could not be drawn now may be wanted again
        drawing.cache.prune()
    return sheets, notes


class _Drawing:
    """Draws what was not drawn before, while there is time."""

    def __init__(self, folder: Path, *, until: float) -> None:
        self.cache = SheetCache(folder)
        self._until = until
        self._bytes = 0
        self._manifests: dict[Path, Manifest] = {}

    def picture(self, one: PlannedSheet) -> bytes:
        """The sheet as a PNG or JPEG.

        Raises:
            S4miError: weights or images are not there any more, time is up, or the page has enough of pictures.
        """
        picture = self._found_or_drawn(one)
        if self._bytes + len(picture) > BYTES:
            raise S4miError(
                f"{BYTES // 1_000_000} MB of pictures are on the page already; it is in the folder {FOLDER}"
            )
        self._bytes += len(picture)
        return picture

    def _found_or_drawn(self, one: PlannedSheet) -> bytes:
        key = key_of([one.kind, one.shown, one.title, *(_facts(run) for run in one.runs)])
        known = self.cache.get(one.kind, key)
        if known is not None:
            return known
        if time.monotonic() > self._until:
            raise S4miError("the time for pictures is up; s4mi report goes on with them")
        if one.weights and not all(RunDir(run.path).best.exists() for run in one.runs):
            raise S4miError("the best weights of its runs are not there any more")
        picture = compact(one.draw(self._manifest(one.runs)))
        self.cache.put(one.kind, key, picture)
        return picture

    def _manifest(self, runs: Sequence[SheetRun]) -> Manifest:
        folders = [RunDir(run.path).config().data.path for run in runs]
        there = [folder for folder in folders if folder.is_dir()]
        if not there:
            raise S4miError("its images are not where the runs saw them any more; restore them, or use --no-sheets")
        if there[0] not in self._manifests:
            self._manifests[there[0]] = load_manifest(there[0])
        return self._manifests[there[0]]


def _facts(run: SheetRun) -> list[str]:
    """What tells a run from any other, and from itself trained again."""
    record = run.record
    return [record.config_hash, record.split_hash, record.data_hash, record.finished, run.technique.label]


def _place(folder: Path, run: ReportRun) -> Path:
    """The folder of a run: its label is relative to the report's, unless it is that folder itself."""
    place = folder / run.directory
    return place if (place / RECORD_NAME).exists() else folder


def _reason(error: Exception, folder: Path) -> str:
    """Why there is no picture, in a line without the folders of this machine."""
    log.debug("no sheet", exc_info=error)
    known = str(error) if isinstance(error, S4miError) else f"{type(error).__name__}: {error}".splitlines()[0]
    return shorten_paths(known.replace(f"{folder}/", ""))


FOLDER = "sheets"
DRAWING = 2
"""Raise it when sheets look different, and all are drawn again."""
QUALITY = 82
_NAME = re.compile(r"[a-z]+-[0-9a-f]{16}\.(?:jpg|png)")


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
