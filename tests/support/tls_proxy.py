"""TLS in front of a server that speaks none, as stunnel or a load balancer ends TLS: what arrives is passed on byte by byte."""

from __future__ import annotations

import socket
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
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, context, target, opened), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)
            for each in opened:
                _end(each)


def _accept(listener: socket.socket, context: ssl.SSLContext, target: int, opened: list[socket.socket]) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        opened.append(plain)
        threading.Thread(target=_serve, args=(plain, context, target, opened), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext, target: int, opened: list[socket.socket]) -> None:
    try:
        inside = context.wrap_socket(plain, server_side=True)
    except OSError:  # the handshake failed, which the client reports
        _end(plain)
        return
    opened.append(inside)
    try:
        behind = socket.create_connection(("127.0.0.1", target), timeout=PATIENCE)
    except OSError:
        _end(inside)
        return
    behind.settimeout(None)
    opened.append(behind)
    threading.Thread(target=_copy, args=(behind, inside), daemon=True).start()
    _copy(inside, behind)


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
