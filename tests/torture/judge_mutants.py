"""Run mutants, many in one fork, and judge how each ends."""

import io
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from jobs import ELSEWHERE
from mutants import Mutant, mutants

BATCH = 40
HANGS = 60.0


@dataclass
class Verdicts:
    """Counts for one kind of input."""

    tried: int = 0
    tracebacks: int = 0
    hangs: int = 0
    accepted: int = 0
    long_lines: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.tracebacks or self.hangs or self.accepted or self.long_lines)

    def note(self, what: str, example: str) -> None:
        setattr(self, what, getattr(self, what) + 1)
        self.examples.append(f"{what}: {example}")


def torture_mutants(base: Path, folder: Path, *, count: int, seed: int) -> dict[str, Verdicts]:
    """Judge `count` mutants by seed; return verdicts per kind."""
    makers = list(mutants(base, folder, count=count, seed=seed))
    verdicts: dict[str, Verdicts] = {}
    start = 0
    while start < len(makers):
        start += _batch(makers[start : start + BATCH], verdicts)
        shutil.rmtree(folder, ignore_errors=True)
    return verdicts


def _batch(makers: list[Callable[[], Mutant]], verdicts: dict[str, Verdicts]) -> int:
    """Judge mutants in a fork; return how many, fewer if one hangs or kills the process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setsid()
        _work(makers, writing)
    os.close(writing)
    lines, buffer, last = [], b"", time.monotonic()
    while True:
        ready, _, _ = select.select([reading], [], [], 0.5)
        if ready:
            part = os.read(reading, 1 << 16)
            if not part:
                break
            buffer, last = buffer + part, time.monotonic()
            *complete, buffer = buffer.split(b"\n")
            lines += [json.loads(line) for line in complete]
        elif time.monotonic() - last > HANGS:
            os.killpg(child, signal.SIGKILL)
            break
    os.close(reading)
    _, status = os.waitpid(child, 0)
    done = [line for line in lines if "status" in line]
    for line in done:
        _judge(verdicts.setdefault(line["kind"], Verdicts()), line)
    if len(done) < len(makers):
        begun = next((line for line in lines[::-1] if "status" not in line), {"kind": "?", "what": "?", "words": []})
        one = verdicts.setdefault(begun["kind"], Verdicts())
        one.tried += 1
        how = "hangs" if os.waitstatus_to_exitcode(status) == -signal.SIGKILL else "tracebacks"
        one.note(how, f"{begun['what']} {begun['words']} (status {status})")
        return len(done) + 1
    return len(done)


def _judge(one: Verdicts, line: dict[str, object]) -> None:
    one.tried += 1
    about = f"{line['what']} {line['words']}"
    if line["trace"]:
        one.note("tracebacks", f"{about}: {line['trace']}")
    elif line["refused"] and line["status"] == 0:
        one.note("accepted", about)
    elif line["status"] == 1 and line["longest"] > 2500:  # type: ignore[operator]
        one.note("long_lines", about)


def _work(makers: list[Callable[[], Mutant]], pipe: int) -> None:
    from s4mi.cli import main

    try:
        os.chdir(ELSEWHERE.name)
        _work_on(makers, pipe, main)
    finally:
        os._exit(0)


def _work_on(makers: list[Callable[[], Mutant]], pipe: int, main: Callable[[], None]) -> None:
    with os.fdopen(pipe, "w", buffering=1) as report:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        for make in makers:
            mutant = make()
            about: dict[str, object] = {"kind": mutant.kind, "what": mutant.what, "words": list(mutant.words)[:4]}
            report.write(json.dumps(about) + "\n")
            errors, trace, status = io.StringIO(), "", 0
            sys.argv = ["s4mi", *mutant.words]
            with redirect_stdout(io.StringIO()), redirect_stderr(errors):
                try:
                    main()
                except SystemExit as left:
                    status = left.code if isinstance(left.code, int) else 1
                except BaseException:
                    trace = traceback.format_exc()[-1500:]
            text = errors.getvalue()
            if not trace and "Traceback (most" in text:
                trace = text[-1500:]
            wrong = mutant.refused and status == 0 and not _listed(mutant)
            longest = max(map(len, text.splitlines()), default=0)
            report.write(
                json.dumps({**about, "status": status, "trace": trace, "refused": wrong, "longest": longest}) + "\n"
            )


def _listed(mutant: Mutant) -> bool:
    """Whether the mutant is listed among what could not be read."""
    return any((Path(word) / "errors.csv").exists() for word in mutant.words if word.endswith("/out"))


def table(verdicts: dict[str, Verdicts]) -> str:
    """Return the verdicts as a Markdown table."""
    lines = [
        "| input | mutants | tracebacks | hangs | wrongly accepted | overlong lines |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    everything = [(one.tried, one.tracebacks, one.hangs, one.accepted, one.long_lines) for one in verdicts.values()]
    names = [*sorted(verdicts), "all"]
    rows = [(v.tried, v.tracebacks, v.hangs, v.accepted, v.long_lines) for v in (verdicts[name] for name in names[:-1])]
    total = tuple(sum(column) for column in zip(*everything, strict=True)) if everything else ()
    lines += [f"| {name} | {' | '.join(map(str, row))} |" for name, row in zip(names, [*rows, total], strict=True)]
    return "\n".join(lines)
