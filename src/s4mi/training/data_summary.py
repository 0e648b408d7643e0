"""Summarise the data of a run in its record, for the data card of a report, which never opens a data set."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from s4mi.config import RunConfig
from s4mi.data.row import PARTS
from s4mi.data.splits.leakage import Leak
from s4mi.data.splits.split import SplitMethod
from s4mi.records import DataSummary, Leakage, Part, PartSummary
from s4mi.training.prepare import Prepared
from s4mi.training.run_task import division_of


def summarise_data(config: RunConfig, prepared: Prepared) -> DataSummary:
    """Return the size of the data set and its parts, how it was split, and how many images leak."""
    manifest, cache = prepared.manifest, prepared.cache
    division = division_of(config.split, manifest, seed=config.seed)
    pixels = cache.size.prod(axis=1)
    smallest, largest = (cache.size[row].tolist() for row in (pixels.argmin(), pixels.argmax()))
    return DataSummary(
        version=manifest.version,
        images=len(manifest.rows),
        grouped=sum(row.group is not None for row in manifest.rows),
        parts={part: _part(prepared, part) for part in PARTS},
        division=_split_description(
            division, by_group=any(row.group is not None for row in manifest.rows), counted=prepared.counted
        ),
        division_seed=division.seed if division.kind in ("random", "kfold") else None,
        leaks=tuple(_leak_counts(prepared.leaks)),
        formats=dict(Counter(row.image.suffix.lower().lstrip(".") or "no extension" for row in manifest.rows)),
        smallest=(smallest[0], smallest[1]),
        largest=(largest[0], largest[1]),
        image_size=config.data.image_size,
        tile=config.data.tile,
        channels=manifest.spec.channels,
        conversion=manifest.spec.conversion,
        source=manifest.spec.source,
        licence=manifest.spec.licence,
    )


def _part(prepared: Prepared, part: Part) -> PartSummary:
    rows, annotated = prepared.split.rows(part), prepared.annotated(part)
    members = [prepared.manifest.rows[row] for row in rows]
    shown = prepared.shows[annotated].sum(axis=0)
    names = "\n".join(sorted(member.id for member in members))
    return PartSummary(
        images=len(rows),
        annotated=len(annotated),
        groups=len({member.group for member in members if member.group is not None}),
        classes={name: int(count) for name, count in zip(prepared.task.classes, shown, strict=True)},
        hash=hashlib.blake2b(names.encode(), digest_size=8).hexdigest(),
    )


def _split_description(division: SplitMethod, *, by_group: bool, counted: bool) -> str:
    same = "" if division.test_seed is None else f", test part of seed {division.test_seed}"
    budget = ", what is chosen with comes out of the labels" if counted else ""
    if division.kind == "kfold":
        return f"fold {division.fold} of {division.folds} (numbered from 0){same}{budget}"
    if division.kind == "random":
        grouped = "grouped by patient, " if by_group else ""
        train, val, test = division.ratios
        shares = (train + val, test) if counted else (train, val, test)
        return f"random, {grouped}stratified, " + ":".join(f"{100 * share:g}" for share in shares) + same + budget
    if division.kind == "official":
        return f"official split of the data set{budget}"
    return ("from a file" if division.file is None else f"from the file {division.file.name}") + budget


def _leak_counts(leaks: Sequence[Leak]) -> list[Leakage]:
    """Leaks by kind and parts, in the order in which they were found: those into the test part first."""
    counts = Counter((leak.kind, leak.parts) for leak in leaks)
    return [Leakage(kind=kind, parts=parts, pairs=pairs) for (kind, parts), pairs in counts.items()]
