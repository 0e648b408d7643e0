"""Runs without the names of patients and images, for reports that leave the hospital."""

from collections.abc import Sequence
from dataclasses import replace

from s4mi.records import ImageScores, Predictions
from s4mi.reporting.results.runs import ImageResults, ReportRun


def without_names(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """Return runs whose patients and images are numbered, the same in all runs of a data set, external ones included.

    Which images belong to one patient stays known, so that every score is the same, and so is every interval but for
    the random draws behind it, which go by the order of the names.
    """
    numbers: dict[tuple[str, str], dict[str, str]] = {}

    def numbered(dataset: str, kind: str, name: str) -> str:
        known = numbers.setdefault((dataset, kind), {})
        return known.setdefault(name, f"{kind} {len(known) + 1}")

    def group(dataset: str, name: str | None) -> str | None:
        return None if name is None else numbered(dataset, "patient", name)

    def results(dataset: str, images: Sequence[ImageScores], predictions: Predictions | None) -> ImageResults:
        return ImageResults(
            tuple(
                one.model_copy(
                    update={"image": numbered(dataset, "image", one.image), "group": group(dataset, one.group)}
                )
                for one in images
            ),
            None
            if predictions is None
            else replace(
                predictions,
                images=tuple(numbered(dataset, "image", name) for name in predictions.images),
                groups=tuple(group(dataset, name) for name in predictions.groups),
            ),
        )

    anonymous = []
    for run in runs:
        own = results(run.record.dataset, run.images, run.predictions)
        external = {
            name: results(f"external {name}", one.images, one.predictions) for name, one in run.external.items()
        }
        anonymous.append(replace(run, images=own.images, predictions=own.predictions, external=external))
    return anonymous
