"""decode: decodes messages to events with their stream keys, and rejected messages to dead letters."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream

from state import counters
from state.catalog.by_tenant import Plans, takes
from state.counters import CounterTotals
from state.decision.switches import Switches
from state.decode import decode, rejected
from state.event import Event
from state.event_contract import REJECTIONS, UNKNOWN_TENANT
from state.ids import Keys
from state.messages import Message, Tick
from state.person.arrivals import VisitorMerged, merge_by
from state.person.chains import REFUSED_CIRCULAR
from state.records.dead_letter import DeadLetter
from state.records.fact_builders import dead_letter_fact
from state.records.facts import Fact
from state.vocabulary import IDENTITY_MERGED, SWITCHED, USER_DELETED

Addressed = tuple[str, Event]


class Decoded:
    """One batch of the source, sorted by destination, each kind in input order.

    ``events`` are those of users, under their keys. ``identity`` holds the inputs of ``link``: events of anonymous visitors and
    ``VisitorMerged`` under the visitor's key, ``user_deleted`` under the user's. ``switches`` concern a tenant and no user.
    """

    __slots__ = ("counts", "events", "identity", "rejected", "switches", "ticks")

    def __init__(self) -> None:
        self.events: list[Addressed] = []
        self.identity: list[tuple[str, Event | VisitorMerged]] = []
        self.rejected: list[DeadLetter] = []
        self.switches: list[Event] = []
        self.ticks: list[Tick] = []
        self.counts: CounterTotals = {}

    @property
    def rows(self) -> list[Fact]:
        """The rows of the batch itself: its dead letters."""
        return [dead_letter_fact(letter) for letter in self.rejected]


class Decoder:
    """Decodes batches and computes the key of each event. Switches of guidance are in ``switches`` when the batch goes on."""

    def __init__(self, keys: Keys, switches: Switches | None = None, plans: Plans | None = None) -> None:
        """``plans``: events of tenants without a catalog are rejected, except deletions. None: every tenant has one."""
        self._keys, self._switches = keys, switches or Switches()
        self._plans = None if plans is None or plans.everybody else plans

    def __call__(self, batch: list[Message | Tick]) -> list[Decoded]:
        """Decode one batch. Raises for no message content."""
        out, key_of, plans = Decoded(), self._keys.stream_key, self._plans
        for item in batch:
            if type(item) is Tick:
                out.ticks.append(item)
                continue
            decoded = decode(item)  # type: ignore[arg-type]
            if plans is not None and type(decoded) is Event and not takes(plans, decoded):
                decoded = rejected(item, UNKNOWN_TENANT, REJECTIONS[UNKNOWN_TENANT])  # type: ignore[arg-type]
            if type(decoded) is DeadLetter:
                out.rejected.append(decoded)
                counters.increment(out.counts, counters.MESSAGES_REJECTED, decoded.reason)
                continue
            event: Event = decoded  # type: ignore[assignment]
            if event.type == SWITCHED:
                self._switches.take(event)
                out.switches.append(event)
                continue
            addressed = key_of(event.tenant, event.user), event
            if event.anonymous or event.type == USER_DELETED:
                out.identity.append(addressed)
            else:
                out.events.append(addressed)
            if event.type == IDENTITY_MERGED:
                self._merge(event, addressed[0], out)
        if read := len(batch) - len(out.ticks) - len(out.switches):
            out.counts[counters.MESSAGES_READ.name] = read
        return [out]

    def _merge(self, event: Event, into_key: str, out: Decoded) -> None:
        """Add the merge for the visitor that the event names."""
        visitor = str(event.payload["previousId"])
        if visitor == event.user:
            counters.increment(out.counts, counters.EVENTS_IGNORED, REFUSED_CIRCULAR)
            return
        key = self._keys.stream_key(event.tenant, visitor)
        out.identity.append((key, merge_by(event, visitor, key=key, into_key=into_key)))


def decode_step(step_id: str, up: Stream[Message | Tick], keys: Keys, switches: Switches, plans: Plans) -> Stream[Decoded]:
    """Decode ``up``: one ``Decoded`` for each batch of the source."""
    return op.flat_map_batch(step_id, up, Decoder(keys, switches, plans))
