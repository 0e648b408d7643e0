"""The way into a Ray cluster: joining it, what its hosts have, and what of it a run takes."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray._private import worker as ray_worker
from ray.exceptions import RayError

from s4mi.config import HardwareConfig
from s4mi.errors import S4miError

LOCAL = "local"
CLIENT = "ray://"


@dataclass(frozen=True)
class ResourceRequest:
    """What a run takes of a host."""

    cpus: int
    gpus: float

    def fits(self, host: dict[str, float]) -> bool:
        """Whether a host has that much in all."""
        return self.cpus <= host.get("CPU", 0) and self.gpus <= host.get("GPU", 0)

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus} CPU{'' if self.cpus == 1 else 's'}{gpus}"


def resources_per_run(hardware: HardwareConfig, *, gpus: bool) -> ResourceRequest:
    """What a run takes by its settings; `gpus`: the cluster has some."""
    on_gpu = hardware.accelerator in ("cuda", "gpu") or (hardware.accelerator == "auto" and gpus)
    return ResourceRequest(hardware.threads or 1, hardware.gpu_share if on_gpu else 0.0)


def connect(address: str) -> None:
    """Join a cluster, or start one on this machine for `local`.

    Raises:
        S4miError: there is no such cluster, or it does not let us in.
    """
    # Workers share little more than words with us, so a small store of objects will do.
    more: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 100 << 20} if address == LOCAL else {}
    place = _place(address)
    if place is not None and not responds(place):  # Ray would try for minutes
        raise S4miError(f"--ray {address}: nothing answers there; {_cure(address)}")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray starts: nobody is told how it is used
    try:
        with _undisturbed():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
    except (RayError, OSError, RuntimeError, ValueError, AssertionError) as error:
        ray.shutdown()
        reason = f"{error} {error.__cause__}"
        cure = _TOKEN if "token" in reason.lower() else _cure(address)
        raise S4miError(f"--ray {address}: no Ray cluster to be had ({last_line(error)}); {cure}") from error


_TOKEN = "it asks for a token: copy ~/.ray/auth_token of its head here and set RAY_AUTH_MODE=token"


def _cure(address: str) -> str:
    if address.startswith(CLIENT):
        return "is its head up, and is that the port of its clients, 10001 by default?"
    return "start one with: ray start --head, join one with: ray start --address=HOST:PORT, or use ray://HOST:10001"


def _place(address: str) -> tuple[str, int] | None:
    """Host and port, where the address has them."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and prints pages of its own logs when a process dies: neither is wanted."""
    listen = ray_worker.listen_error_messages
    before = signal.getsignal(signal.SIGTERM)
    ray_worker.listen_error_messages = lambda *_: None
    try:
        yield
    finally:
        ray_worker.listen_error_messages = listen
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def hosts() -> list[dict[str, float]]:
    """What each host has that is there."""
    return [host["Resources"] for host in ray.nodes() if host["Alive"]]  # type: ignore[no-untyped-call]


def head(address: str) -> tuple[str, int]:
    """Where the cluster that this process is in answers."""
    place = _place(address if address.startswith(CLIENT) else ray.get_runtime_context().gcs_address)
    assert place is not None
    return place


def responds(place: tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(place, timeout=2).close()
    except OSError:
        return False
    return True


def last_line(error: BaseException) -> str:
    """Of a message of many lines the one that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
