"""Runs without the names of patients and images, for reports that leave the hospital."""

from collections.abc import Sequence
from dataclasses import replace

from s4mi.reporting.results.runs import ReportRun


def without_names(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """Return runs whose patients and images are numbered, the same in all runs of a data set.

    Which images belong to one patient stays known, so that every score and interval is the same.
    """
    numbers: dict[tuple[str, str], dict[str, str]] = {}

    def numbered(run: ReportRun, kind: str, name: str) -> str:
        known = numbers.setdefault((run.record.dataset, kind), {})
        return known.setdefault(name, f"{kind} {len(known) + 1}")

    def group(run: ReportRun, name: str | None) -> str | None:
        return None if name is None else numbered(run, "patient", name)

    return [
        replace(
            run,
            images=tuple(
                one.model_copy(update={"image": numbered(run, "image", one.image), "group": group(run, one.group)})
                for one in run.images
            ),
            predictions=None
            if run.predictions is None
            else replace(
                run.predictions,
                images=tuple(numbered(run, "image", name) for name in run.predictions.images),
                groups=tuple(group(run, name) for name in run.predictions.groups),
            ),
        )
        for run in runs
    ]
