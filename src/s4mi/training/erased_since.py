"""How many images of a run's parts were erased since it was trained."""

from pathlib import Path

from s4mi.formatting import plural
from s4mi.records import RECORD_NAME, Part, RunRecord, Scores, read_any_record


def erased_note(run: Path, part: Part, scores: Scores) -> str | None:
    """Return one line on the images of a part that a finished run had and that are not scored any more, or None."""
    if not (run / RECORD_NAME).exists():
        return None
    record = read_any_record(run)
    if not isinstance(record, RunRecord):
        return None
    former = record.test if part == "test" else record.val if part == "val" else None
    annotated = record.data.parts[part].annotated if record.data is not None else None
    before = former.images if former is not None else annotated
    if before is None or before <= scores.images:
        return None
    gone = before - scores.images
    return (
        f"{plural(gone, 'image')} of the {part} part {'were' if gone > 1 else 'was'} erased since training; these are "
        f"the scores of the other {scores.images}, and the record of the run keeps those of all {before}"
    )
