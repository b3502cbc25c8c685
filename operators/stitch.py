"""stitch: a visitor's events before signing in count for the person into whom the visitor is merged. Keyed by visitor.

Only inputs that concern visitors are keyed here. All others pass through in bundles, one for each lane, so that on one worker a batch
reaches ``track`` as a whole, where each person's arrivals are sorted into input order.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

import bytewax.operators as op
import msgspec
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.link import AddressedArrival, AddressedToVisitor, Linked, VisitorIds
from state.catalog.by_tenant import ByTenant, Plans
from state.event import Event
from state.messages import Tick
from state.person.arrivals import SeenAsUser, VisitorDeleted, VisitorMerged, input_numbers, merge_by
from state.person.link import visitor_deleted
from state.person.visitor import VISITOR_CODEC, Stitcher, Visitor
from state.vocabulary import USER_DELETED

AddressedToUser = tuple[str, Event | VisitorMerged | SeenAsUser, str]
"""The user's key, what concerns their identity, and the key of the visitor from whom it comes; empty where it is the user's own."""


class Stitched:
    """Arrivals for ``track``, and ticks. ``users`` concern the identity of a user and pass through ``identify``."""

    __slots__ = ("arrivals", "ticks", "users")

    def __init__(
        self,
        arrivals: list[AddressedArrival] | None = None,
        users: list[AddressedToUser] | None = None,
        ticks: list[Tick] | None = None,
    ) -> None:
        self.arrivals: list[AddressedArrival] = arrivals if arrivals is not None else []
        self.ticks: list[Tick] = ticks if ticks is not None else []
        self.users: list[AddressedToUser] = users if users is not None else []


class StitchLogic(StatefulBatchLogic[AddressedToVisitor | Stitched, Stitched, bytes]):
    """One visitor; or a lane of other arrivals, which has no state."""

    def __init__(self, stitchers: ByTenant[Stitcher], ids: VisitorIds, resume_state: bytes | None) -> None:
        """Called for the first item of a key, and after a restart for every key in the recovery store."""
        self._stitchers = stitchers
        self._visitor = VISITOR_CODEC.decode(resume_state) if resume_state is not None else Visitor()
        if self._visitor.key:
            ids.add(self._visitor.key)

    @override
    def on_batch(self, values: list[AddressedToVisitor | Stitched]) -> tuple[list[Stitched], bool]:
        passed = [each for each in values if isinstance(each, Stitched)]
        own = [each for each in values if not isinstance(each, Stitched)]
        if own:
            if len(own) > 1:
                own = _in_order(own)  # merges of chained visitors take another way than events
            self._visitor.key, out = own[0][0], Stitched()
            for key, arrival in own:
                self._take(key, arrival, out)
            passed.append(out)
        return passed, False

    def _take(self, key: str, arrival: Event | VisitorMerged | VisitorDeleted | SeenAsUser, out: Stitched) -> None:
        visitor = self._visitor
        if isinstance(arrival, VisitorMerged):
            if visitor.into and visitor.settled and arrival.into_anonymous and not arrival.refused:
                return  # with several workers one among visitors may come behind the one into the user, which holds
            handed_on = [] if arrival.refused else self._stitchers.of(arrival.tenant).merge(visitor, arrival)
            if arrival.refused or not visitor.settled:
                out.arrivals.append((key, arrival))
            else:  # identify passes it on, unless it refuses it
                out.users.append((visitor.into, arrival, key))
            out.users += [(visitor.into, event, key) for event in handed_on]
        elif isinstance(arrival, SeenAsUser):
            if visitor.into and visitor.settled:
                out.users.append((visitor.into, arrival, key))
            visitor.leave()
        elif isinstance(arrival, VisitorDeleted):
            visitor.delete(arrival.timestamp)
            out.arrivals.append((key, arrival))
        elif visitor.into and arrival.timestamp <= visitor.deleted_at:
            out.arrivals.append((key, arrival))  # it is of whom was deleted, also a repeated deletion: nothing to whom it is now
        else:
            self._take_event(key, arrival, out)

    def _take_event(self, key: str, event: Event, out: Stitched) -> None:
        visitor = self._visitor
        self._stitchers.of(event.tenant).keep(visitor, event)
        if not visitor.into:
            out.arrivals.append((key, event))
            if event.type == USER_DELETED:  # where the id is a user's, it has visitors
                out.users.append((key, msgspec.structs.replace(event, anonymous=False), ""))
            return
        if visitor.settled:
            out.users.append((visitor.into, visitor.sent(event), key))
        elif event.type == USER_DELETED:  # the chains tell the others who were the same person by then
            out.arrivals.append((key, visitor_deleted(event, event.timestamp, key=key, into_key=visitor.into)))
        else:  # the person under the key, another visitor, knows its id
            sent = msgspec.structs.replace(visitor.sent(event), user="")
            if sent.recorded_as:  # with several workers the merge may not have named the visitor, whose rows a deletion must find
                out.arrivals.append((key, merge_by(sent, sent.recorded_as, key=key, into_key=visitor.into)))
            out.arrivals.append((visitor.into, sent))

    @override
    def snapshot(self) -> bytes:
        return VISITOR_CODEC.encode(self._visitor)


def stitch_logic(plans: Plans, ids: VisitorIds) -> Callable[[bytes | None], StitchLogic]:
    """Builder for ``stateful_batch``. ``ids`` learns the keys of the visitors in the recovery store."""
    stitchers = plans.map(Stitcher)
    return lambda resume_state: StitchLogic(stitchers, ids, resume_state)


def stitch_step(step_id: str, up: KeyedStream[Linked], plans: Plans, ids: VisitorIds) -> KeyedStream[Stitched]:
    """Join visitors with the persons they become."""

    def route(batch: list[tuple[str, Linked]]) -> list[tuple[str, AddressedToVisitor | Stitched]]:
        routed: list[tuple[str, AddressedToVisitor | Stitched]] = []
        for lane, linked in batch:
            if linked.arrivals or linked.users or linked.ticks:
                routed.append((lane, Stitched(linked.arrivals, [(key, event, "") for key, event in linked.users], linked.ticks)))
            routed += [(addressed[0], addressed) for addressed in linked.visitors]
        return routed

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_route", up, route), stitch_logic(plans, ids))


def _in_order(own: list[AddressedToVisitor]) -> list[AddressedToVisitor]:
    """Sort by input. Of one input an event comes before the merge."""
    numbers = input_numbers(arrival for _, arrival in own)
    placed = [(number, type(addressed[1]) is not Event, addressed) for number, addressed in zip(numbers, own, strict=True)]
    placed.sort(key=itemgetter(0, 1))
    return [addressed for _, _, addressed in placed]
