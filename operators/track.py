"""track: the fold, one person a key. Emits, per person and activation, the list of everything that came about."""

from __future__ import annotations

from collections.abc import Callable

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.timer_registry import TimerRegistry
from state.catalog.plan import Plan
from state.decision.guidance import Collector, Output
from state.events import Event
from state.ids import Keys
from state.person import snapshot
from state.person.fold import Fold
from state.person.person import Person
from state.stream_items import Due, Merged
from state.stuck.parameters import ParameterStore

Arrival = Event | Merged | Due


class Tracking(StatefulBatchLogic[Arrival, list[Output], bytes]):
    """One person in the dataflow. Lives as long as the person is known; the snapshot is ``state/person/snapshot.py``'s."""

    def __init__(self, fold: Fold, keys: Keys, wheels: TimerRegistry, resume_state: bytes | None) -> None:
        """Called for the first arrival of a key, and after a restart for every key that was ever written down."""
        self._fold, self._keys, self._wheels = fold, keys, wheels
        self._person: Person | None = None
        self._key = ""
        self._armed = 0
        if resume_state is not None:
            self._person = snapshot.decode(resume_state)
            self._arm()

    @override
    def on_batch(self, values: list[Arrival]) -> tuple[list[list[Output]], bool]:
        values.sort(key=_place)  # a batch that came through ``stitch`` is in order of its keys
        outputs: list[Output] = []
        person, fold = self._person, self._fold
        for value in values:
            if type(value) is Event:
                turn = Collector(self._name(value.tenant, value.user), value.seq, value.traceparent)
                person = fold.apply(person, value, turn)
            elif type(value) is Merged:
                turn = Collector(self._name(value.tenant, value.user), value.seq)
                person = fold.merge(person, value, turn)
            elif type(value) is Due and person is not None:
                turn = Collector(self._key, value.seq)
                fold.due(person, value, turn)
                if self._armed <= value.at:  # else an older call, and the one that counts is still to come
                    self._armed = 0
            else:
                continue
            outputs += turn.outputs
        self._person = person
        self._arm()
        return ([outputs] if outputs else []), False

    @override
    def snapshot(self) -> bytes:
        assert self._person is not None, "a person exists from the first arrival on"
        return snapshot.encode(self._person)

    def _name(self, tenant: str, user: str) -> str:
        if not self._key:
            self._key = self._keys.stream_key(tenant, user)
        return self._key

    def _arm(self) -> None:
        """Have the wheel call this key when its next timer is due. An earlier call that is already arranged will do: it asks again."""
        person = self._person
        if person is None or not (due := self._fold.next_due(person)):
            return
        if not self._armed or due < self._armed:
            self._wheels.mine().register(person.partition, self._name(person.tenant, person.user), due)
            self._armed = due


def _place(arrival: Arrival) -> int:
    return arrival.seq


def tracking(plan: Plan, keys: Keys, wheels: TimerRegistry, parameters: ParameterStore | None = None) -> Callable[[bytes | None], Tracking]:
    """Builder for ``stateful_batch``. ``parameters`` is where ``estimate`` publishes."""
    fold = Fold(plan, keys, parameters)
    return lambda resume_state: Tracking(fold, keys, wheels, resume_state)


def track_step(
    step_id: str, up: KeyedStream[Arrival], plan: Plan, keys: Keys, wheels: TimerRegistry, parameters: ParameterStore
) -> KeyedStream[list[Output]]:
    """Keep every person's state."""
    return op.stateful_batch(step_id, up, tracking(plan, keys, wheels, parameters))
