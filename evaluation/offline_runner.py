"""Runs the job's pure functions without Bytewax, one event at a time, for thousands of replications.

``run_closed_loop`` runs a population against it in lock-step, as ``sources/closed_loop`` does against the real job; a test checks that both
make the same decisions. It leaves out visitors who sign in (a population has no anonymous visitors), recovery, and rows that are neither
evidence nor statistics.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, Protocol

import polars as pl

from evaluation.evidence import SCHEMAS, Evidence
from evaluation.person_timers import PersonTimers
from state.catalog.plan import Plan
from state.decision.bandit import Bandit, Learner
from state.decision.chooser import Choices, Chooser
from state.decision.composer import Composer
from state.decision.messages import CatalogMet, Decision, DecisionOutcome, DecisionRequest, LearnerInput, input_order
from state.decision.switches import Switches
from state.decode import decode
from state.ids import Keys
from state.messages import Message
from state.person.arrivals import GuidanceSwitched
from state.person.collector import Collector, Row
from state.person.fold import Fold
from state.person.person import Person
from state.records.dead_letter import DeadLetter
from state.records.facts import (
    ArmStopFact,
    CatalogFact,
    DecisionFact,
    Fact,
    OutcomeFact,
    PersonFact,
    ProgressFact,
    RecommendationFact,
    SignalFact,
    StepStatisticFact,
    StuckScoreFact,
)
from state.records.recommendation import Publish, Recommendation, encode
from state.stuck.estimator import Estimator, new_estimator
from state.stuck.observations import EpisodeObservation
from state.stuck.parameters import PERIOD, ParameterStore
from state.vocabulary import SWITCHED

PARTITION: Final = 0


class OfflineRunner:
    """The job for one tenant. It takes messages and ticks in the order of a source and holds records and evidence."""

    def __init__(self, plan: Plan, keys: Keys) -> None:
        self.plan = plan
        self._keys = keys
        self._parameters = ParameterStore()
        self._switches = Switches()
        self._fold = Fold(plan, keys, self._parameters, self._switches)
        self._estimators: dict[str, Estimator] = {}
        self._chooser = Chooser(plan)
        self._composer = Composer(plan, keys)
        self._people: dict[str, Person] = {}
        self._learners: dict[str, Bandit] = {}
        self._timers = PersonTimers()
        self._woken_at: list[tuple[int, str]] = []
        self._records: dict[str, tuple[int, bytes]] = {}
        self._rows: dict[type[Fact], dict[tuple[Any, ...], Any]] = {kind: {} for kind in _KEYS}
        self._now = 0
        self.last: Person | None = None
        """The person of the last event."""
        self.events = 0
        self.dead_letters = 0

    def message(self, message: Message) -> None:
        """Process one message, as the job processes a batch of one."""
        self._now = max(self._now, message.log_time)
        event = decode(message)
        if isinstance(event, DeadLetter):
            self.dead_letters += 1
            return
        if event.type == SWITCHED:
            self._switches.take(event)
            if event.payload["action"] != "resume":
                bisect.insort(self._woken_at, (event.log_time + 1, event.tenant))
            return
        self.events += 1
        key = self._keys.stream_key(event.tenant, event.user)
        out = Collector(key)
        out.begin(event.seq, event.traceparent)
        person = self.last = self._people[key] = self._fold.apply(self._people.get(key), event, out)
        self._timers.set(key, person.next_due)
        self._dispatch([out])

    def tick(self, at: int, seq: int) -> None:
        """Run all timers due at log time ``at``."""
        self._now = max(self._now, at)
        outputs: dict[str, Collector] = {}
        while self._woken_at and self._woken_at[0][0] <= at:
            switched_at, tenant = self._woken_at.pop(0)
            for key in self._timers.everybody():
                out = outputs.setdefault(key, Collector(key))
                out.begin(seq)
                self._fold.switched(self._people[key], GuidanceSwitched(tenant, PARTITION, switched_at, seq), out)
        for key in self._timers.take(at):
            if key not in outputs:
                outputs[key] = Collector(key)
            outputs[key].begin(seq)
            self._fold.advance(self._people[key], at, outputs[key])
        for key in outputs:
            self._timers.set(key, self._people[key].next_due)
        self._dispatch(list(outputs.values()))

    def next_timer(self) -> int | None:
        """Return the log time of the earliest timer, None without timers."""
        due = self._timers.next()
        if not self._woken_at:
            return due
        switched_at = self._woken_at[0][0]
        return switched_at if due is None else min(due, switched_at)

    def read(self, users: list[str]) -> list[bytes | None]:
        """Return the records of ``users`` as an app would read them from Redis."""
        return [record[1] if (record := self._records.get(user)) is not None else None for user in users]

    def evidence(self, until: int | None = None) -> Evidence:
        """Return the rows that the job's tables would hold."""
        return Evidence.of(
            until=self._now if until is None else until, **{table: self.frame(kind) for kind, table in _EVIDENCE_TABLES.items()}
        )

    def frame(self, kind: type[Fact]) -> pl.DataFrame:
        """Return the rows of one kind of fact, with the columns that the statistics read."""
        rows = list(self._rows[kind].values())
        schema = SCHEMAS[_EVIDENCE_TABLES[kind]]
        return pl.DataFrame({name: pl.Series(name, list(map(attrgetter(name), rows)), dtype=dtype) for name, dtype in schema.items()})

    def facts(self, kind: type[Fact]) -> list[Any]:
        """Return the facts of one kind, in the order in which their keys first appeared."""
        return list(self._rows[kind].values())

    def _dispatch(self, outputs: list[Collector]) -> None:
        """Do what the steps after ``track`` do with its outputs."""
        observations = [each for out in outputs for each in out.observations]
        if observations:
            self._learn(observations)
        messages: list[LearnerInput] = []
        for out in outputs:
            if out.met:
                messages.append(CatalogMet(out.met))
            messages += out.requests
            messages += out.outcomes
            for effect in out.effects:
                if type(effect) is Publish:
                    self._publish(effect)
            self._store_rows(out.rows)
        messages.sort(key=input_order)
        for message in messages:
            learner = self._learners.get(message.trigger)
            if learner is None:
                learner = self._learners[message.trigger] = self._chooser.bandit(Learner())
            choices = Choices()
            if type(message) is DecisionRequest:
                self._chooser.decide(learner, message, choices)
            elif type(message) is DecisionOutcome:
                self._chooser.learn(learner, message, choices)
            else:
                self._chooser.meet(learner, message.tenant, choices)
            for decision in choices.decisions:
                self._compose(decision)
            self._store_rows(choices.rows)

    def _compose(self, decision: Decision) -> Recommendation:
        publish, row = self._composer.compose(decision)
        self._publish(publish)
        self._store_row(row)
        return publish.recommendation

    def _learn(self, observations: list[EpisodeObservation]) -> None:
        for observation in sorted(observations, key=attrgetter("at")):
            estimator = self._estimators.get(observation.tenant)
            if estimator is None:
                estimator = self._estimators[observation.tenant] = new_estimator(self.plan, observation.tenant)
                self._parameters.publish(observation.tenant, estimator)
            self._store_rows(estimator.learn(observation))

    def _store_rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if type(row) in _KEYS:
                self._store_row(row)  # type: ignore[arg-type]

    def _publish(self, effect: Publish) -> None:
        record = effect.recommendation
        known = self._records.get(record.user_id)
        if known is None or known[0] < record.version:
            self._records[record.user_id] = (record.version, encode(record))

    def _store_row(self, fact: Fact) -> None:
        rows = self._rows[type(fact)]
        key = _KEYS[type(fact)](fact)
        known = rows.get(key)
        if known is None or known.version <= fact.version:  # type: ignore[attr-defined]
            rows[key] = fact


_EVIDENCE_TABLES: Final[dict[type[Fact], str]] = {
    PersonFact: "people",
    DecisionFact: "decisions",
    OutcomeFact: "outcomes",
    SignalFact: "signals",
    ProgressFact: "progress",
    StuckScoreFact: "scores",
    RecommendationFact: "recommendations",
    CatalogFact: "catalogs",
    StepStatisticFact: "statistics",
}
_STORED_FACTS: Final[tuple[type[Fact], ...]] = (*_EVIDENCE_TABLES, ArmStopFact)
_KEYS: Final[dict[type[Fact], Callable[[Fact], tuple[Any, ...]]]] = {kind: attrgetter(*kind.KEY) for kind in _STORED_FACTS}
"""Stored kinds of facts -> their key. Those in ``_EVIDENCE_TABLES`` are evidence."""


class PopulationClient(Protocol):
    """The population that ``run_closed_loop`` needs: a program (``sources.closed_loop.Program``) or one in this process."""

    def advance(self, at: int, until: int, guidance: Mapping[str, bytes | None]) -> Any:
        """Simulate from ``at`` to ``until``; the result has ``events`` (arrival, JSON) in order, ``reads`` and ``next``."""

    def finish(self) -> Iterator[bytes]:
        """Yield the lines of the sealed truth."""


def run_closed_loop(job: OfflineRunner, population: PopulationClient, slot_ms: int, start: int, end: int) -> list[bytes]:
    """Run ``population``, which has begun, from ``start`` to ``end`` against ``job``; return the lines of the sealed truth."""
    seq = log_time = number = 0
    at, reads, ticked = start, list[str](), start
    while True:
        while ticked < at:  # as in sources/closed_loop/source.py
            ticked = min(at, ticked - ticked % PERIOD + PERIOD)
            due = job.next_timer()
            if due is not None and due <= ticked:
                job.tick(ticked, seq + 1)
        if at >= end:
            return list(population.finish())
        slot = population.advance(at, at + slot_ms, dict(zip(reads, job.read(reads), strict=True)))
        for arrived, event in slot.events:
            seq, number, log_time = seq + 2, number + 1, max(log_time, arrived)
            job.message(Message(event, None, "population", PARTITION, number, log_time, log_time, seq))
        reads = slot.reads
        at = end if slot.next is None else min(slot.next, end)
