"""A run's folder: what is in it, and how a trained method comes out of it again."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric

from s4mi.config import RunConfig, differences, load_run_config
from s4mi.contract import Classifier, Method, Segmenter, Task
from s4mi.data.loading.sampling import seed_of
from s4mi.data.splits.split_file import Split, read_split_hash
from s4mi.engine.checkpoint import BEST, TRAINING, load_weights
from s4mi.engine.memory import keep_freed_memory
from s4mi.errors import S4miError
from s4mi.records import RECORD_NAME


@dataclass(frozen=True)
class RunDir:
    """The layout of a run's folder."""

    path: Path

    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def split_path(self) -> Path:
        return self.path / "split.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        return self.checkpoints / BEST

    @property
    def begun(self) -> bool:
        """Whether an epoch was saved that training goes on from."""
        return (self.checkpoints / TRAINING).exists()

    @property
    def finished(self) -> bool:
        """Whether the run ended and left its record."""
        return (self.path / RECORD_NAME).exists()

    def config(self) -> RunConfig:
        """The resolved settings of this run.

        Raises:
            S4miError: this is no run.
        """
        if not self.config_path.exists():
            raise S4miError(
                f"{self.path}: is no run (it holds no config.yaml); make one with: s4mi train RUN.yaml -o {self.path}"
            )
        return load_run_config(self.config_path)

    def check_split(self, split: Split) -> None:
        """Refuse to score a run on another split than it was trained with: test images may have been trained on.

        Raises:
            S4miError: the data set has changed since.
        """
        trained = read_split_hash(self.split_path)
        if trained != split.hash:
            raise S4miError(
                f"{self.split_path}: the run was trained on split {trained}, but the data set now gives {split.hash}; "
                "restore its manifest, or train again"
            )


def check_folder(run_dir: RunDir, config: RunConfig, *, resume: bool) -> None:
    """Refuse a folder that holds something else, or a run that was started with other settings.

    Raises:
        S4miError: it does, and what to do.
    """
    if not run_dir.path.exists() or not any(run_dir.path.iterdir()):
        return
    if not run_dir.config_path.exists():
        raise S4miError(f"{run_dir.path}: holds files but no run; choose an empty folder")
    if not resume:
        raise S4miError(f"{run_dir.path}: holds a run already; pass --resume to continue it, or choose another folder")
    changed = differences(run_dir.config(), config)
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise S4miError(
            f"{run_dir.config_path}: the run was started with other settings ({'; '.join(changed[:3])}{more}); "
            "resume with the same, or choose another folder"
        )


def make_fabric(config: RunConfig, *, together: bool = False) -> Fabric:
    """Device and precision as the run asks for them; `together`: with all its processes, else this one alone."""
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
    """The run's method, drawn from its seed; not `pretrained` where a checkpoint will replace the weights anyway.

    Another `start` of a run that begins again draws other weights.
    """
    method = config.method if pretrained else config.method.from_scratch()
    torch.manual_seed(seed_of(config.seed, start) if start else config.seed)
    return method.build(task)


def load_method(fabric: Fabric, config: RunConfig, task: Task, weights: Path) -> Classifier | Segmenter:
    """A trained method on the fabric's device, in evaluation mode.

    Raises:
        S4miError: there are no weights, they belong to another network, or the method answers nothing.
    """
    method = build_method(config, task, pretrained=False)
    if not isinstance(method, Classifier | Segmenter):
        run = weights.parent.parent
        raise S4miError(
            f"{run}: a {config.method.name} run predicts nothing; fine-tune it first: "
            f"s4mi train RUN.yaml method.pretrained={run}"
        )
    try:
        method.load_state_dict(load_weights(weights))
    except RuntimeError as error:
        raise S4miError(f"{weights}: are weights of another network ({str(error).splitlines()[0]})") from error
    return method.to(fabric.device).eval()
