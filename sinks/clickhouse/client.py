"""Connects to ClickHouse, embedded (chdb, a directory) or a server (HTTP), behind one client API."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from sinks.clickhouse.address import FILES, parse_clickhouse_address
from sinks.clickhouse.errors import UNKNOWN_DATABASE, Fault, StoreDenied, StoreError, StoreInUse, StoreUnreachable, code_of, meaning_of
from sinks.clickhouse.result_table import SETTINGS

CONNECT_SECONDS = 5
"""A server that does not accept a connection within this time is down or does not exist."""
ANSWER_SECONDS = 120
"""An insert of a full batch into a busy server takes far less. After this time the connection counts as dead."""
READ_SECONDS = 60
"""The longest time of one query of an analyst."""

Role = Literal["write", "read"]


class ClickHouse:
    """One store. It keeps one client for each thread and role until ``close()``.

    Give either ``path`` (embedded; created if missing; one process at a time) or ``url`` (see ``address``; its database gives way to
    ``database``). The constructor does no I/O: the first ``client()`` or ``reader()`` connects.
    """

    def __init__(
        self,
        *,
        path: Path | None = None,
        url: str | None = None,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
    ) -> None:
        if (path is None) == (url is None):
            raise ValueError("Give either a path (embedded ClickHouse) or a URL (a ClickHouse server), not both.")
        self.path = path.resolve() if path is not None else None
        try:
            self._address = parse_clickhouse_address(url) if url is not None else None
        except ValueError as error:
            raise ValueError(f"The address of ClickHouse cannot be used: {error}.") from None
        self.database = database or (self._address.database if self._address is not None else None) or "onramp"
        if not self.database.isidentifier():
            raise ValueError(f"The database name {self.database!r} must be made of letters, digits and underscores.")
        self._user = user
        self._password = password
        self._clients: dict[tuple[int, Role], Client] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Return the location, without the password."""
        return f"ClickHouse({self.where}, database={self.database!r})"

    @property
    def embedded(self) -> bool:
        """Whether the engine runs in this process."""
        return self.path is not None

    @property
    def where(self) -> str:
        """The location for messages: a directory, or scheme, host, port and path."""
        return str(self.path) if self._address is None else self._address.where

    def client(self) -> Client:
        """Return this thread's client for writing, in the store's database, which must exist (``migrate`` creates it).

        Blocks up to ``CONNECT_SECONDS`` for a server. Embedded, the first client of a process starts the engine (2–5 s).
        Raises ``StoreInUse``, ``StoreUnreachable`` or ``StoreDenied``.
        """
        return self._of_thread("write")

    def reader(self) -> Client:
        """Return this thread's client for reading. The engine refuses every write of this client."""
        return self._of_thread("read")

    def warm(self) -> None:
        """Connect this thread's writing client now, so that the first insert is not slow. Raises like ``client()``."""
        self.client().command("SELECT 1")

    def connect(self, *, database: str | None, role: Role = "write") -> Client:
        """Open a separate client, which the caller closes. Raises like ``client()``."""
        # Read-only is set last: after it no other setting of the client can be changed.
        settings: dict[str, str | int] = {"max_execution_time": READ_SECONDS, **SETTINGS, "readonly": 1} if role == "read" else {}
        try:
            if self.path is not None:
                return _open_embedded(self.path, database, settings)
            return self._open_http(database, settings)
        except Error as error:
            raise self._store_error(error) from None

    def close(self) -> None:
        """Close the clients of all threads. Embedded, the last one ends the engine and unlocks its directory."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def release(self) -> None:
        """Close the clients of the calling thread, for a thread that ends before the store is closed."""
        thread = threading.get_ident()
        with self._lock:
            clients = [self._clients.pop(key) for key in list(self._clients) if key[0] == thread]
        for client in clients:
            client.close()

    def _of_thread(self, role: Role) -> Client:
        # threading.local does not work: Bytewax worker threads lose its values between calls.
        key = (threading.get_ident(), role)
        with self._lock:
            known = self._clients.get(key)
        if known is None:
            known = self.connect(database=self.database, role=role)
            with self._lock:
                self._clients[key] = known
        return known

    def _open_http(self, database: str | None, settings: dict[str, str | int]) -> Client:
        address = self._address
        if address is None:
            raise ValueError("An embedded store has no URL.")
        for name in FILES:
            if name in address.tls and not _readable(Path(address.tls[name])):
                file = address.tls[name]
                raise StoreDenied(
                    f"ONRAMP_CLICKHOUSE_URL names {file} for {name}, which cannot be read; correct the path or its permissions."
                )
        password = self._password or address.password
        # Without a mode the driver takes a certificate of the client for its user, and sends no password.
        tls: dict[str, Any] = {**address.tls, "tls_mode": "strict"} if "client_cert" in address.tls and password else {**address.tls}
        return clickhouse_connect.get_client(
            interface=address.scheme,
            host=address.host,
            port=address.port,
            proxy_path=address.path,
            username=self._user or address.user,
            password=password,
            database=database,
            settings=settings,
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=ANSWER_SECONDS,
            autogenerate_session_id=False,  # the queries of one session run one after another; no query here needs a session
            **tls,
        )

    def _store_error(self, error: Error) -> StoreError:
        text, meaning = str(error), meaning_of(error)
        if meaning.fault is Fault.DENIED:
            code = f" (code {code_of(error)})" if code_of(error) is not None else ""
            return StoreDenied(f"ClickHouse at {self.where} refused the connection{code}; {meaning.advice}.")
        if code_of(error) == UNKNOWN_DATABASE:
            return StoreDenied(f"ClickHouse at {self.where} has no database {self.database!r} yet; start the job once, which creates it.")
        if "EmbeddedServer" in text and "different path" in text:
            return StoreInUse(f"This process has another embedded ClickHouse open, so it cannot open {self.where}; close that one first.")
        if "EmbeddedServer" in text:
            return _in_use(self.where)
        return StoreUnreachable(f"ClickHouse at {self.where} does not answer; start it or correct its address.")


_opened: set[Path] = set()
"""Embedded stores that this process has opened. A lock on their directory may be its own."""


def _in_use(where: str) -> StoreInUse:
    return StoreInUse(f"The ClickHouse directory {where} is in use by another process; stop that one or choose another data directory.")


def load_engine() -> None:
    """Import the embedded engine, which changes the working directory meanwhile. Call it before other threads open files.

    Its time zone is UTC: it takes ``TZ`` at this moment, and does not start with one that it does not know.
    """
    if "chdb" in sys.modules:
        return
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    try:
        import chdb  # noqa: F401, PLC0415 -- takes seconds
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before


def _open_embedded(path: Path, database: str | None, settings: dict[str, str | int]) -> Client:
    path.mkdir(parents=True, exist_ok=True)
    # The engine reports a locked directory only on stderr and not clearly. A check of its lock first gives our own error.
    if path not in _opened and _locked(path / "status"):
        raise _in_use(str(path))
    load_engine()
    client = clickhouse_connect.get_client(interface="chdb", path=str(path), database=database, settings=settings)
    _opened.add(path)
    return client


def _locked(file: Path) -> bool:
    try:
        handle = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _readable(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True
