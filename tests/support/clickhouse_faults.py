"""A proxy in front of a ClickHouse server that answers inserts and deletions as broken or busy servers and proxies do."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.support.waiting import PATIENCE

_CODE = "X-ClickHouse-Exception-Code"
_HTML = {"Content-Type": "text/html"}

#: What is answered to an insert: the status, the body, the headers.
ANSWERS: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "parts": (500, b"Code: 252. DB::Exception: Too many parts (300). (TOO_MANY_PARTS) (version 24.8.1.1)\n", {_CODE: "252"}),
    "nocode": (500, b"Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS)", {}),
    "413": (413, b"<html><head><title>413 Request Entity Too Large</title></head></html>", _HTML),
    "504": (504, b"<html>504 Gateway Time-out</html>", _HTML),
    "429": (429, b"concurrent_queries limit exceeded", {}),
    "ok_not_applied": (200, b"", {"X-ClickHouse-Summary": "{}"}),
    "exc200": (200, b"Code: 241. DB::Exception: Memory limit exceeded (MEMORY_LIMIT_EXCEEDED)", {_CODE: "241"}),
    "readonly": (500, b"Code: 242. DB::Exception: Table is in readonly mode. (TABLE_IS_READ_ONLY)", {_CODE: "242"}),
    "38": (500, b"Code: 38. DB::Exception: Cannot parse date (CANNOT_PARSE_DATE)", {_CODE: "38"}),
    "47": (404, b"Code: 47. DB::Exception: Unknown identifier user_id. (UNKNOWN_IDENTIFIER)", {_CODE: "47"}),
    "maintenance": (200, b"<html>We are back soon</html>", _HTML),
    "38 without its header": (500, b"Code: 38. DB::Exception: Cannot parse date (CANNOT_PARSE_DATE)", {}),
    "quotes a code": (500, b"Code: 60. DB::Exception: no table `Code: 38. DB::Exception`. (UNKNOWN_TABLE)", {}),
}


@dataclass
class FaultProxy:
    """The proxy at ``port``. ``fault`` names what the next inserts are answered; with ``applied`` the server gets them all the same.

    ``erasing`` is the same for deletions, of the tables that ``refusing`` names; all tables without a name.

    With ``prefix`` ClickHouse is served below that path and nowhere else. Inserts of more than ``largest`` bytes are answered ``413``.
    """

    port: int = 0
    fault: str = ""
    applied: bool = False
    prefix: str = ""
    largest: int | None = None
    inserts: int = field(default=0)
    erasing: str = ""
    refusing: str = ""
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    """Path and body of each request."""


@contextmanager
def fault_proxy(url: str) -> Iterator[FaultProxy]:
    """Run a proxy in front of the server at ``url``."""
    proxy, target = FaultProxy(), urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        timeout = 120
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name is the base class's
            """Keep quiet."""

        def do_GET(self) -> None:
            body, path = self._body(), self.path
            proxy.asked.append((path, body))
            if proxy.prefix:
                if not path.startswith(proxy.prefix + "?") and not path.startswith(proxy.prefix + "/"):
                    self._answer(404, b"<html>nginx 404</html>", _HTML)
                    return
                path = path.removeprefix(proxy.prefix)
            path = path if path.startswith("/") else f"/{path}"
            insert = b"ArrowStream" in body[:2_000] + path.encode() and b"INSERT" in (body[:300] + path.encode()).upper()
            proxy.inserts += insert
            fault = proxy.fault or ("413" if insert and proxy.largest is not None and len(body) > proxy.largest else "")
            if insert and fault:
                if proxy.applied:
                    self._pass_on(body, path)
                self._answer(*ANSWERS[fault])
                return
            if proxy.erasing and body.startswith(f"ALTER TABLE {proxy.refusing}".encode()):
                self._answer(*ANSWERS[proxy.erasing])
                return
            self._answer(*self._pass_on(body, path))

        do_POST = do_GET  # noqa: N815 -- the name is the base class's

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data

        def _pass_on(self, body: bytes, path: str) -> tuple[int, bytes, dict[str, str]]:
            connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=PATIENCE)
            skipped = {"host", "content-length", "transfer-encoding", "connection", "server", "date"}
            connection.request(self.command, path, body, {k: v for k, v in self.headers.items() if k.lower() not in skipped})
            answer = connection.getresponse()
            found = answer.status, answer.read(), {k: v for k, v in answer.getheaders() if k.lower() not in skipped}
            connection.close()
            return found

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
