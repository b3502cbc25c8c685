"""track: the fold, keyed by person. Emits one ``Collector`` for each person and batch."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from sys import intern

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.awake import AwakePeople
from operators.timer_registry import TimerRegistry
from state import counters
from state.catalog.by_tenant import ByTenant, Plans
from state.counters import CounterTotals
from state.decision.messages import DecisionOutcome, DecisionRequest
from state.decision.switches import Switches
from state.event import Event
from state.ids import Keys
from state.person import snapshot
from state.person.arrivals import Arrival, GuidanceSwitched, TimerDue, VisitorDeleted, VisitorMerged, input_numbers
from state.person.collector import Collector, Row
from state.person.fold import Fold
from state.person.person import Person
from state.person.snapshot import NextTimer
from state.records.recommendation import Effect
from state.stuck.observations import EpisodeObservation
from state.stuck.parameters import ParameterStore


def _input_order(arrival: Arrival) -> int:
    """The order of the input. Of one place first an event, then the merge of its visitor, and what is handed on with it."""
    return 2 * arrival.seq + (type(arrival) is not Event or arrival.from_visitor)


def _sort_with_merges(values: list[Arrival]) -> None:
    """Sort by input, but let what concerns a merge be in its order, whose numbers may be of another partition."""
    placed = [(number, _input_order(each) % 2, each) for number, each in zip(input_numbers(values), values, strict=True)]
    placed.sort(key=itemgetter(0, 1))
    values[:] = [each for _, _, each in placed]
    _put_before_merge(values)


def _put_before_merge(values: list[Arrival]) -> None:
    """Let what a visitor sent come before the merge: it comes under the visitor's key, so that ``stitch`` met it before, and handed it on.

    Its number may be greater: it may be of another partition, and merges among visitors take another way.
    """
    place = next(place for place, each in enumerate(values) if type(each) is VisitorMerged)
    sent, others = list[Arrival](), list[Arrival]()
    for at in range(place, len(values)):
        each = values[at]
        if type(each) is Event and not (each.anonymous or each.from_visitor):  # the id is a user's, and was left by the other one
            others += values[at:]
            break
        (sent if type(each) is Event and not each.from_visitor else others).append(each)
    values[place:] = sent + others


class Tracked:
    """What the fold emitted for all people of a batch, sorted by destination."""

    __slots__ = ("counts", "effects", "met", "observations", "outcomes", "requests", "rows")

    def __init__(self) -> None:
        self.requests: list[DecisionRequest] = []
        self.outcomes: list[DecisionOutcome] = []
        self.observations: list[EpisodeObservation] = []
        self.effects: list[Effect] = []
        self.rows: list[Row] = []
        self.met: dict[str, None] = {}
        """Tenants of whom somebody met the catalog in force for the first time. A deletion is of any, also of one without a catalog."""
        self.counts: CounterTotals = {}

    def add(self, out: Collector) -> None:
        """Add the outputs of one person."""
        self.rows += out.rows
        if out.requests:
            self.requests += out.requests
        if out.outcomes:
            self.outcomes += out.outcomes
        if out.observations:
            self.observations += out.observations
        if out.effects:
            self.effects += out.effects
        if out.met:
            self.met[out.met] = None
        counters.add(self.counts, out.counts)


class TrackLogic(StatefulBatchLogic[Arrival, Collector, bytes]):
    """One person in the dataflow. ``state/person/snapshot.py`` defines the snapshot.

    ``_person`` is the person awake, ``_encoded`` the snapshot where nothing has changed since. At rest there is only the latter. The timer
    ``_armed`` is in the wheel for the partition ``_armed_in``, and those ``_left_in`` other partitions, where the person was before, too.
    Events are ``_waiting`` for the person's id, which an event or a merge brings. A snapshot has them too.
    """

    _waiting: list[Event] | None = None  # nearly nobody has one of their own

    def __init__(self, folds: ByTenant[Fold], keys: Keys, timers: TimerRegistry, awake: AwakePeople, resume_state: bytes | None) -> None:
        """Called for the first arrival of a key, and after a restart for every key in the recovery store."""
        self._folds, self._keys, self._timers, self._awake = folds, keys, timers, awake
        self._person: Person | None = None
        self._encoded = resume_state
        self._key = ""
        self._armed, self._armed_in = 0, 0
        self._left_in: dict[int, int] | None = None
        if resume_state is not None:
            self._arm_again(snapshot.next_timer(resume_state))
            if waiting := snapshot.waiting(resume_state):
                self._waiting = waiting

    @override
    def on_batch(self, values: list[Arrival]) -> tuple[list[Collector], bool]:
        if len(values) > 1:
            if VisitorMerged in map(type, values):  # events of visitors and timers arrive by other ways than the rest
                _sort_with_merges(values)
            else:
                values.sort(key=_input_order)
        out = Collector(self._key)
        person = self._person
        if person is None and self._encoded is not None:
            person = self._person = snapshot.decode(self._encoded)
        self._encoded = None
        fold = self._folds.of(person.tenant if person is not None and person.tenant else _tenant_of(values))
        for value in values:
            kind = type(value)
            if kind is TimerDue:
                if person is None:
                    continue
                out.begin(value.seq)
                fold.due(person, value, out)  # type: ignore[arg-type]
                self._fired(value)  # type: ignore[arg-type]
            elif kind is GuidanceSwitched:
                if person is not None:
                    out.begin(value.seq)
                    fold.switched(person, value, out)  # type: ignore[arg-type]
            else:
                if not self._key:
                    out.key = self._find_key(value)  # type: ignore[arg-type]
                if kind is Event:
                    out.begin(value.seq, value.traceparent)  # type: ignore[union-attr]
                    person = fold.apply(person, value, out)  # type: ignore[arg-type]
                elif kind is VisitorMerged:
                    out.begin(value.seq)
                    person = fold.merge(person, value, out)  # type: ignore[arg-type]
                elif kind is VisitorDeleted:
                    out.begin(value.seq)
                    person = fold.merged_user_deleted(person, value, out)  # type: ignore[arg-type]
        if out.waiting is not None or self._waiting is not None:
            person = self._apply_waiting(fold, person, out)
        self._person = person
        if person is None:
            return ([out] if out else []), True
        self._arm(person)
        self._awake.active(self)
        return ([out] if out else []), False

    @override
    def snapshot(self) -> bytes:
        if self._encoded is None:
            assert self._person is not None, "a key without a person is discarded"
            self._encoded = snapshot.encode(self._person)
            if self._waiting is not None:
                self._encoded = snapshot.with_waiting(self._encoded, self._waiting)
            self._awake.encoded(self)
        return self._encoded

    def rest(self) -> None:
        """Keep the snapshot only."""
        self.snapshot()
        self._person = None

    def _apply_waiting(self, fold: Fold, person: Person | None, out: Collector) -> Person | None:
        """Apply the events of merged visitors that came before the person's id, if it is known by now or no longer needed."""
        waiting = [*(self._waiting or ()), *(out.waiting or ())]
        out.waiting = self._waiting = None
        if person is None or not (person.user or person.deleted_at or person.merged_into):
            self._waiting = waiting
            return person
        for each in waiting:
            out.begin(each.seq, each.traceparent)
            person = fold.apply(person, each, out)
        return person

    def _find_key(self, value: Event | VisitorMerged | VisitorDeleted) -> str:
        """The logic is not told its key. Where only the person knows its id, the person has it."""
        if not isinstance(value, Event):
            self._key = value.key
            return self._key
        named = self._person if not value.user else value
        return self._key_of(named.tenant, named.user) if named is not None and named.user else ""

    def _key_of(self, tenant: str, user: str) -> str:
        if not self._key:
            self._key = self._keys.stream_key(tenant, user)
        return self._key

    def _arm_again(self, timer: NextTimer) -> None:
        """Register the timer of a person at rest."""
        if timer.due:
            self._register(timer.partition, timer.tenant, timer.user, timer.due)
            self._armed, self._armed_in = timer.due, timer.partition

    def _arm(self, person: Person) -> None:
        """Register the person's next timer, so that a source may rely on it. One from before stays and fires for nothing."""
        due = person.next_due
        if person.partition != self._armed_in:
            self._move_to(person.partition)
        if due and due != self._armed:
            self._register(person.partition, person.tenant, person.user, due)
            self._armed = due

    def _register(self, partition: int, tenant: str, user: str, due: int) -> None:
        """The tenant is interned: each person has an equal text, and the wheel keeps one for all."""
        self._timers.for_this_thread().register(partition, self._key_of(tenant, user), due, intern(tenant))

    def _move_to(self, partition: int) -> None:
        """The person's timers are due by the time of ``partition`` from now on, as a restart would have it."""
        left_in = self._left_in or {}
        if self._armed:
            left_in[self._armed_in] = self._armed
        self._armed, self._armed_in = left_in.pop(partition, 0), partition
        self._left_in = left_in or None

    def _fired(self, timer: TimerDue) -> None:
        """A timer is no longer in the wheel. Where an older one fired, the armed one still is."""
        if timer.partition == self._armed_in:
            if self._armed <= timer.at:
                self._armed = 0
        elif self._left_in is not None and self._left_in.get(timer.partition, 0) <= timer.at:
            self._left_in.pop(timer.partition, None)


def _tenant_of(values: list[Arrival]) -> str:
    """The tenant of arrivals, where no person knows it. One key has one tenant. Empty where all are timers, of nobody then."""
    return next((value.tenant for value in values if type(value) is not TimerDue), "")  # type: ignore[union-attr]


def track_logic(
    plans: Plans,
    keys: Keys,
    timers: TimerRegistry,
    parameters: ParameterStore | None = None,
    switches: Switches | None = None,
    awake: AwakePeople | None = None,
) -> Callable[[bytes | None], TrackLogic]:
    """Builder for ``stateful_batch``. ``estimate`` publishes in ``parameters``, ``decode`` in ``switches``."""
    shared, awake = parameters or ParameterStore(), awake or AwakePeople()
    folds = plans.map(lambda plan: Fold(plan, keys, shared, switches))
    return lambda resume_state: TrackLogic(folds, keys, timers, awake, resume_state)


def track_step(
    step_id: str,
    up: KeyedStream[Arrival],
    plans: Plans,
    keys: Keys,
    timers: TimerRegistry,
    parameters: ParameterStore,
    switches: Switches,
    awake: AwakePeople,
) -> Stream[Tracked]:
    """Keep every person's state. Emits one ``Tracked`` for each batch."""

    def gather(batch: list[tuple[str, Collector]]) -> list[Tracked]:
        tracked = Tracked()
        for _, out in batch:
            tracked.add(out)
        return [tracked]

    collected = op.stateful_batch(step_id, up, track_logic(plans, keys, timers, parameters, switches, awake))
    return op.flat_map_batch(f"{step_id}_gather", collected, gather)
