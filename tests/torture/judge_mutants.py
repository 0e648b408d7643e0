"""Run mutants, many in one fork, and judge how each ends."""

import io
import json
import os
import select
import shutil
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from damage import Mutant
from jobs import call, call_main, fork_elsewhere
from mutants import mutants
from tallies import Tally, table_of

BATCH = 40
HANGS = 60.0


FAULTS = ("tracebacks", "hangs", "wrongly accepted", "overlong lines")


def torture_mutants(base: Path, folder: Path, *, count: int, seed: int) -> dict[str, Tally]:
    """Judge `count` mutants by seed; return a tally per kind of input."""
    makers = list(mutants(base, folder, count=count, seed=seed))
    verdicts: dict[str, Tally] = {}
    start = 0
    while start < len(makers):
        start += _batch(makers[start : start + BATCH], verdicts)
        shutil.rmtree(folder, ignore_errors=True)
    return verdicts


def _batch(makers: list[Callable[[], Mutant]], verdicts: dict[str, Tally]) -> int:
    """Judge mutants in a fork; return how many, fewer if one hangs or kills the process."""
    reading, writing = os.pipe()
    child = fork_elsewhere(lambda: _work(makers), writing)
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
        _judge(verdicts.setdefault(line["kind"], Tally()), line)
    if len(done) < len(makers):
        begun = next((line for line in lines[::-1] if "status" not in line), {"kind": "?", "what": "?", "words": []})
        one = verdicts.setdefault(begun["kind"], Tally())
        one.tried += 1
        how = "hangs" if os.waitstatus_to_exitcode(status) == -signal.SIGKILL else "tracebacks"
        one.note(how, f"{begun['what']} {begun['words']} (status {status})")
        return len(done) + 1
    return len(done)


def _judge(one: Tally, line: dict[str, object]) -> None:
    one.tried += 1
    about = f"{line['what']} {line['words']}"
    if line["trace"]:
        one.note("tracebacks", f"{about}: {line['trace']}")
    elif line["refused"] and line["status"] == 0:
        one.note("wrongly accepted", about)
    elif line["status"] == 1 and line["longest"] > 2500:  # type: ignore[operator]
        one.note("overlong lines", about)


def _work(makers: list[Callable[[], Mutant]]) -> int:
    """Run mutants and print a line of JSON before and after each; what the commands themselves print is kept apart."""
    from s4mi.data import banded_page

    usual = banded_page.LARGE
    about: dict[str, object]
    with os.fdopen(os.dup(1), "w", buffering=1) as report:
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):  # libraries in C write here
            os.dup2(null, stream)
        for make in makers:
            try:
                mutant = make()
            except Exception:
                about = {"kind": "(maker)", "what": "", "words": [], "status": 71, "refused": False, "longest": 0}
                report.write(json.dumps({**about, "trace": traceback.format_exc()[-1500:]}) + "\n")
                continue
            about = {"kind": mutant.kind, "what": mutant.what, "words": list(mutant.words)[:4]}
            report.write(json.dumps(about) + "\n")
            errors = io.StringIO()
            banded_page.LARGE = mutant.large or usual
            with redirect_stdout(io.StringIO()), redirect_stderr(errors):
                status = call_main(mutant.words) if mutant.act is None else call(mutant.act)
            text = errors.getvalue()
            trace = text[-1500:] if "Traceback (most" in text else ""
            wrong = mutant.refused and status == 0 and not _listed(mutant)
            longest = max(map(len, text.splitlines()), default=0)
            report.write(
                json.dumps({**about, "status": status, "trace": trace, "refused": wrong, "longest": longest}) + "\n"
            )
    return 0


def _listed(mutant: Mutant) -> bool:
    """Whether the mutant is listed among what could not be read."""
    return any((Path(word) / "errors.csv").exists() for word in mutant.words if word.endswith("/out"))


def table(verdicts: dict[str, Tally]) -> str:
    """Return the tallies as a Markdown table."""
    return table_of(dict(sorted(verdicts.items())), ("input", "mutants", *FAULTS))
