"""The population: the three calls of the protocol, in-process. ``__main__`` wraps them in JSON lines."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from population.bots import Bot
from population.clock import MINUTE
from population.product import Product
from population.simulated_person import Record, SimulatedPerson
from population.transport import Transport
from population.world import World

SLOT_MS: Final = 5 * MINUTE
"""The reaction time of an app, which reads records between slots."""


class Begin(msgspec.Struct, rename="camel"):
    """The ``begin`` line. ``first`` is the number of the first person: the same world has other people from another number on."""

    protocol: Literal[1]
    scenario: str
    seed: int
    users: int
    start: int
    end: int
    product: Product
    tenant: str = "default"
    first: int = 0


class Population:
    """One run. Call ``begin``, then ``advance`` from slot to slot, then ``finish``.

    All raise ``ValueError`` (``msgspec.ValidationError`` is one) with one sentence about the invalid argument.
    """

    def __init__(self, slot_ms: int = SLOT_MS) -> None:
        self.slot_ms = slot_ms
        self._world: World | None = None
        self._accounts: list[SimulatedPerson | Bot] = []
        self._transport = Transport(messy=False)
        self._accounts_in_slot: dict[int, list[SimulatedPerson | Bot]] = {}
        self._slots: list[int] = []
        self._earliest = 0

    def begin(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Create the world and its people; return the ``ready`` line."""
        begin = msgspec.convert(dict(line), Begin)
        if min(begin.users, begin.first) < 0 or begin.end <= begin.start:
            raise ValueError("users and first must not be negative and end must be after start")
        world = World(begin.product, begin.scenario, begin.seed, begin.start, begin.end)
        messy = world.scenario.messy
        self._world, self._earliest, self._transport = world, begin.start, Transport(messy=messy)
        beyond = begin.first + begin.users
        self._accounts = [SimulatedPerson(world, world.person(number), begin.tenant, messy=messy) for number in range(begin.first, beyond)]
        bots = round(begin.users * world.scenario.bots)
        self._accounts += [Bot(world, beyond + number, begin.tenant, messy=messy) for number in range(bots)]
        for account in self._accounts:
            self._schedule(account)
        return {"type": "ready", "protocol": 1, "name": "onramp population", "slotMs": self.slot_ms}

    def advance(
        self, at: int, until: int, recommendations: Mapping[str, bytes | dict[str, Any] | None]
    ) -> tuple[list[tuple[int, bytes]], list[str], int | None]:
        """Simulate the slot from ``at`` to ``until``. Return the events that arrive in it (time, event), the users whose app is open in the
        next slot, and the time when that slot begins (None: no more events).
        """
        world = self._required_world()
        place, off = divmod(at - world.start, self.slot_ms)
        if off or until - at != self.slot_ms:
            raise ValueError(f"advance from {at} to {until} is not one slot of {self.slot_ms} ms")
        if at < self._earliest or (self._slots and self._slots[0] < place):
            raise ValueError(f"advance to {at} leaves out or repeats a slot")
        self._earliest = until
        transport = self._transport
        transport.open(until)
        if self._slots and self._slots[0] == place:
            heapq.heappop(self._slots)
            for account in self._accounts_in_slot.pop(place):
                record = recommendations.get(account.user_id) if account.reads else None
                account.advance(min(until, world.end), None if record is None else _record(record), transport)
                self._schedule(account)
        return transport.close(), *self._next(until)

    def finish(self) -> Iterator[dict[str, Any]]:
        """Yield the sealed truth, line by line."""
        world = self._required_world()
        for account in self._accounts:
            yield msgspec.to_builtins(account.truth())
        yield {"type": "world", "horizons": world.horizons(), "prior": world.effects.sizes.prior(), "changedAt": world.changed_at}
        yield {"type": "done", "people": len(self._accounts)}

    def _required_world(self) -> World:
        if self._world is None:
            raise ValueError("the first line must be begin")
        return self._world

    def _schedule(self, account: SimulatedPerson | Bot) -> None:
        world = self._required_world()
        if account.next_at is None or account.next_at >= world.end:
            return
        place = (account.next_at - world.start) // self.slot_ms
        if place not in self._accounts_in_slot:
            self._accounts_in_slot[place] = []
            heapq.heappush(self._slots, place)
        self._accounts_in_slot[place].append(account)

    def _next(self, until: int) -> tuple[list[str], int | None]:
        world = self._required_world()
        place = self._slots[0] if self._slots else None
        arrives = self._transport.next_at
        if arrives is not None and arrives < world.end:
            arrival = (max(arrives, until) - world.start) // self.slot_ms
            if place is None or arrival < place:
                return [], world.start + arrival * self.slot_ms
        if place is None:
            return [], None
        return [account.user_id for account in self._accounts_in_slot[place] if account.reads], world.start + place * self.slot_ms


_decoder: Final = msgspec.json.Decoder(Record)


def _record(record: bytes | dict[str, Any]) -> Record:
    return _decoder.decode(record) if isinstance(record, bytes) else msgspec.convert(record, Record)
