"""Render the pictures of a report: predictions, saliency maps, best and worst cases, and disagreements.

They show images of the data set. Each is drawn once for unchanged runs, within a total time limit; a picture that
cannot be drawn becomes a note and never stops a report.
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

from s4mi.config.yaml_file import read_settings
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.errors import S4miError
from s4mi.records import CONFIG_NAME, RECORD_NAME, write_bytes_atomically
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.runs import ReportRun, shorten_paths
from s4mi.reporting.results.scores import TASK_NAMES
from s4mi.reporting.writers.html import ReportImage
from s4mi.visualisation.report_sheets import PlannedSheet, SheetRun, plan_sheets

SECONDS = 120.0
"""Time limit after which no further sheet is started; the next report continues."""
MAX_BYTES = 4_000_000
"""Total size of the pictures of a page, which base64 increases by a third, so that it can be sent by e-mail."""
FOLDER = "sheets"
VERSION = 3
"""Version of the drawing code: increase it when sheets look different, so that all are drawn again."""
QUALITY = 82
"""JPEG quality."""
JPEG = b"\xff\xd8"
"""First bytes of a JPEG file."""
_NAME = re.compile(r"[a-z]+-[0-9a-f]{16}\.(?:jpg|png)")
log = logging.getLogger("s4mi")


def study_sheets(
    folder: Path, runs: Sequence[ReportRun], *, seconds: float = SECONDS, draw: bool = True
) -> tuple[list[ReportImage], list[str]]:
    """Draw every sheet of the runs below `folder`, by data set and task, and note which cannot be drawn and why.

    Sheets are cached in `folder`/sheets.

    Args:
        draw: draw those that are not cached; otherwise they are left out, without a note.
    """
    renderer = _Renderer(folder, deadline=time.monotonic() + seconds, draws=draw)
    sheet_runs = [SheetRun(run, _run_folder(folder, run)) for run in runs]
    sheets: list[ReportImage] = []
    notes: list[str] = []
    for comparison in compare([run.record for run in runs]):
        members = [
            run for run in sheet_runs if (run.record.dataset, run.record.task) == (comparison.dataset, comparison.task)
        ]
        missing: dict[str, list[str]] = {}
        try:
            planned = plan_sheets(comparison, members)
        except Exception as error:  # whatever is wrong with a picture, the numbers of the report are still right
            missing.setdefault(_reason(error, folder), []).append("pictures")
            planned = []
        for sheet in planned:
            try:
                picture = renderer.picture(sheet)
                sheets.append(
                    ReportImage(sheet.title, sheet.caption, picture, sheet.alt, comparison.dataset, sheet.wide)
                )
            except Exception as error:
                missing.setdefault(_reason(error, folder), []).append(sheet.subject)
        name = f"{comparison.dataset}, {TASK_NAMES[comparison.task]}"
        notes += [f"{name}: could not draw {', '.join(subjects)}: {reason}" for reason, subjects in missing.items()]
    if not draw:
        return sheets, []
    if not notes:  # a sheet that could not be drawn now may be used again
        renderer.cache.prune()
    return sheets, notes


class _Renderer:
    """Draws the sheets that are not cached, until the deadline."""

    def __init__(self, folder: Path, *, deadline: float, draws: bool) -> None:
        self.cache = SheetCache(folder)
        self._draws = draws
        self._deadline = deadline
        self._bytes = 0
        self._manifests: dict[Path, Manifest] = {}

    def picture(self, sheet: PlannedSheet) -> bytes:
        """Return the sheet as PNG or JPEG.

        Raises:
            S4miError: weights or images no longer exist, the time limit is reached, or the page has too many pictures.
        """
        picture = self._cached_or_drawn(sheet)
        if self._bytes + len(picture) > MAX_BYTES:
            raise S4miError(
                f"the page already has {MAX_BYTES // 1_000_000} MB of pictures; see the folder {FOLDER} instead"
            )
        self._bytes += len(picture)
        return picture

    def _cached_or_drawn(self, sheet: PlannedSheet) -> bytes:
        key = key_of([sheet.kind, sheet.content, sheet.title, *(_fingerprint(run) for run in sheet.runs)])
        cached = self.cache.get(sheet.kind, key)
        if cached is not None:
            return cached
        if not self._draws:
            raise S4miError("not drawn yet")
        if time.monotonic() > self._deadline:
            raise S4miError("time limit for pictures reached; run s4mi report again to draw the rest")
        if sheet.needs_weights and not all(run.has_weights for run in sheet.runs):
            raise S4miError("the best weights of its runs no longer exist")
        picture = compact(sheet.draw(self._manifest(sheet.runs)))
        self.cache.put(sheet.kind, key, picture)
        return picture

    def _manifest(self, runs: Sequence[SheetRun]) -> Manifest:
        folders = [_data_folder(run) for run in runs]
        existing = [folder for folder in folders if folder.is_dir()]
        if not existing:
            raise S4miError("its data set is no longer where it was during training; restore it, or use --no-sheets")
        if existing[0] not in self._manifests:
            self._manifests[existing[0]] = load_manifest(existing[0])
        return self._manifests[existing[0]]


def _data_folder(run: SheetRun) -> Path:
    """The data set of a run, from its settings as they are: a run whose data set is gone needs no torch to say so."""
    return Path(read_settings(run.path / CONFIG_NAME, first="data: {path: …}")["data"]["path"])


def _fingerprint(run: SheetRun) -> list[str]:
    """Identifies a run, also among repetitions of itself."""
    record = run.record
    return [record.config_hash, record.split_hash, record.data_hash, record.finished, run.technique.label]


def _run_folder(folder: Path, run: ReportRun) -> Path:
    """The folder of a run: its label is relative to that of the report, unless it is that folder itself."""
    path = folder / run.directory
    return path if (path / RECORD_NAME).exists() else folder


def _reason(error: Exception, folder: Path) -> str:
    """Why there is no picture, in one line without paths of this machine."""
    log.debug("sheet not drawn", exc_info=error)
    message = str(error) if isinstance(error, S4miError) else f"{type(error).__name__}: {error}".splitlines()[0]
    return shorten_paths(message.replace(f"{folder}/", ""))


class SheetCache:
    """The cached sheets of a report folder. If it is not writable, sheets are silently drawn each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._used: set[str] = set()

    def get(self, kind: str, key: str) -> bytes | None:
        """Return the sheet with that key, or None."""
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
        """Store a sheet, atomically."""
        name = f"{kind}-{key}.{'jpg' if picture.startswith(JPEG) else 'png'}"
        self._used.add(name)
        try:
            write_bytes_atomically(self._folder / name, picture)
        except OSError:
            log.debug("sheet %s not cached", name, exc_info=True)

    def prune(self) -> None:
        """Delete the sheets that were neither read nor stored by this object; other files are kept."""
        try:
            for path in self._folder.iterdir():
                if _NAME.fullmatch(path.name) and path.name not in self._used:
                    path.unlink()
        except OSError:
            log.debug("unused sheets not deleted", exc_info=True)


def key_of(contents: Sequence[object]) -> str:
    """Hash of JSON-serialisable contents, equal on every machine."""
    text = json.dumps([VERSION, *contents], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def compact(png: bytes) -> bytes:
    """Convert a picture to JPEG if that is smaller, as for photographs; colours keep their full resolution."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(
        buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True, progressive=True
    )
    jpeg = buffer.getvalue()
    return jpeg if len(jpeg) < len(png) else png
