"""stitch: a visitor's events before signing in count for the user into whom the visitor is merged. Keyed by visitor.

Only inputs that concern visitors are keyed here. All others pass through in bundles, one for each lane, so that on one worker a batch
reaches ``track`` as a whole, where each person's arrivals are sorted into input order.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.decode import Decoded
from state.catalog.plan import Plan
from state.events import Event
from state.person.arrivals import Arrival, VisitorMerged
from state.person.visitor import Stitcher, Visitor
from state.person.visitor import decode as decode_visitor
from state.person.visitor import encode as encode_visitor

AddressedArrival = tuple[str, Arrival]
AddressedToUser = tuple[str, Event | VisitorMerged]


class Stitched:
    """Arrivals for ``track``. ``users`` concern the identity of a user and pass through ``identify``."""

    __slots__ = ("arrivals", "users")

    def __init__(self, arrivals: list[AddressedArrival] | None = None, users: list[AddressedToUser] | None = None) -> None:
        self.arrivals: list[AddressedArrival] = arrivals if arrivals is not None else []
        self.users: list[AddressedToUser] = users if users is not None else []


class StitchLogic(StatefulBatchLogic[AddressedToUser | Stitched, Stitched, bytes]):
    """One visitor; or a lane of other arrivals, which has no state."""

    def __init__(self, stitcher: Stitcher, resume_state: bytes | None) -> None:
        """Called for the first item of a key, and after a restart for every key in the recovery store."""
        self._stitcher = stitcher
        self._visitor = decode_visitor(resume_state) if resume_state is not None else Visitor()

    @override
    def on_batch(self, values: list[AddressedToUser | Stitched]) -> tuple[list[Stitched], bool]:
        visitor, out, passed = self._visitor, Stitched(), list[Stitched]()
        for value in values:
            if isinstance(value, Stitched):
                passed.append(value)
                continue
            key, arrival = value
            if isinstance(arrival, VisitorMerged):
                out.arrivals.append((key, arrival))
                handed_on = self._stitcher.merge(visitor, arrival)
                if visitor.into == arrival.into_key:
                    out.users.append((arrival.into_key, arrival))
                    out.users += [(arrival.into_key, event) for event in handed_on]
            elif visitor.into:
                out.users.append((visitor.into, arrival))
            else:
                self._stitcher.keep(visitor, arrival)
                out.arrivals.append((key, arrival))
        if out.arrivals or out.users:
            passed.append(out)
        return passed, False

    @override
    def snapshot(self) -> bytes:
        return encode_visitor(self._visitor)


def stitch_logic(plan: Plan) -> Callable[[bytes | None], StitchLogic]:
    """Builder for ``stateful_batch``."""
    stitcher = Stitcher(plan)
    return lambda resume_state: StitchLogic(stitcher, resume_state)


def bundles(arrivals: list[AddressedArrival], lanes: int) -> list[tuple[str, list[AddressedArrival]]]:
    """Split a batch over ``lanes`` by key, so that the arrivals of one person stay in order. One lane takes the whole batch."""
    if lanes == 1:
        return [("lane 0", arrivals)]
    split: defaultdict[str, list[AddressedArrival]] = defaultdict(list)
    for addressed in arrivals:
        split[f"lane {zlib.crc32(addressed[0].encode()) % lanes}"].append(addressed)
    return list(split.items())


def stitch_step(step_id: str, up: Stream[Decoded], plan: Plan, lanes: int) -> KeyedStream[Stitched]:
    """Join visitors with the users they become. ``lanes``: number of keys over which the other events are spread; 1 for one worker."""

    def route(batch: list[Decoded]) -> list[tuple[str, AddressedToUser | Stitched]]:
        routed: list[tuple[str, AddressedToUser | Stitched]] = []
        for decoded in batch:
            if decoded.events:
                routed += [(lane, Stitched(arrivals)) for lane, arrivals in bundles(decoded.events, lanes)]  # type: ignore[arg-type]
            for addressed in decoded.identity:
                key, arrival = addressed
                if isinstance(arrival, VisitorMerged) or arrival.anonymous:
                    routed.append((key, addressed))
                else:
                    # A deletion stays among the events of its user, and goes to the user's identity beside.
                    lane = bundles([addressed], lanes)[0][0]
                    routed.append((lane, Stitched([addressed], [addressed])))
        return routed

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_route", up, route), stitch_logic(plan))
