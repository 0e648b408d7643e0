"""What a request may contain: numbers, names and bodies, checked before anything else sees them."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from s4mi.errors import nearest
from s4mi.records.plain import load_json

CLIENT = "x-client"
MAX_CLIENT = 40
MAX_NUMBER = 2**53
"""Largest whole number that JavaScript keeps."""


class RequestError(Exception):
    """A request that cannot be answered; becomes a response with `status` and the message as its `error`.

    Attributes:
        contents: further keys of the response.
    """

    def __init__(self, status: int, message: str, **contents: Any) -> None:
        super().__init__(message)
        self.status = status
        self.contents = contents


def whole(text: str | None, name: str, *, default: int | None = None, low: int = 0, high: int = MAX_NUMBER) -> int:
    """Return a whole number of the query or path within `low` and `high`.

    Raises:
        RequestError: it is missing and has no default, is not a whole number, or is out of range.
    """
    if text is None or text == "":
        if default is None:
            raise RequestError(400, f"{name}: missing; send a whole number from {low}")
        return default
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 16:
        raise RequestError(400, f"{name}: {shown(text)} is not a whole number")
    number = int(text)
    if not low <= number <= high:
        limits = f"from {low}" if high == MAX_NUMBER else f"from {low} to {high}"
        raise RequestError(400, f"{name}: {shown(text)} is not {limits}")
    return number


def decimal(text: str | None, name: str) -> float | None:
    """Return a finite number of the query, None if it is missing.

    Raises:
        RequestError: it is not a finite number.
    """
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise RequestError(400, f"{name}: {shown(text)} is not a number")
    return number


def one_of(text: str | None, name: str, known: Sequence[str], *, default: str) -> str:
    """Return a word of the query that is one of `known`.

    Raises:
        RequestError: it is another word.
    """
    if not text:
        return default
    if text not in known:
        hint = nearest(text[:80], known) or f"; choose from {', '.join(known)}"
        raise RequestError(400, f"{name}: {shown(text)} is unknown{hint}")
    return text


def listed(text: str | None) -> tuple[str, ...] | None:
    """Return the names of a query parameter separated by commas, None if it is missing; an empty name is a name."""
    return None if text is None else tuple(text.split(","))


def flag(text: str | None, name: str) -> bool:
    """Return a switch of the query: 1 or true, 0 or false.

    Raises:
        RequestError: it is another word.
    """
    return one_of(text, name, ("0", "1", "true", "false", "yes", "no"), default="0") in ("1", "true", "yes")


def yes_no(text: str | None, name: str) -> bool | None:
    """Return the filter yes or no of the query, None if it is missing.

    Raises:
        RequestError: it is another word.
    """
    return None if not text else one_of(text, name, ("yes", "no"), default="no") == "yes"


def client_of(request: Request) -> str:
    """Return the id of the tab that sent a write.

    Raises:
        RequestError: it is missing, too long, or contains other characters than letters, digits and hyphens.
    """
    name = request.headers.get(CLIENT, "")
    if not name or len(name) > MAX_CLIENT or not name.isascii() or not name.replace("-", "").isalnum():
        raise RequestError(400, f"X-Client: {shown(name)} is not the id of a tab; send `client` of /api/session")
    return name


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body; an empty body is an empty object.

    Raises:
        RequestError: it is not a JSON object.
    """
    body = await request.body()
    if not body:
        return {}
    try:
        contents = load_json(body)
    except ValueError as error:
        raise RequestError(400, "body: not valid JSON; send an object such as {}") from error
    if not isinstance(contents, dict):
        raise RequestError(
            400, f"body: a JSON {type(contents).__name__} and not an object; send an object such as {{}}"
        )
    return contents


def shown(text: str, length: int = 60) -> str:
    """Return a text of a client for messages and the log: quoted, without control characters, shortened."""
    quoted = repr(text[:length])
    return quoted if len(text) <= length else f"{quoted[:-1]}…{quoted[-1]}"
