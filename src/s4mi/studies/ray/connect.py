"""Connection to a Ray cluster, the resources of its hosts, and the resources that a run requests."""

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
from s4mi.formatting import is_whole, plural

LOCAL = "local"
CLIENT = "ray://"


@dataclass(frozen=True)
class ResourceRequest:
    """Resources of a host that a run requests."""

    cpus: int
    gpus: float

    def fits(self, host: dict[str, float]) -> bool:
        """Whether a host has these resources in total, in use or not."""
        return self.cpus <= host.get("CPU", 0) and self.gpus <= host.get("GPU", 0)

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{plural(self.cpus, 'CPU')}{gpus}"


def resources_per_run(hardware: HardwareConfig, *, gpus: bool) -> ResourceRequest:
    """Return the resources that a run with these settings requests; `gpus`: whether the cluster has GPUs."""
    on_gpu = hardware.accelerator in ("cuda", "gpu") or (hardware.accelerator == "auto" and gpus)
    return ResourceRequest(hardware.threads or 1, hardware.gpu_share if on_gpu else 0.0)


def connect(address: str) -> None:
    """Connect to a cluster, or start one on this machine for the address `local`.

    Raises:
        S4miError: the cluster cannot be reached, or refuses the connection.
    """
    # Workers exchange only short messages with this process, so a small object store is enough.
    more: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 100 << 20} if address == LOCAL else {}
    endpoint = _parse_endpoint(address)
    if endpoint is not None and not responds(endpoint):  # Ray would retry for minutes
        raise S4miError(f"--ray {address}: no response; {_hint(address)}")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray starts: it sends no usage statistics
    try:
        with _keep_signals_and_output():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
    except (RayError, OSError, RuntimeError, ValueError, AssertionError) as error:
        ray.shutdown()
        reason = f"{error} {error.__cause__}"
        hint = _TOKEN_HINT if "token" in reason.lower() else _hint(address)
        raise S4miError(f"--ray {address}: cannot connect to a Ray cluster ({last_line(error)}); {hint}") from error


_TOKEN_HINT = "it requires a token: copy ~/.ray/auth_token from its head node and set RAY_AUTH_MODE=token"


def _hint(address: str) -> str:
    if address.startswith(CLIENT):
        return "check that its head node is running and that this is its client port, 10001 by default"
    return "start one with: ray start --head, join one with: ray start --address=HOST:PORT, or use ray://HOST:10001"


def _parse_endpoint(address: str) -> tuple[str, int] | None:
    """Return host and port if the address contains them."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    return (host.strip("[]"), int(port)) if host and is_whole(port) else None


@contextmanager
def _keep_signals_and_output() -> Iterator[None]:
    """Keep our SIGTERM handler, which Ray would replace, and do not print Ray's logs when a process dies."""
    listen = ray_worker.listen_error_messages
    before = signal.getsignal(signal.SIGTERM)
    ray_worker.listen_error_messages = lambda *_: None
    try:
        yield
    finally:
        ray_worker.listen_error_messages = listen
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def host_resources() -> list[dict[str, float]]:
    """Return the total resources of each host that is alive."""
    return [host["Resources"] for host in ray.nodes() if host["Alive"]]  # type: ignore[no-untyped-call]


def head_endpoint(address: str) -> tuple[str, int]:
    """Return host and port of the head node of the cluster that this process is connected to."""
    endpoint = _parse_endpoint(address if address.startswith(CLIENT) else ray.get_runtime_context().gcs_address)
    assert endpoint is not None
    return endpoint


def responds(endpoint: tuple[str, int]) -> bool:
    """Whether the endpoint accepts a connection."""
    try:
        socket.create_connection(endpoint, timeout=2).close()
    except OSError:
        return False
    return True


def last_line(error: BaseException) -> str:
    """Return the last line of an error message, which says the most in those of Ray."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def cause_of_death(error: RayError, host: str) -> str:
    """Return how a worker on a host has died."""
    text = str(error)
    if "low on memory" in text:
        return f"worker process ended by Ray: out of memory on {host}"
    if "node has died" in text or "node was terminated" in text or "node has crashed" in text:
        return f"{host}, on which the run was training, is gone"
    return f"worker process on {host} died, possibly out of memory"
