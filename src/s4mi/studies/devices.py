"""Devices and threads of the runs of a study."""

from collections.abc import Sequence

from s4mi.config import PlannedRun, RunConfig
from s4mi.errors import S4miError


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
