"""Measures the steps of a catalog on a log in which they are followed: how long users take for each, by the engine's own fold.

The events go through the fold of the job, so a completion here is one there: from the step becoming current, machines and users who do
not begin the onboarding left out. Nobody is guided.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Final, NamedTuple

from state.catalog.model import Catalog
from state.catalog.plan import Plan
from state.catalog.set_durations import Durations
from state.duration import parse, render_rounded
from state.events import Event
from state.ids import Keys
from state.person.arrivals import VisitorMerged
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.person.visitor import Stitcher, Visitor
from state.stuck.completion_times import ENOUGH, HORIZON_QUANTILE, KEPT, quantile
from state.stuck.observations import COMPLETED

User = tuple[str, str]


class FittedStep(NamedTuple):
    """What the log says of a step. ``durations`` is empty with fewer than ``ENOUGH`` completions."""

    id: str
    completions: int
    used: int
    durations: Durations


class CatalogFit:
    """Takes the events of a log in its order, then tells how long the steps take."""

    def __init__(self, catalog: Catalog) -> None:
        """``catalog`` may guide users: here it only observes."""
        self._plan: Final = Plan(catalog.model_copy(update={"observe": True}))
        self._keys: Final = Keys(b"")  # the ids that the fold derives are not used
        self._fold: Final = Fold(self._plan, self._keys)
        self._stitcher: Final = Stitcher(self._plan)
        self._people: Final[dict[User, Person]] = {}
        self._visitors: Final[dict[User, Visitor]] = {}
        self._times: Final[defaultdict[str, deque[tuple[int, int]]]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._totals: Final[defaultdict[str, int]] = defaultdict(int)

    def add(self, event: Event) -> None:
        """Take one event."""
        user = event.tenant, event.user
        if event.anonymous:
            self._stitcher.keep(self._visitors.setdefault(user, Visitor()), event)
        self._apply(user, event)
        if event.type == "identity_merged":
            self._merge(event, user)

    def steps(self) -> list[FittedStep]:
        """The steps in the catalog's order."""
        return [self._fitted(step) for step in self._plan.steps]

    def _fitted(self, step: str) -> FittedStep:
        times = self._times[step]
        if len(times) < ENOUGH:
            return FittedStep(step, self._totals[step], len(times), {})
        usual = quantile(sorted(took for took, _ in times), HORIZON_QUANTILE)
        typical = quantile(sorted(active for _, active in times), 0.5)
        known = self._plan.steps[step]
        measured = {"typical": (known.typical, render_rounded(typical)), "usual": (known.usual, render_rounded(usual))}
        durations = {name: text for name, (before, text) in measured.items() if parse(text) != before}
        return FittedStep(step, self._totals[step], len(times), durations)

    def _apply(self, user: User, event: Event) -> None:
        person, out = self._people.get(user), Collector()
        before = (person.sessions, person.session_to, person.active) if person is not None else (0, 0, 0)
        self._people[user] = person = self._fold.apply(person, event, out)
        if out.observations:
            sessions, session_to, active = before
            active += person.session_to - session_to if person.sessions == sessions else 0
            for each in out.observations:
                if each.end == COMPLETED:
                    self._times[each.step].append((each.lasted, active))
                    self._totals[each.step] += 1

    def _merge(self, event: Event, into: User) -> None:
        """Hand the visitor's events on to the user, as the job does it. An id that was used as a ``userId`` is nobody's visitor."""
        user = event.tenant, str(event.payload["previousId"])
        earlier = self._people.get(user)
        if user == into or (earlier is not None and earlier.known):
            return
        merged = VisitorMerged(
            tenant=event.tenant,
            key=self._keys.stream_key(*user),
            user=user[1],
            into=event.user,
            into_key=self._keys.stream_key(*into),
            into_anonymous=event.anonymous,
            timestamp=event.timestamp,
            log_time=event.log_time,
            partition=event.partition,
            seq=event.seq,
        )
        after = self._fold.merge(earlier, merged, Collector())
        if after is not None:
            self._people[user] = after
        for each in self._stitcher.merge(self._visitors.setdefault(user, Visitor()), merged):
            self._apply(into, each)
