"""The compact form of a study's records: one gzipped file of JSON lines, without images and without names.

    line 1     {"format": 1, "study": name, "file": study file, "machine": where it ran, "measured": {},
                "test": {key: images}}
    others     one run each: {"run": folder, "test": key, "record": record.json, and
                 "pixels": [[overlap, union of each foreground class] of each test image]    or
                 "decisions": text, for each test image its classes as bits                   }

    images     {"images": ["image 1", …], "groups": ["patient 1" or null, …], "classes": […], "truth": as decisions}

Images and patients are numbered, the same in all runs of a data set. IoU and Dice of an image follow from its pixels;
surface distances and probabilities are left out, and so are settings and what happened in each epoch.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.errors import S4miError
from s4mi.records import ImageScores, Predictions, RunRecord
from s4mi.reporting.results.anonymous import without_names
from s4mi.reporting.results.runs import ReportRun, shorten_paths

FORMAT = 1
ENDING = ".jsonl.gz"
DROPPED = ("val", "last_test", "members", "versions", "git_revision")
"""Fields of a record that no table of the page reads."""


@dataclass(frozen=True)
class CompactStudy:
    """The records of one study.

    Attributes:
        file: the study file, relative to the repository. machine: where the runs were made, in a few words.
        measured: what was measured of the study as a whole, such as its wall time, by name.
    """

    name: str
    file: str
    machine: str
    runs: tuple[ReportRun, ...]
    measured: dict[str, str] = field(default_factory=dict)


def write_compact(study: CompactStudy, path: Path) -> None:
    """Write a study, the same bytes each time."""
    parts: dict[str, dict[str, Any]] = {}
    keys: dict[str, str] = {}
    lines = []
    for run in sorted(without_names(study.runs), key=lambda run: run.directory):
        images, own = _measured(run)
        content = json.dumps(images)
        if images and content not in keys:
            keys[content] = str(len(keys))
            parts[keys[content]] = images
        lines.append({"run": run.directory, "test": keys.get(content), "record": _record(run.record), **own})
    named = {"study": study.name, "file": study.file, "machine": study.machine, "measured": study.measured}
    head = {"format": FORMAT, **named, "test": parts}
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in (head, *lines))
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def read_compact(path: Path) -> CompactStudy:
    """Read a study.

    Raises:
        S4miError: the file has another format.
    """
    head, *lines = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
    if head.get("format") != FORMAT:
        raise S4miError(f"{path}: format {head.get('format')} instead of {FORMAT}; pack the study again")
    runs = tuple(_runs(lines, head["test"]))
    return CompactStudy(head["study"], head["file"], head["machine"], runs, head["measured"])


def added(packed: Sequence[ReportRun], runs: Sequence[ReportRun]) -> tuple[ReportRun, ...]:
    """Return packed runs with further ones of the same study, which replace those in the same folders.

    Raises:
        S4miError: the further runs were tested on other images, so that the numbers of images would not fit.
    """
    tested: dict[str, set[str | None]] = {}
    for run in (*packed, *runs):
        data = run.record.data
        tested.setdefault(run.record.dataset, set()).add(None if data is None else data.parts["test"].hash)
    for dataset, parts in tested.items():
        if len(parts) > 1 or None in parts:
            raise S4miError(f"{dataset}: the runs are not all of one test part, which is known; pack them together")
    new = without_names(runs)
    replaced = {run.directory for run in new}
    return (*(run for run in packed if run.directory not in replaced), *new)


def _record(record: RunRecord) -> dict[str, Any]:
    """A record without what the page does not read, and without folders of the machine that made it."""
    dropped: dict[str, Any] = {name: {} if name in ("members", "versions") else None for name in DROPPED}
    kept = record.model_copy(update=dropped).model_dump(mode="json")
    shortened: dict[str, Any] = json.loads(shorten_paths(json.dumps(kept, ensure_ascii=False)))
    return shortened


def _measured(run: ReportRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the test images are, with their names, and what the run measured of them; both empty without either."""
    if run.predictions is not None:
        told = run.predictions
        known = told.known if told.known is not None else np.ones_like(told.truth)
        images = {
            "images": list(told.images),
            "groups": list(told.groups),
            "classes": list(told.classes),
            "truth": _text(told.truth),
            **({} if told.known is None else {"known": _text(known)}),
        }
        return images, {"decisions": _text(told.decisions)}
    if run.images:
        classes = list(run.images[0].union)
        images = {
            "images": [one.image for one in run.images],
            "groups": [one.group for one in run.images],
            "classes": classes,
        }
        pixels = [[[one.overlap[name], one.union[name]] for name in classes] for one in run.images]
        return images, {"pixels": pixels}
    return {}, {}


def _runs(lines: Sequence[dict[str, Any]], parts: dict[str, Any]) -> Iterator[ReportRun]:
    for line in lines:
        record = RunRecord.model_validate(line["record"])
        part = parts.get(line["test"] or "")
        yield ReportRun(
            record=record,
            epochs=(),
            config_text="",
            directory=line["run"],
            images=tuple(_images(part, line["pixels"])) if part and "pixels" in line else (),
            predictions=_predictions(part, line["decisions"]) if part and "decisions" in line else None,
        )


def _images(part: dict[str, Any], pixels: list[list[list[int]]]) -> Iterator[ImageScores]:
    for image, group, of_classes in zip(part["images"], part["groups"], pixels, strict=True):
        counts = dict(zip(part["classes"], of_classes, strict=True))
        yield ImageScores(
            image=image,
            group=group,
            iou={name: _share(overlap, union) for name, (overlap, union) in counts.items()},
            dice={name: _share(2 * overlap, overlap + union) for name, (overlap, union) in counts.items()},
            hd95=dict.fromkeys(counts),
            assd=dict.fromkeys(counts),
            overlap={name: overlap for name, (overlap, _) in counts.items()},
            union={name: union for name, (_, union) in counts.items()},
        )


def _share(part: int, whole: int) -> float | None:
    """A share rounded as in the file of a run; None where truth and prediction are both empty."""
    return round(part / whole, 6) if whole else None


def _predictions(part: dict[str, Any], decisions: str) -> Predictions:
    classes = tuple(part["classes"])
    decided = _bits(decisions, len(classes))
    return Predictions(
        images=tuple(part["images"]),
        groups=tuple(part["groups"]),
        classes=classes,
        truth=_bits(part["truth"], len(classes)),
        probabilities=decided.astype(np.float64),
        decisions=decided,
        known=_bits(part["known"], len(classes)) if "known" in part else None,
    )


def _text(table: NDArray[np.bool_]) -> str:
    """(N, K) bits as the hexadecimal numbers of the rows, of equal length."""
    digits = -(-table.shape[1] // 4)
    powers = 1 << np.arange(table.shape[1])
    return "".join(f"{int(number):0{digits}x}" for number in table @ powers)


def _bits(text: str, classes: int) -> NDArray[np.bool_]:
    digits = -(-classes // 4)
    numbers = np.array([int(text[at : at + digits], 16) for at in range(0, len(text), digits)])
    return (numbers[:, None] >> np.arange(classes)) & 1 > 0
