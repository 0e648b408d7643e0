"""The application: routes, and what they share."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from s4mi.viewer import annotate, browse, live
from s4mi.viewer.describe import annotation_json
from s4mi.viewer.findings import Findings, findings
from s4mi.viewer.guard import Access, Guard
from s4mi.viewer.merging import Merger, post_merge
from s4mi.viewer.predicting import Predicting
from s4mi.viewer.predictions import post_predict
from s4mi.viewer.requests import json_body
from s4mi.viewer.respond import Handler, error_response, in_thread, raw_body, with_body
from s4mi.viewer.suggesting import Suggesting, post_suggest
from s4mi.viewer.workspace import Workspace

if TYPE_CHECKING:
    from s4mi.viewer.study import LiveStudy

STATIC = Path(__file__).parent / "static"
PLACEHOLDER = "<!doctype html><title>s4mi</title><p>The page is not built; the server answers under /api.</p>"
IMMUTABLE = "private, max-age=31536000, immutable"
"""Names of assets contain a hash of their contents."""


def make_app(space: Workspace, access: Access, *, study: "LiveStudy | None" = None) -> Starlette:
    """Return the application of an open data set."""
    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={HTTPException: _http_error, Exception: _unexpected},
    )
    app.state.space, app.state.study = space, study
    app.state.findings, app.state.predicting = Findings(space), Predicting(space)
    app.state.finders, app.state.suggesting = {}, Suggesting(space)
    app.state.annotation, app.state.merger = annotation_json, Merger(space)
    return app


def _routes() -> list[Route | Mount]:
    image = "/api/images/{n}"
    reads = {
        "/api/session": browse.session, "/api/facets": browse.facets, "/api/grid": browse.grid,
        "/api/changes": annotate.changes, "/api/findings": findings, "/api/study": live.study, image: browse.image,
        f"{image}/picture": browse.picture,
        f"{image}/tiles/{{level}}/{{x}}/{{y}}": browse.tile, f"{image}/mask": browse.mask,
        f"{image}/difference": browse.difference_picture, f"{image}/saliency": browse.saliency,
        f"{image}/doubt": browse.doubt,
    }  # fmt: skip
    writes = {
        ("PUT", f"{image}/labels"): annotate.put_labels, ("PUT", f"{image}/empty"): annotate.put_empty,
        ("PUT", f"{image}/skip"): annotate.put_skip, ("POST", f"{image}/undo"): annotate.post_undo,
        ("POST", f"{image}/redo"): annotate.post_redo, ("POST", f"{image}/start"): annotate.post_start,
        ("POST", f"{image}/open"): annotate.post_open, ("POST", "/api/predict"): post_predict,
        ("POST", "/api/merge"): post_merge,
        ("POST", "/api/suggest"): post_suggest,
    }  # fmt: skip
    return [
        Route("/", _index, methods=["GET"]),
        *(Route(path, in_thread(handler), methods=["GET"]) for path, handler in reads.items()),
        *(Route(path, with_body(json_body, handler), methods=[method]) for (method, path), handler in writes.items()),
        Route(f"{image}/mask", with_body(raw_body, annotate.put_mask), methods=["PUT"]),
        Route(f"{image}/strokes", with_body(raw_body, annotate.post_stroke), methods=["POST"]),
        Route(f"{image}/annotation", in_thread(annotate.delete_annotation), methods=["DELETE"]),
        *_label_studio_routes(),
        Route("/api/events", _events, methods=["GET"]),
        *([Mount("/assets", _Assets(directory=STATIC / "assets"))] if (STATIC / "assets").is_dir() else []),
    ]


def _label_studio_routes() -> Iterator[Route]:
    for home in ("/label-studio", "/label-studio/{run}"):
        for name in ("health", "versions"):
            yield Route(f"{home}/{name}", in_thread(_label_studio(name)), methods=["GET"])
        for name in ("setup", "predict", "webhook"):
            yield Route(f"{home}/{name}", with_body(json_body, _label_studio(name)), methods=["POST"])


def _label_studio(name: str) -> Handler:
    """A handler whose module is imported when Label Studio asks."""

    def handler(*arguments: Any) -> Any:
        return getattr(import_module("s4mi.viewer.label_studio"), name)(*arguments)

    return handler


class _Assets(StaticFiles):
    """Files of the page, whose names change with their contents."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = IMMUTABLE
        return response


async def _index(_: Request) -> Response:
    page = STATIC / "index.html"
    return FileResponse(page, headers={"Cache-Control": "no-cache"}) if page.is_file() else HTMLResponse(PLACEHOLDER)


async def _events(request: Request) -> Response:
    stream = request.app.state.space.events.stream()
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer unknown paths and methods as JSON."""
    assert isinstance(error, HTTPException)
    known = {404: "path: nothing here; see /api/session", 405: f"{request.method}: not a method of this path"}
    return error_response(request, error.status_code, known.get(error.status_code, error.detail))


async def _unexpected(request: Request, _: Exception) -> Response:
    """Answer an error of the server; its traceback is in the log."""
    return error_response(request, 500, "server: unexpected error; see the log of s4mi view")
