"""Damaged annotations, stored predictions, rankings and requests of `s4mi view`; answers and tasks of Label Studio."""

import http.server
import io
import json
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from damage import WORDS, Mutant, damaged_bytes, damaged_json, damaged_text, write_text
from jobs import call_main

TOKEN = "token-of-the-test"
Asked = tuple[str, str, bytes]
"""Method, path with query, and body of a request."""
READ: tuple[Asked, ...] = (
    ("GET", "/api/session", b""), ("GET", "/api/facets", b""), ("GET", "/api/grid", b""), ("GET", "/api/changes", b""),
    *(("GET", f"/api/images/{n}{what}", b"") for n in (0, 3) for what in
      ("", "/mask", "/mask?source=edited", "/picture", "/tiles/0/0/0")),
    ("PUT", "/api/images/1/labels?base_revision=0", b'{"labels": ["nevus"]}'),
)  # fmt: skip
OF_A_RUN: tuple[Asked, ...] = (
    ("GET", "/api/grid?run=r0", b""), ("GET", "/api/images/0?run=r0", b""),
    *(("GET", f"/api/images/0/{what}run=r0", b"") for what in ("mask?source=prediction&", "doubt?", "difference?")),
)  # fmt: skip
"""Requests that read predictions."""
BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PUT", "/api/images/1/labels", {"labels": ["nevus"]}), ("PUT", "/api/images/1/empty", {}),
    ("PUT", "/api/images/1/skip", {"reason": "blurred"}), ("POST", "/api/images/1/undo", {}),
    ("POST", "/api/images/1/start", {"from": "prediction", "run": "r0"}), ("POST", "/api/images/1/open", {}),
    ("POST", "/api/suggest", {"run": "r0", "count": 3}), ("POST", "/api/predict", {"run": "r0", "scope": [1, 2]}),
    ("POST", "/api/merge", {"dry_run": True, "replace": True}),
    ("POST", "/label-studio/predict", {
        "tasks": [{"id": 1, "data": {"id": "lesion_0000", "image": "/data/lesion_0000.png"}}],
        "label_config": '<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">'
                        '<Label value="lesion"/></BrushLabels></View>'}),
    ("POST", "/label-studio/setup", {"project": "1", "schema": "<View></View>", "hostname": "x"}),
    ("POST", "/label-studio/webhook", {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}}),
)  # fmt: skip
QUERIES = ("base_revision", "x", "y", "offset", "limit", "run", "size", "source", "low", "high", "sort", "search")


def journals(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Journals of annotations: their bytes, or entries that another program wrote."""
    from s4mi.data.annotations.journal import FOLDER, NAME, decode, encode

    data = Path(shutil.copytree(base / "annotated", here / "data"))
    file = data / FOLDER / NAME
    if rng.random() < 0.5:
        contents, what = damaged_bytes(file.read_bytes(), rng)
    else:
        lines = file.read_bytes().splitlines(keepends=True)
        place = rng.randrange(len(lines))
        entry = decode(lines[place])
        text, what = damaged_json(json.dumps(entry, indent=1), rng)
        try:
            lines[place] = encode(json.loads(text))
        except (ValueError, RecursionError):
            lines[place] = text.encode("utf-8", "surrogatepass") + b"\n"
        contents = b"".join(lines)
    file.write_bytes(contents)
    if rng.random() < 0.3:
        words = ("data", "erase", str(data), "patient_0001", "--yes", "--cache", str(here / "cache"))
        return Mutant("journal", what, words)
    return Mutant("journal", what, ("view", str(data)), act=lambda: _ask(data, READ, here))


def predictions(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Stored predictions of a run, and rankings."""
    from s4mi.viewer.runs import _identity

    data = Path(shutil.copytree(base / "viewed", here / "data"))
    if rng.random() < 0.4:
        file = here / "next.csv"
        text, what = damaged_text((base / "ranking.csv").read_text(), rng)
        write_text(file, text)
        return Mutant("ranking", what, ("view", str(data), str(file)), act=lambda: _ask(data, READ, here, ranking=file))
    run = base / "seg"
    file = here / "home" / "s4mi" / "view" / f"{_identity(run, data)}.sqlite"
    file.parent.mkdir(parents=True)
    (source,) = (base / "home" / "s4mi" / "view").glob("*.sqlite")
    shutil.copyfile(source, file)
    contents, what = damaged_bytes(file.read_bytes(), rng)
    file.write_bytes(contents)
    return Mutant("stored predictions", what, ("view", str(data), str(run)),
                  act=lambda: _ask(data, (*READ, *OF_A_RUN), here, runs=(run,)))  # fmt: skip


def requests(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Requests to the server of the page: bodies, masks, queries."""
    from PIL import Image

    data = Path(shutil.copytree(base / "viewed", here / "data"))
    asked: list[Asked] = []
    runs = (base / "seg",) if rng.random() < 0.3 else ()
    for _ in range(8):
        method, path, contents = rng.choice(BODIES)
        if not runs and "label-studio" in path:
            continue
        body = damaged_json(json.dumps(contents, indent=1), rng)[0].encode("utf-8", "surrogatepass")
        kind = rng.choice(("body", "body", "mask", "query"))
        if kind == "mask":
            file = io.BytesIO()
            Image.new("L", (48, 48), 1).save(file, "PNG")
            method, path = rng.choice((("PUT", "/api/images/1/mask"), ("POST", "/api/images/1/strokes?x=0&y=0")))
            body = damaged_bytes(file.getvalue(), rng)[0]
        elif kind == "query":
            method, path, body = rng.choice(READ)
        if "base_revision" not in path:
            path += ("&" if "?" in path else "?") + "base_revision=0"
        if kind == "query" or rng.random() < 0.2:
            path += f"&{rng.choice(QUERIES)}={_quoted(rng.choice(WORDS))}"
        asked.append((method, path, body))
    what = ", ".join(f"{method} {path[:60]}" for method, path, _ in asked)
    return Mutant("request", what, ("view", str(data)), act=lambda: _ask(data, asked, here, runs=runs))


def label_studio(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Answers of Label Studio's server, and files of tasks."""
    task = {"id": 1, "data": {"id": "lesion_0000", "image": "a.png"}, "annotations": [
        {"id": 1, "result": [{"from_name": "label", "to_name": "image", "type": "choices",
                              "value": {"choices": ["nevus"]}}]}]}  # fmt: skip
    answers: list[Any] = [[task], {"id": 1, "parsed_label_config": {"brush": {}}}]
    text, what = damaged_json(json.dumps(rng.choice(answers), indent=1), rng)
    answer = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        answer, what = damaged_bytes(answer, rng)
    words = ("labelstudio", "pull", "1", "-o", str(here / "pulled.json"))
    if rng.random() < 0.5:
        tasks = here / "tasks.label-studio.json"
        for file in (tasks, tasks.with_suffix(".xml")):
            shutil.copyfile(base / file.name, file)
        if rng.random() < 0.6:
            text, what = damaged_json(tasks.read_text(), rng)
            write_text(tasks, text)
            answer = json.dumps(rng.choice(answers)).encode()
        words = ("labelstudio", "push", str(tasks), *rng.choice(((), ("--project", "1"))))
    status = rng.choice((200, 200, 200, 200, 201, 301, 404, 500))

    def act() -> int:
        with _answering(status, answer) as address:
            before = os.environ.get("LABEL_STUDIO_URL"), os.environ.get("LABEL_STUDIO_API_KEY")
            os.environ.update(LABEL_STUDIO_URL=address, LABEL_STUDIO_API_KEY="token")
            try:
                return call_main(words)
            finally:
                for name, value in zip(("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"), before, strict=True):
                    if value is not None:
                        os.environ[name] = value

    return Mutant("Label Studio server", f"{status} {what}", words, act=act)


def make_views(folder: Path) -> None:
    """Prepare an annotated data set, predictions that a view has stored, and a ranking of its images."""
    from s4mi.data.manifest import load_manifest

    data = Path(shutil.copytree(folder / "viewed", folder / "annotated"))
    writes: list[Asked] = [
        ("PUT", "/api/images/0/labels?base_revision=0", b'{"labels": ["melanoma"]}'),
        ("PUT", "/api/images/1/skip?base_revision=0", b'{"reason": "blurred"}'),
        ("PUT", "/api/images/2/empty?base_revision=0", b"{}"),
        ("POST", "/api/images/2/undo?base_revision=1", b"{}"),
        ("POST", "/api/images/3/start?base_revision=0", b'{"from": "truth"}'),
    ]
    assert _ask(data, writes, folder) == 0
    shutil.rmtree(folder / "home", ignore_errors=True)
    assert _ask(folder / "viewed", OF_A_RUN, folder, runs=(folder / "seg",), predict=True) == 0
    rows = load_manifest(folder / "viewed").rows
    lines = ["rank,id,patient,near,why", *(f"{n},{row.id},{row.group or ''},,far" for n, row in enumerate(rows, 1))]
    (folder / "ranking.csv").write_text("\n".join(lines) + "\n")


def _ask(
    data: Path,
    asked: Sequence[Asked],
    here: Path,
    *,
    runs: tuple[Path, ...] = (),
    ranking: Path | None = None,
    predict: bool = False,
) -> int:
    """Open a data set as `s4mi view` does and ask; 1 if it is refused in one line. An error of the server is raised.

    Args:
        here: folder in which the home of caches is.
        predict: whether to predict all images before.
    """
    from starlette.testclient import TestClient

    from s4mi.errors import S4miError
    from s4mi.viewer.app import make_app
    from s4mi.viewer.guard import Access
    from s4mi.viewer.run_list import open_runs
    from s4mi.viewer.suggesting import read_ranks
    from s4mi.viewer.workspace import open_workspace

    os.environ["XDG_CACHE_HOME"] = str(here / "home")
    try:
        space = open_workspace(data, read_only=False)
    except S4miError:
        return 1
    try:
        open_runs(space, runs, None)
        if ranking is not None:
            read_ranks(space, ranking)
        app = make_app(space, Access(token=TOKEN))
        client = TestClient(app, base_url="http://127.0.0.1:8765", follow_redirects=False)
        client.cookies.set("s4mi_token", TOKEN)
        for run in space.runs.values() if predict else ():
            for n in range(space.columns.count):
                app.state.predicting.predict(run, n)
        for method, path, body in asked:
            headers = {"X-S4MI": "1", "X-Client": "c-1", "Content-Type": "application/json"}
            answer = client.request(method, path, content=body, headers=headers)
            if answer.status_code in (500, 507):
                raise AssertionError(f"{method} {path}: {answer.text}")
        app.state.predicting.stop()
    except S4miError:
        return 1
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        space.close()
    return 0


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[str]:
    """A server that gives every request the same answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _quoted(word: str) -> str:
    from urllib.parse import quote

    return quote(word[:2000].encode("utf-8", "surrogatepass"))


MAKERS: tuple[tuple[Callable[[Path, Path, random.Random], Mutant], int], ...] = (
    (journals, 2), (predictions, 2), (requests, 3), (label_studio, 2),
)  # fmt: skip
