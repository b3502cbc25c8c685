"""A small ClickHouse server for tests: the HTTP protocol of ClickHouse in front of chdb, in a process of its own.

It speaks what clickhouse-connect needs: ping, user and password, queries, bound parameters, settings per request, inserts in any format,
request and response compression. It has no roles, no sessions and no cluster. Run as a program it takes a directory, prints the port it
listens on, and ends when its stdin closes, so it never outlives the test that started it.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.waiting import PATIENCE, read_line, running

USERS = {"default": "", "analyst": "secret-pw"}

# Parameters that the HTTP interface consumes itself; all others are settings of the query.
_TRANSPORT = set(
    "query database session_id session_timeout session_check query_id quota_key compress decompress buffer_size wait_end_of_query "
    "client_protocol_version role user password default_format send_progress_in_http_headers http_headers_progress_interval_ms "
    "enable_http_compression cancel_http_readonly_queries_on_client_close".split()
)
ROOT = Path(__file__).parents[2]
_INSERT = re.compile(rb"\s*insert\s+into\s.*?\bformat\s+(\w+)[ \t]*\r?\n?", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


@contextlib.contextmanager
def clickhouse_server(directory: Path) -> Iterator[str]:
    """Run the server on a directory and yield its URL."""
    program = [sys.executable, "-m", "tests.support.clickhouse_http", str(directory)]
    with running(subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:
        port = int(read_line(process.stdout, "the port of the test ClickHouse", within=60))  # the engine takes seconds to load
        yield f"http://127.0.0.1:{port}"
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE)


def _quoted(value: object) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    timeout = 120  # seconds for a client that stops in the middle of a request

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True  # otherwise every answer waits 40 ms for a delayed acknowledgement
    directory: str

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name is the base class's
        """Keep quiet."""

    def do_GET(self) -> None:
        """Answer a ping or a query."""
        parts = urlsplit(self.path)
        self.parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        body = self._body()
        if parts.path == "/ping":
            self._answer(200, b"Ok.\n")
        elif not self._authenticated():
            self._answer(401, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)\n", code=516)
        else:
            self._run(body)

    do_POST = do_GET  # noqa: N815 -- the name is the base class's

    def _run(self, body: bytes) -> None:
        import chdb

        parameters = self.parameters
        raw = (parameters["query"].encode() + b"\n" if "query" in parameters else b"") + body
        settings = {name: value for name, value in parameters.items() if name not in _TRANSPORT and not name.startswith("param_")}
        bound = {name[6:]: value for name, value in parameters.items() if name.startswith("param_")}
        connection: Any = chdb.connect(self.directory)  # type: ignore[no-untyped-call]
        try:
            if parameters.get("database"):
                connection.query(f"USE `{parameters['database']}`", "TSV")
            # Read-only last: after it no setting can be changed.
            for name, value in sorted(settings.items(), key=lambda setting: setting[0] == "readonly"):
                connection.query(f"SET {name} = {_quoted(value)}", "TSV")
            insert = _INSERT.match(raw)
            if insert and raw[insert.end() :].strip():
                result = self._insert(connection, raw[: insert.end()].decode(), insert[1].decode(), raw[insert.end() :])
                written = result.rows_read()
            else:
                sql = raw.decode()
                asked = _FORMAT.search(sql)
                output = asked[1] if asked else parameters.get("default_format", "TabSeparated")
                result = connection.query(sql, output, params=bound) if bound else connection.query(sql, output)
                written = 0
            summary = json.dumps({"read_rows": str(result.rows_read()), "written_rows": str(written)})
            self._answer(200, bytes(result.bytes() or b""), summary=summary)
        except Exception as error:  # noqa: BLE001 -- whatever the engine says goes to the client
            found = re.search(r"Code: (\d+)", str(error))
            code = int(found[1]) if found else 1002
            self._answer(404 if code in {60, 81} else 500, f"{error}\n".encode(), code=code)
        finally:
            connection.close()

    @staticmethod
    def _insert(connection: Any, head: str, data_format: str, data: bytes) -> Any:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            into = _FORMAT.sub("", head.strip())
            return connection.query(f"{into} FROM INFILE {_quoted(file.name)} FORMAT {data_format}", "TSV")

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        encoding = self.headers.get("Content-Encoding", "")
        if encoding == "gzip":
            return gzip.decompress(data)
        if encoding == "lz4":
            import lz4.frame  # type: ignore[import-untyped]  # publishes no types

            return bytes(lz4.frame.decompress(data))
        if encoding == "zstd":
            from backports import zstd

            return bytes(zstd.decompress(data))
        return data

    def _authenticated(self) -> bool:
        authorization = self.headers.get("Authorization", "")
        if authorization.startswith("Basic "):
            user, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
        else:
            user = self.headers.get("X-ClickHouse-User") or self.parameters.get("user", "default")
            password = self.headers.get("X-ClickHouse-Key") or self.parameters.get("password", "")
        return USERS.get(user) == password

    def _answer(self, status: int, body: bytes, *, code: int = 0, summary: str = "{}") -> None:
        headers = {
            "X-ClickHouse-Query-Id": self.parameters.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Summary": summary,
        }
        if code:
            headers["X-ClickHouse-Exception-Code"] = str(code)
        wants_gzip = "gzip" in self.headers.get("Accept-Encoding", "") and self.parameters.get("enable_http_compression") == "1"
        if status == 200 and body and wants_gzip:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(directory: str) -> None:
    """Serve until stdin closes."""
    import chdb

    engine: Any = chdb.connect(directory)  # type: ignore[no-untyped-call]  # held open, so that the engine outlives each request
    Handler.directory = directory
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.shutdown()
    engine.close()


if __name__ == "__main__":
    main(sys.argv[1])
