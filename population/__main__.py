"""``python -m population``: the protocol over standard input and output, one JSON object a line. See ``docs/population.md``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any, BinaryIO, Final, Literal

import msgspec

from population.simulation import SLOT_MS, Population


class Advance(msgspec.Struct):
    """The ``advance`` line. Records are decoded only when an app reads them."""

    at: int
    until: int
    type: Literal["advance"]
    recommendations: dict[str, msgspec.Raw] = {}


class _Typed(msgspec.Struct):
    type: str


class _Terminated(Exception):  # noqa: N818 (not an error)
    """The process received SIGTERM."""


_typed: Final = msgspec.json.Decoder(_Typed)
_advance: Final = msgspec.json.Decoder(Advance)
_encode: Final = msgspec.json.Encoder().encode


def answer(population: Population, line: bytes, out: BinaryIO) -> bool:
    """Write the answer to ``line``; return False after the last one. Raises ``ValueError`` for an invalid line."""
    kind = _typed.decode(line).type
    if kind == "advance":
        request = _advance.decode(line)
        records = {user: bytes(record) for user, record in request.recommendations.items() if bytes(record) != b"null"}
        arrived, reads, following = population.advance(request.at, request.until, records)
        events = b",".join([b'{"at":%d,"event":%b}' % pair for pair in arrived])
        out.write(b'{"type":"events","events":[%b],"reads":%b,"next":%b}\n' % (events, _encode(reads), _encode(following)))
    elif kind == "begin":
        given: dict[str, Any] = msgspec.json.decode(line)
        out.write(_encode(population.begin(given)) + b"\n")
    elif kind == "finish":
        out.writelines(_encode(truth) + b"\n" for truth in population.finish())
    else:
        raise ValueError(f"the protocol has no line of type {kind}")
    out.flush()
    return kind != "finish"


def serve(population: Population, lines: BinaryIO, out: BinaryIO) -> int:
    """Answer ``lines`` until the last one; return the exit status: 0, also when the input ends, or 2 for an invalid line."""
    try:
        for line in lines:
            if line.strip() and not answer(population, line, out):
                break
    except ValueError as problem:
        message = str(problem)
        sys.stderr.write(f"population: {message}\n")
        out.write(_encode({"type": "error", "message": message}) + b"\n")
        out.flush()
        return 2
    return 0


def _terminate(*_: object) -> None:
    raise _Terminated


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(
        prog="python -m population", description="Simulate people who use a product and respond to guidance, over JSON lines."
    )
    parser.add_argument("--slot-ms", type=int, default=SLOT_MS, help="length of a slot in ms, a divisor of 900000 (default: %(default)s)")
    given = parser.parse_args()
    if given.slot_ms <= 0 or 900_000 % given.slot_ms:
        parser.error("--slot-ms must divide 900000")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return serve(Population(given.slot_ms), sys.stdin.buffer, sys.stdout.buffer)
    except (_Terminated, KeyboardInterrupt, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards buffered output, which has no reader
        return 0


if __name__ == "__main__":
    sys.exit(main())
