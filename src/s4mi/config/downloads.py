"""Whether weights can be downloaded: asked of the server once per file and process, and of a silent server once."""

import os
import threading
import urllib.error
import urllib.request
from functools import lru_cache
from urllib.parse import urlsplit

TIMEOUT = 4.0
"""Seconds to wait for a server, its name included."""
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Variables by which users of the hub's libraries say that nothing may be downloaded."""

_SILENT: set[str] = set()


def can_download(address: str) -> bool:
    """Whether the file at `address` can be downloaded now; not where a variable of `OFFLINE` forbids to ask."""
    if not address or any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in OFFLINE):
        return False
    return urlsplit(address).netloc not in _SILENT and _answers(address)


@lru_cache(maxsize=256)
def _answers(address: str) -> bool:
    answers: list[bool] = []

    def ask() -> None:
        answers.append(_asked(address))

    # In a thread, because looking up the name of a server has no timeout of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    if not answers:
        _SILENT.add(urlsplit(address).netloc)
    return bool(answers) and answers[0]


def _asked(address: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=TIMEOUT):
            return True
    except urllib.error.HTTPError:  # the server is there and does not give this file
        return False
    except (OSError, ValueError):
        _SILENT.add(urlsplit(address).netloc)
        return False
