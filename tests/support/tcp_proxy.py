"""A TCP proxy with knobs for a bad network: it refuses, waits, cuts a reply in the middle, or turns bits of it over."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random

from tests.support.ports import port_of
from tests.support.waiting import PATIENCE, pause

_CORRUPTED_LIVES_S = 2.0


@dataclass
class Network:
    """The proxy at ``port`` in front of the loopback port ``target``, which may change: a server may come back at another one.

    ``down`` refuses connections, and cuts those that are open. ``delay`` holds each piece of a reply back for so many seconds. The next
    ``cuts`` replies end in the middle, with their connection. In the next ``corrupt`` replies one byte is another one; their connection
    ends two seconds later, because a client may wait for a length that was never sent, for minutes.
    """

    target: int
    port: int = 0
    down: bool = False
    delay: float = 0.0
    cuts: int = 0
    corrupt: int = 0
    rng: Random = field(default_factory=lambda: Random(1))
    cut: int = 0
    corrupted: int = 0
    """How many replies were."""
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def break_off(self) -> None:
        """Cut every open connection."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def reply(self, data: bytes, end: Callable[[], object]) -> tuple[bytes, bool]:
        """What of a piece of a reply is passed on, and whether the connection goes on after it. ``end`` ends it from another thread."""
        if self.delay:
            pause(self.delay, "the network is slow")
        with self._lock:
            if self.cuts:
                self.cuts, self.cut = self.cuts - 1, self.cut + 1
                return data[: self.rng.randrange(len(data))], False
            if self.corrupt:
                self.corrupt, self.corrupted = self.corrupt - 1, self.corrupted + 1
                at = self.rng.randrange(len(data))
                threading.Timer(_CORRUPTED_LIVES_S, end).start()
                data = data[:at] + bytes([data[at] ^ self.rng.randrange(1, 256)]) + data[at + 1 :]
        return data, True

    def serve(self, inside: socket.socket) -> None:
        """Pass one connection on to its end."""
        if self.down:
            inside.close()
            return
        try:
            behind = socket.create_connection(("127.0.0.1", self.target), timeout=PATIENCE)
        except OSError:  # the server is down
            inside.close()
            return
        behind.settimeout(None)
        with self._lock:
            self._open |= {inside, behind}
        threading.Thread(target=self._answers, args=(behind, inside), daemon=True).start()
        with suppress(OSError):
            while data := inside.recv(65_536):
                behind.sendall(data)
        self._end(inside, behind)

    def _answers(self, behind: socket.socket, inside: socket.socket) -> None:
        with suppress(OSError):
            while data := behind.recv(65_536):
                passed, goes_on = self.reply(data, lambda: self._end(behind, inside))
                inside.sendall(passed)
                if not goes_on:
                    break
        self._end(inside, behind)

    def _end(self, *ends: socket.socket) -> None:
        with self._lock:
            self._open -= set(ends)
            for each in ends:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()


@contextmanager
def tcp_proxy(target: int) -> Iterator[Network]:
    """Run a proxy in front of the loopback port ``target``."""
    network = Network(target)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            network.serve(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        network.port = port_of(server.socket)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield network
        finally:
            server.shutdown()
            thread.join(PATIENCE)
            network.break_off()
