"""What is installed, as which git revision, and the time."""

import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from s4mi.training.versions import PACKAGES


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect numerical results."""
    return {"python": platform.python_version(), **_installed()}


@cache
def _installed() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


@cache
def git_revision() -> str | None:
    """Return the commit of this package if git tracks this file; a user's repository around it does not count.

    The one that this process asked for first, as its code was read then.
    """
    here = Path(__file__)
    with suppress(OSError, subprocess.SubprocessError):
        for command in (["ls-files", "--error-unmatch", here.name], ["rev-parse", "HEAD"]):
            output = subprocess.run(["git", *command], cwd=here.parent, capture_output=True, text=True, check=True)
        return output.stdout.strip()
    return None


def now() -> str:
    """Return the current time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
