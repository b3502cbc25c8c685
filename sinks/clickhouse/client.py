"""Connects to ClickHouse over HTTP: a server, or the embedded one, which is a process on this machine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Literal, Protocol

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error
from clickhouse_connect.driver.httputil import get_pool_manager

from sinks.clickhouse.address import FILES, ClickHouseAddress, parse_clickhouse_address
from sinks.clickhouse.errors import UNKNOWN_DATABASE, Fault, StoreDenied, StoreError, StoreUnreachable, code_of, meaning_of
from sinks.clickhouse.result_table import SETTINGS
from sinks.store_address import is_readable

CONNECT_SECONDS = 5
"""A server that does not accept a connection within this time is down or does not exist."""
ANSWER_SECONDS = 120
"""An insert of a full batch into a busy server takes far less. After this time the connection counts as dead."""
READ_SECONDS = 60
"""The longest time of one query of an analyst."""

Role = Literal["write", "read", "read in private"]


class Embedded(Protocol):
    """The embedded ClickHouse of a directory: ``local.clickhouse`` has it. It may be another process, at another address, any time."""

    @property
    def where(self) -> str:
        """The directory, for messages."""

    def url(self) -> str:
        """Return the address of the process that runs now; start it where none does. Raises ``StoreError``."""

    def find_again(self) -> None:
        """Do not believe the last address any more: the server at it did not answer."""

    def close(self) -> None:
        """Say that it is needed no more."""


class ClickHouse:
    """One store. It keeps one client for each thread and role until ``close()``.

    Give either ``embedded`` or ``url`` (see ``address``; its database gives way to ``database``). The constructor does no I/O: the first
    ``client()`` or ``reader()`` connects.
    """

    def __init__(
        self,
        *,
        embedded: Embedded | None = None,
        url: str | None = None,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
    ) -> None:
        if (embedded is None) == (url is None):
            raise ValueError("Give either the embedded ClickHouse or the URL of a ClickHouse server, not both.")
        self._embedded = embedded
        try:
            self._address = parse_clickhouse_address(url) if url is not None else None
        except ValueError as error:
            raise ValueError(f"The address of ClickHouse cannot be used: {error}.") from None
        self.database = database or (self._address.database if self._address is not None else None) or "onramp"
        if not self.database.isidentifier():
            raise ValueError(f"The database name {self.database!r} must be made of letters, digits and underscores.")
        self._user = user
        self._password = password
        self._clients: dict[tuple[int, Role], tuple[str, Client]] = {}
        self._lock = threading.Lock()
        # A pool of our own, because the driver's would send requests to this machine through the proxy of the environment.
        self._pool = get_pool_manager() if embedded is not None else None

    def __repr__(self) -> str:
        """Return the location, without the password."""
        return f"ClickHouse({self.where}, database={self.database!r})"

    @property
    def embedded(self) -> bool:
        """Whether it is the embedded one, on this machine."""
        return self._embedded is not None

    @property
    def where(self) -> str:
        """The location for messages: a directory, or scheme, host, port and path."""
        if self._embedded is not None:
            return self._embedded.where
        assert self._address is not None
        return self._address.where

    def client(self) -> Client:
        """Return this thread's client for writing, in the store's database, which must exist (``migrate`` creates it).

        Blocks up to ``CONNECT_SECONDS`` for a server, and some seconds for the embedded one to start. After the embedded one was restarted
        it is another client. Raises ``StoreInUse``, ``StoreUnreachable`` or ``StoreDenied``.
        """
        return self._of_thread("write")

    def reader(self, *, private: bool = False) -> Client:
        """Return this thread's client for reading. The engine refuses every write of this client. ``private``: see ``unlogged``."""
        return self._of_thread("read in private" if private else "read")

    def warm(self) -> None:
        """Connect this thread's writing client now, so that the first insert is not slow. Raises like ``client()``."""
        self.client().command("SELECT 1")

    def connect(self, *, database: str | None, role: Role = "write") -> Client:
        """Open a separate client, which the caller closes. Raises like ``client()``."""
        return self._connect(self._url(), database, role)

    def close(self) -> None:
        """Close the clients of all threads. The embedded one ends some seconds after its last user."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for _, client in clients:
            client.close()
        if self._pool is not None:
            self._pool.clear()
        if self._embedded is not None:
            self._embedded.close()

    def find_again(self) -> None:
        """Say that the embedded one did not answer: the next client is for the process that runs then."""
        if self._embedded is not None:
            self._embedded.find_again()

    def release(self) -> None:
        """Close the clients of the calling thread, for a thread that ends before the store is closed."""
        thread = threading.get_ident()
        with self._lock:
            clients = [self._clients.pop(key) for key in list(self._clients) if key[0] == thread]
        for _, client in clients:
            client.close()

    def _of_thread(self, role: Role) -> Client:
        # threading.local does not work: Bytewax worker threads lose its values between calls.
        key = (threading.get_ident(), role)
        url = self._url()
        with self._lock:
            known = self._clients.get(key)
        if known is not None and known[0] == url:
            return known[1]
        client = self._connect(url, self.database, role)
        with self._lock:
            self._clients[key] = (url, client)
        if known is not None:
            known[1].close()
        return client

    def _url(self) -> str:
        """The address of the embedded process; empty for a server, whose address does not change."""
        return self._embedded.url() if self._embedded is not None else ""

    def _connect(self, url: str, database: str | None, role: Role) -> Client:
        # Read-only is set last: after it no other setting of the client can be changed.
        settings: dict[str, str | int] = {}
        if role != "write":
            more = unlogged(self.client()) if role == "read in private" else {}
            settings = {"max_execution_time": READ_SECONDS, **SETTINGS, **more, "readonly": 1}
        address = self._address if self._address is not None else parse_clickhouse_address(url)
        try:
            return self._open_http(address, database, settings)
        except Error as error:
            raise self._store_error(error) from None

    def _open_http(self, address: ClickHouseAddress, database: str | None, settings: dict[str, str | int]) -> Client:
        for name in FILES:
            if name in address.tls and not is_readable(Path(address.tls[name])):
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
            compress=self._embedded is None,
            pool_mgr=self._pool,
            **tls,
        )

    def _store_error(self, error: Error) -> StoreError:
        meaning = meaning_of(error)
        if meaning.fault is Fault.DENIED and self._embedded is None:
            code = f" (code {code_of(error)})" if code_of(error) is not None else ""
            return StoreDenied(f"ClickHouse at {self.where} refused the connection{code}; {meaning.advice}.")
        if code_of(error) == UNKNOWN_DATABASE:
            return StoreDenied(f"ClickHouse at {self.where} has no database {self.database!r} yet; start the job once, which creates it.")
        if self._embedded is not None:  # also where its password is refused: then it was restarted a moment ago
            return StoreUnreachable(f"The embedded ClickHouse in {self.where} does not answer; run the command again.")
        return StoreUnreachable(f"ClickHouse at {self.where} does not answer; start it or correct its address.")


def unlogged(client: Client) -> dict[str, str | int]:
    """Return the settings of a statement that names users: with them its text, and so the ids, is not in ``system.query_log``.

    Empty where the profile of the client's user fixes that all statements are logged.
    """
    found = client.server_settings.get("log_queries")
    return {} if found is not None and found.readonly else {"log_queries": 0}
