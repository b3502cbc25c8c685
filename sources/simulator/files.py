"""Simulations on disk: events and truth as JSON lines, gzipped where the name ends in ``.gz``, standard output for ``-``."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from sources.simulator.run import START, simulate
from sources.simulator.truth import Truth
from state.catalog.model import Catalog


class Written(msgspec.Struct, frozen=True):
    """What ``write`` wrote: people, lines of events (duplicates counted), people who activated, episodes of being stuck by cause."""

    users: int
    events: int
    activated: int
    stuck: dict[str, int]


def write(
    catalog: Catalog,
    users: int,
    days: int,
    seed: int,
    out: str | Path,
    truth: str | Path | None = None,
    start_ms: int = START,
    *,
    tenant: str = "default",
    messy: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write a simulation's events to ``out`` and its truth to ``truth``. For the arguments see ``simulate``. Raises ``OSError``."""
    activated, stuck, events = 0, dict[str, int](), 0
    with ExitStack() as files:
        events_file = files.enter_context(_writable(out))
        truth_file = files.enter_context(_writable(truth)) if truth is not None else None

        def keep(person: Truth) -> None:
            nonlocal activated
            activated += person.activated_at is not None
            for episode in person.stuck:
                stuck[episode.cause] = stuck.get(episode.cause, 0) + 1
            if truth_file is not None:
                truth_file.write(msgspec.json.encode(person) + b"\n")

        for line in simulate(catalog, users, days, seed, start_ms, tenant=tenant, messy=messy, on_truth=keep, progress=progress):
            events_file.write(line + b"\n")
            events += 1
    return Written(users, events, activated, dict(sorted(stuck.items())))


def read_truth(path: str | Path) -> Iterator[Truth]:
    """Yield the people of a truth file that ``write`` wrote."""
    decoder = msgspec.json.Decoder(Truth)
    with gzip.open(path) if str(path).endswith(".gz") else Path(path).open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)


@contextmanager
def _writable(target: str | Path) -> Iterator[BinaryIO]:
    if str(target) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with Path(target).open("wb") as plain:
        if str(target).endswith(".gz"):  # no name and no time in the header: the same arguments give the same bytes
            with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0, compresslevel=5) as packed:
                yield cast(BinaryIO, packed)
        else:
            yield plain
