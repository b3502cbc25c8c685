"""Loopback ports for servers of tests that keep their address while they are down."""

from __future__ import annotations

import socket


def reserve() -> socket.socket:
    """Bind a free port without listening on it: a server may listen there beside us, and nobody is given the port meanwhile."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def port_of(held: socket.socket) -> int:
    """The port that was reserved."""
    port: int = held.getsockname()[1]
    return port
