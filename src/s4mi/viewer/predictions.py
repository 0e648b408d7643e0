"""Endpoint that asks for predictions: of all images, of those that a query finds, or of some."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from s4mi.viewer.browse import order_of, query_of
from s4mi.viewer.requests import RequestError
from s4mi.viewer.workspace import Workspace

MOST_LISTED = 10_000


def post_predict(space: Workspace, request: Request, body: Mapping[str, Any]) -> JSONResponse:
    """Predict images in the background; listed ones come before all others."""
    run = space.run(str(body.get("run", "")))
    scope = body.get("scope", "all")
    if scope == "all":
        numbers = list(range(space.columns.count))
    elif scope == "filter":
        numbers = [int(n) for n in order_of(space, query_of(space, request))[1]]
    elif isinstance(scope, list) and len(scope) <= MOST_LISTED and all(_is_number(space, n) for n in scope):
        numbers = scope
    else:
        raise RequestError(400, "scope: neither all, filter nor numbers of images; send one of these")
    predicting = request.app.state.predicting
    if error := predicting.error_of(run):
        raise RequestError(422, error)
    asked = predicting.ask(run, numbers, first=isinstance(scope, list))
    return JSONResponse({"asked": asked}, status_code=202)


def _is_number(space: Workspace, n: Any) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and 0 <= n < space.columns.count
