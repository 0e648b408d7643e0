"""A server of Label Studio, through its HTTP API: push tasks with predictions, pull annotations.

Only the standard library is used: the SDK of Label Studio has 25 dependencies. Certificates are verified, redirects are
refused, as they would pass the token on to another host, and neither address nor token is stored.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from s4mi.data.annotations.label_studio import is_label_studio
from s4mi.errors import S4miError
from s4mi.records import write_text_atomically
from s4mi.records.plain import load_json

LOOPBACK = ("localhost", "127.0.0.1", "::1")
BATCH = 50
"""Tasks of one request, as a server limits the size of requests."""
TIMEOUT = 600.0
SHOWN = 200
"""Letters of the server's own message that an error contains."""


@dataclass(frozen=True)
class Pushed:
    """What a push did: id and address of the project, new tasks, and tasks that were there already."""

    project: int
    address: str
    new: int
    present: int


@dataclass(frozen=True)
class Pulled:
    """What a pull wrote: the number of tasks with an annotation."""

    file: Path
    tasks: int


@dataclass(frozen=True)
class LabelStudioServer:
    """A server, by its address, and the token of a user: a legacy one or a personal access token."""

    address: str
    token: str = field(repr=False)
    plain_http: bool = False

    def __post_init__(self) -> None:
        url = urllib.parse.urlsplit(self.address)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise S4miError(
                f"LABEL_STUDIO_URL: {self.address!r} is not an address; use e.g. https://labels.example.org"
            )
        if url.scheme == "http" and url.hostname not in LOOPBACK and not self.plain_http:
            raise S4miError(
                f"LABEL_STUDIO_URL: {self.address} would send token and images unencrypted; use https, or pass "
                "--plain-http in a network that you trust"
            )
        if not self.token or not self.token.isprintable() or " " in self.token:
            raise S4miError("LABEL_STUDIO_API_KEY: not a token; copy it from the account page of Label Studio")

    def push(
        self,
        tasks: Path,
        *,
        project: int | None = None,
        title: str = "",
        storage: str = "",
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> Pushed:
        """Create tasks with their predictions, except those whose id is in the project already.

        Args:
            tasks: the file that `s4mi suggest --format label-studio` wrote, with its interface (.xml) beside it.
            project: id of a project to add to; None for a new one with that interface.
            title: name of a new project; by default that of the file.
            storage: folder of the images as the server sees it, to be registered as local storage.

        Raises:
            S4miError: the files are not valid, the server cannot be reached or refuses, or the interface of the project
                lacks a control of the predictions.
        """
        contents = _read_tasks(tasks)
        made = project is None
        controls = _controls(contents, tasks)
        if project is None:
            interface = tasks.with_suffix(".xml")
            if not interface.is_file():
                raise S4miError(f"{interface}: does not exist; write it with: s4mi suggest --format label-studio")
            name = title or tasks.name.partition(".")[0]
            body = {"title": name if len(name) > 2 else f"s4mi {name}", "label_config": _read_interface(interface)}
            created = self._object("POST", "/api/projects/", body).get("id")
            if not isinstance(created, int):
                raise self._unlike_label_studio()
            project = created
        else:
            known = self._object("GET", f"/api/projects/{project}/").get("parsed_label_config") or {}
            if not isinstance(known, dict):
                raise self._unlike_label_studio()
            if missing := sorted(controls - known.keys()):
                raise S4miError(
                    f"{self.address}: project {project} has no control {missing[0]!r}, so its predictions would not be "
                    f"seen; use the interface {tasks.with_suffix('.xml').name}, or push to a new project"
                )
        if storage:
            try:
                self._add_storage(project, storage)
            except S4miError:
                if made:
                    self._call("DELETE", f"/api/projects/{project}/")
                raise
        present = {str(task["data"].get("id")) for task in self._export(project, all_tasks=True)}
        new = [task for task in contents if str(task["data"].get("id")) not in present]
        for start in range(0, len(new), BATCH):
            self._call("POST", f"/api/projects/{project}/import", new[start : start + BATCH])
            progress(min(start + BATCH, len(new)), len(new))
        address = f"{self.address.rstrip('/')}/projects/{project}/data"
        return Pushed(project, address, len(new), len(contents) - len(new))

    def pull(self, project: int, out: Path) -> Pulled:
        """Write the annotated tasks of a project as Label Studio's JSON, which `s4mi data merge` reads.

        Raises:
            S4miError: the server cannot be reached or refuses, or no task is annotated.
        """
        tasks = self._export(project, all_tasks=False)
        if not tasks:
            raise S4miError(f"{self.address}: project {project} has no annotation; submit some in Label Studio first")
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(out, json.dumps(tasks, ensure_ascii=False) + "\n")
        return Pulled(out, len(tasks))

    def _export(self, project: int, *, all_tasks: bool) -> list[dict[str, Any]]:
        query = f"exportType=JSON&download_all_tasks={'true' if all_tasks else 'false'}"
        tasks = self._call("GET", f"/api/projects/{project}/export?{query}")
        if not is_label_studio(tasks):
            raise S4miError(f"{self.address}: project {project} does not export tasks; is it Label Studio 1.x?")
        return list(tasks)

    def _add_storage(self, project: int, folder: str) -> None:
        present = self._call("GET", f"/api/storages/localfiles/?project={project}")
        if not isinstance(present, list) or not all(isinstance(one, dict) for one in present):
            raise self._unlike_label_studio()
        if not any(one.get("path") == folder for one in present):
            body = {"project": project, "path": folder, "title": "images", "use_blob_urls": True}
            self._call("POST", "/api/storages/localfiles/", body)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        authorisation = f"Token {self.token}"
        if self.token.count(".") == 2:  # a personal access token, which is exchanged for one of minutes
            access = self._request("POST", "/api/token/refresh/", {"refresh": self.token}, {})
            if not isinstance(access, dict):
                raise self._unlike_label_studio()
            authorisation = f"Bearer {access.get('access', '')}"
        return self._request(method, path, body, {"Authorization": authorisation})

    def _object(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return an answer that is a JSON object."""
        answer = self._call(method, path, body)
        if not isinstance(answer, dict):
            raise self._unlike_label_studio()
        return answer

    def _unlike_label_studio(self) -> S4miError:
        return S4miError(f"{self.address}: does not answer like Label Studio; correct LABEL_STUDIO_URL")

    def _request(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address.rstrip("/") + path, content, {"Content-Type": "application/json", **headers}, method=method
        )
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            with opener.open(request, timeout=TIMEOUT) as answer:
                return load_json(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise S4miError(f"{self.address}: {_refusal(error, path)}") from error
        except (OSError, HTTPException) as error:
            reason = " ".join(str(getattr(error, "reason", error)).split())
            raise S4miError(
                f"{self.address}: cannot be reached ({reason}); start the server, or correct LABEL_STUDIO_URL"
            ) from error
        except ValueError as error:
            raise self._unlike_label_studio() from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Lets an answer that redirects end as an error."""

    def redirect_request(self, *_: object) -> None:
        return None


def _refusal(error: urllib.error.HTTPError, path: str) -> str:
    """Describe an answer of the server that is an error."""
    if error.code in (301, 302, 303, 307, 308):
        return f"redirects to {error.headers.get('Location', 'another address')}; use that in LABEL_STUDIO_URL"
    if error.code in (401, 403):
        return (
            "does not accept the token (LABEL_STUDIO_API_KEY); copy it again from the account page, where an "
            "organisation may have disabled its kind"
        )
    if error.code == 404:
        return f"has no {path.partition('?')[0]}; check the number of the project and LABEL_STUDIO_URL"
    try:
        answer = load_json(error.read())
        detail = answer.get("validation_errors") or answer.get("detail") or answer
    except (OSError, ValueError, AttributeError):
        detail = error.reason
    return f"refuses with status {error.code}: {' '.join(str(detail).split())[:SHOWN]}"


def _read_interface(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise S4miError(
            f"{path}: not UTF-8 (byte {error.start}); write it with: s4mi suggest --format label-studio"
        ) from error


def _read_tasks(path: Path) -> Sequence[dict[str, Any]]:
    try:
        contents = load_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise S4miError(
            f"{path}: cannot be read ({error}); write it with: s4mi suggest --format label-studio"
        ) from error
    if not is_label_studio(contents) or not contents:
        raise S4miError(f"{path}: contains no tasks; write it with: s4mi suggest --format label-studio")
    return list(contents)


def _controls(tasks: Sequence[Mapping[str, Any]], path: Path) -> set[str]:
    """Names of the controls to which the predictions of tasks belong."""
    try:
        return {
            str(one["from_name"])
            for task in tasks for prediction in task.get("predictions") or () for one in prediction.get("result") or ()
        }  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise S4miError(
            f"{path}: predictions are not those of Label Studio; write it with: s4mi suggest --format label-studio"
        ) from error
