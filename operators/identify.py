"""identify: assigns events of merged visitors to their user, and sends a user's deletion to their visitors. Keyed by user.

Only inputs that concern the identity of a user are keyed here. All others pass through in bundles, as in ``stitch``.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.stitch import AddressedArrival, AddressedToUser, Stitched, bundles
from state.ids import Keys
from state.person.arrivals import VisitorDeleted, VisitorMerged
from state.person.identity import Identity
from state.person.identity import decode as decode_identity
from state.person.identity import encode as encode_identity


class IdentityLogic(StatefulBatchLogic[AddressedToUser | list[AddressedArrival], list[AddressedArrival], bytes]):
    """One user with merged visitors or a deletion; or a lane of other arrivals, which has no state."""

    def __init__(self, keys: Keys, resume_state: bytes | None) -> None:
        """Called for the first item of a key, and after a restart for every key in the recovery store."""
        self._keys = keys
        self._identity = decode_identity(resume_state) if resume_state is not None else Identity()

    @override
    def on_batch(self, values: list[AddressedToUser | list[AddressedArrival]]) -> tuple[list[list[AddressedArrival]], bool]:
        identity, passed, out = self._identity, list[list[AddressedArrival]](), list[AddressedArrival]()
        too_late = set[tuple[int, int]]()
        for value in values:
            if isinstance(value, list):
                passed.append(value)
                continue
            key, arrival = value
            deleted: list[VisitorDeleted] = []
            if isinstance(arrival, VisitorMerged):
                deleted = identity.merge(arrival)
                if deleted:
                    too_late.add((arrival.partition, arrival.seq))
            elif arrival.from_visitor:  # follows its merge in the same batch
                if (arrival.partition, arrival.seq) not in too_late:
                    out.append((key, arrival))
            else:
                if arrival.anonymous:
                    out.append((key, identity.own(arrival)))
                if arrival.type == "user_deleted":
                    deleted = identity.delete(arrival, key)
            out += [(self._keys.stream_key(each.tenant, each.user), each) for each in deleted]
        if out:
            passed.append(out)
        return passed, False

    @override
    def snapshot(self) -> bytes:
        return encode_identity(self._identity)


def identify_step(step_id: str, up: KeyedStream[Stitched], keys: Keys, lanes: int) -> KeyedStream[list[AddressedArrival]]:
    """Resolve merged visitors and distribute deletions. ``lanes`` as in ``stitch``."""

    def route(batch: list[tuple[str, Stitched]]) -> list[tuple[str, AddressedToUser | list[AddressedArrival]]]:
        routed: list[tuple[str, AddressedToUser | list[AddressedArrival]]] = []
        arrivals: list[AddressedArrival] = []
        for _, stitched in batch:
            arrivals = arrivals + stitched.arrivals if arrivals else stitched.arrivals
            routed += [(addressed[0], addressed) for addressed in stitched.users]
        if arrivals:
            routed += bundles(arrivals, lanes)
        return routed

    routed = op.flat_map_batch(f"{step_id}_route", up, route)
    return op.stateful_batch(step_id, routed, lambda resume_state: IdentityLogic(keys, resume_state))
