"""A small gateway for the browser's side: events in, records and a push stream out, with every way to fail that a page must survive.

It speaks the HTTP interface of Onramp on a loopback port, keeps everything in memory, and serves the snippet, the demo page and pages of
tests::

    with FakeGateway() as gateway:
        gateway.pages["/"] = Page("<!doctype html>…")
        gateway.recommend("u-1", recommendation("r-1"))
        ...  # gateway.url, gateway.events
"""

from __future__ import annotations

import base64
import itertools
import json
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.waiting import PATIENCE, join

BROWSER: Final = Path(__file__).resolve().parents[2] / "gateway" / "browser"
KEY: Final = "pk_test_0123456789"
_SCRIPT: Final = "text/javascript"
_TYPES: Final = {".css": "text/css", ".html": "text/html; charset=utf-8", ".js": _SCRIPT, ".mjs": _SCRIPT, ".svg": "image/svg+xml"}

Record = dict[str, Any]


@dataclass
class Page:
    """One page that the gateway serves, with the headers that its host would set."""

    body: str
    content_type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class _User:
    records: dict[str, Record] = field(default_factory=dict)
    streams: list[queue.Queue[bytes | None]] = field(default_factory=list)


class FakeGateway:
    """Serves for the ``with`` block."""

    def __init__(self) -> None:
        """Bind a free port. Nothing is served yet."""
        self.pages: dict[str, Page] = {}
        self.events: list[Record] = []
        """What was stored, each id once for its user, in order."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers (names in lower case) of every request."""
        self.keys = {KEY}
        """Publishable keys in force."""
        self.refuse: Callable[[Record], bool] = lambda _: False
        """Which events are not valid."""
        self.answers: list[tuple[int, dict[str, str]] | None] = []
        """Status and headers of the next answers to events; None closes the connection without one."""
        self.streaming = True
        """Whether there is a push stream; otherwise 404."""
        self.react: Callable[[Record], None] = lambda _: None
        """Called with each event that was stored."""
        self.minted = 0
        self._valid: dict[str, str] = {}
        self._users: dict[str, _User] = {}
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"gateway": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close_streams()
        self._server.shutdown()
        self._server.server_close()
        join(self._thread, "the end of the fake gateway")

    # -------------------------------------------------------------------------------------------------------------- what tests do

    def reset(self) -> None:
        """Forget everything but the pages, between tests that share a gateway."""
        with self._lock:
            self.events.clear()
            self.requests.clear()
            self.answers.clear()
            self.keys = {KEY}
            self.refuse = lambda _: False
            self.react = lambda _: None
            self.streaming = True
            self.minted = 0
            self.close_streams()
            self._users.clear()
            self._valid.clear()

    def recommend(self, user: str, record: Record) -> None:
        """Store a recommendation and push it."""
        self._put(user, "recommendation", record)

    def advance(self, user: str, record: Record) -> None:
        """Store progress and push it."""
        self._put(user, "progress", record)

    def expire_tokens(self) -> None:
        """Refuse all tokens of before, and end the streams that were opened with them."""
        with self._lock:
            self._valid.clear()
            self.close_streams()

    def close_streams(self) -> None:
        """End all open streams, as a restart of the gateway does."""
        with self._lock:
            for user in self._users.values():
                for stream in user.streams:
                    stream.put(None)
                user.streams.clear()

    def streams(self) -> int:
        """How many streams are open."""
        return sum(len(user.streams) for user in self._users.values())

    def of_type(self, event_type: str) -> list[Record]:
        """The stored events of one type."""
        return [event for event in list(self.events) if event["eventType"] == event_type]

    # ------------------------------------------------------------------------------------------------------------------- inside

    def mint(self, user: str) -> str:
        """Return a new token in the shape of a JWT; nothing is signed."""
        with self._lock:
            self.minted += 1
            now = int(time.time())
            claims = json.dumps({"sub": user, "iat": now, "exp": now + 900, "n": next(self._numbers)}).encode()
            token = f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.x"
            self._valid[token] = user
            return token

    def user_of(self, token: str) -> str | None:
        """The user of a valid token."""
        return self._valid.get(token)

    def record(self, user: str, kind: str) -> Record | None:
        """What is stored for a user."""
        return self._user(user).records.get(kind)

    def subscribe(self, user: str) -> queue.Queue[bytes | None]:
        """Return what a new stream of ``user`` gets: first what is there, then what comes."""
        with self._lock:
            stream: queue.Queue[bytes | None] = queue.Queue()
            stream.put(b": hello\n\n")
            for kind, record in self._user(user).records.items():
                stream.put(_message(kind, record))
            self._user(user).streams.append(stream)
            return stream

    def take(self, sent: list[Record], user: str | None) -> tuple[int, Record]:
        """Store what is valid; return status and body of the answer."""
        stored: list[str] = []
        rejected: list[Record] = []
        forbidden = 0
        fresh: list[Record] = []
        with self._lock:
            known = {(_who(event), event["eventId"]) for event in self.events}
            for index, event in enumerate(sent):
                not_allowed = event["eventType"] in {"identity_merged", "preferences_changed", "step_completed"} and user is None
                other = user is not None and event.get("userId") != user
                if self.refuse(event) or not_allowed or other:
                    forbidden += not_allowed or other
                    rejected.append({"index": index, "eventId": event["eventId"], "faults": []})
                    continue
                stored.append(event["eventId"])
                if (_who(event), event["eventId"]) not in known:
                    known.add((_who(event), event["eventId"]))
                    self.events.append(event)
                    fresh.append(event)
        for event in fresh:
            self.react(event)
        if not rejected:
            return 202, {"stored": stored}
        status = 403 if forbidden == len(rejected) else 400
        return status, {"code": "invalid_events", "message": "some", "stored": stored, "rejected": rejected}

    def _put(self, user: str, kind: str, record: Record) -> None:
        with self._lock:
            self._user(user).records[kind] = record
            for stream in self._user(user).streams:
                stream.put(_message(kind, record))

    def _user(self, user: str) -> _User:
        with self._lock:
            return self._users.setdefault(user, _User())


def recommendation(recommendation_id: str, **fields: Any) -> Record:
    """A recommendation as Redis has it."""
    return {
        "decisionId": recommendation_id.partition(".")[0],
        "recommendationId": recommendation_id,
        "tenantId": "default",
        "version": 1,
        "pathId": "first_dashboard",
        "stepId": "connect_source",
        "trigger": "stuck:errors",
        "arm": "moderate_tooltip",
        "propensity": 0.25,
        "message": "The connection did not work yet. Test connection tells you why.",
        "uiComponent": "tooltip",
        "deepLink": "/sources/new",
        "confidence": 1.0,
        "source": "template",
        "validationHash": "00",
        "createdAt": "2026-03-02T09:00:00Z",
        "expiresAt": "2026-03-03T09:00:00Z",
        "promptVersion": None,
        "traceId": None,
        "reason": None,
        **fields,
    }


def _who(event: Record) -> str:
    return str(event.get("userId") or event.get("anonymousId"))


def _message(kind: str, record: Record) -> bytes:
    return f"event: {kind}\nid: {record.get('version', 0)}\ndata: {json.dumps(record)}\n\n".encode()


class _Handler(BaseHTTPRequestHandler):
    gateway: FakeGateway
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the base class names it so
        """Write nothing."""

    def do_OPTIONS(self) -> None:
        self._note()
        self._answer(204, b"", {"access-control-max-age": "600"})

    def do_GET(self) -> None:
        self._note()
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path in self.gateway.pages:
            page = self.gateway.pages[path]
            self._answer(200, page.body.encode(), page.headers, page.content_type)
        elif path == "/v1/stream":
            self._stream(query.get("userId", [""])[0])
        elif found := re.fullmatch(r"/v1/recommendations/([^/]+)|/v1/users/([^/]+)/progress", path):
            self._read(unquote(found[1] or found[2]), "recommendation" if found[1] else "progress")
        elif path == "/token":
            self._json(200, {"token": self.gateway.mint(query["user"][0])})
        else:
            self._file(path)

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/demo/session":
            user = json.loads(body or b"{}").get("userId") or f"demo-{next(self.gateway._numbers)}"
            self._json(200, {"key": KEY, "userId": user, "token": self.gateway.mint(user)})
            return
        if self.path != "/v1/events":
            self._json(404, {"code": "not_found", "message": "no such path"})
            return
        if self.gateway.answers:
            answer = self.gateway.answers.pop(0)
            if answer is None:
                self.close_connection = True
                return
            self._json(answer[0], {"code": "scripted", "message": "scripted"}, answer[1])
            return
        secret = self._secret()
        user = self.gateway.user_of(secret)
        if user is None and secret not in self.gateway.keys:
            self._json(401, {"code": "unauthorized", "message": "who are you?"})
            return
        self._json(*self.gateway.take(json.loads(body), user))

    def _note(self) -> None:
        self.gateway.requests.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))

    def _secret(self) -> str:
        return (self.headers.get("authorization") or "").removeprefix("Bearer ")

    def _stream(self, named: str) -> None:
        user = self.gateway.user_of(self._secret())
        if user is None or not self.gateway.streaming:
            self._json(401 if user is None else 404, {"code": "no", "message": "no"})
            return
        if (named or user) != user:
            self._json(403, {"code": "forbidden", "message": "the token belongs to another user"})
            return
        stream = self.gateway.subscribe(user)
        self.close_connection = True
        self.send_response(200)
        for name, value in {"content-type": "text/event-stream", "cache-control": "no-store", **self._cors()}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            while (chunk := stream.get(timeout=PATIENCE)) is not None:
                self.wfile.write(chunk)
                self.wfile.flush()
        except (OSError, queue.Empty):
            pass

    def _read(self, user: str, kind: str) -> None:
        if self.gateway.user_of(self._secret()) != user:
            self._json(401, {"code": "unauthorized", "message": "who are you?"})
            return
        record = self.gateway.record(user, kind)
        etag = f'"{(record or {}).get("version")}"'
        if record is None:
            self._answer(204 if kind == "recommendation" else 404, b"", {})
        elif self.headers.get("if-none-match") == etag:
            self._answer(304, b"", {"etag": etag})
        else:
            self._json(200, record, {"etag": etag})

    def _file(self, path: str) -> None:
        name = path.removeprefix("/")
        if name in {"demo", "demo/"}:
            name = "demo/index.html"
        file = (BROWSER / name).resolve()
        if BROWSER in file.parents and file.suffix in _TYPES and file.is_file():
            self._answer(200, file.read_bytes(), {}, _TYPES[file.suffix])
        else:
            self._json(404, {"code": "not_found", "message": "no such path"})

    def _json(self, status: int, body: Record, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps(body).encode(), headers or {}, "application/json")

    def _answer(self, status: int, body: bytes, headers: dict[str, str], content_type: str = "text/plain") -> None:
        self.send_response(status, HTTPStatus(status).phrase)
        empty = status in {204, 304}
        for name, value in {
            **({} if empty else {"content-type": content_type, "content-length": str(len(body))}),
            "cache-control": "no-store",
            **self._cors(),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if not empty:
            self.wfile.write(body)

    def _cors(self) -> dict[str, str]:
        return {
            "access-control-allow-origin": "*",
            "access-control-allow-headers": "authorization, content-type, if-none-match, last-event-id",
            "access-control-expose-headers": "etag, retry-after",
        }
