"""A schema registry on a loopback port, and the framing that its serialisers write. Failure knobs: ``status``, ``down``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.waiting import join


class Registry:
    """The schemas by number. ``status``: answer every request with this HTTP status. ``asked`` counts requests."""

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.versions: dict[tuple[str, int], dict[str, Any]] = {}
        self.status = 200
        self.body: str | None = None
        self.asked = 0
        self.authorization: str | None = None
        self.url = ""

    def add(self, number: int, kind: str, text: str, *, serialized: str = "", references: list[dict[str, Any]] | None = None) -> None:
        """Register a schema. ``serialized`` is the base64 descriptor of a Protobuf file."""
        fields: dict[str, Any] = {"schema": text, "serialized": serialized, "references": references or []}
        self.schemas[number] = fields if kind == "AVRO" else {**fields, "schemaType": kind}

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, str]:
        """What the real one answers, in status and body."""
        self.asked += 1
        if self.body is not None or self.status != 200:
            return self.status, self.body or json.dumps({"error_code": self.status, "message": "as told"})
        parts = path.strip("/").split("/")
        if parts[:2] == ["schemas", "ids"]:
            found = self.schemas.get(int(parts[2]))
            if found is None:
                return 404, json.dumps({"error_code": 40403, "message": f"Schema {parts[2]} not found"})
        elif parts[0] == "subjects":
            found = self.versions.get((parts[1], int(parts[3])))
            if found is None:
                return 404, json.dumps({"error_code": 40401, "message": f"Subject {parts[1]!r} not found"})
        else:
            return 404, json.dumps({"error_code": 404, "message": "HTTP 404 Not Found"})
        shown = {name: value for name, value in found.items() if name != "serialized"}
        if query.get("format") == ["serialized"] and found["serialized"]:
            shown["schema"] = found["serialized"]
        return 200, json.dumps(shown)


@contextmanager
def run_registry() -> Iterator[Registry]:
    """A registry that lives as long as the block."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.authorization = self.headers.get("Authorization")
            url = urlsplit(self.path)
            status, body = registry.answer(url.path, parse_qs(url.query))
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    registry.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        join(thread, "the registry's thread")


def framed(number: int, content: bytes) -> bytes:
    """A message as the registry's serialisers write it."""
    return b"\x00" + number.to_bytes(4, "big") + content
