"""placement: which worker owns a key. Bytewax sends a keyed item to the worker that the hash of its key names.

The engine does not promise this hash; ``tests/operators/test_lanes.py`` compares it with what the engine does. Nothing may be wrong
where it differs: what is sent to another worker than the owner only travels once more.

Because an event travels once, and not first to any worker, two processes read 1.57 times as fast as one, instead of 1.19
(``python -m benchmarks.speed scale --inputs log --processes 1 2``, commit 2b0c4a0e).
"""

from __future__ import annotations

from typing import Final

_MASK: Final = (1 << 64) - 1
_START: Final = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_END_OF_TEXT: Final = b"\xff"
"""Rust's ``str`` adds it to what is hashed."""


def owner(key: str, workers: int) -> int:
    """The number of the worker that owns ``key``, from 0. About 10 µs."""
    return siphash13(key.encode() + _END_OF_TEXT) % workers


def siphash13(data: bytes) -> int:
    """SipHash-1-3 of ``data`` under the key zero, as in Rust's ``DefaultHasher``. The algorithm: https://131002.net/siphash/."""
    state = _START
    whole = len(data) & ~7
    for at in range(0, whole, 8):
        state = _compress(state, int.from_bytes(data[at : at + 8], "little"))
    v0, v1, v2, v3 = _compress(state, (len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    v2 ^= 0xFF
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _compress(state: tuple[int, int, int, int], word: int) -> tuple[int, int, int, int]:
    v0, v1, v2, v3 = state
    v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ word)
    return v0 ^ word, v1, v2, v3


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v1 = (v1 << 13 & _MASK | v1 >> 51) ^ v0
    v0 = v0 << 32 & _MASK | v0 >> 32
    v2 = (v2 + v3) & _MASK
    v3 = (v3 << 16 & _MASK | v3 >> 48) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = (v3 << 21 & _MASK | v3 >> 43) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = (v1 << 17 & _MASK | v1 >> 47) ^ v2
    return v0, v1, v2 << 32 & _MASK | v2 >> 32, v3
