"""Devices and threads of the runs of a study.

The process that starts workers trains nothing, and imports torch only where there may be a GPU to ask it about.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import joblib

from s4mi.config import PlannedRun, RunConfig
from s4mi.errors import S4miError

DEVICE_FILES = ("nvidia*", "kfd", "dxg", "nvhost*", "nvmap", "dri/renderD*")
"""Files in /dev of which Linux has one where it has a GPU: of NVIDIA, of AMD, below Windows, of Jetson boards."""


def available_threads() -> int:
    """Threads for all runs together: those that torch would take, but no more than this process may use cores."""
    cores: int = joblib.cpu_count()
    if "torch" in sys.modules:
        import torch

        return min(torch.get_num_threads(), cores)
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(int(given), cores) if given.isdecimal() and int(given) > 0 else cores


def gpu_count(devices: Path = Path("/dev")) -> int:
    """Number of GPUs that torch sees; it is not imported where Linux has no file of one in the folder `devices`."""
    files = any(next(devices.glob(pattern), None) for pattern in DEVICE_FILES)
    if sys.platform == "linux" and not files and "torch" not in sys.modules:
        return 0
    import torch

    return torch.cuda.device_count()


def check_devices(plan: Sequence[PlannedRun]) -> None:
    """Raise `S4miError` if a run asks for more than the one device that each run of a study uses."""
    for planned in plan:
        hardware = planned.config.hardware
        if hardware.devices > 1 or hardware.num_nodes > 1:
            devices = hardware.devices * hardware.num_nodes
            raise S4miError(
                f"{planned.name}: hardware requests {devices} devices, but each run of a study uses one; remove "
                "hardware.devices and hardware.num_nodes, and train several runs at a time with --workers"
            )


def with_threads(config: RunConfig, threads: int | None) -> RunConfig:
    """Settings of the run with its share of the cores, unless they set the number of threads."""
    if threads is None or config.hardware.threads is not None:
        return config
    return config.model_copy(update={"hardware": config.hardware.model_copy(update={"threads": threads})})
