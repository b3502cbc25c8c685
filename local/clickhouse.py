"""Finds or starts the embedded ClickHouse of a directory: one process for all commands that use it, by HTTP (see ``clickhouse_process``).

``server/`` in the directory has
    server.lock   held by the process; so it is free exactly if no process runs on these files, even after a kill
    users.lock    held, shared, by everybody who uses the process; by one alone who wants none to run
    address.json  address and password, new for each start
    server.log    what the process printed
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from local.data_dir import DataDirInUseError, allow_open_files
from local.last_log_line import last_log_line
from system.file_lock import FileLock

CANNOT_OPEN: Final = "The engine cannot open its files; the lines above say why."
"""The last line in the log of a process for which that is so."""
_READY_WAIT: Final = 90.0  # seconds; the engine needs one to five, and more on a machine that is busy
_END_WAIT: Final = 30.0  # seconds for a process that ends: it waits for its last inserts
_HUNG_END_WAIT: Final = 5.0  # the same for one that has never served anybody; then it is killed
_USERS_WAIT: Final = 1.0  # seconds; the process itself has the lock for microseconds at a time
_PAUSE: Final = 0.01
_PING_SECONDS: Final = 5.0
_PROGRAM: Final = "import sys; sys.path.insert(0, sys.argv[1]); from local.clickhouse_process import run; run(sys.argv[2:])"
_ROOT: Final = Path(__file__).resolve().parents[1]


class EmbeddedClickHouse:
    """The process on the files in ``directory``, for one user of it. All methods may be called by any thread.

    ``stopping``: once it is set, ``url`` and ``start`` wait for nothing any more. A user who gives it is a job, which asks again and again:
    its ``url`` also ends a process that has published no address in all the time that it waited, so that the next one starts anew.
    """

    def __init__(self, directory: Path, stopping: threading.Event | None = None) -> None:
        """Start nothing yet."""
        self._stopping = threading.Event() if stopping is None else stopping
        self._replaces = stopping is not None
        self._ready_wait = _READY_WAIT
        self._directory = directory.resolve()
        self._control = self._directory / "server"
        self._log = self._control / "server.log"
        self._lock = FileLock(self._control / "server.lock")
        self._mutex = threading.Lock()
        self._lease: int | None = None
        self._address: tuple[int, str] | None = None  # the inode of address.json, and the URL in it

    @property
    def where(self) -> str:
        """The location for messages."""
        return str(self._directory)

    def start(self) -> None:
        """Start the process if none runs, without waiting until it answers: ``url`` does. Raises what ``url`` raises."""
        with self._mutex:
            self._prepare()
            self._launch()

    def url(self) -> str:
        """Return the address of the process that runs now. It contains the password: do not print it.

        Starts the process where none runs, also when it died since the last call, and blocks until it answers: about two seconds, or not
        at all; at most a minute and a half, and longer after it ended a process that published no address. Until ``close`` the process does
        not end by itself. Raises ``StoreUnreachable``, ``StoreInUse`` or ``StoreDamaged``, and ``DataDirError`` if this process may not
        open enough files.
        """
        with self._mutex:
            if self._address is not None and self._address[0] == self._published_inode() and self._lock.is_held():
                return self._address[1]
            self._address = None
            self._prepare()
            self._address = self._find()
            return self._address[1]

    def running_url(self) -> str | None:
        """Return the address of the process that runs now, with its password; None where none does. Starts nothing, waits for nothing."""
        return self._published_url() if self._lock.is_held() else None

    def find_again(self) -> None:
        """Make the next ``url`` ask the process whether it answers."""
        with self._mutex:
            self._address = None

    def close(self) -> None:
        """Say that this user needs the process no more. Harmless if it never did."""
        with self._mutex:
            self._address = None
            if self._lease is not None:
                os.close(self._lease)
                self._lease = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """For the block: no process runs on the files, and none can be started. Ends one that nobody uses; blocks until it has ended.

        Raises ``DataDirInUseError`` if another command uses the process.
        """
        self._control.mkdir(parents=True, exist_ok=True, mode=0o700)
        users = os.open(self._control / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _flock(users, fcntl.LOCK_EX, _USERS_WAIT):
                raise DataDirInUseError(
                    f"The data in {self._directory} is being read by another command; wait for it, or choose another directory with "
                    "--data-dir."
                )
            began = time.monotonic()
            while not self._lock.acquire("", 0):
                waited = time.monotonic() - began
                if waited > 2 * _END_WAIT:
                    raise DataDirInUseError(f"The embedded ClickHouse in {self._directory} does not end; stop process {self._lock.note()}.")
                self._signal(signal.SIGTERM if waited < _END_WAIT else signal.SIGKILL)
                time.sleep(_PAUSE)
            try:
                yield
            finally:
                self._lock.release()
        finally:
            os.close(users)

    def _prepare(self) -> None:
        """Become a user of the process. Waits for one that is about to end."""
        if self._lease is not None:
            return
        from sinks.clickhouse.errors import StoreUnreachable  # noqa: PLC0415 -- its package imports a lot; most starts need no error

        try:
            self._control.mkdir(parents=True, exist_ok=True, mode=0o700)
            lease = os.open(self._control / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnreachable(
                f"The embedded ClickHouse cannot run in {self._directory} ({error.strerror}): it writes there even to answer a read; "
                "make the directory writable, or copy it to one that is."
            ) from None
        if not _flock(lease, fcntl.LOCK_SH, _END_WAIT, self._stopping):
            os.close(lease)
            raise StoreUnreachable(f"The embedded ClickHouse in {self._directory} does not end; stop process {self._lock.note()}.")
        self._lease = lease

    def _find(self) -> tuple[int, str]:
        from sinks.clickhouse.errors import StoreDamaged, StoreUnreachable  # noqa: PLC0415 -- see above

        waited = self._ready_wait
        deadline = time.monotonic() + waited
        started, first = False, ""
        while time.monotonic() < deadline and not self._stopping.is_set():
            inode = self._published_inode()
            url = self._published_url()
            if url is not None and self._lock.is_held() and _answers(url) and inode == self._published_inode():
                return inode, url
            if not self._lock.is_held():
                if started and last_log_line(self._log) == CANNOT_OPEN.removesuffix("."):
                    raise StoreDamaged(
                        f"The files of the embedded ClickHouse in {self._directory} cannot be opened: free its disk if that is full, else "
                        f"restore them, or choose another directory with --data-dir; {self._log} has the reason."
                    )
                if started:
                    raise StoreUnreachable(f"The embedded ClickHouse did not start: {last_log_line(self._log)} (log: {self._log}).")
                started = self._launch()
            first = first or self._lock.note()
            time.sleep(_PAUSE)
        if self._stopping.is_set():
            raise StoreUnreachable(f"The embedded ClickHouse in {self._directory} is not waited for any more, as the job ends.")
        hung = self._replaces and first == self._lock.note() and self._published_url() is None
        if hung:
            self._end_hung()
        raise StoreUnreachable(
            f"The embedded ClickHouse in {self._directory} does not answer within {waited:g} seconds: {last_log_line(self._log)} "
            f"(process {first}{', which was ended' if hung else ''}, log: {self._log})."
        )

    def _end_hung(self) -> None:
        """End the process that holds the lock and has never published an address, as one that found the disk full when it opened its files.

        It serves nobody, and holds no row that is not on disk. The next one gets twice the time: a slow disk must not end them all.
        """
        began = time.monotonic()
        while self._lock.is_held() and self._published_url() is None and time.monotonic() - began < 2 * _HUNG_END_WAIT:
            self._signal(signal.SIGTERM if time.monotonic() - began < _HUNG_END_WAIT else signal.SIGKILL)
            time.sleep(_PAUSE)
        self._ready_wait *= 2

    def _launch(self) -> bool:
        """Start the process unless one runs. Returns whether it did. The process inherits the lock."""
        from sinks.clickhouse.errors import StoreInUse, StoreUnreachable  # noqa: PLC0415 -- see above

        try:
            if not self._lock.acquire("", 0):
                return False
            try:
                (self._control / "address.json").unlink(missing_ok=True)
                if FileLock(self._directory / "status").is_held():
                    raise StoreInUse(
                        f"The ClickHouse directory {self._directory} is in use by another process; stop that one or choose another data "
                        "directory."
                    )
                allow_open_files()
                with self._log.open("wb") as log:
                    process = subprocess.Popen(
                        [sys.executable, "-P", "-c", _PROGRAM, str(_ROOT), str(self._directory), str(self._lock.fd)],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=_environment(),
                        pass_fds=[self._lock.fd],
                        start_new_session=True,  # Ctrl-C in the terminal must not end it: other commands may use it
                    )
            finally:
                self._lock.hand_over()
        except OSError as error:
            raise StoreUnreachable(
                f"The embedded ClickHouse in {self._directory} cannot be started ({error.strerror}); free memory or disk."
            ) from None
        threading.Thread(target=process.wait, name="clickhouse-reaper", daemon=True).start()  # it may end before this process does
        return True

    def _published_inode(self) -> int:
        try:
            return (self._control / "address.json").stat().st_ino
        except OSError:
            return 0

    def _published_url(self) -> str | None:
        try:
            return str(json.loads((self._control / "address.json").read_bytes())["url"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _signal(self, number: signal.Signals) -> None:
        """Signal the process that has the lock."""
        note = self._lock.note()
        if note.isdecimal() and self._lock.is_held():
            try:
                os.kill(int(note), number)
            except ProcessLookupError:
                return


def _environment() -> dict[str, str]:
    """The environment of the process: in UTC, because the engine takes its time zone from ``TZ``, and without the secrets of a job."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("ONRAMP_")}, "TZ": "UTC"}


def _flock(fd: int, how: int, seconds: float, stopping: threading.Event | None = None) -> bool:
    """Lock an open file; block up to ``seconds``, and no longer than until ``stopping``. Returns whether it did."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline or (stopping is not None and stopping.is_set()):
                return False
            time.sleep(_PAUSE)
        else:
            return True


def _answers(url: str) -> bool:
    """Whether a server answers at ``url``. Blocks for one round trip; sends no password."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=_PING_SECONDS)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().read() == b"Ok.\n"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
