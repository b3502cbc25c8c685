"""A real gateway on a loopback port, in a thread: the application on its real server, and a client for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import msgspec

from gateway.app import GatewayParts, build
from gateway.connection import Limits
from gateway.fake_log import FakeLog, FakeLogError
from gateway.group_commit import GroupCommitLog
from gateway.keys import KeyKind, KeyStore
from gateway.serve import listen, make_server
from gateway.stopping import Stopping
from state.ids import Keys
from tests.support.waiting import PATIENCE, join, wait_until

SIGNING = Keys(b"a secret for the tests of the gateway")
NOW = "2026-03-02T09:00:05Z"


def event(event_id: str = "e1", **fields: Any) -> dict[str, Any]:
    """A valid event, with other ``fields``; None leaves one out."""
    whole = {
        "eventId": event_id,
        "userId": "u-17",
        "eventType": "track",
        "name": "dashboard_created",
        "timestamp": NOW,
        "payload": {},
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


@dataclass
class Gateway:
    """A running gateway. ``log`` has what it stored, and the knobs for failure; ``store`` makes keys."""

    url: str
    log: FakeLog
    store: KeyStore
    client: httpx2.Client = field(repr=False)
    stopping: Stopping = field(repr=False)

    def key(self, kind: KeyKind = "server", tenant: str = "default", **more: Any) -> str:
        """Make a key, and return its text when the gateway knows it."""
        return self.store.create(kind, tenant=tenant, **more)[1]

    def post(self, path: str, body: Any = None, *, key: str | None = None, content: bytes | None = None, **headers: str) -> httpx2.Response:
        """Send a body as JSON, or ``content`` as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent.setdefault("authorization", f"Bearer {key}")
        return self.client.post(path, content=msgspec.json.encode(body) if content is None else content, headers=sent)

    def get(self, path: str, *, key: str | None = None, **headers: str) -> httpx2.Response:
        """Read an address."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent.setdefault("authorization", f"Bearer {key}")
        return self.client.get(path, headers=sent)

    def stored(self) -> list[dict[str, Any]]:
        """The events in the log."""
        return [msgspec.json.decode(record.value) for record in self.log.records]


@contextmanager
def run_gateway(directory: Path, *, acknowledge_seconds: float = PATIENCE, limits: Limits | None = None, **parts: Any) -> Iterator[Gateway]:
    """A gateway for the block, with a log in memory and keys in ``directory``. ``limits`` are those of its connections."""
    log = FakeLog()
    store = KeyStore(directory / "keys.json", reload_seconds=0.0)
    stopping = Stopping()
    committed = GroupCommitLog(log, acknowledge_seconds=acknowledge_seconds, failures=(FakeLogError,))
    whole = {"log": committed, "store": store, "keys": SIGNING, "stopping": stopping, "redis_url": lambda: None, **parts}
    with listen("127.0.0.1", 0) as bound:
        built = GatewayParts(**whole)
        server = make_server(build(built), stopping, limits, built.refusals)
        thread = Thread(target=asyncio.run, args=(server.serve(sockets=[bound]),), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        try:
            wait_until(lambda: server.started or not thread.is_alive(), "the gateway under test")
            with httpx2.Client(base_url=url, timeout=PATIENCE) as client:
                yield Gateway(url, log, store, client, stopping)
        finally:
            log.gate.set()
            stopping.stop()
            server.should_exit = True
            join(thread, "the end of the gateway under test")


def raw_request(gateway: Gateway, data: bytes) -> bytes:
    """Send bytes that no client would, and return all that comes back until the gateway closes the connection."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while chunk := connection.recv(65_536):
            found += chunk
    return found
