"""Fills a recovery store with any number of people, as if a job had folded their events: a million in a minute instead of an hour.

Some hundred people are folded for real. Everybody else has a copy of one of these states under an id of their own. A small flow with the
names of the real one writes the states, so the job resumes from the store as from its own. The floor resumes from it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.run import cli_main

from benchmarks.speed.engine import CallingSink, nothing, recovery_store
from benchmarks.speed.stream import People
from flows.catalogs import load_catalog
from state.catalog.plan import Plan
from state.decode import decode
from state.duration import DAY
from state.event import Event
from state.ids import Keys
from state.messages import Message
from state.person import snapshot
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person

FLOW: Final = "onboarding"
STEP: Final = "track"
"""The names of the real flow and of its keyed step, under which the engine keeps the states."""
SECRET: Final = "the secret of benchmarks"
PREFIX: Final = "u"
_TEMPLATES: Final = 300


class KeptBytes(StatefulBatchLogic[Any, Any, bytes]):
    """Logic that does nothing: its snapshot is the bytes that it was given."""

    __slots__ = ("_bytes",)

    def __init__(self, resume_state: bytes | None) -> None:
        self._bytes = resume_state if resume_state is not None else b""

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        if values[-1]:
            self._bytes = values[-1]
        return [], False

    def snapshot(self) -> bytes:
        return self._bytes


def keys() -> Keys:
    """Return the keys under which states are stored."""
    return Keys(SECRET.encode())


def templates(*, events: int, end: int, seed: int) -> list[Person]:
    """Return people after about ``events`` events each, the last of them at about ``end`` (ms). No timer is due before that."""
    people, hashing = People(users=_TEMPLATES, seed=seed, visitors=0, prefix="template"), keys()
    folding, states = Fold(Plan(load_catalog("saas")), hashing), dict[str, Person]()
    total = events * _TEMPLATES
    for number in range(total):
        at = end - 2 * DAY + number * 2 * DAY // total
        event = decode(Message(people.send(at).line, None, "seed", 0, number, at, at, 2 * number))
        assert isinstance(event, Event)
        who = hashing.stream_key(event.tenant, event.user)
        out = Collector(who)
        out.begin(event.seq)
        person = folding.apply(states.get(who), event, out)
        assert person is not None
        states[who] = person
    for who, person in states.items():  # as a job does before it is caught up; else it would begin with the timers of days
        out = Collector(who)
        out.begin(2 * total)
        folding.advance(person, end, out)
    return [states[who] for who in sorted(states)]


def states(*, users: int, events: int, end: int, seed: int, partitions: int) -> Iterator[tuple[str, bytes]]:
    """Yield the stream key and the snapshot of each of ``users`` people, whose ids begin with ``PREFIX``.

    Their timers are spread over the ``partitions`` of the source.
    """
    known, naming, hashing = templates(events=events, end=end, seed=seed), People(users=1, seed=0, prefix=PREFIX), keys()
    for user in range(users):
        name, template = naming.name(user), known[user % len(known)]
        person = msgspec.structs.replace(template, user=name, partition=user % partitions)
        yield hashing.stream_key(template.tenant, name), snapshot.encode(person)


def seed_store(directory: Path, found: Iterator[tuple[str, bytes]], *, recovery_partitions: int) -> None:
    """Write states to a new recovery store in ``directory``. It is one epoch, so that each is stored once."""
    flow = Dataflow(FLOW)
    op.output("end", op.stateful_batch(STEP, op.input("states", flow, _States(found)), KeptBytes), CallingSink(nothing))
    store = recovery_store(directory, recovery_partitions)
    cli_main(flow, epoch_interval=timedelta(days=1), recovery_config=store)  # type: ignore[no-untyped-call]


class _States(DynamicSource[tuple[str, bytes]]):
    def __init__(self, found: Iterator[tuple[str, bytes]]) -> None:
        self._found = found

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSourcePartition[tuple[str, bytes]]:  # noqa: ARG002 - the engine's signature
        return _StatesPartition(self._found)


class _StatesPartition(StatelessSourcePartition[tuple[str, bytes]]):
    def __init__(self, found: Iterator[tuple[str, bytes]]) -> None:
        self._found = found

    def next_batch(self) -> list[tuple[str, bytes]]:
        batch = list(islice(self._found, 1000))
        if not batch:
            raise StopIteration
        return batch
