"""Serves an engine by the HTTP protocol of ClickHouse, on a loopback port with a password.

It speaks what clickhouse-connect needs: ping, user and password, statements, bound parameters, settings per request, inserts in any format,
compressed bodies, results in pieces, and errors as status, header and text. It has no roles, no sessions and no cluster.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import itertools
import json
import re
import select
import socket
import socketserver
import sys
import threading
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from local.clickhouse_engine import Engine, EngineError

_CONNECTIONS: Final = 64
"""Connections at a time, each with its thread. A job and its readers need under ten."""
_STATEMENTS: Final = 16
"""Statements at a time; others wait their turn. The engine uses all cores for one."""
_TURN_SECONDS: Final = 30.0  # then the client is told to come again: less than its own patience
_STRANGER_SECONDS: Final = 5.0  # for a connection that has not shown the password: it must not occupy a thread
_IDLE_SECONDS: Final = 300.0  # for a client that is quiet, or stops in the middle of a request
_MAX_STATEMENT: Final = 16 * 2**20
_MAX_INSERT: Final = 2**30
_MAX_REFUSED: Final = 2**20  # bytes that are read from a request that is refused, so that its client gets to read the answer
_PIECE: Final = 2**18

# Parameters that the HTTP interface consumes itself; all others are settings of the statement.
_TRANSPORT: Final = frozenset(
    "query database session_id session_timeout session_check query_id quota_key compress decompress buffer_size wait_end_of_query "
    "client_protocol_version role user password default_format send_progress_in_http_headers http_headers_progress_interval_ms "
    "enable_http_compression cancel_http_readonly_queries_on_client_close".split()
)
_INSERT: Final = re.compile(
    rb"(\s*insert\s+into\s+(?:table\s+)?(?:`(?:\\.|[^`\\])*`|\"(?:\\.|[^\"\\])*\"|[\w.])+\s*"
    rb"(?:\((?:`(?:\\.|[^`\\])*`|\"(?:\\.|[^\"\\])*\"|[^()`\"])*\))?\s*)\bformat\s+(\w+)[ \t]*\r?\n?",
    re.IGNORECASE,
)
_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_BEGINNING: Final = 2**16  # bytes in which the head of an insert stands

_STATUS: Final = {60: 404, 81: 404, 62: 400, 202: 503, 241: 500, 516: 401}
"""Statuses of exception codes, as ClickHouse answers them; every other code is a 500."""


class _RequestError(Exception):
    """The request itself is at fault."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


class ClickHouseHttp(ThreadingHTTPServer):
    """The server of one engine. It listens as soon as it is made, and answers after ``start``."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, users: Mapping[str, str]) -> None:
        """Listen on a free loopback port. ``users`` have their passwords; all of them may do everything."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self._users = dict(users)
        self.turns = threading.BoundedSemaphore(_STATEMENTS)
        self._engine: Engine | None = None
        self._connections = threading.BoundedSemaphore(_CONNECTIONS)
        self._running: dict[str, socket.socket] = {}
        self._changed = threading.Condition()
        self._busy = 0
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="clickhouse-http", daemon=True)

    def knows(self, user: str, password: str) -> bool:
        """Whether the password is that of the user, in a time that does not tell how much of it is right."""
        right = self._users.get(user)
        return hmac.compare_digest(password.encode(), (right or "").encode()) and right is not None

    @property
    def engine(self) -> Engine:
        """The engine that answers."""
        assert self._engine is not None, "requests are answered after start() only"
        return self._engine

    def start(self, engine: Engine) -> None:
        """Begin to answer, in threads."""
        self._engine = engine
        self._thread.start()

    def cancel_abandoned(self) -> None:
        """Cancel the reads whose clients have gone. Call it a few times a second."""
        with self._changed:
            running = list(self._running.items())
        for tag, connection in running:
            if _has_gone(connection):
                self.engine.cancel(tag)

    def stop(self, seconds: float) -> None:
        """Accept nothing more, cancel the reads, and wait for the inserts that run, at most ``seconds``."""
        self.shutdown()
        self.server_close()
        with self._changed:
            running = list(self._running)
        for tag in running:
            self.engine.cancel(tag)
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0, seconds)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Count a request, so that ``stop`` waits for it."""
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def cancellable(self, tag: str, connection: socket.socket) -> Iterator[None]:
        """For the block: cancel the statement of the session ``tag`` when the client of ``connection`` goes."""
        with self._changed:
            self._running[tag] = connection
        try:
            yield
        finally:
            with self._changed:
                del self._running[tag]

    def server_bind(self) -> None:
        """Bind, without asking a name server for the name of this machine, as the base class does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = cast("tuple[str, int]", self.server_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, or refuse it where there are too many."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nX-ClickHouse-Exception-Code: 203\r\nContent-Length: 0\r\n\r\n")
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 -- the names are the base class's
        """Pass over connections that break; print the rest to the log, without what was asked."""
        error = sys.exception()
        if not isinstance(error, OSError):
            sys.stderr.write(f"a request failed: {type(error).__name__}\n")
            sys.stderr.flush()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    timeout = _STRANGER_SECONDS
    protocol_version = "HTTP/1.1"
    server_version = "onramp"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True  # otherwise every answer waits 40 ms for a delayed acknowledgement
    server: ClickHouseHttp
    _left: Iterator[bytes]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name is the base class's
        """Log nothing: what is asked may be about people."""

    def do_GET(self) -> None:
        """Answer a ping or a statement."""
        with self.server.answering():
            self._respond()

    do_POST = do_GET  # noqa: N815 -- the name is the base class's

    def _respond(self) -> None:
        self._started = False
        self._left = iter(())
        parts = urlsplit(self.path)
        self._parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            self._left = self._pieces()
            known = self._authenticated()
            if parts.path == "/ping" or (known and self.command == "GET" and "query" not in self._parameters):
                self._skip_rest(_MAX_REFUSED)
                self._send(200, [b"Ok.\n"])
                return
            if not known:
                self._skip_rest(_MAX_REFUSED)
                self.close_connection = True
                raise _RequestError(401, 516, "Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)")
            self.connection.settimeout(_IDLE_SECONDS)
            if not self.server.turns.acquire(timeout=_TURN_SECONDS):
                raise _RequestError(503, 202, "Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)")
            try:
                self._run()
            finally:
                self.server.turns.release()
            self._skip_rest(_MAX_INSERT)
        except _RequestError as error:
            self._fail(error.status, error.code, f"Code: {error.code}. DB::Exception: {error}")
        except EngineError as error:
            self._fail(_STATUS.get(error.code, 500), error.code, str(error))

    def _run(self) -> None:
        named = self._parameters.get("query", "")
        settings = {n: v for n, v in self._parameters.items() if n not in _TRANSPORT and not n.startswith("param_")}
        bound = {name[6:]: value for name, value in self._parameters.items() if name.startswith("param_")}
        body = _inflated(self._left, self.headers.get("Content-Encoding", ""))
        beginning, rest = _split(named.encode() + b"\n" if named else b"", body)
        with self.server.engine.session(self._parameters.get("database", ""), settings) as session:
            insert = _INSERT.match(beginning)
            data = beginning[insert.end() :] if insert else b""
            if insert and not data:
                data = next(rest, b"")
            if insert and data:
                written = session.insert(insert[1].decode(), insert[2].decode(), _bounded(data, rest, _MAX_INSERT))
                self._send(200, [], written=written)
                return
            sql = b"".join(_bounded(beginning, rest, _MAX_STATEMENT)).decode(errors="surrogateescape")
            asked = _FORMAT.search(sql)
            output = asked[1] if asked else self._parameters.get("default_format", "TabSeparated")
            with self.server.cancellable(session.tag, self.connection):
                self._send(200, session.run(sql, output, bound))

    def _authenticated(self) -> bool:
        authorization = self.headers.get("Authorization", "")
        if authorization.startswith("Basic "):
            with contextlib.suppress(ValueError):
                user, _, password = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
                return self.server.knows(user, password)
            return False
        user = self.headers.get("X-ClickHouse-User") or self._parameters.get("user", "default")
        return self.server.knows(user, self.headers.get("X-ClickHouse-Key") or self._parameters.get("password", ""))

    def _pieces(self) -> Iterator[bytes]:
        """The body as it comes. Raises ``_RequestError`` where it ends too early, or is not framed as it must be."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunks()
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if length < 0:
            self.close_connection = True
            raise _RequestError(400, 36, "The header Content-Length is no number. (BAD_ARGUMENTS)")
        return self._exactly(length)

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self.rfile.read(min(length, _PIECE))
            if not piece:
                self.close_connection = True
                raise _RequestError(400, 210, "The body ends too early. (NETWORK_ERROR)")
            length -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size = self.rfile.readline(100).split(b";")[0].strip()
            try:
                length = int(size, 16)
            except ValueError:
                length = -1
            if length < 0:
                self.close_connection = True
                raise _RequestError(400, 210, "A chunk of the body has no size. (NETWORK_ERROR)")
            yield from self._exactly(length)
            self.rfile.readline(100)
            if length == 0:
                return

    def _skip_rest(self, most: int) -> None:
        """Read what is left of the body, so that the client reads the answer and not a broken connection."""
        for piece in self._left:
            most -= len(piece)
            if most < 0:
                self.close_connection = True
                return

    def _fail(self, status: int, code: int, text: str) -> None:
        if self._started:
            # The client has the status of a success. A body that breaks off tells it otherwise.
            self.close_connection = True
            return
        try:
            self._skip_rest(_MAX_INSERT)
        except _RequestError:
            self.close_connection = True
        self._send(status, [f"{text}\n".encode(errors="surrogateescape")], code=code)

    def _send(self, status: int, pieces: Iterable[bytes], *, code: int = 0, written: int = 0) -> None:
        """Send an answer: with its length where it is one piece, in chunks otherwise."""
        coming = iter(pieces)
        first = next(coming, b"")
        second = next(coming, None)
        headers = {
            "X-ClickHouse-Query-Id": self._parameters.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Summary": json.dumps({"read_rows": "0", "written_rows": str(written)}),
        }
        if code:
            headers["X-ClickHouse-Exception-Code"] = str(code)
        wants_gzip = "gzip" in self.headers.get("Accept-Encoding", "") and self._parameters.get("enable_http_compression") == "1"
        packer = zlib.compressobj(1, wbits=31) if wants_gzip and status == 200 and first else None
        if packer is not None:
            headers["Content-Encoding"] = "gzip"
        body = b""
        if second is None:
            body = first if packer is None else packer.compress(first) + packer.flush()
            headers["Content-Length"] = str(len(body))
        else:
            headers["Transfer-Encoding"] = "chunked"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._started = True
        if second is None:
            self.wfile.write(body)
            return
        for piece in itertools.chain((first, second), coming):
            self._chunk(piece if packer is None else packer.compress(piece))
        self._chunk(b"" if packer is None else packer.flush())
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n" % len(piece))
            self.wfile.write(piece)
            self.wfile.write(b"\r\n")


def _split(named: bytes, body: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning of a request, in which the head of an insert would stand, and the rest of its body."""
    beginning = named
    while len(beginning) < _BEGINNING and not (named and _INSERT.match(beginning)):
        piece = next(body, None)
        if piece is None:
            break
        beginning += piece
    return beginning, body


def _bounded(first: bytes, rest: Iterator[bytes], most: int) -> Iterator[bytes]:
    size = len(first)
    yield first
    for piece in rest:
        size += len(piece)
        if size > most:
            raise _RequestError(413, 307, f"The body is larger than {most} bytes. (TOO_MANY_BYTES)")
        yield piece


def _inflated(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The body without its compression. Raises ``_RequestError`` for one that is not known, or a damaged body."""
    if encoding in {"", "identity"}:
        yield from pieces
        return
    unpacker: Any
    if encoding == "gzip":
        unpacker = zlib.decompressobj(wbits=31)
    elif encoding == "lz4":
        import lz4.frame  # type: ignore[import-untyped]  # noqa: PLC0415 -- publishes no types; seldom needed

        unpacker = lz4.frame.LZ4FrameDecompressor()
    elif encoding == "zstd":
        from backports import zstd  # noqa: PLC0415 -- seldom needed

        unpacker = zstd.ZstdDecompressor()
    else:
        raise _RequestError(400, 48, "This compression is not supported. (NOT_IMPLEMENTED)")
    for piece in pieces:
        try:
            yield unpacker.decompress(piece)
        except Exception:  # noqa: BLE001 -- each library raises its own
            raise _RequestError(400, 271, "The body cannot be decompressed. (CANNOT_DECOMPRESS)") from None


def _has_gone(connection: socket.socket) -> bool:
    """Whether the client has closed its side. Does not block, takes nothing from the connection."""
    try:
        readable = select.poll()  # without it recv() would wait, because the connection has a timeout
        readable.register(connection, select.POLLIN)
        return bool(readable.poll(0)) and connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
