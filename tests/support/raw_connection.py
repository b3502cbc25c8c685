"""Connections to a running gateway on which a test sends bytes of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.gateway import Gateway
from tests.support.waiting import PATIENCE

GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"


@contextmanager
def connect(gateway: Gateway, sent: bytes = b"", *, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with socket.socket() as connection:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE)
        connection.connect((host, int(port)))
        connection.sendall(sent)
        yield connection


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """What came, up to ``end``, or up to the end of the connection."""
    found = b""
    while end not in found:
        try:
            chunk = connection.recv(65_536)
        except ConnectionResetError:
            break
        if not chunk:
            break
        found += chunk
    return found


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the gateway closes the connection."""
    return read_until(connection, b"never")


def answer_on(connection: socket.socket, request: bytes = GET + b"\r\n") -> bytes:
    """The status of one more request, which is answered in JSON."""
    connection.sendall(request)
    return read_until(connection, b"}")[9:12]


def stream_request(gateway: Gateway) -> bytes:
    return f"GET /v1/stream?userId=u-17 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key()}\r\n\r\n".encode()
