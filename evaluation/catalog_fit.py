"""Measures the steps of a catalog on a log in which they are followed: how long users take for each, and who gets stuck there, by the
engine's own fold and detector.

The events go through the fold of the job, so a completion here is one there: from the step becoming current, machines and users who do
not begin the onboarding left out. Nobody is guided.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Final, NamedTuple

from evaluation.completions import Completion, begun_last, to_measure
from evaluation.person_timers import PersonTimers
from state.catalog.evidence_weights import render as render_weights
from state.catalog.model import AlarmAt, Catalog, Evidence, Step
from state.catalog.plan import Plan
from state.catalog.set_measured import Fields, with_measured
from state.counters import TRAITS_NOT_KEPT, CounterTotals, add_to_totals
from state.decode import decode
from state.duration import SECOND, parse, render_rounded
from state.event import Event
from state.ids import Keys
from state.messages import Message
from state.person.arrivals import merge_by
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.person.progress import completed
from state.person.visitor import Stitcher, Visitor
from state.records.dead_letter import DeadLetter
from state.stuck.completion_times import ENOUGH, HORIZON_QUANTILE, quantile
from state.stuck.estimator import new_estimator
from state.stuck.observations import COMPLETED, LEFT
from state.stuck.parameters import ParameterStore
from state.stuck.score import SHARES
from state.upcast import ABOUT_USERS
from state.vocabulary import IDENTITY_MERGED

User = tuple[str, str]

_in_time = attrgetter("at")

_EPISODES: Final = 5_000
"""Episodes of a step from which the shares of stuck users are measured: the last that began and could have lasted for the usual time."""
_ENOUGH_ALARMED: Final = 200
"""Episodes from which thresholds are measured."""
_LEAST_WEIGHT: Final = 0.02
"""Weights closer to zero are left out, in logits: with all of them nothing is better (`benchmarks.measure --history 1500`)."""
_MOST_TRUST: Final = 3.0
"""More is the noise of few tries."""
_ENDS: Final = (COMPLETED, LEFT)
_LATER: Final = 1 << 40
"""A period after all events."""
_PARTITION: Final = 0


class FittedStep(NamedTuple):
    """What the log says of a step. ``changes``: fields with another value in the catalog; none with fewer than ``ENOUGH`` completions.

    ``completions`` are those by users who waited at the step. Others did it ``after_activation``, when nobody waits any more, or
    ``out_of_turn``: before it was next, with the event with which it would have become so, or after a later step.
    """

    id: str
    completions: int
    used: int
    changes: dict[str, str]
    after_activation: int = 0
    out_of_turn: int = 0


class CatalogFit:
    """Takes the events of a log in its order, then tells how long the steps take and who is stuck.

    Where the log can be read twice, ``again`` makes a second fit, which knows the times from its first event on. What it says of who gets
    stuck is better, and the same however often the catalog was fitted before.
    """

    def __init__(self, catalog: Catalog, known: Mapping[str, Fields] = MappingProxyType({})) -> None:
        """``catalog`` may guide users, and may have been fitted before: here it only observes, and begins without that knowledge.

        ``known``: what a first fit changed of the steps that it could measure.
        """
        self._catalog: Final = catalog
        begun = with_measured(catalog, known, {})
        bare = {
            "observe": True,
            "steps": [step if step.id in known else step.model_copy(update={"waiting": None}) for step in begun.steps],
            "triggers": catalog.triggers.model_copy(update={"alarm_at": None, "evidence": None}),
        }
        self._plan: Final = Plan(begun.model_copy(update=bare))
        self._keys: Final = Keys(b"")  # the ids that the fold derives are not used
        self._store: Final = ParameterStore()
        self._estimator: Final = new_estimator(self._plan, "")
        self._tenants: Final[set[str]] = set()
        self._fold: Final = Fold(self._plan, self._keys, self._store)
        self._stitcher: Final = Stitcher(self._plan)
        self._people: Final[dict[User, Person]] = {}
        self._visitors: Final[dict[User, Visitor]] = {}
        self._timers: Final = PersonTimers()
        self._user_of: Final[dict[str, User]] = {}
        # All are kept, as plain numbers: those that ended last are not those that began last, and who began last is known only at the end.
        self._times: Final[defaultdict[str, array[int]]] = defaultdict(lambda: array("q"))
        """Step → since, took and active of its completions, in order of their ends."""
        self._ended: Final[defaultdict[str, array[int]]] = defaultdict(lambda: array("q"))
        """Step → since and lasted of its ended episodes."""
        self._counts: Final[CounterTotals] = {}
        self._now = 0

    @property
    def traits_not_kept(self) -> dict[str, int]:
        """Trait of the events that the catalog does not keep → its values."""
        return TRAITS_NOT_KEPT.by_label(self._counts)

    def add(self, event: Event) -> None:
        """Take one event."""
        user = event.tenant, event.user
        self._now = max(self._now, event.log_time)
        if event.tenant not in self._tenants:
            self._tenants.add(event.tenant)
            self._store.publish(event.tenant, self._estimator)
        self._run_timers(event.log_time)
        if event.anonymous:
            self._stitcher.keep(self._visitors.setdefault(user, Visitor()), event)
        self._apply(user, event)
        if event.type == IDENTITY_MERGED:
            self._merge(event, user)

    def again(self) -> CatalogFit:
        """A fit that is to take the same events once more."""
        return CatalogFit(self._catalog, {step.id: step.changes for step in self.steps() if step.used >= ENOUGH})

    def steps(self) -> list[FittedStep]:
        """The steps in the catalog's order."""
        still: defaultdict[str, list[int]] = defaultdict(list)
        done, after = Counter[str](), Counter[str]()
        for person in self._people.values():
            if person.episode is not None and person.episode.observed:
                still[person.episode.step].append(person.episode.onset)
            if not person.merged_into:
                mine = completed(self._plan, person.path, person.steps)
                done.update(mine.keys())
                after.update(step for step, at in mine.items() if 0 < person.activated_at < at)
        found = [self._fitted(step, still[step.id]) for step in self._catalog.steps]
        others = done - after - Counter({step.id: step.completions for step in found})  # nothing below 0 is kept
        return [step._replace(after_activation=after[step.id], out_of_turn=others[step.id]) for step in found]

    def alarm_at(self) -> AlarmAt | None:
        """The thresholds that give alarms the precision that the catalog asks for; None if too little is known."""
        point = self._estimator.parameters(_LATER).point
        if not point.alarms or point.episodes < _ENOUGH_ALARMED:
            return None
        return AlarmAt(early=round(point.early, 2), last=round(point.last, 2))

    def evidence(self) -> Evidence | None:
        """What evidence adds to the score, without what the log says little about; None if too little is known."""
        if self._estimator.parameters(_LATER).point.episodes < _ENOUGH_ALARMED:
            return None
        learner = self._estimator.learner
        trust = [round(min(max(each, 0.0), _MOST_TRUST), 2) for each in learner.trust]
        told = {number: (mean, variance) for number, (mean, variance) in learner.weights.items() if abs(mean) >= _LEAST_WEIGHT}
        return Evidence(trust=trust, weights=render_weights(told))

    def triggers(self) -> dict[str, str]:
        """The fields of the catalog's triggers that are another value."""
        point, evidence, known = self.alarm_at(), self.evidence(), self._catalog.triggers
        changes = {}
        if point is not None and point != known.alarm_at:
            changes["alarm_at"] = f"{{early: {point.early:g}, last: {point.last:g}}}"
        if evidence is not None and evidence != known.evidence:
            trust = ", ".join(f"{each:g}" for each in evidence.trust)
            changes["evidence"] = f'{{trust: [{trust}], weights: "{evidence.weights}"}}'
        return changes

    def _fitted(self, step: Step, still: Iterable[int]) -> FittedStep:
        flat = self._times[step.id]
        completions = [Completion(*each) for each in zip(flat[::3], flat[1::3], flat[2::3], strict=True)]
        times = to_measure(completions, self._now)
        if len(times) < ENOUGH:
            return FittedStep(step.id, len(completions), len(times), {})
        usual = quantile(sorted(each.took for each in times), HORIZON_QUANTILE)
        typical = quantile(sorted(each.active for each in times), 0.5)
        measured = {"usual": (step.usual, render_rounded(usual))}
        if typical >= SECOND:  # in a log of dates nobody is active for a time
            measured["typical"] = step.typical, render_rounded(typical)
        changes = {name: text for name, (before, text) in measured.items() if parse(text) != before}
        waiting = self._waiting(step.id, still, parse(measured["usual"][1]))
        if waiting != step.waiting:
            changes["waiting"] = f"[{', '.join(f'{share:g}' for share in waiting)}]"
        if len(times) != step.measured:
            changes["measured"] = str(len(times))
        return FittedStep(step.id, len(completions), len(times), changes)

    def _waiting(self, step: str, still: Iterable[int], usual: int) -> list[float]:
        """The shares of people who did not end the step within ``usual``, of all and of those who waited; all could have waited so long.

        They are those who began last, whether they ended the step or still wait. Chosen by their end, they would lack those who wait.
        """
        flat = self._ended[step]
        episodes = [*zip(flat[::2], flat[1::2], strict=True), *((since, usual + 1) for since in still)]
        followed = begun_last([each for each in episodes if each[0] + usual < self._now], _EPISODES)
        stuck = sum(lasted > usual for _, lasted in followed)
        waited = [sum(lasted >= share * usual for _, lasted in followed) for share in (0.0, *SHARES)]
        return [round((stuck + 0.5) / (count + 1.0), 2) for count in waited]

    def _run_timers(self, now: int) -> None:
        due = self._timers.next()
        if due is None or due > now:
            return
        out = Collector()
        for key in self._timers.take(now):
            person = self._people[self._user_of[key]]
            self._fold.advance(person, now, out)
            self._timers.set(key, person.next_due)
        self._learn(out)

    def _apply(self, user: User, event: Event) -> None:
        person, out = self._people.get(user), Collector()
        before = (person.sessions, person.session_to, person.active) if person is not None else (0, 0, 0)
        self._people[user] = person = self._fold.apply(person, event, out)
        key = self._keys.stream_key(*user)
        self._user_of[key] = user
        self._timers.set(key, person.next_due)
        if event.type in ABOUT_USERS:
            add_to_totals(self._counts, out.counts)
        if out.observations:
            sessions, session_to, active = before
            active += person.session_to - session_to if person.sessions == sessions else 0
            for each in out.observations:
                if each.end in _ENDS:
                    self._ended[each.step].extend((each.since, each.lasted))
                if each.end == COMPLETED:
                    self._times[each.step].extend((each.since, each.lasted, active))
            self._learn(out)

    def _learn(self, out: Collector) -> None:
        for observation in sorted(out.observations, key=_in_time):
            self._estimator.learn(observation)

    def _merge(self, event: Event, into: User) -> None:
        """Hand the visitor's events on to the user, as the job does it. An id that was used as a ``userId`` is nobody's visitor."""
        user = event.tenant, str(event.payload["previousId"])
        earlier = self._people.get(user)
        if user == into or (earlier is not None and earlier.known):
            return
        merged = merge_by(event, user[1], key=self._keys.stream_key(*user), into_key=self._keys.stream_key(*into))
        after = self._fold.merge(earlier, merged, Collector())
        if after is not None:
            self._people[user] = after
        for each in self._stitcher.merge(self._visitors.setdefault(user, Visitor()), merged):
            self._apply(into, each)


def fit_to_history(catalog: Catalog, history: Iterable[tuple[int, bytes]]) -> Catalog:
    """Return ``catalog`` with what ``history`` says of its steps: events of unguided people, each with its time of arrival, in order."""
    lines = list(history)
    fit = _fit_to(lines, _fit_to(lines, CatalogFit(catalog)).again())
    changes = {each.id: each.changes for each in fit.steps()}
    return with_measured(catalog, changes, fit.triggers())


def _fit_to(history: Iterable[tuple[int, bytes]], fit: CatalogFit) -> CatalogFit:
    for number, (arrived, event) in enumerate(history):
        found = decode(Message(event, None, "history", _PARTITION, number, arrived, arrived, number + 1))
        if not isinstance(found, DeadLetter):
            fit.add(found)
    return fit
