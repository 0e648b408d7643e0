"""Whether the runs of a study were made with the same code."""

from collections import Counter
from collections.abc import Mapping, Sequence

from s4mi.records import PretrainingRecord, RunRecord

PACKAGES = ("s4mi", "torch", "torchvision", "timm", "segmentation-models-pytorch", "lightning-fabric", "numpy")
"""Those that decide about numbers."""
REVISION = "revision of s4mi"


def version_note(
    records: Sequence[RunRecord | PretrainingRecord],
    *,
    current: Mapping[str, str] | None = None,
    revision: str | None = None,
) -> str | None:
    """One line on what differs between the records, and from the `current` versions and `revision`; None: nothing.

    A revision that is not known is not compared.
    """
    made = [{**record.versions, **_revision(record.git_revision)} for record in records]
    today = {**(current or {}), **_revision(revision)}
    apart = []
    for package in (*PACKAGES, REVISION):
        counts = Counter(versions[package] for versions in made if package in versions)
        known = [*counts, *([today[package]] if package in today and counts else [])]
        if len(set(known)) > 1:
            sides = [f"{version} ({_runs(count, version == today.get(package))})" for version, count in counts.items()]
            if package in today and today[package] not in counts:
                sides.append(f"{today[package]} (now)")
            apart.append(f"{package} {', '.join(sides)}")
    if not apart:
        return None
    return f"not all runs are made with the same code, which alone may move numbers a little: {'; '.join(apart)}"


def _revision(revision: str | None) -> dict[str, str]:
    return {} if revision is None else {REVISION: revision[:8]}


def _runs(count: int, now: bool) -> str:
    return f"{count} run{'' if count == 1 else 's'}{' and now' if now else ''}"
