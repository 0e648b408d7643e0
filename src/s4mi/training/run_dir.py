"""The folder of a run: its files, and how to load the trained method from it."""

import os
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from s4mi.config import RunConfig, load_run_config
from s4mi.config.changed_settings import changed_settings
from s4mi.config.run import run_config_text
from s4mi.data.manifest import Manifest
from s4mi.data.row import PARTS
from s4mi.data.splits.split_file import Split, read_split_hash, remaining_parts
from s4mi.errors import S4miError
from s4mi.records import METRICS_NAME, RECORD_NAME, SPLIT_NAME
from s4mi.records.atomic import TEMPORARY, sweep
from s4mi.records.checkpoint_files import BEST, LAST, TRAINING
from s4mi.records.lock import file_lock

LOCK_NAME = ".train.lock"
BUSY = "another process is training this run; wait for it, or choose another folder"


@dataclass(frozen=True)
class RunDir:
    """The files in a run's folder."""

    path: Path

    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def split_path(self) -> Path:
        return self.path / SPLIT_NAME

    @property
    def metrics(self) -> Path:
        return self.path / METRICS_NAME

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        return self.checkpoints / BEST

    @property
    def last(self) -> Path:
        return self.checkpoints / LAST

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return (self.checkpoints / TRAINING).exists()

    @property
    def finished(self) -> bool:
        """Whether the run finished and wrote its record."""
        return (self.path / RECORD_NAME).exists()

    def config(self) -> RunConfig:
        """Return the resolved settings of this run.

        Raises:
            S4miError: this is not a run.
        """
        if not self.config_path.exists():
            problem = "not a run (no config.yaml in it)" if self.path.is_dir() else "no such folder"
            raise S4miError(f"{self.path}: {problem}; create a run with: s4mi train RUN.yaml -o {self.path}")
        return load_run_config(self.config_path)

    def check_split(self, split: Split, manifest: Manifest) -> None:
        """Check that `split` is the one the run was trained with; otherwise it may have seen the test images.

        Images may have been erased since, if the others are in the same parts.

        Raises:
            S4miError: the data set has changed since training.
        """
        trained = read_split_hash(self.split_path)
        if trained == split.hash:
            return
        remaining = remaining_parts(self.split_path, manifest)
        if remaining == {part: frozenset(manifest.rows[row].id for row in split.rows(part)) for part in PARTS}:
            return
        raise S4miError(
            f"{self.split_path}: the run was trained on split {trained}, but the data set now gives {split.hash}; "
            "train again, or restore the manifest if images were not removed on purpose"
        )


def only_process(run: Path) -> AbstractContextManager[None]:
    """Keep other processes from training in a folder; of the processes of one run, the first holds the lock.

    Raises:
        S4miError: another process holds it.
        OSError: the folder cannot be written.
    """
    if os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) != "0":
        return nullcontext()
    return file_lock(run / LOCK_NAME, busy=BUSY)


def wait_for_only_process(run: Path, *, seconds: float) -> None:
    """Wait until no other process trains in a folder, or that many seconds: one that is told to stop ends its step."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with only_process(run):
                return
        except S4miError:
            time.sleep(0.2)


def tidy(run: Path) -> None:
    """Remove what a process left that was killed after it had written the record."""
    with suppress(OSError, S4miError):
        sweep(run)
        if (run / LOCK_NAME).exists():
            with only_process(run):
                pass


def check_begun(run: Path) -> None:
    """Check that a folder holds a run to resume, so that a mistyped folder does not start another run.

    A folder with nothing but a lock or unfinished files is that of a run which was killed before it wrote a file.

    Raises:
        S4miError: it holds none.
    """
    if not RunDir(run).config_path.exists() and (not run.is_dir() or visible(run) or not any(run.iterdir())):
        raise S4miError(
            f"{run}: no run to resume (no config.yaml); correct the folder, or start a run without --resume"
        )


def visible(folder: Path) -> bool:
    """Whether a folder holds anything but its lock and what killed processes left.

    Raises:
        OSError: it cannot be read, or is no folder.
    """
    return any(not TEMPORARY.fullmatch(path.name) and path.name != LOCK_NAME for path in folder.iterdir())


def check_folder(run_dir: RunDir, config: RunConfig, *, resume: bool) -> None:
    """Check that a run with these settings may be written to, or resumed in, a folder.

    Raises:
        S4miError: the folder holds something else, another run, or this one without `resume`.
    """
    if not run_dir.path.exists() or not visible(run_dir.path):
        return
    if not run_dir.config_path.exists():
        raise S4miError(f"{run_dir.path}: contains files but not a run; choose an empty folder")
    if not resume:
        raise S4miError(f"{run_dir.path}: contains a run already; pass --resume to continue it, or use another folder")
    if _has_text(run_dir.config_path, run_config_text(config)):  # as a study writes it, just before the run begins
        return
    changed = changed_settings(run_dir.config(), config)
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise S4miError(
            f"{run_dir.config_path}: the run was started with other settings ({'; '.join(changed[:3])}{more}); "
            "resume with the same settings, or choose another folder"
        )


def _has_text(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
