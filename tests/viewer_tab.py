"""A page's server in this process, and a tab that asks it."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from s4mi.viewer.app import make_app
from s4mi.viewer.guard import Access
from s4mi.viewer.workspace import Workspace, open_workspace

TOKEN = "secret-of-the-test"


class Tab:
    """A tab of a browser that has the token."""

    def __init__(self, space: Workspace, name: str = "c-1", **access: Any) -> None:
        self.space, self.name = space, name
        self.app = make_app(space, Access(token=TOKEN, **access))
        self.client = TestClient(self.app, base_url="http://127.0.0.1:8765", follow_redirects=False)
        self.client.cookies.set("s4mi_token", TOKEN)

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a reading request that succeeds."""
        answer = self.client.get(f"/api/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def mask(self, n: int, source: str, **query: Any) -> np.ndarray:
        """Return a mask of an image."""
        answer = self.client.get(f"/api/images/{n}/mask", params={"source": source, **query})
        assert answer.status_code == 200, answer.text
        return np.array(Image.open(io.BytesIO(answer.content)))

    def write(self, method: str, path: str, body: Any = None, *, by: str = "", **query: Any) -> Any:
        """Return the response to a writing request; `body` is JSON, or the pixels of a mask."""
        headers = {"X-S4MI": "1", "X-Client": by or self.name}
        if isinstance(body, np.ndarray):
            return self.client.request(
                method,
                f"/api/{path}",
                content=png(body),
                params=query,
                headers={**headers, "Content-Type": "image/png"},
            )
        return self.client.request(method, f"/api/{path}", json=body or {}, params=query, headers=headers)

    def change(self, method: str, n: int, what: str, body: Any = None, *, by: str = "", **query: Any) -> dict[str, Any]:
        """Change an image on its newest revision, and return its annotation."""
        base = self.space.annotations.history(n).revision
        answer = self.write(method, f"images/{n}/{what}", body, by=by, base_revision=base, **query)
        assert answer.status_code == 200, answer.text
        annotation: dict[str, Any] = answer.json()["annotation"]
        return annotation


def png(pixels: np.ndarray) -> bytes:
    """Encode an array as PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def lesion_copy(lesions: Path, tmp_path: Path) -> Path:
    """A copy of the drawn lesions that may be annotated."""
    return Path(shutil.copytree(lesions, tmp_path / "lesions"))


@pytest.fixture
def open_tab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Tab]]:
    """Opens a data set: `open_tab(folder, read_only=False)`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened: list[Workspace] = []

    def start(folder: Path, *, read_only: bool = False, **access: Any) -> Tab:
        space = open_workspace(folder, read_only=read_only)
        opened.append(space)
        return Tab(space, **access)

    yield start
    for space in opened:
        space.close()


@pytest.fixture
def tab(lesion_copy: Path, open_tab: Callable[..., Tab]) -> Tab:
    """A tab on the drawn lesions."""
    return open_tab(lesion_copy)
