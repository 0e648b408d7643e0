"""Compare the package versions of runs."""

from collections import Counter
from collections.abc import Mapping, Sequence

from s4mi.formatting import plural
from s4mi.records import PretrainingRecord, RunRecord

PACKAGES = ("s4mi", "torch", "torchvision", "timm", "segmentation-models-pytorch", "lightning-fabric", "numpy")
"""Packages that affect numerical results."""
REVISION = "revision of s4mi"


def version_note(
    records: Sequence[RunRecord | PretrainingRecord],
    *,
    current: Mapping[str, str] | None = None,
    revision: str | None = None,
) -> str | None:
    """Return one line on versions that differ between the records, or from the `current` ones; None if none do.

    Args:
        current, revision: package versions and git revision at present; unknown ones are not compared.
    """
    of_runs = [{**record.versions, **_revision(record.git_revision)} for record in records]
    present = {**(current or {}), **_revision(revision)}
    differences = []
    for package in (*PACKAGES, REVISION):
        counts = Counter(versions[package] for versions in of_runs if package in versions)
        known = [*counts, *([present[package]] if package in present and counts else [])]
        if len(set(known)) > 1:
            found = [f"{one} ({_runs(count, one == present.get(package))})" for one, count in counts.items()]
            if package in present and present[package] not in counts:
                found.append(f"{present[package]} (now)")
            differences.append(f"{package} {', '.join(found)}")
    if not differences:
        return None
    return f"runs were made with different versions, which may change scores slightly: {'; '.join(differences)}"


def _revision(revision: str | None) -> dict[str, str]:
    return {} if revision is None else {REVISION: revision[:8]}


def _runs(count: int, now: bool) -> str:
    return f"{plural(count, 'run')}{' and now' if now else ''}"
