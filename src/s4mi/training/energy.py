"""Energy that a run uses, where the hardware counts it: Linux for processors, NVML for a GPU.

    processor   /sys/class/powercap/intel-rapl:*/energy_uj   Intel and AMD; often readable by root only
    GPU         nvmlDeviceGetTotalEnergyConsumption          needs the package nvidia-ml-py; not available with MIG

Nothing is estimated from a nominal power: without a counter the energy is unknown. Counters cover whole devices, so
they include other programs that run there, but not memory, fans or the power supply.
"""

import importlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from s4mi.engine.fabric import Fabric

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Counter:
    """An energy counter in joules that wraps to 0 after `wrap`; `read` may raise OSError."""

    of: str
    read: Callable[[], float]
    wrap: float | None = None


class EnergyMeter:
    """Energy in joules since a run started, over all its sessions; None if any of it was not counted."""

    def __init__(self, counters: list[Counter]) -> None:
        self._counters: dict[Counter, float] = {}
        for counter in counters:
            with suppress(OSError):
                self._counters[counter] = counter.read()
        self._joules: float | None = 0.0 if self._counters else None

    @property
    def of(self) -> str:
        """Devices that are counted: `processor`, `GPU` or both; empty if none."""
        devices = sorted({counter.of for counter in self._counters}, reverse=True)
        return "" if self._joules is None else " and ".join(devices)

    def read(self) -> float | None:
        """Return the joules so far; call it often enough that no counter wraps twice in between."""
        for counter, before in self._counters.items():
            try:
                after = counter.read()
            except OSError:
                self._joules = None
                break
            if after < before and counter.wrap is None:  # the driver was reloaded
                self._joules = None
                break
            wrapped = counter.wrap or 0.0 if after < before else 0.0
            self._counters[counter] = after
            if self._joules is not None:
                self._joules += after - before + wrapped
        return self._joules

    def add_previous(self, joules: float | None) -> None:
        """Add the energy of earlier sessions; None makes that of the whole run unknown."""
        self._joules = None if joules is None or self._joules is None else self._joules + joules


def energy_meter(fabric: Fabric) -> EnergyMeter:
    """Return a meter of this process's devices, without counters if several processes may share a processor."""
    if fabric.world_size > 1:
        return EnergyMeter([])
    return EnergyMeter([*processors(), *(gpus(fabric.device) if fabric.device.type == "cuda" else [])])


def processors(folder: Path = POWERCAP) -> list[Counter]:
    """Return a counter for each processor package; its domains (cores, DRAM) are not counted again."""
    counters = []
    for package in sorted(folder.glob("intel-rapl:*")):
        try:
            if not (package / "name").read_text(encoding="ascii").startswith("package"):
                continue
            wrap = float((package / "max_energy_range_uj").read_text(encoding="ascii")) / 1e6
        except (OSError, ValueError):
            continue
        counters.append(Counter("processor", _reader(package / "energy_uj"), wrap))
    return counters


def gpus(device: torch.device) -> list[Counter]:
    """Return the counter of a GPU, or an empty list if NVML is missing or does not count its energy."""
    try:
        pynvml: Any = importlib.import_module("pynvml")
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # not installed, no driver, no such counter: NVML raises a different error for each
        return []

    def read() -> float:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from error

    return [Counter("GPU", read)]


def _reader(path: Path) -> Callable[[], float]:
    return lambda: float(path.read_text(encoding="ascii")) / 1e6
