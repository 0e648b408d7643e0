"""A server that answers as Label Studio with one annotated task: `python label_studio_stub.py` prints its address.

It ends with its parent, however that ends.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

CHOICE = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["nevus"]}}
TASK = {"id": 1, "data": {"id": "lesion_0000", "image": "a.png"}, "annotations": [{"id": 1, "result": [CHOICE]}]}


class Handler(BaseHTTPRequestHandler):
    """Exports one task and accepts everything."""

    def do_GET(self) -> None:
        self._answer([TASK] if "/export" in self.path else {"parsed_label_config": {}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer({"id": 1})

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, contents: Any) -> None:
        body = json.dumps(contents).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running() -> Iterator[str]:
    """Start the server in a process of its own, which holds none of this one's outputs open; yields its address."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
