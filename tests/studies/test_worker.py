"""One attempt at a run: how an unexpected error becomes a line, and how it waits for another process."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import s4mi
from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.config.run import run_config_text
from s4mi.studies import worker
from s4mi.studies.worker import AttemptResult, Job, _one_line, attempt
from s4mi.training.run_dir import RunDir, only_process

PACKAGE = Path(s4mi.__file__).parent


def function_in(file: Path, body: str) -> Callable[..., Any]:
    """A function of one argument whose code lies in the second line of this file."""
    namespace: dict[str, Any] = {}
    exec(compile(f"def function(argument):\n    {body}", str(file), "exec"), namespace)
    function: Callable[..., Any] = namespace["function"]
    return function


def test_an_error_is_located_at_the_last_line_of_this_package() -> None:
    library = PACKAGE.parent / "library.py"  # libraries lie beside the package where it is installed
    ours = function_in(PACKAGE / "data" / "ours.py", "argument(None)")
    with pytest.raises(ValueError, match="first line") as caught:
        ours(function_in(library, "raise ValueError('first line\\nsecond line')"))
    assert _one_line(caught.value) == "ValueError: first line (ours.py:2)"


def test_a_run_waits_for_a_process_that_is_about_to_end(
    tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, released = tmp_path / "run", threading.Event()

    def hold() -> None:
        with only_process(run):
            held.set()
            released.wait(60)

    held = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    job = Job(quick(lesions, TRANSFER, epochs=1), run)
    RunDir(run).config_path.write_text(run_config_text(job.config), encoding="utf-8")  # as a study does
    monkeypatch.setattr(worker, "PATIENCE", 0.1)
    assert "another process is training this run" in attempt(job, lambda _: None).reason
    monkeypatch.setattr(worker, "PATIENCE", 30.0)
    threading.Timer(0.1, released.set).start()
    assert attempt(job, lambda _: None) == AttemptResult()
    thread.join()
