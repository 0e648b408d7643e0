"""Push and pull with Label Studio: a real server in an environment of its own, and what a server may answer instead."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Command
from label_studio_program import TOKEN, ask
from s4mi.data.annotations.label_studio import write_label_studio
from s4mi.data.annotations.label_studio_rle import encode_brush
from s4mi.data.annotations.label_studio_server import LabelStudioServer
from s4mi.data.annotations.types import PreAnnotation
from s4mi.data.manifest import Manifest
from s4mi.data.masks import read_mask
from s4mi.data.versions import load_version
from s4mi.errors import S4miError

HEIGHT, WIDTH = 64, 96
CLASSES = ("background", "box", "oval", "free", "ring", "bits")


def ring() -> np.ndarray:
    """A region with a hole, which no polygon can be."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - 30, x - 20)
    return np.asarray((distance < 14) & (distance > 6))


def blob() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray(np.hypot(y - 45, (x - 60) / 2) < 11)


def drawn(kind: str, name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"r{kind}", "from_name": kind, "to_name": "image", "type": f"{kind}labels", "image_rotation": 0,
            "original_width": WIDTH, "original_height": HEIGHT,
            "value": {**value, f"{kind}labels": [name]}}  # fmt: skip


LABELS = "".join(f"<Label value='{name}'/>" for name in CLASSES[1:])
INTERFACE = "<View><Image name='image' value='$image'/>" + "".join(
    f"<{kind}Labels name='{kind.lower()}' toName='image'>" + LABELS
    + f"</{kind}Labels>"
    for kind in ("Rectangle", "Ellipse", "Polygon", "Brush", "Bitmask")
) + "<TextArea name='remark' toName='image'/><Rating name='quality' toName='image'/></View>"  # fmt: skip
REMARKS = [
    {"id": "t", "from_name": "remark", "to_name": "image", "type": "textarea", "value": {"text": ["blurred"]}},
    {"id": "q", "from_name": "quality", "to_name": "image", "type": "rating", "value": {"rating": 4}},
    {"type": "relation", "from_id": "rbrush", "to_id": "rrectangle", "direction": "right"},
]


def shapes(program: Path) -> list[dict[str, Any]]:
    """Every kind of region, the strokes encoded by the package of Label Studio itself."""
    code = "import json, sys, numpy as np; from label_studio_sdk.converter import brush; " \
           "print(json.dumps(brush.mask2rle(np.array(json.load(sys.stdin), dtype=np.uint8) * 255)))"  # fmt: skip
    ran = subprocess.run(
        [program.parent / "python", "-c", code], input=json.dumps(ring().astype(int).tolist()), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    from test_label_studio_exports import data_url

    return [
        drawn("rectangle", "box", {"x": 50, "y": 25, "width": 25, "height": 25, "rotation": 0}),
        drawn("ellipse", "oval", {"x": 85, "y": 75, "radiusX": 10, "radiusY": 12.5, "rotation": 0}),
        drawn("polygon", "free", {"points": [[0, 75], [6.25, 75], [6.25, 100], [0, 100]], "closed": True}),
        drawn("brush", "ring", {"format": "rle", "rle": json.loads(ran.stdout.splitlines()[-1])}),
        drawn("bitmask", "bits", {"imageDataURL": data_url(blob())}),
    ]


def expected() -> np.ndarray:
    """Indices in CLASSES."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[16:32, 48:72] = 1
    mask[((x - 81.6) / 9.6) ** 2 + ((y - 48) / 8) ** 2 <= 1] = 2
    mask[48:64, 0:6] = 3
    mask[ring()] = 4
    mask[blob()] = 5
    return mask


@pytest.mark.slow
def test_annotation_a_real_server_returns_every_pixel(
    label_studio: str, label_studio_program: Path, s4mi: Command, plain_images: Callable[..., Manifest],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    data = plain_images("c0 (1).png", "c#1.png", "c2.png")
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    predicted = expected()
    proposals = [PreAnnotation(row.id, row.image.relative_to(data.folder).as_posix(), (HEIGHT, WIDTH), CLASSES, 0.5,
                               mask=predicted) for row in data.rows[:2]]  # fmt: skip
    tasks = tmp_path / "next.label-studio.json"
    write_label_studio(proposals, tasks, rle=False, multilabel=False, root=data.folder)

    pushed = s4mi("labelstudio", "push", tasks, "--storage", data.folder)
    assert (pushed.returncode, pushed.stderr) == (0, "")
    project = int(pushed.stdout.split()[1].rstrip(":"))
    assert "2 new tasks" in pushed.stdout
    again = s4mi("labelstudio", "push", tasks, "--project", project)
    assert "0 new tasks, 2 there already" in again.stdout
    early = s4mi("labelstudio", "pull", project, "-o", tmp_path / "early.json")
    assert (early.returncode, early.stderr.count("\n")) == (1, 1)

    on_server = ask(label_studio, "GET", f"/api/tasks/?project={project}")["tasks"]
    for task in on_server:
        # The server finds the image, and gives it out unchanged.
        row = next(row for row in data.rows if row.id == task["data"]["id"])
        assert ask(label_studio, "GET", task["data"]["image"]) == row.image.read_bytes()
        full = ask(label_studio, "GET", f"/api/tasks/{task['id']}/")
        (prediction,) = full["predictions"]
        ask(label_studio, "POST", f"/api/tasks/{task['id']}/annotations/", {"result": prediction["result"]})
    out = tmp_path / "export.json"
    pulled = s4mi("labelstudio", "pull", project, "-o", out)
    assert f"2 annotated tasks: {out}" in pulled.stdout.replace("\n", "")
    assert s4mi("data", "merge", data.folder, out).returncode == 0
    assert_masks(data.folder, {row.id: predicted for row in data.rows[:2]})

    second = ask(label_studio, "POST", "/api/projects/", {"title": "all tools", "label_config": INTERFACE})["id"]
    (number,) = ask(label_studio, "POST", f"/api/projects/{second}/import?return_task_ids=true",
                    [{"data": {"image": f"/data/local-files/?d={data.folder.name}/images/c2.png"}}],
                    )["task_ids"]  # fmt: skip
    result = [REMARKS[0], *shapes(label_studio_program), *REMARKS[1:]]
    ask(label_studio, "POST", f"/api/tasks/{number}/annotations/", {"result": result})
    assert s4mi("labelstudio", "pull", second, "-o", out).returncode == 0
    merged = s4mi("data", "merge", data.folder, out)
    assert merged.returncode == 0, merged.stderr
    assert "1 text, 1 rating, 1 relation" in merged.stdout.replace("\n", " ")
    assert_masks(data.folder, {row.id: predicted for row in data.rows})
    assert json.loads(out.read_text())[0]["annotations"][0]["result"] == result


def assert_masks(folder: Path, truth: dict[str, np.ndarray]) -> None:
    """The masks of a data set, by the names of their classes."""
    manifest = load_version(folder)
    order = [CLASSES.index(name) for name in manifest.spec.mask_classes]
    for row in manifest.rows:
        assert (row.mask is not None) == (row.id in truth)
        if row.mask is not None:
            found = np.array(order)[read_mask(row.mask, manifest.spec.mask_values)]
            assert int((found != truth[row.id]).sum()) == 0


Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def answering() -> Iterator[Callable[[Answer], tuple[str, list[tuple[str, str]]]]]:
    """Start a server that always answers the same, and return its address and the requests that it got."""
    running: list[HTTPServer] = []

    def start(answer: Answer) -> tuple[str, list[tuple[str, str]]]:
        requests: list[tuple[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append((f"{self.command} {self.path}", self.headers.get("Authorization", "")))
                code, headers, body = answer
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", requests

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("answer", [b"[]", b"7", b"null", b'{"id": "x"}', b'{"parsed_label_config": [1]}'])
@pytest.mark.parametrize("project", [None, 7])
def test_answers_of_another_kind_end_a_push_in_one_line(
    answering: Callable[..., Any], tmp_path: Path, answer: bytes, project: int | None
) -> None:
    address, _ = answering((200, {}, answer))
    (tmp_path / "t.xml").write_text("<View/>")
    (tmp_path / "t.json").write_text('[{"id": 1, "data": {"id": "a"}}]')
    with pytest.raises(S4miError, match=r"^http.*Label Studio") as caught:
        LabelStudioServer(address, "token").push(tmp_path / "t.json", project=project)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("predictions", ["x", [1], [{"result": 5}], [{"result": [{}]}]])
def test_predictions_of_another_kind_are_refused(tmp_path: Path, predictions: object) -> None:
    (tmp_path / "t.json").write_text(json.dumps([{"id": 1, "data": {"id": "a"}, "predictions": predictions}]))
    with pytest.raises(S4miError, match=r"t.json: predictions are not those of Label Studio"):
        LabelStudioServer("http://127.0.0.1:9", "token").push(tmp_path / "t.json", project=7)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, {}, b"{}"), "does not accept the token (LABEL_STUDIO_API_KEY)"),
        ((404, {}, b"{}"), "has no /api/projects/7/export; check the number of the project"),
        ((302, {"Location": "https://other.example.org/"}, b""), "redirects to https://other.example.org/"),
        ((500, {}, b"a\nb"), "refuses with status 500"),
        ((400, {}, json.dumps({"detail": "no\nway " * 99}).encode()), "refuses with status 400: no way"),
        ((200, {}, b"<html>"), "does not answer like Label Studio"),
        ((200, {}, b"{}"), "does not export tasks"),
        ((200, {}, b"[]"), "project 7 has no annotation; submit some"),
    ],
)
def test_answers_that_are_no_annotations_end_in_one_line(
    answering: Callable[..., Any], tmp_path: Path, answer: Answer, message: str
) -> None:
    address, requests = answering(answer)
    with pytest.raises(S4miError) as caught:
        LabelStudioServer(address, "secret").pull(7, tmp_path / "e.json")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(requests) == 1
    assert not (tmp_path / "e.json").exists()


def test_a_personal_access_token_is_exchanged_and_never_sent_itself_elsewhere(
    answering: Callable[..., Any], tmp_path: Path
) -> None:
    address, requests = answering((200, {}, b'{"access": "short-lived"}'))
    with pytest.raises(S4miError, match="does not export tasks"):
        LabelStudioServer(address, "a.b.c").pull(7, tmp_path / "e.json")
    assert [authorisation for _, authorisation in requests] == ["", "Bearer short-lived"]
    assert requests[0][0] == "POST /api/token/refresh/"


@pytest.mark.parametrize(
    ("address", "token", "message"),
    [
        ("labels.example.org", "t", "is not an address"),
        ("file:///tmp", "t", "is not an address"),
        ("http://labels.example.org", "t", "would send token and images unencrypted; use https"),
        ("https://labels.example.org", "", "not a token"),
        ("https://labels.example.org", "a\nb", "not a token"),
        ("http://127.0.0.1:1", "t", "cannot be reached"),
    ],
)
def test_addresses_and_tokens_are_checked_first(tmp_path: Path, address: str, token: str, message: str) -> None:
    with pytest.raises(S4miError, match=message):
        LabelStudioServer(address, token).pull(1, tmp_path / "e.json")
    assert "secret" not in repr(LabelStudioServer("https://labels.example.org", "secret"))


def test_the_command_takes_address_and_token_from_the_environment_or_a_file(
    s4mi: Command, answering: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address, requests = answering((401, {}, b"{}"))
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert "LABEL_STUDIO_URL: not set" in s4mi("labelstudio", "pull", 1, "-o", tmp_path / "e.json").stderr
    monkeypatch.setenv("LABEL_STUDIO_URL", address)
    assert "LABEL_STUDIO_API_KEY: not set" in s4mi("labelstudio", "pull", 1, "-o", tmp_path / "e.json").stderr
    (tmp_path / "token").write_text("from-a-file\n")
    s4mi("labelstudio", "pull", 1, "-o", tmp_path / "e.json", "--token-file", tmp_path / "token")
    assert requests == [("GET /api/projects/1/export?exportType=JSON&download_all_tasks=false", "Token from-a-file")]


def test_a_file_without_tasks_is_not_pushed(tmp_path: Path) -> None:
    path = tmp_path / "next.json"
    path.write_text(json.dumps([{"data": {"image": "a.png"}, "predictions": [{"result": encode_brush(ring())}]}][:0]))
    with pytest.raises(S4miError, match="contains no tasks"):
        LabelStudioServer("http://127.0.0.1:1", "t").push(path)
