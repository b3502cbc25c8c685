"""identify: assigns events of merged visitors to their user, and sends merges and a user's deletion to their visitors. Keyed by user.

Only inputs that concern the identity of a user are keyed here. All others pass through in bundles, as in ``stitch``.
"""

from __future__ import annotations

from operator import itemgetter

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.lanes import Lanes
from operators.link import AddressedArrival
from operators.stitch import AddressedToUser, Stitched
from state.event import Event
from state.messages import Tick
from state.person.arrivals import SeenAsUser, VisitorMerged, merge_by
from state.person.identity import IDENTITY_CODEC, Identity
from state.vocabulary import USER_DELETED

Identified = list[AddressedArrival] | list[Tick]
"""What passes on: arrivals of people, or ticks."""


class IdentityLogic(StatefulBatchLogic[AddressedToUser | Identified, Identified, bytes]):
    """One user with merged visitors or a deletion; or a lane of other arrivals, which has no state."""

    def __init__(self, resume_state: bytes | None) -> None:
        """Called for the first item of a key, and after a restart for every key in the recovery store."""
        self._identity = IDENTITY_CODEC.decode(resume_state) if resume_state is not None else Identity()

    @override
    def on_batch(self, values: list[AddressedToUser | Identified]) -> tuple[list[Identified], bool]:
        passed = [each for each in values if isinstance(each, list)]
        own = [each for each in values if not isinstance(each, list)]
        if not own:
            return passed, False
        identity, out = self._identity, list[AddressedArrival]()
        for key, arrival, visitor in _in_order(own):
            if isinstance(arrival, VisitorMerged):
                out += [(visitor, each) for each in identity.merge(arrival)]
            elif isinstance(arrival, SeenAsUser):
                identity.leave(arrival)
            elif arrival.from_visitor:  # follows its merge, which may have been too late or refused
                if arrival.anonymous:
                    out.append((key, arrival))
                elif visitor in identity.visitors:
                    out.append((key, identity.own(arrival, visitor)))
            elif arrival.anonymous and not identity.has(visitor):
                out.append((visitor, arrival))
            else:
                if arrival.anonymous:
                    event = identity.own(arrival, visitor)
                    if event.recorded_as:  # the merge may not have named the visitor, whose rows a deletion must find
                        out.append((visitor, merge_by(event, event.recorded_as, key=visitor, into_key=key)))
                    out.append((key, event))
                if arrival.type == USER_DELETED:
                    out += [(each.key, each) for each in identity.delete(arrival, key)]
        if out:
            passed.append(out)
        return passed, identity == Identity()

    @override
    def snapshot(self) -> bytes:
        return IDENTITY_CODEC.encode(self._identity)


def identify_step(step_id: str, up: KeyedStream[Stitched], lanes: Lanes) -> KeyedStream[Identified]:
    """Resolve merged visitors and distribute deletions. ``lanes`` as in ``link``."""

    def route(batch: list[tuple[str, Stitched]]) -> list[tuple[str, AddressedToUser | Identified]]:
        routed: list[tuple[str, AddressedToUser | Identified]] = []
        arrivals: list[AddressedArrival] = []
        for lane, stitched in batch:
            if stitched.ticks:
                routed.append((lane, stitched.ticks))
            arrivals = arrivals + stitched.arrivals if arrivals else stitched.arrivals
            routed += [(addressed[0], addressed) for addressed in stitched.users]
        routed += lanes.bundles(arrivals)
        return routed

    routed = op.flat_map_batch(f"{step_id}_route", up, route)
    return op.stateful_batch(step_id, routed, IdentityLogic)


def _in_order(own: list[AddressedToUser]) -> list[AddressedToUser]:
    """Sort by input. Of one input the merges come first, then what visitors hand on, by event time: several may be merged by one.

    A visitor and its user may be in two partitions, whose numbers have no order. ``stitch`` sends a visitor's events after the merge, and
    so they stay after it.
    """
    merged: dict[str, int] = {}
    placed: list[tuple[tuple[int, int, int, str], AddressedToUser]] = []
    for addressed in own:
        _, arrival, visitor = addressed
        seq = max(arrival.seq, merged.get(visitor, 0))
        if isinstance(arrival, VisitorMerged):
            merged[visitor] = seq
        placed.append(((seq, 1, arrival.timestamp, arrival.id) if isinstance(arrival, Event) else (seq, 0, 0, arrival.key), addressed))
    placed.sort(key=itemgetter(0))
    return [addressed for _, addressed in placed]
