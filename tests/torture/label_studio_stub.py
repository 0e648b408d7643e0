"""A server that answers as Label Studio with one annotated task: `python label_studio_stub.py` prints its address."""

import json
import sys
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


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
