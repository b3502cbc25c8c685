"""Writes a number with the thing that it counts."""

from __future__ import annotations


def count(number: int, thing: str, things: str | None = None) -> str:
    """``1 call``, ``2,000 calls``, ``1 person``, ``2 people``. ``things``: the plural where it is not ``thing`` with an s."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
