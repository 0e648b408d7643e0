"""Requests that must be refused: each gets a 4xx, one line in the log, and changes nothing."""

import logging
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s4mi.data.annotations.journal import FOLDER, NAME
from s4mi.viewer.server import ServerOptions, ViewServer
from s4mi.viewer.workspace import open_workspace
from viewer_tab import TOKEN, Tab, png

WRITE = {"X-S4MI": "1", "X-Client": "c-1"}
MASK = {**WRITE, "Content-Type": "image/png"}
SMALL = np.zeros((2, 2), dtype=np.uint8)


def bomb() -> bytes:
    """A PNG that says it has 10,000 million pixels."""
    header = b"IHDR" + (100_000).to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82"


REFUSED: list[tuple[str, int, str, str, dict[str, Any]]] = [
    # (what, status, method, path, how)
    ("another host", 403, "GET", "/api/session", {"headers": {"Host": "evil.example"}}),
    ("a host with a user", 403, "GET", "/api/session", {"headers": {"Host": "x@127.0.0.1"}}),
    ("a rebound name", 403, "GET", "/", {"headers": {"Host": "127.0.0.1.evil.example"}}),
    ("another origin", 403, "GET", "/api/session", {"headers": {"Origin": "http://evil.example"}}),
    ("an origin on another port", 403, "PUT", "/api/images/0/labels?base_revision=0",
     {"headers": {**WRITE, "Origin": "http://127.0.0.1:9"}, "json": {"labels": ["nevus"]}}),
    ("the origin null", 403, "GET", "/api/grid", {"headers": {"Origin": "null"}}),
    ("no token", 401, "GET", "/api/session", {"token": None}),
    ("a wrong token", 401, "GET", "/api/session", {"token": TOKEN[:-1]}),
    ("a wrong bearer", 401, "GET", "/api/session", {"token": None, "headers": {"Authorization": "Bearer x"}}),
    ("a write without its header", 403, "PUT", "/api/images/0/labels?base_revision=0", {"json": {"labels": ["nevus"]}}),
    ("a form of another page", 403, "POST", "/api/merge",
     {"headers": {**WRITE, "Sec-Fetch-Site": "cross-site"}, "json": {"dry_run": False}}),
    ("a path upwards", 404, "GET", "/../../etc/passwd", {}),
    ("a path upwards, encoded", 404, "GET", "/assets/%2e%2e/%2e%2e/app.py", {}),
    ("a path as an image", 404, "GET", "/api/images/..%2Fdataset.yaml", {}),
    ("a name as an image", 400, "GET", "/api/images/lesion-1/picture", {}),
    ("an unknown image", 404, "GET", "/api/images/60", {}),
    ("a huge number", 400, "GET", f"/api/images/{'9' * 5000}", {}),
    ("digits of another script", 400, "GET", "/api/images/%D9%A3", {}),
    ("an unknown run", 404, "GET", "/api/grid?run=../r0", {}),
    ("an unknown size", 400, "GET", "/api/images/0/picture?size=9999999", {}),
    ("a window that is none", 400, "GET", "/api/images/0/picture?low=5&high=nan", {}),
    ("a level beyond the last", 404, "GET", "/api/images/0/tiles/40/0/0", {}),
    ("a tile outside", 404, "GET", "/api/images/0/tiles/0/9/9", {}),
    ("too many items", 400, "GET", "/api/grid?limit=100000", {}),
    ("a negative offset", 400, "GET", "/api/grid?offset=-1", {}),
    ("an unknown sort", 400, "GET", "/api/grid?sort=__class__", {}),
    ("another method", 405, "PATCH", "/api/session", {"headers": WRITE}),
    ("TRACE", 405, "TRACE", "/api/session", {}),
    ("a wrong method of a path", 405, "DELETE", "/api/session", {"headers": WRITE}),
    ("a huge body of JSON", 413, "PUT", "/api/images/0/skip?base_revision=0",
     {"headers": WRITE, "content": b'{"reason": "' + b"x" * (5 << 20) + b'"}'}),
    ("a huge mask", 413, "PUT", "/api/images/0/mask?base_revision=0", {"headers": MASK, "content": b"x" * (65 << 20)}),
    ("a mask that is a JPEG", 415, "PUT", "/api/images/0/mask?base_revision=0",
     {"headers": MASK, "content": b"\xff\xd8\xff\xe0 JFIF"}),
    ("half a PNG", 415, "PUT", "/api/images/0/mask?base_revision=0",
     {"headers": MASK, "content": png(np.zeros((48, 48), np.uint8))[:40]}),
    ("a mask in colour", 415, "PUT", "/api/images/0/mask?base_revision=0",
     {"headers": MASK, "content": png(np.zeros((48, 48, 3), np.uint8))}),
    ("a mask of 16 bits", 415, "PUT", "/api/images/0/mask?base_revision=0",
     {"headers": MASK, "content": png(np.zeros((48, 48), np.uint16))}),
    ("a PNG that would fill the memory", 422, "PUT", "/api/images/0/mask?base_revision=0",
     {"headers": MASK, "content": bomb()}),
    ("a mask of another size", 422, "PUT", "/api/images/0/mask?base_revision=0",
     {"headers": MASK, "content": png(np.zeros((47, 48), np.uint8))}),
    ("a mask with an unknown class", 422, "PUT", "/api/images/0/mask?base_revision=0",
     {"headers": MASK, "content": png(np.full((48, 48), 7, np.uint8))}),
    ("a stroke beyond the edge", 422, "POST", "/api/images/0/strokes?x=47&y=0&base_revision=0",
     {"headers": MASK, "content": png(SMALL)}),
    ("a stroke outside", 422, "POST", "/api/images/0/strokes?x=48&y=0&base_revision=0",
     {"headers": MASK, "content": png(SMALL)}),
    ("a stroke nowhere", 400, "POST", "/api/images/0/strokes?base_revision=0",
     {"headers": MASK, "content": png(SMALL)}),
    ("no base revision", 400, "PUT", "/api/images/0/labels", {"headers": WRITE, "json": {"labels": ["nevus"]}}),
    ("a base revision of words", 400, "PUT", "/api/images/0/labels?base_revision=now",
     {"headers": WRITE, "json": {"labels": ["nevus"]}}),
    ("a base revision of the future", 409, "PUT", "/api/images/0/labels?base_revision=12",
     {"headers": WRITE, "json": {"labels": ["nevus"]}}),
    ("no client", 400, "PUT", "/api/images/0/labels?base_revision=0",
     {"headers": {"X-S4MI": "1"}, "json": {"labels": ["nevus"]}}),
    ("a client with a line break", 400, "POST", "/api/images/0/open", {"headers": {**WRITE, "X-Client": "a\tb"}}),
    ("an unknown class", 422, "PUT", "/api/images/0/labels?base_revision=0",
     {"headers": WRITE, "json": {"labels": ["nevis"]}}),
    ("two classes of one", 422, "PUT", "/api/images/0/labels?base_revision=0",
     {"headers": WRITE, "json": {"labels": ["nevus", "melanoma"]}}),
    ("no list of classes", 400, "PUT", "/api/images/0/labels?base_revision=0",
     {"headers": WRITE, "json": {"labels": "nevus"}}),
    ("broken JSON", 400, "PUT", "/api/images/0/labels?base_revision=0", {"headers": WRITE, "content": b"{"}),
    ("JSON without end", 400, "PUT", "/api/images/0/labels?base_revision=0",
     {"headers": WRITE, "content": b"[" * 100_000}),
    ("a list", 400, "POST", "/api/merge", {"headers": WRITE, "json": [1]}),
    ("an unknown switch of a merge", 400, "POST", "/api/merge", {"headers": WRITE, "json": {"folder": "/etc"}}),
    ("a run that is unknown", 404, "POST", "/api/predict", {"headers": WRITE, "json": {"run": "r0", "scope": [1]}}),
]  # fmt: skip
assert len(REFUSED) >= 20


@pytest.fixture(scope="module")
def shared(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A tab that only refused requests use."""
    space = open_workspace(Path(shutil.copytree(lesions, tmp_path_factory.mktemp("refused") / "data")))
    yield Tab(space)
    space.close()


@pytest.mark.parametrize(("what", "status", "method", "path", "how"), REFUSED, ids=[one[0] for one in REFUSED])
def test_bad_requests_get_one_line(
    shared: Tab, caplog: pytest.LogCaptureFixture, what: str, status: int, method: str, path: str, how: dict[str, Any]
) -> None:
    how = dict(how)
    headers = how.pop("headers", {})
    shared.client.cookies.clear()
    token = how.pop("token", TOKEN)
    cookie = {} if token is None else {"Cookie": f"s4mi_token={token}"}
    with caplog.at_level(logging.WARNING, logger="s4mi.viewer"):
        answer = shared.client.request(method, path, headers=cookie | headers, **how)
    assert answer.status_code == status, answer.text
    assert "\n" not in answer.json()["error"]
    assert answer.json()["error"]
    lines = [record.getMessage() for record in caplog.records if record.name == "s4mi.viewer"]
    assert len(lines) == 1
    assert lines[0].startswith(f"refused {status} ")
    assert "\n" not in lines[0]
    assert TOKEN not in lines[0]
    assert shared.space.annotations.last == 0
    assert (shared.space.folder / FOLDER / NAME).read_bytes() == b""


def test_every_response_forbids_scripts_of_others_and_frames(tab: Tab) -> None:
    for path in ("/", "/api/session", "/nothing", "/api/images/0/picture"):
        headers = tab.client.get(path).headers
        assert "script-src 'self';" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_token_becomes_a_cookie_that_scripts_and_other_pages_cannot_use(tab: Tab) -> None:
    tab.client.cookies.clear()
    answer = tab.client.get("/", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Set-Cookie" not in tab.client.get("/", params={"token": "wrong"}).headers


def test_looking_only_changes_nothing(lesion_copy: Path, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(lesion_copy, read_only=True)
    answer = tab.write("PUT", "images/0/labels", {"labels": ["nevus"]}, base_revision=0)
    assert answer.status_code == 403
    assert tab.write("POST", "merge", {"dry_run": False}).status_code == 403
    assert not (lesion_copy / FOLDER).exists()


RAW = {
    "two hosts": b"GET /api/session HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET /api/session HTTP/1.0\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "endless header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 200_000,
    "an absolute address of another": b"GET http://evil.example/api/session HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a length and pieces": b"POST /api/merge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length of words": b"POST /api/merge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: many\r\n\r\n",
}


@pytest.fixture(scope="module")
def server(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A real server in a thread."""
    data = Path(shutil.copytree(lesions, tmp_path_factory.mktemp("served") / "data"))
    served = ViewServer(ServerOptions(data, port=0))
    served.start()
    yield served
    served.close()


def ask(server: ViewServer, request: bytes) -> bytes:
    """Send bytes and return what comes back until the connection is closed or says nothing more."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=3) as connection:
        connection.sendall(request)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
                if b"\r\n\r\n" in received:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return received


@pytest.mark.parametrize("what", RAW)
def test_bytes_that_no_client_sends_get_a_4xx(server: ViewServer, what: str) -> None:
    assert ask(server, RAW[what]).startswith(b"HTTP/1.1 4"), what
    assert ask(server, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_body_in_endless_pieces_is_cut_off(server: ViewServer) -> None:
    head = (
        f"PUT /api/images/0/skip?base_revision=0 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-S4MI: 1\r\nX-Client: c-1\r\n"
        f"Authorization: Bearer {server.access.token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    pieces = b"".join(b"10000\r\n" + b"x" * 65536 + b"\r\n" for _ in range(80))  # 5 MiB, without an end
    assert ask(server, head + pieces).startswith(b"HTTP/1.1 413")


def test_nobody_else_can_reach_the_server(server: ViewServer) -> None:
    assert server._socket.getsockname()[0] == "127.0.0.1"
