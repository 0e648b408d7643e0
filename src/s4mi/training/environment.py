"""Under what circumstances a run ran: versions, revision, device, memory, time."""

import platform
import resource
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from s4mi.training.versions import PACKAGES


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide about numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def forget_peak_memory(device: torch.device) -> None:
    """Let `peak_memory` count from now on: a study trains one run after the other in one process.

    Without Linux and without a GPU there is no way to, and the peak is that of the process so far.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> float:
    """MiB: of the device where it is a GPU, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes on macOS, KiB on Linux


def device_name(device: torch.device, *, processes: int = 1) -> str:
    """What computed it, as a reader of a table wants it; of several processes each has such a device."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        threads = torch.get_num_threads()
        name = f"{device.type} ({threads} thread{'' if threads == 1 else 's'})"
    return name if processes == 1 else f"{processes} × {name}"


def git_revision() -> str | None:
    """The commit that this file belongs to, when it is tracked by git; a user's own repository around it is not it."""
    here = Path(__file__)
    with suppress(OSError, subprocess.SubprocessError):
        for command in (["ls-files", "--error-unmatch", here.name], ["rev-parse", "HEAD"]):
            answer = subprocess.run(["git", *command], cwd=here.parent, capture_output=True, text=True, check=True)
        return answer.stdout.strip()
    return None


def now() -> str:
    """ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
