"""A real Label Studio in an environment of its own, for slow tests."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VERSION = "1.23.2"
TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def label_studio_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label Studio in a fresh environment, or the one that S4MI_LABEL_STUDIO names."""
    if "S4MI_LABEL_STUDIO" in os.environ:
        return Path(os.environ["S4MI_LABEL_STUDIO"])
    folder = tmp_path_factory.mktemp("label-studio") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    installed = subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", f"label-studio=={VERSION}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if installed.returncode:
        pytest.skip(f"label-studio {VERSION} cannot be installed: {installed.stderr.strip().splitlines()[-1]}")
    return folder / "bin" / "label-studio"


@pytest.fixture
def label_studio(label_studio_program: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a running server, which serves local files below `tmp_path`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(tmp_path / "label-studio"),
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(tmp_path),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        # By default it refuses backends on this machine, and the webhook that it adds for each.
        "ML_BLOCK_LOCAL_IP": "false", "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "False", "LATEST_VERSION_CHECK": "False", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": "",
        "HOME": str(tmp_path), "PATH": os.environ["PATH"],
    }  # fmt: skip
    (tmp_path / "label-studio").mkdir()
    command = [label_studio_program, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port),
               "--username", "a@example.org", "--password", "drawn-not-real", "--user-token", TOKEN]  # fmt: skip
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=settings, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{address}/api/version", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
                    time.sleep(1)
            yield address
        finally:
            process.terminate()
            process.wait(60)


def ask(address: str, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        address + path, None if body is None else json.dumps(body).encode(), method=method,
        headers={"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=120) as answer:
        content = answer.read()
    return json.loads(content) if answer.headers.get_content_type() == "application/json" else content
