"""The folder of a run: its files, and how to load the trained method from it."""

import os
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from s4mi.config import RunConfig, differences, load_run_config
from s4mi.config.run import run_config_text
from s4mi.contract import Classifier, FittedClassifier, FittedSegmenter, Method, Segmenter, Task
from s4mi.data.loading.sampling import seed_of
from s4mi.data.splits.split_file import Split, read_split_hash
from s4mi.engine.checkpoint import BEST, LAST, TRAINING, load_weights
from s4mi.engine.fabric import Fabric
from s4mi.engine.memory import keep_freed_memory
from s4mi.engine.runtime import Runtime
from s4mi.errors import S4miError
from s4mi.records import METRICS_NAME, RECORD_NAME, SPLIT_NAME
from s4mi.records.atomic import TEMPORARY, sweep
from s4mi.records.lock import file_lock
from s4mi.training.feature_stores import attach, feature_store

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
            raise S4miError(
                f"{self.path}: not a run (no config.yaml in it); create one with: s4mi train RUN.yaml -o {self.path}"
            )
        return load_run_config(self.config_path)

    def check_split(self, split: Split) -> None:
        """Check that `split` is the one the run was trained with; otherwise it may have seen the test images.

        Raises:
            S4miError: the data set has changed since training.
        """
        trained = read_split_hash(self.split_path)
        if trained != split.hash:
            raise S4miError(
                f"{self.split_path}: the run was trained on split {trained}, but the data set now gives {split.hash}; "
                "restore its manifest, or train again"
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
    changed = differences(run_dir.config(), config)
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


def make_runtime(config: RunConfig) -> Runtime:
    """Return the device and precision of a run, for this process alone.

    Raises:
        S4miError: this machine cannot provide them.
    """
    return make_fabric(config)


def make_fabric(config: RunConfig, *, together: bool = False) -> Fabric:
    """Return the Fabric of a run, with all its processes if `together`, else for this process alone.

    Raises:
        S4miError: the settings under `hardware` contradict each other or do not fit this machine.
    """
    hardware = config.hardware
    cuda = hardware.accelerator in ("cuda", "gpu") or (hardware.accelerator == "auto" and torch.cuda.is_available())
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    if hardware.precision == "auto":
        precision = "bf16-mixed" if cuda else "32-true"
    else:
        precision = "32-true" if hardware.precision == "32" else hardware.precision
    if hardware.keep_memory and not cuda:
        keep_freed_memory()
    if hardware.threads is not None:
        torch.set_num_threads(hardware.threads)
    if hardware.deterministic and cuda:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by CUDA when it starts; see torch's notes
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        return Fabric(
            accelerator=hardware.accelerator,
            devices=hardware.devices if together else 1,
            num_nodes=hardware.num_nodes if together else 1,
            strategy=hardware.strategy if together else "auto",
            precision=precision,
        )
    except (ValueError, RuntimeError, TypeError) as error:  # Fabric's own checks of accelerator, devices and strategy
        raise S4miError(f"hardware: {str(error).splitlines()[0]}; see the section hardware of the run file") from error


def build_method(config: RunConfig, task: Task, *, pretrained: bool = True, start: int = 0) -> Method:
    """Build the run's method, initialised from its seed.

    Args:
        pretrained: whether to load pretrained weights; not needed if a checkpoint replaces them.
        start: number of the restart; each draws other weights.
    """
    method = config.method if pretrained else config.method.from_scratch()
    torch.manual_seed(seed_of(config.seed, start) if start else config.seed)
    return method.build(task)


def load_method(runtime: Runtime, config: RunConfig, task: Task, weights: Path) -> Classifier | Segmenter:
    """Load a trained method onto the runtime's device, in evaluation mode.

    Raises:
        S4miError: there are no weights, they belong to another network, or the method only pre-trains.
    """
    method = build_method(config, task, pretrained=False)
    if isinstance(method, FittedClassifier | FittedSegmenter):
        attach(method.extractors, feature_store(config, runtime))
    if not isinstance(method, Classifier | Segmenter):
        run = weights.parent.parent
        raise S4miError(
            f"{run}: a {config.method.name} run makes no predictions; fine-tune it first: "
            f"s4mi train RUN.yaml method.pretrained={run}"
        )
    try:
        method.load_state_dict(load_weights(weights))
    except RuntimeError as error:
        raise S4miError(f"{weights}: weights of another network ({str(error).splitlines()[0]})") from error
    method.before_inference()
    return method.to(runtime.device).eval()
