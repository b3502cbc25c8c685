"""One small product with everything that a catalog can say, events of it, and a run of the fold that notes what came about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from state.catalog.model import Catalog
from state.catalog.parse import parse
from state.catalog.plan import Plan
from state.decision.messages import DecisionOutcome, DecisionRequest
from state.duration import HOUR, MINUTE, SECOND
from state.event import Event
from state.ids import Keys
from state.person import snapshot
from state.person.arrivals import TimerDue, VisitorDeleted, VisitorMerged
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person, StepState
from state.person.progress import completed
from state.records.facts import DecisionFact, SignalFact
from state.records.recommendation import Effect, Erase, Publish, Recommendation, ReplaceText

T = TypeVar("T")

START = 1_772_442_000_000
"""2026-03-02T09:00:00Z, in milliseconds: when every life here begins."""

SMALL = """\
id: small
version: 1
product: Small
holdout: HOLDOUT
links: [/*]
segment_by: [persona]
slots:
  firstName: {trait: firstName, default: there}
limits: {lateness: 24h, cooldown: COOLDOWN, daily_cap: CAP, attribution_window: 24h, recommendation_ttl: 24h, session_gap: 30m}
triggers:
  stuck:inactive: {after: 24h}
  stuck:errors: {count: 3, within: 10m}
  stuck:rage_clicks: {count: 3, within: 4s}
  stuck:looping: {visits: 3, within: 15m}
  stuck:slow_step: {factor: 2, at_least: 20m}
arms:
  - {id: loud, tone: aggressive, component: modal}
  - {id: plain, tone: moderate, component: tooltip}
  - {id: quiet, tone: passive, component: sidebar_hint}
templates:
  signup: &words {aggressive: "Do it, {firstName}: {step}!", moderate: "Hi {firstName}, next: {step}.", passive: "{step}, in {product}."}
  step_completed: *words
  stuck:inactive: *words
  stuck:errors: *words
  stuck:rage_clicks: *words
  stuck:looping: *words
  stuck:slow_step: *words
steps:
  - id: connect
    title: connect a source
    link: /connect
    typical: 5m
    usual: 48h
    complete:
      - {type: form_submit, where: {form: connect}}
      - {type: track, name: connected}
    activity:
      - {type: page_view, where: {path: /connect}}
      - {type: error, where: {code: {prefix: source_}}}
  - id: explore
    title: ask three questions
    link: /explore
    typical: 10m
    usual: 48h
    requires: [connect]
    complete:
      - {type: track, name: explored, times: 3}
  - id: invite
    title: invite a colleague
    link: /team
    usual: 48h
    complete:
      - {type: form_submit, where: {form: invite}}
    activity:
      - {type: button_click, where: {target: invite}}
  - id: share
    title: share a report
    link: /share
    usual: 48h
    requires: [explore, invite]
    complete:
      - {type: track, name: shared, where: {public: true}}
      - {type: track, name: shared, times: 2}
paths:
  - {id: analysts, title: Analysts, match: {persona: analyst}, steps: [connect, explore, invite, share], activated_by: [connect, explore]}
  - {id: builders, title: Builders, match: {persona: [builder, maker], pro: {not_in: [true]}}, steps: [invite, connect]}
  - {id: pros, title: Pros, match: {pro: true}, steps: [invite, connect, explore, share]}
"""
"""People whose traits match no path get none."""

KEYS = Keys(b"tests")


def catalog(holdout: float = 0, cooldown: str = "6h", cap: int = 3, change: Callable[[str], str] = str) -> Catalog:
    """The small catalog with these knobs, its text changed by ``change``."""
    text = SMALL.replace("HOLDOUT", str(holdout)).replace("COOLDOWN", cooldown).replace("CAP", str(cap))
    return parse(change(text), "small.yaml")


@lru_cache
def plan(holdout: float = 0, cooldown: str = "6h", cap: int = 3) -> Plan:
    """The small catalog, compiled."""
    return Plan(catalog(holdout, cooldown, cap))


def event(
    kind: str, at: int = 0, *, ident: str = "", log: int | None = None, name: str = "", session: str = "", user: str = "u", **payload: Any
) -> Event:
    """An event ``at`` milliseconds after the beginning; in the log ``log`` after it, at once where that is left out."""
    raw = msgspec.json.encode(payload)
    return Event(
        tenant="t",
        user=user,
        anonymous=False,
        id=ident or f"{kind} {at} {name} {raw.decode()}",
        session=session,
        type=kind,
        name=name,
        payload=payload,
        raw_payload=raw,
        timestamp=START + at,
        log_time=START + (at if log is None else log),
        partition=0,
        offset=0,
        seq=0,
        traceparent="",
    )


def anonymously(made: Event) -> Event:
    """The same event, sent under an anonymous id."""
    return msgspec.structs.replace(made, anonymous=True)


def signup(at: int = 0, persona: str = "analyst", **rest: Any) -> Event:
    """The beginning of a person with a persona."""
    return event("signup", at, traits={"persona": persona}, **rest)


def track(name: str, at: int = 0, **rest: Any) -> Event:
    """Something that the product calls ``name``."""
    return event("track", at, name=name, **rest)


class Counted(msgspec.Struct, frozen=True):
    """What a collector counted under one key: ``name`` or ``name|label``."""

    name: str
    label: str
    by: int


def flat(*outs: Collector) -> list[Any]:
    """Everything in the collectors, kind by kind, each in order; what writes a record by its version, an ``Erase`` once."""
    everything: list[Any] = []
    for out in outs:
        everything += [row for row in out.rows if not isinstance(row, Erase)]
        everything += [*out.observations, *out.outcomes, *sorted((*out.requests, *out.effects), key=_version)]
        everything += [Counted(*key.partition("|")[::2], by) for key, by in out.counts.items()]
    return everything


def _version(each: DecisionRequest | Effect) -> int:
    return each.recommendation.version if isinstance(each, Publish | ReplaceText) else each.version


def visitor_merged(at: int, *, user: str = "u", into: str = "ana", seq: int = 0, partition: int = 0) -> VisitorMerged:
    """The news that a visitor is ``into``."""
    return VisitorMerged(
        tenant="t",
        key=KEYS.stream_key("t", user),
        user=user,
        into=into,
        into_key=KEYS.stream_key("t", into),
        timestamp=START + at,
        log_time=START + at,
        partition=partition,
        seq=seq,
    )


class Life:
    """One person's run through the fold. ``outputs`` is everything that it emitted, in order; ``seq`` counts the inputs."""

    def __init__(self, of: Plan | None = None, person: Person | None = None) -> None:
        """A life that begins with ``person``, or with nothing."""
        self.plan = of or plan()
        self.fold = Fold(self.plan, KEYS)
        self.person = person
        self.outputs: list[Any] = []
        self.seq = 0

    def see(self, *events: Event) -> list[Any]:
        """Fold events in; return what they brought about."""
        fresh: list[Any] = []
        for each in events:
            out = self._collector()
            self.person = self.fold.apply(self.person, each, out)
            fresh += flat(out)
        self.outputs += fresh
        return fresh

    def wait(self, at: int) -> list[Any]:
        """Let log time pass until ``at`` milliseconds after the beginning."""
        assert self.person is not None
        out = self._collector()
        self.fold.due(self.person, TimerDue(self.person.partition, START + at, self.seq), out)
        return self._keep(out)

    def become(self, into: str, at: int) -> list[Any]:
        """The visitor turns out to be a user."""
        out = self._collector()
        self.person = self.fold.merge(self.person, visitor_merged(at, into=into, seq=self.seq), out)
        return self._keep(out)

    def lose_user(self, into: str, at: int) -> list[Any]:
        """The user that the visitor was merged into is deleted."""
        out = self._collector()
        deleted = VisitorDeleted(
            tenant="t",
            key=KEYS.stream_key("t", "u"),
            into_key=KEYS.stream_key("t", into),
            timestamp=START + at,
            log_time=START + at,
            partition=0,
            seq=self.seq,
        )
        self.person = self.fold.merged_user_deleted(self.person, deleted, out)
        return self._keep(out)

    def _keep(self, out: Collector) -> list[Any]:
        fresh = flat(out)
        self.outputs += fresh
        return fresh

    def _collector(self) -> Collector:
        self.seq += 1
        out = Collector("key")
        out.begin(self.seq)
        return out

    def reload(self) -> None:
        """Write the person down and read them back."""
        if self.person is not None:
            self.person = snapshot.decode(snapshot.encode(self.person))

    def of(self, kind: type[T]) -> list[T]:
        """Outputs of one kind."""
        return of_kind(self.outputs, kind)

    @property
    def ask(self) -> DecisionRequest:
        """The last decision."""
        return self.of(DecisionRequest)[-1]

    def echo(self, arm: str = "plain", decision: str = "") -> str:
        """The recommendation id of the last decision, as the app read it."""
        return KEYS.recommendation_id(decision or self.ask.decision, arm)

    @property
    def done(self) -> dict[str, int]:
        """Completed steps and when, after the beginning."""
        assert self.person is not None
        return {step: at - START for step, at in completed(self.plan, self.person.path, self.person.steps).items()}

    def progress(self) -> tuple[object, ...]:
        """What must not depend on the order in which events arrive.

        Whether, and under which path, a completion was counted may: it is counted when it is one on the path of that moment.
        """
        person = self.person
        assert person is not None
        traits = {name: (type(value).__name__, value) for name, value in person.traits.items()}
        preferences = person.guidance, person.quiet_from, person.quiet_to, person.model_text, person.refused
        steps = {step: _uncounted(state) for step, state in person.steps.items()}
        return (
            (person.path, self.done, person.activated_at, steps),
            (traits, preferences),
            (person.signup_at, person.first_seen, person.newest),
        )


def _uncounted(state: StepState) -> StepState:
    """The evidence alone: without the note in which minute the completion is counted, which is needed under another path only."""
    return msgspec.structs.replace(
        state, counted=None, times={key: times for key, times in (state.times or {}).items() if key >= 0} or None
    )


def of_kind(outputs: Iterable[object], kind: type[T]) -> list[T]:
    """Those that are of ``kind``."""
    return [each for each in outputs if isinstance(each, kind)]


def declined(outputs: Iterable[object]) -> list[str]:
    """Reasons of the non-decisions."""
    return [each.reason for each in of_kind(outputs, DecisionFact) if each.outcome == "declined"]


def signals(outputs: Iterable[object]) -> list[str]:
    """Signs of being stuck."""
    return [each.trigger for each in of_kind(outputs, SignalFact)]


def kinds(outputs: Iterable[object]) -> list[str]:
    """What became of decisions."""
    return [each.kind for each in of_kind(outputs, DecisionOutcome)]


def withdrawals(outputs: Iterable[object]) -> list[Recommendation]:
    """Records that take guidance back."""
    return [each.recommendation for each in of_kind(outputs, Publish)]


def counts(outputs: Iterable[object], name: str) -> list[str]:
    """Labels of the counts of ``name``."""
    return [each.label for each in of_kind(outputs, Counted) if each.name == name]


def versions(outputs: Iterable[object]) -> list[int]:
    """Versions of everything that writes the record which the app reads, in order."""
    written: list[int] = []
    for each in outputs:
        if isinstance(each, Publish):
            written.append(each.recommendation.version)
        elif isinstance(each, Erase | DecisionRequest):
            written.append(each.version)
    return written


# generated lives

_minutes = st.integers(0, 24 * 60).map(lambda minutes: minutes * MINUTE)
_seconds = st.integers(0, 90).map(lambda seconds: seconds * SECOND)
_traits = st.dictionaries(
    st.sampled_from(["persona", "pro", "firstName"]), st.sampled_from(["analyst", "builder", "other", "true", "1", True, 1, 1.0, False])
)
_content: st.SearchStrategy[tuple[str, str, dict[str, Any]]] = st.one_of(
    st.tuples(st.sampled_from(["signup", "identify"]), st.just(""), _traits.map(lambda traits: {"traits": traits})),
    st.sampled_from(
        [
            ("form_submit", "", {"form": "connect"}),
            ("form_submit", "", {"form": "invite"}),
            ("track", "connected", {}),
            ("track", "explored", {}),
            ("track", "explored", {}),
            ("track", "shared", {}),
            ("track", "shared", {"public": True}),
            ("track", "shared", {"public": 1}),
            ("page_view", "", {"path": "/connect"}),
            ("page_view", "", {"path": "/other"}),
            ("button_click", "", {"target": "invite"}),
            ("error", "", {"code": "source_gone"}),
            ("recommendation_shown", "", {}),
            ("recommendation_clicked", "", {}),
            ("tooltip_dismiss", "", {}),
            ("preferences_changed", "", {"guidance": False}),
            ("preferences_changed", "", {"guidance": True, "quietHours": {"start": "22:00", "end": "07:00"}}),
            ("preferences_changed", "", {"quietHours": {"start": "12:00", "end": "13:00"}, "modelText": False}),
            ("preferences_changed", "", {"quietHours": None, "modelText": True, "channels": ["email"]}),
            ("preferences_changed", "", {"channels": {"in_app": True, "email": False}}),
        ]
    ),
)


@st.composite
def histories(draw: st.DrawFn, most: int = 25) -> list[Event]:
    """Events of one person within the lateness bound, many of them at the same times, none twice, sorted."""
    times = draw(st.lists(st.one_of(_minutes, _seconds), min_size=1, max_size=8))
    drawn = draw(st.lists(st.tuples(st.sampled_from(times), _content), max_size=most))
    events = [event(kind, at, ident=f"e{number}", name=name, **payload) for number, (at, (kind, name, payload)) in enumerate(drawn)]
    if draw(st.booleans()):
        events.append(signup(min(times), ident="signup"))
    return sorted(events, key=lambda each: each.timestamp)


def arriving(events: Sequence[Event], every: int = SECOND) -> list[Event]:
    """The same events, arriving in this order: one ``every`` so many milliseconds after a day."""
    start = START + 24 * HOUR
    return [msgspec.structs.replace(each, log_time=start + index * every) for index, each in enumerate(events)]


@st.composite
def stories(draw: st.DrawFn) -> list[Event | int]:
    """What a log may bring: events, twice, late and in any order, deletions, and between them the passing of time (numbers)."""
    story: list[Event | int] = []
    now = 0
    for number in range(draw(st.integers(0, 30))):
        now += draw(st.sampled_from([0, 1, SECOND, MINUTE, 10 * MINUTE, HOUR, 7 * HOUR, 30 * HOUR]))
        if draw(st.integers(0, 7)) == 0:
            story.append(now)
        elif story and draw(st.integers(0, 7)) == 0:
            again = draw(st.sampled_from(story))
            if isinstance(again, Event):
                story.append(msgspec.structs.replace(again, log_time=START + now))
        elif draw(st.integers(0, 14)) == 0:
            story.append(event("user_deleted", now, ident=f"e{number}"))
        else:
            kind, name, payload = draw(_content)
            behind = draw(st.sampled_from([0, 0, 0, SECOND, HOUR, 23 * HOUR, 25 * HOUR]))
            story.append(event(kind, max(now - behind, 0), log=now, ident=f"e{number}", name=name, **payload))
    return story


def live(life: Life, story: Iterable[Event | int]) -> None:
    """Let a story happen."""
    for each in story:
        if isinstance(each, Event):
            life.see(each)
        elif life.person is not None:
            life.wait(each)


def connect(at: int, **rest: Any) -> Event:
    return event("form_submit", at, form="connect", **rest)


def invite(at: int, **rest: Any) -> Event:
    return event("form_submit", at, form="invite", **rest)


def explored(at: int, count: int = 3) -> list[Event]:
    return [track("explored", at + number, ident=f"explored {at} {number}") for number in range(count)]
