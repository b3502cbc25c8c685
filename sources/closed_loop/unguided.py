"""Runs a population without guidance."""

from __future__ import annotations

from collections.abc import Iterator

from sources.closed_loop.protocol import Begin, Population, Slot


def unguided(population: Population, begin: Begin) -> Iterator[Slot]:
    """Run ``population`` without any recommendation, and yield its slots. ``population.finish`` returns the true values afterwards.

    Blocks for each answer. Raises what ``population`` raises.
    """
    slot_ms = population.begin(begin)
    at: int | None = begin.start
    reads: list[str] = []
    while at is not None and at < begin.end:
        slot = population.advance(at, at + slot_ms, dict.fromkeys(reads))
        yield slot
        at, reads = slot.next, slot.reads
