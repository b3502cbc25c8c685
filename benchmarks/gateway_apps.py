"""Two applications to compare the gateway with, on the same server: a bare one, and the floor of a durable one.

``bare`` reads the body and answers. ``floor`` decodes without checks, and commits what has gathered into SQLite with ``synchronous=FULL``
before it answers; nothing durable in Python does less.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Sequence

import msgspec
from starlette.types import Receive, Scope, Send


class _Event(msgspec.Struct):
    eventId: str  # noqa: N815 - the wire's name
    userId: str  # noqa: N815 - the wire's name
    eventType: str  # noqa: N815 - the wire's name
    timestamp: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")


_one = msgspec.json.Decoder(_Event)
_many = msgspec.json.Decoder(list[_Event])
_HEADERS = [(b"content-type", b"application/json")]

Waiting = tuple[list[tuple[str, bytes]], "asyncio.Future[None]"]


class _Writer:
    def __init__(self) -> None:
        self.gathered: list[Waiting] = []
        self.awake = threading.Event()

    def run(self, loop: asyncio.AbstractEventLoop, path: str) -> None:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE IF NOT EXISTS log(position INTEGER PRIMARY KEY, part INT, at INT, key TEXT, value BLOB)")
        while True:
            self.awake.wait()
            self.awake.clear()
            batch, self.gathered = self.gathered, []
            if not batch:
                continue
            now = time.time_ns() // 1_000_000
            database.execute("BEGIN")
            rows = [(now, key, value) for some, _ in batch for key, value in some]
            database.executemany("INSERT INTO log(part, at, key, value) VALUES (0, ?, ?, ?)", rows)
            database.execute("COMMIT")
            loop.call_soon_threadsafe(_resolve, [stored for _, stored in batch])


def _resolve(futures: Sequence[asyncio.Future[None]]) -> None:
    for stored in futures:
        if not stored.done():
            stored.set_result(None)


_writer = _Writer()


async def _lifespan(receive: Receive, send: Send) -> None:
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _read(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 202, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b'{"status":"queued"}'})


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body and answer."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await _read(receive)
    await _answer(send)


async def floor(scope: Scope, receive: Receive, send: Send) -> None:
    """Decode, commit, answer. The file is ``FLOOR_LOG`` of the environment."""
    if scope["type"] == "lifespan":
        threading.Thread(target=_writer.run, args=(asyncio.get_running_loop(), os.environ["FLOOR_LOG"]), daemon=True).start()
        await _lifespan(receive, send)
        return
    body = await _read(receive)
    if scope["method"] == "POST":
        events = [_one.decode(body)] if body[:1] == b"{" else _many.decode(body)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        _writer.gathered.append(([(each.userId, msgspec.json.encode(each)) for each in events], stored))
        _writer.awake.set()
        await stored
    await _answer(send)
