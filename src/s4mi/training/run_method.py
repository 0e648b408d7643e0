"""The device of a run, and its method: built from its settings, or loaded with its trained weights."""

import os
from pathlib import Path
from typing import Literal

import torch

from s4mi.config import RunConfig
from s4mi.contract import Classifier, FittedClassifier, FittedSegmenter, Method, Segmenter, Task
from s4mi.data.loading.sampling import seed_of
from s4mi.engine.checkpoint import load_weights
from s4mi.engine.fabric import Fabric
from s4mi.engine.memory import keep_freed_memory
from s4mi.engine.runtime import Runtime
from s4mi.errors import S4miError
from s4mi.training.feature_stores import attach, feature_store


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
