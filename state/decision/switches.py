"""Switches of guidance: what operators decided for a whole tenant, and from which log time on it holds.

A switch is an event of the log (``guidance_switched``), so it has a place in the input: a replay finds it where the live run did. It holds
for what comes after it: for a later log time, and at its own log time for a later ``seq``. Whether a person may be guided is then a
question of the place in the input alone, whatever the batches were.

A log with several partitions has a copy of each switch in every partition, since each has its own log time. A partition without a copy,
like one that was added later, follows the earliest of the others. A share of people is chosen by a digest of the draw that decided about
their group: so it survives a merge, is independent of the group, and a larger share only adds people.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

import msgspec

from state.event import Event
from state.ids import uniform
from state.snapshot_codec import SnapshotCodec

PAUSED: Final = "guidance_paused"
OUTSIDE: Final = "outside_ramp"
AT_SIGNUP: Final = ("on", PAUSED, OUTSIDE)
"""What held for a person when they began, as ``Person.at_signup`` numbers it."""
MOST_KEPT: Final = 64
"""Switches of a tenant that are kept. The oldest of more become what held before all."""


class Setting(NamedTuple):
    """What holds for a tenant: whether guidance is paused, and the share of people who may be guided."""

    paused: bool = False
    share: float = 1.0

    def after(self, action: str, share: float) -> Setting:
        """What holds after a switch. A ramp does not end a pause, and a pause keeps the share."""
        return self._replace(share=share) if action == "ramp" else self._replace(paused=action == "pause")

    def reason(self, draw: float) -> str:
        """The reason code against guiding the person of this ramp draw; empty where there is none."""
        return PAUSED if self.paused else OUTSIDE if draw >= self.share else ""


NOT_SWITCHED: Final = Setting()
"""What holds for a tenant without any switch."""


Place = tuple[int, int]
"""Log time and ``seq`` in a partition."""


class Switch(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One switch. ``places``: partition → place of its copy there. ``switched_at`` is the clock of who switched."""

    id: str
    action: str
    share: float
    switched_at: int
    places: dict[int, Place]

    @property
    def earliest(self) -> int:
        """The earliest log time of all copies."""
        return min(self.places.values())[0]

    def holds_from(self, partition: int) -> Place:
        """The place in ``partition`` behind which the switch holds."""
        return self.places.get(partition) or (self.earliest + 1, 0)


class History(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The switches of one tenant, the oldest first, and what held before them. Nothing in it changes: other threads may read it."""

    tenant: str
    paused: bool = False
    share: float = 1.0
    switches: list[Switch] = []

    def take(self, event: Event) -> tuple[History, Switch] | None:
        """Take a switch, or a copy of one. Return the history with it, and the switch as it is then; None where it is known already."""
        known = next((each for each in self.switches if each.id == event.id), None)
        place = {event.partition: (event.log_time, event.seq)}
        if known is None:
            action = str(event.payload["action"])
            share = float(event.payload["share"]) if action == "ramp" else 1.0
            switch = Switch(event.id, action, share, event.timestamp, place)
        elif event.partition in known.places:
            return None
        else:
            switch = msgspec.structs.replace(known, places=known.places | place)
        switches = [*(each for each in self.switches if each is not known), switch]
        switches.sort(key=lambda each: (each.earliest, each.switched_at, each.id))
        before = Setting(self.paused, self.share)
        if len(switches) > MOST_KEPT:
            oldest = switches.pop(0)
            before = before.after(oldest.action, oldest.share)
        return History(self.tenant, before.paused, before.share, switches), switch

    def settings(self, partition: int) -> tuple[list[Place], list[Setting]]:
        """Places in ``partition`` behind which something else holds, in order, and what: one setting more than places."""
        turns = sorted((each.holds_from(partition), each.switched_at, each.id, each.action, each.share) for each in self.switches)
        settings = [Setting(self.paused, self.share)]
        for _, _, _, action, share in turns:
            settings.append(settings[-1].after(action, share))
        return [turn[0] for turn in turns], settings


HISTORY_CODEC: Final = SnapshotCodec(History, "the snapshot of switches", version=1)


class Switches:
    """The switches of all tenants in one process. One for each flow object; one thread at a time may change it, any may ask.

    It is no state: a restart fills it again from the snapshots of the step ``switches``. A question about a place has the same answer
    for ever once the messages up to it have been read.
    """

    def __init__(self) -> None:
        """Guidance is on for everybody."""
        self._known: dict[str, tuple[History, dict[int, tuple[list[Place], list[Setting]]]]] = {}
        """Tenant → its switches, and what they mean for the partitions that were asked about. Both are replaced at once."""

    def take(self, event: Event) -> None:
        """Take a switch, or a copy of one; a known one changes nothing."""
        history = self._known[event.tenant][0] if event.tenant in self._known else History(event.tenant)
        taken = history.take(event)
        if taken is not None:
            self._known[event.tenant] = taken[0], {}

    def restore(self, data: bytes) -> None:
        """Take what a snapshot holds of a tenant. Every lane has the same, so the first is enough. Raises ``SnapshotError``."""
        history = HISTORY_CODEC.decode(data)
        if history.tenant not in self._known:
            self._known[history.tenant] = history, {}

    def at(self, tenant: str, partition: int, log_time: int, seq: int) -> Setting:
        """What holds for ``tenant`` at a place in ``partition``."""
        known = self._known.get(tenant)
        if known is None:
            return NOT_SWITCHED
        history, turns = known
        found = turns.get(partition)
        if found is None:
            found = turns[partition] = history.settings(partition)
        return found[1][bisect_right(found[0], (log_time, seq))]


def ramp_draw(draw: float) -> float:
    """The draw of a person for ramps, in [0, 1), from that for their group: independent of it, and kept by whatever keeps it."""
    return uniform(b"ramp", repr(draw))
