"""Who may ask: token, Host and Origin, size of the body; headers of every response; a log line per refusal.

The server holds medical images and changes files, so that every other page in the same browser and every other
machine is an attacker: a page of another origin cannot read the token, a rebound host name is not one of ours, and a
form of another page cannot send the header that writes need.
"""

import hmac
import json
import logging
import secrets
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s4mi.viewer.requests import shown

log = logging.getLogger("s4mi.viewer")

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "worker-src 'self' blob:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
BODY_LIMIT = 64 << 20
"""Bytes of the body of a mask; a PNG of 16 million pixels of three classes takes less than one million."""
JSON_LIMIT = 4 << 20
NOTE = "s4mi.note"
"""Key of the scope of a request under which its error waits for the log."""
READING = ("GET", "HEAD")
WRITING = ("POST", "PUT", "DELETE")


@dataclass(frozen=True)
class Access:
    """How the server may be reached.

    Attributes:
        token: secret in the printed address. cookie: name of the cookie that keeps it, different for each port, as
            browsers do not separate cookies by port.
        hosts: names in the Host header beside those of this machine's loopback.
        framed: whether pages on this machine, such as a notebook, may show the page in a frame.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    cookie: str = "s4mi_token"
    hosts: frozenset[str] = frozenset()
    framed: bool = False

    @property
    def policy(self) -> str:
        """The Content-Security-Policy of every response."""
        ancestors = "'self' http://localhost:* http://127.0.0.1:*" if self.framed else "'none'"
        return CSP.format(ancestors=ancestors)


class Guard:
    """ASGI middleware that lets only permitted requests through to `app`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await (self._app(scope, receive, send) if scope["type"] == "lifespan" else _close(send))
            return
        headers = Headers(scope=scope)
        scope[NOTE] = {}
        send = self._with_headers(send, scope)
        refused = self._refusal(scope, headers)
        if refused is not None:
            await respond(send, scope, *refused)
            return
        entered = self._entry(scope)
        if entered is not None:
            await respond(send, scope, 303, "", headers=entered)
            return
        is_backend = scope["path"].startswith("/label-studio/")
        if (scope["path"].startswith("/api/") or is_backend) and not self.authorised(headers, cookies=not is_backend):
            asks = {"WWW-Authenticate": 'Basic realm="s4mi"'} if is_backend else {}
            wrong = "token: missing or wrong; open the address that s4mi view printed"
            await respond(send, scope, 401, wrong, headers=asks)
            return
        await self._app(scope, _limited(receive, limit_of(scope, headers)), send)

    def authorised(self, headers: Headers, *, cookies: bool) -> bool:
        """Whether the request carries the token: as a bearer, as the password of basic auth or, if so, in the cookie.

        A browser sends cookies unasked, so that a path without the header of writes takes none.
        """
        return any(self._is_token(given) for given in _tokens(headers, self._access.cookie if cookies else ""))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._access.token.encode())

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Why a request is refused whoever sends it."""
        method, path = scope["method"], scope["path"]
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_own(host, scope):
            return 403, f"Host: {shown(host)} is not this server; use the address that s4mi view printed"
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, f"Origin: {shown(origin)} is another page; open the address that s4mi view printed"
        if method not in (*READING, *WRITING):
            return 405, f"{shown(method)}: not a method of this server; use {', '.join((*READING, *WRITING))}"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and method in WRITING:
            return 403, "Sec-Fetch-Site: sent by another page; open the address that s4mi view printed"
        if method in WRITING and path.startswith("/api/") and headers.get("x-s4mi") != "1":
            return 403, "X-S4MI: missing; a write needs the header X-S4MI: 1"
        limit, size = limit_of(scope, headers), headers.get("content-length", "0")
        if not size.isascii() or not size.isdigit():
            return 400, f"Content-Length: {shown(size)} is not a number"
        if int(size) > limit:
            return 413, f"body: {size} bytes, more than {limit}; send less"
        return None

    def _is_own(self, host: str, scope: Scope) -> bool:
        name = _host_name(host)
        if name in LOOPBACK or name in self._access.hosts:
            return True
        # The address the client connected to; a rebound name never is one.
        server = scope.get("server") or ("", 0)
        return bool(self._access.hosts) and name == server[0]

    def _entry(self, scope: Scope) -> dict[str, str] | None:
        """The headers that store the token of `/?token=T` in a cookie and lead to `/`; None for other requests."""
        if scope["path"] != "/" or scope["method"] != "GET" or b"token=" not in scope["query_string"]:
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not self._is_token(given):
            return None
        cookie = f"{self._access.cookie}={self._access.token}; HttpOnly; SameSite=Strict; Path=/"
        return {"Location": "/", "Set-Cookie": cookie, "Cache-Control": "no-store"}

    def _with_headers(self, send: Send, scope: Scope) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._access.policy
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                if message["status"] >= 400:
                    log_refusal(scope, message["status"])
            await send(message)

        return sending


def limit_of(scope: Scope, headers: Headers) -> int:
    """Return how many bytes the body may have: those of a mask, of JSON, or none."""
    if scope["method"] in READING:
        return 0
    return BODY_LIMIT if headers.get("content-type", "").startswith("image/") else JSON_LIMIT


class BodyTooLargeError(Exception):
    """A body without a length that turned out too large."""


def _limited(receive: Receive, limit: int) -> Receive:
    """Count the bytes of a body that is sent in pieces."""
    received = 0

    async def receiving() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise BodyTooLargeError
        return message

    return receiving


async def respond(
    send: Send, scope: Scope, status: int, error: str, *, headers: Mapping[str, str] | None = None
) -> None:
    """Send a JSON response with `error`, or an empty one."""
    scope[NOTE]["error"] = error
    body = json.dumps({"error": error}).encode() if error else b""
    pairs: list[tuple[str, str]] = [*(headers or {}).items(), ("Content-Length", str(len(body)))]
    if error:
        pairs.append(("Content-Type", "application/json"))
        if status in (401, 413):
            pairs.append(("Connection", "close"))
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def log_refusal(scope: Scope, status: int) -> None:
    """Write one line per refused request: status, method and path, never the query, which may hold the token."""
    client = (scope.get("client") or ("?", 0))[0]
    reason = f": {error}" if (error := scope[NOTE].get("error")) else ""
    method, path = shown(scope["method"], 10), shown(scope["path"], 120)
    log.warning("refused %d %s %s from %s%s", status, method, path, client, reason)


def script_text(text: str) -> str:
    """Return a text as a literal inside a script of a page."""
    return json.dumps(text).replace("<", "\\u003c").replace("{", "\\u007b").replace("}", "\\u007d")


def _tokens(headers: Headers, cookie: str) -> Iterable[str]:
    for header in headers.getlist("cookie") if cookie else ():
        try:
            jar = SimpleCookie(header)
        except CookieError:
            continue
        if cookie in jar:
            yield jar[cookie].value
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield value.strip()
    elif kind.lower() == "basic":
        try:
            yield b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return


def _host_name(host: str) -> str:
    """Return the name in a Host header without its port, empty if it is not valid."""
    try:
        parts = urlsplit(f"//{host}")
        valid = parts.netloc == host and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        return ""
    return (parts.hostname or "") if valid else ""


async def _close(send: Send) -> None:
    """Refuse a websocket, of which this server has none."""
    await send({"type": "websocket.close", "code": 1008})
