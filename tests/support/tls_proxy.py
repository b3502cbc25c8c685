"""TLS in front of a server that speaks none, as stunnel or a load balancer ends TLS: what arrives is passed on byte by byte."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.certificates import Authority, Certificate
from tests.support.waiting import PATIENCE


@contextmanager
def tls_proxy(target: int, certificate: Certificate, *, clients: Authority | None = None) -> Iterator[int]:
    """Yield the loopback port that passes TLS on to the loopback port ``target``. With ``clients`` each client needs a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.file)
    opened: list[socket.socket] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                inside = context.wrap_socket(self.request, server_side=True)
                behind = socket.create_connection(("127.0.0.1", target), timeout=PATIENCE)
            except OSError:  # the handshake failed, which the client reports, or the server is down
                return
            behind.settimeout(None)
            opened.extend((inside, behind))
            threading.Thread(target=_copy, args=(behind, inside), daemon=True).start()
            _copy(inside, behind)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(PATIENCE)
            for each in opened:
                _end(each)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for each in (source, sink):
        _end(each)


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
