"""Serves the browser snippet, and the demo page where ``onramp up`` asks for it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.body import read_body
from gateway.errors import forbidden, json_response, unavailable
from gateway.keys import KeyStore
from gateway.tokens import MOST_SECONDS, mint

BROWSER: Final = Path(__file__).resolve().parent / "browser"
_TYPES: Final = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml"}
SNIPPET: Final = {"onramp.js": "onramp.js", "onramp.mjs": "onramp.mjs", "onramp.d.mts": "onramp.d.ts", "onramp.d.ts": "onramp.d.ts"}
"""Name in the address → file. TypeScript looks for the types of ``onramp.mjs`` in ``onramp.d.mts``."""
_PUBLIC: Final = {
    "cache-control": "public, max-age=300",  # a new version reaches pages within minutes; between them the entity tag saves the bytes
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
}
_DEMO: Final = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_DEMO_USER: Final = re.compile(r"demo-[0-9a-f]{12}")
"""Users of the demo; nobody else gets a token from it."""
_LONGEST_REQUEST: Final = 1_000
_OF_PROXIES: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

_Endpoint = Callable[[Request], Awaitable[Response]]


def snippet_routes() -> list[BaseRoute]:
    """Return the routes of the built snippet: anybody may load it."""
    return [Route(f"/{name}", _file(BROWSER / file, _PUBLIC), methods=["GET"], include_in_schema=False) for name, file in SNIPPET.items()]


def demo_routes(store: KeyStore, *, publishable_key: str, tenant: str, for_all: bool = False) -> list[BaseRoute]:
    """Return the routes of the demo page and of its sessions, which stand for the server of an app.

    A session is a new user and a token for it, signed with the tenant's newest signing key, and the key of the page. So the page and its
    sessions are for browsers on this machine, under a name of this machine: a page elsewhere can give its own name the address of
    this machine. With ``for_all`` whoever reaches the gateway gets them.
    """

    async def session(request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            raise forbidden("the demo gives sessions to its own page only")
        if store.ring().find(publishable_key) is None:
            raise forbidden("the key of the demo page was revoked")
        user = await _known_user(request) or f"demo-{secrets.token_hex(6)}"
        signing = [key for key in store.ring().keys if key.kind == "signing" and key.tenant == tenant and key.secret]
        if not signing:
            raise unavailable("the demo has no signing key; `onramp keys create signing` makes one", 10)
        token = mint(signing[-1].secret or "", key_id=signing[-1].id, tenant=tenant, user=user, now=time.time(), seconds=MOST_SECONDS)
        return json_response(200, {"key": publishable_key, "userId": user, "token": token})

    async def home(_request: Request) -> Response:
        return RedirectResponse("/demo/", status_code=307)

    def route(path: str, endpoint: _Endpoint, method: str = "GET") -> Route:
        return Route(path, endpoint if for_all else _on_this_machine(endpoint), methods=[method], include_in_schema=False)

    files = sorted(path for path in (BROWSER / "demo").iterdir() if path.suffix in _TYPES)
    return [
        route("/demo", home),
        route("/demo/", _file(BROWSER / "demo" / "index.html", _DEMO)),
        route("/demo/session", session, "POST"),
        *(route(f"/demo/{path.name}", _file(path, _DEMO)) for path in files),
    ]


def _on_this_machine(endpoint: _Endpoint) -> _Endpoint:
    """Return the endpoint for requests that come from this machine, and name it as it names itself. Others get a 403."""

    async def guarded(request: Request) -> Response:
        # A proxy on this machine has its address, too, and often names it in Host; most say for whom they ask.
        proxied = any(name in request.headers for name in _OF_PROXIES)
        if proxied or request.client is None or not is_loopback(request.client.host) or not _names_this_machine(request):
            raise forbidden("the demo page is for browsers on this machine, at http://localhost; --demo-for-all opens it to everyone")
        return await endpoint(request)

    return guarded


def _names_this_machine(request: Request) -> bool:
    try:
        return is_loopback(urlsplit(f"//{request.headers.get('host', '')}").hostname or "")
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a name or an address is one of this machine that no other machine reaches."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _file(path: Path, headers: dict[str, str]) -> _Endpoint:
    """Return an endpoint for one file, which is read now. A route for each: no part of an address ever becomes part of a path."""
    plain = path.read_bytes()
    packed = gzip.compress(plain, 9, mtime=0)
    tag = hashlib.sha256(plain).hexdigest()[:20]
    kind = _TYPES.get(path.suffix, "text/plain")

    async def serve(request: Request) -> Response:
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{tag}{"-gzip" if zipped else ""}"'
        own = {**headers, "etag": etag, "vary": "accept-encoding"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=own)
        if zipped:
            return Response(packed, headers={**own, "content-encoding": "gzip"}, media_type=kind)
        return Response(plain, headers=own, media_type=kind)

    return serve


async def _known_user(request: Request) -> str | None:
    body = await read_body(request.scope, request.receive, limit=_LONGEST_REQUEST)
    try:
        user = json.loads(body or b"{}").get("userId")
    except (ValueError, AttributeError):
        return None
    return user if isinstance(user, str) and _DEMO_USER.fullmatch(user) else None
