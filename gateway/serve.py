"""Runs the application with uvicorn, in this process, until a signal."""

from __future__ import annotations

import gc
import logging
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from gateway.connection import MOST_CONNECTIONS, Limits, connection_factory
from gateway.refusals import Refusals
from gateway.stopping import Stopping

_LOG = logging.getLogger(__name__)

_DRAIN_SECONDS: Final = 10
"""How long requests may take to end after a signal. Streams end at once, and a commit takes milliseconds."""
_COLLECT_AFTER: Final = 20_000
"""New objects until the collector runs: a batch of 1,000 events makes some thousands, and leaves no cycles."""
_BACKLOG: Final = 2_048
_OPEN_FILES: Final = 65_536
_OTHER_FILES: Final = 256
"""Files that are no connections within the limit: the log, connections to stores, and those that are being refused."""
_FEW_CONNECTIONS: Final = 1_000
"""A gateway that has room for fewer says so when it starts: it was hardly meant."""


class ListenError(Exception):
    """The address cannot be bound. The text is one sentence for the operator."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stopping: Stopping) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order on SIGINT and SIGTERM. uvicorn would raise the signal again afterwards, and the exit code would say "killed"."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: end the streams, which would never end by themselves, and let uvicorn wait for the other requests."""
        self._stopping.stop()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """Listen on the address; port 0 takes a free one. Raises ``ListenError``."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        bound = socket.socket(family)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((host, port))
            bound.listen(_BACKLOG)  # who connects from now on waits, instead of being refused
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise ListenError(
            f"The gateway cannot listen on {host}:{port} ({error.strerror or error}); choose another with --host and --port."
        ) from error
    return bound


def serve(app: ASGIApp, bound: socket.socket, stopping: Stopping, refusals: Refusals) -> None:
    """Serve until SIGINT or SIGTERM, then end streams, answer what is under way, and return. Call it from the main thread. Blocks."""
    limits = Limits(connections=_allow_connections())
    gc.collect()
    gc.freeze()  # what was loaded at the start stays for good, and need not be looked at again
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    make_server(app, stopping, limits, refusals).run(sockets=[bound])


def _allow_connections() -> int:
    """Raise the limit of open files as far as the system allows, and return for how many connections it is enough. Warn if they are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    connections = min(MOST_CONNECTIONS, max(most // 2, most - _OTHER_FILES))
    if connections < _FEW_CONNECTIONS:
        needed = MOST_CONNECTIONS + _OTHER_FILES
        _LOG.warning(
            "%s open files are enough for %s connections; raise the limit (nofile) to %s", f"{most:,}", f"{connections:,}", f"{needed:,}"
        )
    return connections


def make_server(app: ASGIApp, stopping: Stopping, limits: Limits | None = None, refusals: Refusals | None = None) -> uvicorn.Server:
    """Return the server for ``app``, which is not started yet. ``limits`` are those of a whole machine where none are given.

    What it refuses is counted in ``refusals``.
    """
    limits = limits or Limits()
    config = uvicorn.Config(
        app,
        http=connection_factory(limits, refusals or Refusals()),
        ws="none",
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here depends on the address of the client
        limit_concurrency=limits.connections,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    return _Server(config, stopping)
