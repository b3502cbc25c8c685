"""link: follows the merges of visitors, so that later steps meet each visitor merged into one person. Keyed by visitor, then by tenant.

A visitor may be named by a visitor, and merges come in any order. The first half, keyed by the id that a merge names, judges merges into
users by itself. The second half, keyed by tenant, takes the merges among visitors and what else concerns a visitor that takes part in one.
Only merges and deletions are keyed here. Events pass through in bundles, one for each worker (``operators/lanes.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.decode import Decoded
from operators.lanes import Lanes, is_lane
from state.event import Event
from state.messages import Tick
from state.person.arrivals import Arrival, SeenAsUser, VisitorDeleted, VisitorMerged
from state.person.chains import CHAINS_CODEC, Chains
from state.person.link import LINK_CODEC, Chaining, Link, Merging, in_input_order, seen_as_user
from state.vocabulary import USER_DELETED

AddressedArrival = tuple[str, Arrival]
AddressedEvent = tuple[str, Event]
AddressedMerging = tuple[str, Merging]
AddressedToVisitor = tuple[str, Event | VisitorMerged | VisitorDeleted | SeenAsUser]

_TENANT: Final = "tenant:"


class Linked:
    """What passes on: ``arrivals`` to ``track``, ``users`` to ``identify``, ``visitors`` to ``stitch``, ``chained`` to the second half.

    ``ticks`` go to ``timers``. Only on one worker do they take this way.
    """

    __slots__ = ("arrivals", "chained", "ticks", "users", "visitors")

    def __init__(
        self,
        arrivals: list[AddressedArrival] | None = None,
        users: list[AddressedEvent] | None = None,
        visitors: list[AddressedToVisitor] | None = None,
        ticks: list[Tick] | None = None,
    ) -> None:
        self.arrivals: list[AddressedArrival] = arrivals if arrivals is not None else []
        self.ticks: list[Tick] = ticks if ticks is not None else []
        self.users: list[AddressedEvent] = users if users is not None else []
        self.visitors: list[AddressedToVisitor] = visitors if visitors is not None else []
        self.chained: list[Chaining] = []


class VisitorIds:
    """The keys of ids that were used as visitors': an event of a user under such a key is news to the steps of visitors.

    One for each flow object, shared by the workers of this process: any thread may call it. It is no state: after a restart the visitors'
    snapshots fill it again.
    """

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, int]] = {}

    def add(self, key: str, partition: int = -1, seq: int = 0) -> None:
        """``key`` is a visitor's from the input ``seq`` of ``partition`` on."""
        if key not in self._since:
            self._since.setdefault(key, (partition, seq))

    def take(self, events: Iterable[tuple[str, Arrival | VisitorMerged]]) -> list[AddressedMerging]:
        """Return the news for keys that a user sent an event under, once for each key."""
        since, news = self._since, list[AddressedMerging]()
        if since:
            for key, event in events:
                first = since.get(key)
                if first is None or not isinstance(event, Event) or event.anonymous:
                    continue
                if first[0] == event.partition and first[1] > event.seq:  # only the inputs of one partition have an order
                    continue
                if since.pop(key, None) is not None:  # else another worker took it meanwhile
                    news.append((key, seen_as_user(event, key=key, user=event.user)))
        return news


class LinkLogic(StatefulBatchLogic[AddressedMerging | Linked, Linked, bytes]):
    """The link of one id; or a lane of other inputs, which has no state."""

    def __init__(self, ids: VisitorIds, resume_state: bytes | None) -> None:
        """Called for the first item of a key, and after a restart for every key in the recovery store."""
        self._link = LINK_CODEC.decode(resume_state) if resume_state is not None else Link()
        if self._link.key and not self._link.user:
            ids.add(self._link.key)

    @override
    def on_batch(self, values: list[AddressedMerging | Linked]) -> tuple[list[Linked], bool]:
        passed = [each for each in values if isinstance(each, Linked)]
        own = [each for each in values if not isinstance(each, Linked)]
        if not own:
            return passed, False
        own.sort(key=lambda each: in_input_order(each[1]))
        link, out = self._link, Linked()
        for key, arrival in own:
            visitors, chained = link.take(key, arrival)
            out.visitors += [(each.key if not isinstance(each, Event) else key, each) for each in visitors]
            out.chained += chained
        passed.append(out)
        return passed, not (link.into or link.chained or link.user or link.deleted_at)

    @override
    def snapshot(self) -> bytes:
        return LINK_CODEC.encode(self._link)


class ChainLogic(StatefulBatchLogic[Chaining | Linked, Linked, bytes]):
    """The chains of one tenant; or a lane of other inputs, which has no state."""

    def __init__(self, resume_state: bytes | None) -> None:
        """Called for the first item of a key, and after a restart for every key in the recovery store."""
        self._chains = CHAINS_CODEC.decode(resume_state) if resume_state is not None else Chains()

    @override
    def on_batch(self, values: list[Chaining | Linked]) -> tuple[list[Linked], bool]:
        passed = [each for each in values if isinstance(each, Linked)]
        own = sorted((each for each in values if not isinstance(each, Linked)), key=in_input_order)
        if own:
            passed.append(Linked(visitors=[(told.key, told) for each in own for told in self._chains.take(each)]))
        return passed, False

    @override
    def snapshot(self) -> bytes:
        return CHAINS_CODEC.encode(self._chains)


def link_step(step_id: str, up: Stream[Decoded], ids: VisitorIds, lanes: Lanes) -> KeyedStream[Linked]:
    """Find the person of each visitor. The other events pass in ``lanes``."""

    def route(batch: list[Decoded]) -> list[tuple[str, AddressedMerging | Linked]]:
        routed: list[tuple[str, AddressedMerging | Linked]] = []
        for decoded in batch:
            visits: list[AddressedToVisitor] = []
            deletions: list[AddressedEvent] = []
            for addressed in decoded.identity:
                key, arrival = addressed
                if isinstance(arrival, VisitorMerged):
                    ids.add(key, arrival.partition, arrival.seq)
                    routed.append((key, (key, arrival)))
                    if arrival.into_anonymous:
                        routed.append((arrival.into_key, (arrival.into_key, arrival)))
                elif not arrival.anonymous:
                    deletions.append((key, arrival))
                else:
                    ids.add(key, arrival.partition, arrival.seq)
                    if arrival.type == USER_DELETED:
                        routed.append((key, (key, arrival)))
                    else:
                        visits.append(addressed)
            if visits:
                routed += [(lane, Linked(visitors=some)) for lane, some in lanes.bundles(visits)]
            if decoded.ticks and lanes.workers == 1:
                routed.append((lanes.of(""), Linked(ticks=decoded.ticks)))
            # A deletion stays among the events of its user, and goes to the user's identity beside.
            events = sorted([*decoded.events, *deletions], key=_by_seq) if deletions else decoded.events
            to_identity = dict(lanes.bundles(deletions))
            for lane, arrivals in lanes.bundles(events):
                routed.append((lane, Linked(arrivals, to_identity.get(lane))))  # type: ignore[arg-type]
            for news in (*ids.take(decoded.events), *ids.take(decoded.identity)):
                routed.append((news[0], news))
        return routed

    def gather(batch: list[tuple[str, Linked]]) -> list[tuple[str, Chaining | Linked]]:
        routed: list[tuple[str, Chaining | Linked]] = []
        for key, linked in batch:
            routed += [(f"{_TENANT}{each.tenant}", each) for each in linked.chained]
            if is_lane(key):
                routed.append((key, linked))
            elif linked.visitors:
                routed.append((lanes.of(key), linked))
        return routed

    links = op.stateful_batch(
        f"{step_id}_ids", op.flat_map_batch(f"{step_id}_route", up, route), lambda resume_state: LinkLogic(ids, resume_state)
    )
    return op.stateful_batch(f"{step_id}_chains", op.flat_map_batch(f"{step_id}_gather", links, gather), ChainLogic)


def _by_seq(addressed: AddressedEvent) -> int:
    return addressed[1].seq
