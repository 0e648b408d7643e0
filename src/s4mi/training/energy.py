"""What a run draws of electricity, where the machine counts it: Linux does for processors, NVML for a GPU.

    processor   /sys/class/powercap/intel-rapl:*/energy_uj   Intel and AMD; often root alone may read it
    GPU         nvmlDeviceGetTotalEnergyConsumption          with the package nvidia-ml-py; none on parts of a GPU (MIG)

Nothing is estimated from a watt number: what is not counted is not known. Counters are of whole devices, so that what
else runs on them is in the number, and memory, fans and the power supply are not.
"""

import importlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Counter:
    """Something that counts joules, and starts from 0 again after `wrap` of them; `read` may raise OSError."""

    of: str
    read: Callable[[], float]
    wrap: float | None = None


class EnergyMeter:
    """Joules since it was made, or since a resumed run began; None where nothing counts them, now or before."""

    def __init__(self, counters: list[Counter]) -> None:
        self._counters: dict[Counter, float] = {}
        for counter in counters:
            with suppress(OSError):
                self._counters[counter] = counter.read()
        self._joules: float | None = 0.0 if self._counters else None

    @property
    def of(self) -> str:
        """What is counted: `processor`, `GPU` or both; empty where nothing is."""
        return "" if self._joules is None else " and ".join(sorted({one.of for one in self._counters}, reverse=True))

    def read(self) -> float | None:
        """Joules so far. To be called now and then: a counter that wraps twice in between has lost a turn."""
        for counter, before in self._counters.items():
            try:
                after = counter.read()
            except OSError:
                self._joules = None
                break
            if after < before and counter.wrap is None:  # the driver was loaded anew
                self._joules = None
                break
            turn = counter.wrap or 0.0 if after < before else 0.0
            self._counters[counter] = after
            if self._joules is not None:
                self._joules += after - before + turn
        return self._joules

    def go_on(self, before: float | None) -> None:
        """Add what earlier sessions have drawn; what is not known of one is not known of the run."""
        self._joules = None if before is None or self._joules is None else self._joules + before


def meter_of(fabric: Fabric) -> EnergyMeter:
    """Of what this process computes with; of a run in several processes, which may share a processor, of nothing."""
    if fabric.world_size > 1:
        return EnergyMeter([])
    return EnergyMeter([*processors(), *(gpus(fabric.device) if fabric.device.type == "cuda" else [])])


def processors(folder: Path = POWERCAP) -> list[Counter]:
    """A counter for each processor package that Linux knows; those within one are part of it."""
    counters = []
    for home in sorted(folder.glob("intel-rapl:*")):
        try:
            if not (home / "name").read_text(encoding="ascii").startswith("package"):
                continue
            wrap = float((home / "max_energy_range_uj").read_text(encoding="ascii")) / 1e6
        except (OSError, ValueError):
            continue
        counters.append(Counter("processor", _reader(home / "energy_uj"), wrap))
    return counters


def gpus(device: torch.device) -> list[Counter]:
    """The counter of a GPU, where NVML is there and has one."""
    try:
        pynvml: Any = importlib.import_module("pynvml")
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # not installed, no driver, no such counter: NVML has an error of its own for each
        return []

    def read() -> float:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from error

    return [Counter("GPU", read)]


def _reader(path: Path) -> Callable[[], float]:
    return lambda: float(path.read_text(encoding="ascii")) / 1e6
