"""What `s4mi data check` finds, computed in the background at the first request, with the images concerned."""

import json
import logging
import subprocess
import sys
from collections import defaultdict
from threading import Lock, Thread
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from s4mi.viewer.respond import without_paths
from s4mi.viewer.workspace import Workspace

log = logging.getLogger("s4mi.viewer")

DUPLICATES = ("duplicate", "near-duplicate")
"""Start of the codes of findings on pairs of images that are alike."""
IN_ONE_LINE = 20
"""Findings on one image that are shown beside it."""


class Findings:
    """The findings of the version of the data set that is shown."""

    def __init__(self, space: Workspace) -> None:
        self._space, self._lock = space, Lock()
        self._version = -1
        self._progress = (0, 0)
        self._found: list[dict[str, Any]] | None = None
        self._by_image: dict[int, list[str]] = {}
        self._process: subprocess.Popen[str] | None = None

    def answer(self) -> Response:
        """The findings, or how far the check is; starts it where that is not done."""
        with self._lock:
            version = self._space.manifest.version
            if self._version != version:
                self._stop()
                self._version, self._found, self._progress = version, None, (0, self._space.columns.count)
                Thread(target=self._check, args=(version,), name="s4mi-view-check", daemon=True).start()
            if self._found is None:
                done, total = self._progress
                return JSONResponse({"done": done, "total": total}, status_code=202)
            return JSONResponse(self._found)

    def of_image(self, n: int) -> list[str]:
        """The findings on an image, as far as they are known."""
        return self._by_image.get(n, [])[:IN_ONE_LINE]

    def stop(self) -> None:
        """End a check under way."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._process = None

    def _check(self, version: int) -> None:
        command = [sys.executable, "-m", "s4mi.viewer.checking", str(self._space.folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            with self._lock:
                if self._version != version:
                    process.kill()
                    return
                self._process = process
            assert process.stdout is not None
            said: dict[str, Any] = {}
            for line in process.stdout:
                said = json.loads(line)
                if "total" in said:
                    self._progress = (said["done"], said["total"])
        self._finish(version, said)

    def _finish(self, version: int, said: dict[str, Any]) -> None:
        """Keep the findings, and which images are alike."""
        if "findings" not in said:
            message = said.get("error", "the check has ended early; run s4mi data check")
            said = {"findings": [{"code": "", "severity": "error", "text": message, "lines": []}]}
        number_of = {row.line: n for n, row in enumerate(self._space.manifest.rows)}
        found: list[dict[str, Any]] = []
        by_image: defaultdict[int, list[str]] = defaultdict(list)
        alike: defaultdict[int, set[int]] = defaultdict(set)
        for one in said["findings"]:
            images = [number_of[line] for line in one["lines"] if line in number_of]
            text = without_paths(self._space, one["text"])
            found.append({"severity": one["severity"], "code": one["code"], "text": text, "images": images})
            for n in images:
                by_image[n].append(text)
                if one["code"].startswith(DUPLICATES):
                    alike[n].update(m for m in images if m != n)
        with self._lock:
            if self._version != version:
                return
            self._found, self._by_image = found, dict(by_image)
        self._space.duplicates = {n: tuple(sorted(others)) for n, others in alike.items() if others}
        self._space.touch()
        self._space.events.send("findings", {"count": len(found)})


def findings(_: Workspace, request: Request) -> Response:
    """The findings of the data set."""
    answer: Response = request.app.state.findings.answer()
    return answer
