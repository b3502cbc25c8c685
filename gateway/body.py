"""Reads the body of a request, with limits that hold before and after decompression."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, Final, cast

from starlette.types import Message, Receive, Scope

from gateway.byte_budget import ByteBudget
from gateway.caller import Caller
from gateway.errors import RefusedError, too_large
from gateway.headers import headers_in

_GZIP: Final = 31
"""``wbits`` of zlib for the gzip format."""
_PLAIN: Final = frozenset({b"", b"identity"})
MOST_MEMBERS: Final = 16
"""Gzip members of one body. A client makes one; each costs a copy of all that follows it, and an empty one has only 20 bytes."""
BODY_SECONDS: Final = 30.0
"""How long a body may take to come. Without a limit a client holds a connection for ever with one byte now and then."""
ANONYMOUS_SECONDS: Final = 10.0
"""The same for a body without an ``Authorization`` header, which may have a write key. A call of Segment's largest size (32 KB) needs 26
kbit/s, which the slowest phones have; a batch of 500 KB needs 410.
"""
MOST_OPEN_BYTES: Final = 32 * 1_048_576
"""Of all bodies that are not complete and came without a key in a header, and as much of those with a publishable key or a user token. What
comes at once needs none of this.
"""


class BodyReader:
    """Reads the bodies of all requests of a process, so that what anybody may send has a limit for all of them together."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._anonymous = ByteBudget(MOST_OPEN_BYTES)
        self._open = ByteBudget(MOST_OPEN_BYTES)

    def read(self, scope: Scope, receive: Receive, caller: Caller | None, *, limit: int) -> Coroutine[Any, Any, bytes]:
        """Return the body as ``read_body`` does. ``caller`` is None where the key is in the body.

        Raises ``RefusedError`` as it does, and 503 while too much is in memory of callers without a server key.
        """
        if caller is None:
            return read_body(scope, receive, limit=limit, budget=self._anonymous, seconds=ANONYMOUS_SECONDS)
        return read_body(scope, receive, limit=limit, budget=None if caller.kind == "server" else self._open)


async def read_body(scope: Scope, receive: Receive, *, limit: int, budget: ByteBudget | None = None, seconds: float | None = None) -> bytes:
    """Return the body, decompressed. Not more than ``limit`` bytes are ever in memory, in each of both forms. What comes in several pieces
    is counted in ``budget`` until it is complete.

    Raises ``RefusedError``: 413 beyond ``limit`` bytes, 415 for an encoding other than gzip, 408 if it does not come in ``seconds``
    (``BODY_SECONDS`` where none are given), 503 beyond ``budget``.
    """
    headers = headers_in(scope)
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > limit:
        raise _over(limit)
    seconds = BODY_SECONDS if seconds is None else seconds
    try:
        raw = await _within(seconds, _receive_all(receive, limit, budget))
    except TimeoutError:
        sentence = f"the body did not come within {seconds:g} s; send it again, in smaller batches"
        raise RefusedError(408, "too_slow", sentence, headers={"connection": "close"}) from None
    if encoding in _PLAIN:
        return raw
    if encoding in {b"gzip", b"x-gzip"}:
        return inflate(raw, limit=limit)
    raise RefusedError(415, "unsupported_encoding", "send the body as it is, or compressed with gzip")


@coroutine
def _within(seconds: float, step: Coroutine[Any, Any, bytes]) -> Generator[Any, Any, bytes]:
    """Do what ``asyncio.timeout`` does, and start the timer only where the step has to wait: most bodies come with their headers.

    Raises ``TimeoutError``.
    """
    try:
        awaited = step.send(None)
    except StopIteration as ended:
        return cast("bytes", ended.value)
    task = asyncio.current_task()
    assert task is not None
    late = False

    def end() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, end)
    try:
        yield awaited
        return cast("bytes", (yield from step))
    except asyncio.CancelledError:
        if late and task.uncancel() == 0:  # else the server ends too
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        step.close()


async def _receive_all(receive: Receive, limit: int, budget: ByteBudget | None) -> bytes:
    message = await receive()
    raw: bytes = message.get("body", b"")
    if message.get("more_body"):
        return await _join(message, receive, limit, budget or ByteBudget(limit))
    if len(raw) > limit:
        raise _over(limit)
    return raw


async def _join(message: Message, receive: Receive, limit: int, budget: ByteBudget) -> bytes:
    """Return the body whose first piece is in ``message``."""
    raw = bytearray()
    try:
        while True:
            piece = message.get("body", b"")
            if len(raw) + len(piece) > limit:
                raise _over(limit)
            if not budget.take(len(piece)):
                sentence = "too many bodies are on their way; send it again later, or in smaller batches"
                raise RefusedError(503, "unavailable", sentence, headers={"retry-after": "5", "connection": "close"})
            raw += piece
            if not message.get("more_body"):
                return bytes(raw)
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "incomplete", "the connection ended before the body did")
    finally:
        budget.take(-len(raw))


def inflate(raw: bytes, *, limit: int) -> bytes:
    """Decompress up to ``MOST_MEMBERS`` gzip members.

    Raises ``RefusedError``: 413 beyond ``limit`` bytes, 400 for more members and for what is not gzip.
    """
    out = bytearray()
    rest = raw
    members = 0
    while rest:
        members += 1
        if members > MOST_MEMBERS:
            raise RefusedError(400, "bad_gzip", f"the body has too many gzip members, at most {MOST_MEMBERS} are read")
        decoder = zlib.decompressobj(_GZIP)
        try:
            out += decoder.decompress(rest, limit + 1 - len(out))
        except zlib.error:
            raise _not_gzip() from None
        if len(out) > limit:
            raise _over(limit)
        if not decoder.eof:
            raise _not_gzip()
        rest = decoder.unused_data
    return bytes(out)


def _over(limit: int) -> RefusedError:
    return too_large(f"the body has more than {limit:,} bytes, counted after decompression; send smaller batches")


def _not_gzip() -> RefusedError:
    return RefusedError(400, "bad_gzip", "the body is not complete gzip, which content-encoding says it is")
