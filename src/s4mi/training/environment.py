"""The environment of a run: its device and its peak memory."""

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

from s4mi.formatting import plural


def forget_peak_memory(device: torch.device) -> None:
    """Reset the peak that `peak_memory` reports, as a study trains several runs in one process.

    Not possible without Linux or a GPU, where the peak remains that of the whole process.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> float:
    """Return the peak memory in MiB, of the GPU or else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError):  # of a process that a large one has started, getrusage tells the peak of that one
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        if (found := re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)) is not None:
            return int(found[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes on macOS, KiB on Linux


def device_name(device: torch.device, *, processes: int = 1) -> str:
    """Return the device as shown in tables, such as `cpu (2 threads)` or, for several processes, `2 × NVIDIA H200`."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{device.type} ({plural(torch.get_num_threads(), 'thread')})"
    return name if processes == 1 else f"{processes} × {name}"
