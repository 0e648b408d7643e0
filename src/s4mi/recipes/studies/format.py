"""`study.json`: that a folder holds a study, of which format, and which runs its file came to the last time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from s4mi import __version__
from s4mi.config import PlannedRun
from s4mi.errors import S4miError
from s4mi.recipes.studies.identity import Identity
from s4mi.records import write_text_atomically

STUDY_NAME = "study.json"
FORMAT = 2
"""1 had no such file; its runs lie in the same folders and are taken over."""


def check_format(out: Path) -> None:
    """Refuse a study's folder that this version cannot go on with.

    Raises:
        S4miError: it is of another format, or cannot be read.
    """
    path = out / STUDY_NAME
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        number, writer = contents["format"], contents.get("s4mi", "another version")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        line = str(error).splitlines()[0]
        raise S4miError(f"{path}: cannot be read ({line}); delete it, the runs beside it are kept") from error
    if number != FORMAT:
        raise S4miError(
            f"{path}: this study is of format {number}, written by s4mi {writer}, and s4mi {__version__} knows format "
            f"{FORMAT}; go on with the version that wrote it, or choose another folder"
        )


def write_format(out: Path, plan: Sequence[PlannedRun], known: Mapping[str, Identity]) -> None:
    """Put the plan into the folder, unless it is there."""
    runs = {planned.name: known[planned.name].id for planned in plan}
    text = json.dumps({"format": FORMAT, "s4mi": __version__, "runs": runs}, indent=1) + "\n"
    path = out / STUDY_NAME
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text_atomically(path, text)
