"""A command that is disturbed, in a folder of its own, and what it leaves."""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HIDDEN_STATE = re.compile(r"\.s4mi-.*|\.writing-.*|.*\.(part|new|lock|guard)|.*\.building-\d+|\.adding-.*|.*-journal")
"""Names of files that only an unfinished command has."""
VOLATILE = {
    "seconds", "images_per_second", "peak_memory_mib", "started", "finished", "energy_wh", "git_revision", "when",
    "created", "estimate", "attempts", "cost", "version", "written", "computed",
}  # fmt: skip
"""Fields of records that hold times."""
TEXT = (".csv", ".json", ".jsonl", ".yaml", ".md", ".html", ".svg")
UNCOMPARED = (".pt", ".pt2", ".onnx", ".html", ".md", ".sqlite", ".svg", ".log", ".tex")
"""Files that hold times or random identifiers: only their presence is compared."""
UNCOMPARED_NAMES = ("events.jsonl", "metrics.csv", "info.json", ".pseudonym_key", ".import.jsonl")
LOG = "log.txt"
"""Of attempts that failed, which an undisturbed run does not have; kept, so that one can see why."""


@dataclass(frozen=True)
class Scene:
    """A command.

    Attributes:
        name: of the command, as in `s4mi --help`.
        arguments: its words, with {base} for what is prepared once and {here} for its own folder.
        again: the words with which a user goes on after a kill.
        outputs: what it writes, below its own folder.
        copies: parts of the base that it changes, copied into its own folder first.
        share: disturbances it gets, as a share of those of others; less for what takes long.
    """

    name: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    again: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    share: float = 1.0

    def words(self, base: Path, here: Path, *, again: bool = False) -> list[str]:
        chosen = self.again if again and self.again else self.arguments
        return [word.format(base=base, here=here) for word in chosen]

    def prepare(self, base: Path, here: Path) -> None:
        for _ in range(100):  # workers of a killed study may still write
            shutil.rmtree(here, ignore_errors=True)
            if not here.exists():
                break
            time.sleep(0.1)
        here.mkdir(parents=True)
        for name in self.copies:
            shutil.copytree(base / name, here / name, symlinks=True)


@dataclass
class Left:
    """What a command left: a digest of every file that must be the same each time, and names of unfinished files."""

    files: dict[str, str] = field(default_factory=dict)
    litter: list[str] = field(default_factory=list)

    def differences(self, other: "Left") -> list[str]:
        names = sorted(self.files.keys() | other.files.keys())
        return [name for name in names if self.files.get(name) != other.files.get(name)]


def look(here: Path, outputs: tuple[str, ...]) -> Left:
    """Read what is in a folder."""
    left = Left()
    for output in outputs:
        root = here / output
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            name = path.relative_to(here).as_posix()
            name = re.sub(r"sheets/(\w+)-[0-9a-f]+", r"sheets/\1", name)
            if HIDDEN_STATE.fullmatch(path.name):
                left.litter.append(name)
            elif path.is_file() and path.name != LOG:
                left.files[name] = _digest(path, here)
    return left


def _digest(path: Path, here: Path) -> str:
    if path.parent.name == "sheets":  # named by the hash of runs, which hold times
        return "present"
    if path.suffix in UNCOMPARED or path.name in UNCOMPARED_NAMES:
        return "present"
    contents = path.read_bytes().replace(str(here).encode(), b"HERE")
    if path.suffix in (".json", ".jsonl"):
        documents = contents.splitlines() if path.suffix == ".jsonl" else [contents]
        contents = json.dumps([_settled(json.loads(one)) for one in documents], sort_keys=True).encode()
    return hashlib.blake2b(contents, digest_size=8).hexdigest()


def _settled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _settled(inner) for key, inner in value.items() if key not in VOLATILE}
    return [_settled(one) for one in value] if isinstance(value, list) else value
