"""From a function that returns data to an endpoint: errors become JSON, work runs in a thread, pictures get ETags."""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from s4mi.data.formats.frame import ImageError
from s4mi.errors import S4miError
from s4mi.viewer.guard import NOTE, BodyTooLargeError
from s4mi.viewer.pictures import Picture
from s4mi.viewer.requests import RequestError
from s4mi.viewer.workspace import Workspace
from s4mi.viewer.writing import ConflictError, FrozenError

log = logging.getLogger("s4mi.viewer")

Endpoint = Callable[[Request], Awaitable[Response]]
Handler = Callable[..., Any]


class _Json(JSONResponse):
    """JSON in ASCII, which can also hold half of a surrogate pair, of a file's name or a damaged journal."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def error_response(request: Request, status: int, message: str, **contents: Any) -> JSONResponse:
    """Return an error as JSON, and leave its message for the log."""
    request.scope.setdefault(NOTE, {})["error"] = message
    return _Json({"error": message, **contents}, status_code=status)


def space_of(request: Request) -> Workspace:
    """The open data set of the server."""
    space: Workspace = request.app.state.space
    return space


def in_thread(handler: Handler) -> Endpoint:
    """Return an endpoint that calls `handler(space, request)` in a thread and sends what it returns."""

    async def endpoint(request: Request) -> Response:
        return await _answer(request, lambda: run_in_threadpool(handler, space_of(request), request))

    return endpoint


def with_body(read: Callable[[Request], Awaitable[Any]], handler: Handler) -> Endpoint:
    """Return an endpoint that reads the body and calls `handler(space, request, body)` in a thread."""

    async def endpoint(request: Request) -> Response:
        async def work() -> Any:
            body = await read(request)
            return await run_in_threadpool(handler, space_of(request), request, body)

        return await _answer(request, work)

    return endpoint


async def raw_body(request: Request) -> bytes:
    """Return the bytes of the body."""
    return await request.body()


async def _answer(request: Request, work: Callable[[], Awaitable[Any]]) -> Response:
    try:
        return _response(request, await work())
    except RequestError as error:
        return error_response(request, error.status, str(error), **error.contents)
    except ConflictError as error:
        message = f"image {request.path_params.get('n', '')}: {error}; look at it again"
        n = int(request.path_params["n"])
        shown = await run_in_threadpool(request.app.state.annotation, space_of(request), n)
        return error_response(request, 409, message, by=error.by, annotation=shown)
    except FrozenError:
        return error_response(request, 503, "merge: under way; try again in a moment")
    except BodyTooLargeError:
        return error_response(request, 413, "body: too large; send less")
    except ClientDisconnect:
        return Response(status_code=400)
    except ImageError as error:
        return error_response(request, 422, f"{_subject(request)} {error}")
    except S4miError as error:
        return error_response(request, 422, without_paths(space_of(request), str(error)))
    except OSError as error:
        log.exception("%s", request.url.path)
        return error_response(request, 507, f"journal: cannot be written ({error.strerror}); nothing was changed")


def _subject(request: Request) -> str:
    n = request.path_params.get("n")
    return "image" if n is None else f"image {space_of(request).row(int(n)).id!r}"


def without_paths(space: Workspace, text: str) -> str:
    """Return a message with the folder of the data set replaced by its name, as no path leaves the server."""
    from s4mi.reporting.results.runs import shorten_paths

    for folder in (space.folder, space.folder.resolve()):
        text = text.replace(str(folder), space.manifest.spec.name)
    return shorten_paths(text)


def _response(request: Request, result: Any) -> Response:
    if isinstance(result, Response):
        return result
    if isinstance(result, Picture):
        return picture_response(request, result)
    return _Json(result)


def picture_response(request: Request, picture: Picture) -> Response:
    """Send a picture with an ETag, or 304 if the browser has it already; images, unlike masks, stay for a minute."""
    tag = f'"{hashlib.blake2b(picture.body, digest_size=12).hexdigest()}"'
    stays = request.url.path.endswith("/picture") or "/tiles/" in request.url.path
    headers = {"ETag": tag, "Cache-Control": "private, max-age=60" if stays else "private, no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(picture.body, media_type=picture.media_type, headers=headers)
