"""Runs a population program and exchanges JSON lines with it over its standard input and output."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from sources.closed_loop.protocol import VERSION, Begin, Slot
from system.has_data import has_data

TIMEOUT: Final = 120.0  # seconds for one answer: creating a world of many people takes some of them; a program that hangs never answers
_CHUNK: Final = 1 << 20
_TICK: Final = 900_000

_encode = msgspec.json.Encoder().encode


class PopulationError(Exception):
    """The population program violates the protocol or has ended. The text is one sentence that says what to do."""


class _Arrival(msgspec.Struct, gc=False):
    at: int
    event: msgspec.Raw


class _Answer(msgspec.Struct, rename="camel"):
    """Any message of the program. ``type`` decides which fields are valid."""

    type: str
    message: str = ""
    protocol: int = 0
    slot_ms: int = 0
    events: list[_Arrival] = []
    reads: list[str] = []
    next: int | None = None


class Program:
    """Starts ``command`` and exchanges messages with it. Its standard error is that of this process."""

    def __init__(self, command: Sequence[str], timeout: float = TIMEOUT) -> None:
        """Start the program; ``timeout`` is in seconds for each answer. Raises ``PopulationError`` if it cannot be started."""
        self._name = " ".join(command)
        self._timeout = timeout
        self._buffer = bytearray()
        self._decoder = msgspec.json.Decoder(_Answer)
        try:
            self._process = subprocess.Popen(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise PopulationError(f"the population {self._name!r} cannot be started: {error.strerror}; check --population.") from error

    def begin(self, begin: Begin) -> int:
        """As in ``Population``. Raises ``PopulationError``."""
        self._send(begin.message())
        answer = self._answer("ready")
        if answer.protocol != VERSION:
            raise self._error(f"speaks protocol {answer.protocol}, not {VERSION}")
        if not 1_000 <= answer.slot_ms <= _TICK or _TICK % answer.slot_ms:
            raise self._error(f"wants slots of {answer.slot_ms} ms; a slot is at least 1000 ms and divides {_TICK} ms")
        return answer.slot_ms

    def advance(self, at: int, until: int, guidance: Mapping[str, bytes | None]) -> Slot:
        """As in ``Population``. Raises ``PopulationError``."""
        records = {user: None if record is None else msgspec.Raw(record) for user, record in guidance.items()}
        self._send({"type": "advance", "at": at, "until": until, "recommendations": records})
        answer = self._answer("events")
        before = at
        for each in answer.events:
            if not before <= each.at < until:
                raise self._error(f"has an event arrive at {each.at}, out of order or outside its slot from {at} to {until}")
            before = each.at
        if answer.next is not None and answer.next < until:
            raise self._error(f"wants to go on at {answer.next}, before the slot that ends at {until}")
        return Slot([(each.at, bytes(each.event)) for each in answer.events], answer.reads, answer.next)

    def finish(self) -> Iterator[bytes]:
        """As in ``Population``. Raises ``PopulationError`` if the program ends before its message ``done``."""
        self._send({"type": "finish"})
        while True:
            line = self._line()
            answer = self._decode(line)
            if answer.type == "error":
                raise self._error(f"says: {answer.message}")
            yield line
            if answer.type == "done":
                break
        self.close()

    def close(self) -> None:
        """End the program if it still runs. Blocks for a few seconds at most."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # the program has ended, and with it the rest of the output
                    pipe.close()
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        data = memoryview(_encode(message) + b"\n")
        try:
            while data:
                data = data[self._process.stdin.write(data) :]
        except OSError as error:
            raise self._ended_early() from error

    def _answer(self, kind: str) -> _Answer:
        answer = self._decode(self._line())
        if answer.type == "error":
            raise self._error(f"says: {answer.message}")
        if answer.type != kind:
            raise self._error(f"answered {answer.type!r} instead of {kind!r}")
        return answer

    def _decode(self, line: bytes) -> _Answer:
        try:
            return self._decoder.decode(line)
        except (ValueError, RecursionError) as error:
            raise self._error(f"wrote a line that violates the protocol ({error}): {line[:80]!r}") from error

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        descriptor, deadline, searched = self._process.stdout.fileno(), time.monotonic() + self._timeout, 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            left = deadline - time.monotonic()
            if left <= 0 or not has_data(descriptor, timeout_s=left):
                raise self._error(f"has said nothing for {self._timeout:.0f} seconds")
            chunk = os.read(descriptor, _CHUNK)
            if not chunk:
                raise self._ended_early()
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _ended_early(self) -> PopulationError:
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return self._error("closed its output too early")
        return self._error(f"ended too early, with exit code {code}; its own messages are above")

    def _error(self, what: str) -> PopulationError:
        return PopulationError(f"the population {self._name!r} {what}; see the protocol in docs/population.md.")
