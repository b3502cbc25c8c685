"""Serves ``/metrics``, ``/health`` and ``/ready`` on a port of their own, in threads that no step of the job waits for."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from typing_extensions import override

from flows.listen_address import split_address
from flows.metrics.readiness import Readiness

_LOG = logging.getLogger(__name__)
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_JSON: Final = "application/json"
_REQUEST_SECONDS: Final = 5.0
"""A client that sends nothing is let go after this time."""


class MetricsAddressError(Exception):
    """The address of the endpoint cannot be used. The text is one sentence for the operator."""


class MetricsServer:
    """An HTTP server. ``metrics`` renders the text of Prometheus, ``readiness`` judges, and ``hung`` says why the process must be started
    again, or nothing. Its threads call them.
    """

    def __init__(
        self,
        address: str,
        *,
        metrics: Callable[[], bytes],
        readiness: Callable[[], Readiness],
        hung: Callable[[], str] = str,
        setting: str = "ONRAMP_METRICS_ADDRESS",
    ) -> None:
        """Listen on ``address`` (``host:port``), the value of ``setting``; port 0 takes a free one. Raises ``MetricsAddressError``."""
        host, port = split_address(address)
        server_class = _Server6 if ":" in host else _Server
        try:
            self._server = server_class((host, port), _handler(metrics, readiness, hung))
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise MetricsAddressError(
                f"Metrics cannot be served on {address} ({why}); set {setting} to a free address, or to nothing."
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.5}, name="metrics", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening. Blocks for half a second at most."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what failed, but not that a client went away."""
        if not isinstance(sys.exception(), OSError):
            _LOG.error("a request for metrics failed", exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


def _handler(metrics: Callable[[], bytes], readiness: Callable[[], Readiness], hung: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_SECONDS
        server_version = "onramp"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, _TEXT, metrics())
            elif path in ("/health", "/healthz"):
                reason = hung()
                body: dict[str, object] = {"status": "hung", "reasons": [reason]} if reason else {"status": "ok"}
                self._answer(503 if reason else 200, _JSON, json.dumps(body).encode())
            elif path in ("/ready", "/readyz"):
                found = readiness()
                body = {"status": "ready" if found.ready else "not ready", "reasons": found.reasons}
                self._answer(200 if found.ready else 503, _JSON, json.dumps(body).encode())
            else:
                self._answer(404, _JSON, b'{"error": "there are /metrics, /health and /ready"}')

        do_HEAD = do_GET  # noqa: N815 -- the same

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: one line a scrape would fill the log."""

    return Handler
