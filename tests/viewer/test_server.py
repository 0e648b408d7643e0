"""The server: in a thread for notebooks, one per data set, and what it tells of itself."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

import s4mi
from s4mi.data.annotations.journal import FOLDER, NAME, read_journal
from s4mi.data.spec import load_spec, write_spec
from s4mi.errors import S4miError
from s4mi.viewer.server import ServerOptions, ViewServer
from s4mi.viewer.workspace import open_workspace


def session(url: str) -> dict:
    address, token = url.split("/?token=")
    request = urllib.request.Request(f"{address}/api/session", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def test_a_view_answers_until_it_is_closed(lesion_copy: Path) -> None:
    view = s4mi.view(lesion_copy)
    assert session(view.url)["dataset"]["name"] == "synthetic-lesions"
    view.close()
    assert view.closed
    with pytest.raises(OSError, match=r"refused|reset"):
        session(view.url)


def test_the_function_stays_a_function_though_modules_are_imported(lesion_copy: Path) -> None:
    with s4mi.view(lesion_copy, read_only=True):
        assert callable(s4mi.view)


def test_running_a_cell_again_replaces_its_view(lesion_copy: Path) -> None:
    first = s4mi.view(lesion_copy)
    second = s4mi.view(lesion_copy)
    assert first.closed
    assert session(second.url)["read_only"] is False
    second.close()


def test_two_views_that_write_are_refused_and_one_that_looks_is_not(lesion_copy: Path) -> None:
    server = ViewServer(ServerOptions(lesion_copy, port=0))
    server.start()
    try:
        with pytest.raises(S4miError, match="open in another s4mi view"):
            ViewServer(ServerOptions(lesion_copy, port=0))
        with s4mi.view(lesion_copy, read_only=True) as looking:
            assert session(looking.url)["read_only"] is True
    finally:
        server.close()


def test_a_taken_port_is_said(lesion_copy: Path) -> None:
    server = ViewServer(ServerOptions(lesion_copy, port=0))
    server.start()
    try:
        with pytest.raises(S4miError, match=f"127.0.0.1:{server.port}: cannot listen"):
            ViewServer(ServerOptions(lesion_copy, port=server.port, read_only=True))
    finally:
        server.close()
    ViewServer(ServerOptions(lesion_copy, port=0)).close()  # a failed start leaves the data set free


def test_a_notebook_shows_a_frame_whose_texts_are_escaped(lesion_copy: Path) -> None:
    spec = lesion_copy / "dataset.yaml"
    name = "</script><b>{lesions}'"
    spec.write_text(re.sub("(?m)^name: .*$", f"name: {json.dumps(name)}", spec.read_text()))
    with s4mi.view(lesion_copy, height=300) as view:
        shown = view._repr_html_()
        assert "height:300px" in shown
        assert "<b>" not in shown
        assert shown.count("</script>") == 1
        (literal,) = re.findall("frame.title = (.*);", shown)
        assert json.loads(literal) == name
    assert "closed" in view._repr_html_()


def test_pages_on_this_machine_may_frame_a_view_and_no_others(lesion_copy: Path) -> None:
    with s4mi.view(lesion_copy) as view, urllib.request.urlopen(view.url.split("?")[0], timeout=10) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*" in policy


def test_another_version_of_the_data_set_or_none_is_said_in_one_line(tmp_path: Path, s4mi: Callable) -> None:
    done = s4mi("view", tmp_path, "--no-browser")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "dataset.yaml" in done.stderr


def test_masks_with_more_classes_than_a_pixel_can_hold_are_refused(lesion_copy: Path) -> None:
    spec = load_spec(lesion_copy)
    names = {number: f"class{number}" for number in range(256)}
    write_spec(lesion_copy, spec.model_copy(update={"mask_values": names}))
    with pytest.raises(S4miError, match="masks of 256 classes, more than 255"):
        open_workspace(lesion_copy)


@pytest.mark.slow
def test_an_interrupt_ends_the_command_like_any_other_and_frees_the_data_set(lesion_copy: Path) -> None:
    command = [sys.executable, "-m", "s4mi", "view", str(lesion_copy), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "?token=" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    open_workspace(lesion_copy).close()


def test_every_open_page_is_told_of_a_change(lesion_copy: Path) -> None:
    with s4mi.view(lesion_copy) as view:
        address, token = view.url.split("/?token=")
        bearer = {"Authorization": f"Bearer {token}"}
        events = urllib.request.urlopen(urllib.request.Request(f"{address}/api/events", headers=bearer), timeout=10)
        assert events.headers["Content-Type"].startswith("text/event-stream")
        assert events.readline() == b": open\n"
        headers = {**bearer, "X-S4MI": "1", "X-Client": "c-1", "Content-Type": "application/json"}
        urllib.request.urlopen(
            urllib.request.Request(
                f"{address}/api/images/3/labels?base_revision=0", b'{"labels": ["nevus"]}', headers, method="PUT"
            ),
            timeout=10,
        ).close()
        lines = iter(events.readline, b"")
        assert next(line for line in lines if line.startswith(b"event:")) == b"event: changed\n"
        told = json.loads(next(lines).removeprefix(b"data: "))
        assert (told["n"], told["by"], told["changes"]["labels"]) == (3, "c-1", 1)
        events.close()


def test_a_view_answers_from_its_data_set_after_a_change_of_folder(
    lesion_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lesion_copy.parent)
    with s4mi.view(lesion_copy.name) as view:
        monkeypatch.chdir("/")
        address, token = view.url.split("/?token=")
        headers = {"Authorization": f"Bearer {token}", "X-S4MI": "1", "X-Client": "c-1"}
        headers["Content-Type"] = "application/json"
        for method, path, body in (
            ("PUT", "images/3/labels?base_revision=0", {"labels": ["nevus"]}),
            ("POST", "merge", {"dry_run": False, "replace": True}),
        ):
            request = urllib.request.Request(f"{address}/api/{path}", json.dumps(body).encode(), headers, method=method)
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200
    assert read_journal(lesion_copy / FOLDER / NAME).entries[-1]["op"] == "begin"
