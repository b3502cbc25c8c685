"""The fold: one person's state, one event or timer at a time. Pure: the same events and log times give the same outputs anywhere.

Order of an event: timers that were due before it run first, each at its own deadline; then the event is judged (deleted, late, duplicate),
then applied. Progress does not depend on the order of events within the lateness bound; decisions do, as they must.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from state import signals
from state.catalog import Scalar
from state.events import Event
from state.facts import EventFact, PersonFact, ProgressFact, SignalFact
from state.guidance import Guidance, Turn
from state.ids import Keys
from state.items import Count, Due, Merged
from state.person import RECENT, Person, StepState
from state.plan import Plan
from state.progress import activated_at, completed, current_step, last_progress, record
from state.recommendation import Erase
from state.times import parse_minute_of_day
from state.vocabulary import STUCK_TRIGGERS

MOST_SEEN: Final = 131_072
"""Event ids remembered of one person at most. Beyond it the older half is forgotten and ``floor`` rises: what is older is late."""

_EXPOSURES: Final = frozenset({"recommendation_shown", "recommendation_clicked", "recommendation_dismissed", "tooltip_dismiss"})
_INACTIVE, _ERRORS, _RAGE, _LOOPING, _SLOW = STUCK_TRIGGERS
_json = msgspec.json.Encoder()


class Fold:
    """The fold over the people of one plan. Holds no state of its own."""

    def __init__(self, plan: Plan, keys: Keys) -> None:
        self._plan: Final = plan
        self._keys: Final = keys
        self._guidance: Final = Guidance(plan, keys)

    # what may happen to a person

    def apply(self, person: Person | None, event: Event, turn: Turn) -> Person:
        """Fold one event in; return the person (a new one for ``None``), outputs in ``turn``. Never raises for a valid event."""
        if person is None:
            person = Person(event.tenant, event.user, first_seen=event.timestamp)
            turn.outputs.append(Count("users"))
        else:
            self.advance(person, event.log_time, turn)
        person.now = max(person.now, event.log_time)
        person.partition = event.partition
        if person.deleted_at:
            if event.type != "signup" or event.timestamp <= person.deleted_at:
                if event.type == "user_deleted":
                    person.deleted_at = max(person.deleted_at, event.timestamp)
                turn.outputs.append(Count("ignored", "deleted"))
                return person
            person.reborn_after = person.deleted_at
            person.floor = person.deleted_at + 1  # what the former life knew is forgotten, so its events would count again
            person.tenant, person.user, person.first_seen, person.deleted_at = event.tenant, event.user, event.timestamp, 0
        status = self._judge(person, event)
        if status == "duplicate":
            turn.outputs.append(Count("duplicates"))
        elif status and event.stitched:
            pass
        elif status:
            turn.outputs.append(Count("ignored", status))
            turn.outputs.append(_event_fact(event, status))
        elif event.type == "user_deleted":
            turn.outputs.append(Count("accepted"))
            self._delete(person, event, turn)
        else:
            if not event.stitched:  # told and counted under the visitor's own id
                turn.outputs.append(Count("accepted"))
                turn.outputs.append(_event_fact(event, "applied"))
            person.version += 1
            person.known = person.known or not (event.anonymous or event.stitched)
            self._apply(person, event, turn)
        return person

    def advance(self, person: Person, now: int, turn: Turn) -> None:
        """Run every timer of ``person`` that is due at log time ``now`` or earlier, in order, each at its own deadline."""
        while (due := self.next_due(person)) and due <= now:
            person.now = max(person.now, due)
            person.version += 1
            self._guidance.close_due(turn, person, due)
            done = completed(self._plan, person.path, person.steps)
            if person.inactive_due and person.inactive_due <= due:
                person.inactive_due = 0
                evidence = {"lastActiveAt": person.newest, "after": self._plan.triggers.inactive.after}
                if self._plan.triggers.inactive.enabled:
                    self._signal(person, _INACTIVE, due, done, turn, evidence)

    def due(self, person: Person, due: Due, turn: Turn) -> None:
        """A timer fired. Harmless when it is not, or no longer, due."""
        self.advance(person, due.at, turn)

    def merge(self, person: Person | None, merged: Merged, turn: Turn) -> Person:
        """The visitor became a known user: guidance goes on under that user's key, what this key showed is taken back.

        A person who was ever seen as a user is nobody's visitor: whoever names them in an ``identity_merged`` changes nothing.
        """
        if person is None:
            person = Person(merged.tenant, merged.user, first_seen=merged.timestamp)
        else:
            self.advance(person, merged.log_time, turn)
        person.now = max(person.now, merged.log_time)
        if person.known:
            turn.outputs.append(Count("ignored", "merge_refused"))
        elif not person.merged and not person.deleted_at:
            self._guidance.take_back(turn, person, "merged", person.now)
            self._guidance.forget(turn, person, person.now)
            person.merged = True
            person.inactive_due = 0
            if person.sessions:  # was counted, and told of, as somebody else
                turn.outputs.append(Count("users", by=-1))
                person.version += 1
                turn.outputs.append(self._person_fact(person, completed(self._plan, person.path, person.steps)))
            person.traits, person.trait_times, person.recent = {}, {}, []
        return person

    @staticmethod
    def next_due(person: Person) -> int:
        """Log time at which a timer of ``person`` is due next, 0 for none. Ask again after every change."""
        due = person.inactive_due
        for each in person.open:
            if not due or each.due < due:
                due = each.due
        return due

    # judging

    def _judge(self, person: Person, event: Event) -> str:
        """Why the event is not applied; empty where it is, and then it is remembered as seen."""
        seen, at = person.seen, event.timestamp
        if event.type == "user_deleted":  # a wish to be forgotten is never too late, unless it was already granted
            return "late" if at <= person.reborn_after else ""
        if at < person.floor and not event.stitched:
            return "late"
        mark = self._keys.event_hash(event.id)
        if mark in seen:
            return "duplicate"
        if person.merged:
            return "merged"
        seen[mark] = at
        if at > person.newest:
            person.newest = at
            person.floor = max(person.floor, at - self._plan.limits.lateness)
        count = len(seen)
        if count >= 64 and (count & (count - 1) == 0 or count >= MOST_SEEN):
            forget_seen(person)
        return ""

    # applying

    def _apply(self, person: Person, event: Event, turn: Turn) -> None:
        plan, kind, at = self._plan, event.type, event.timestamp
        before, activated = completed(plan, person.path, person.steps), person.activated_at
        person.first_seen = min(person.first_seen, at)
        news = self._session(person, event)
        signing_up = kind == "signup" and not person.signup_at
        if kind in ("signup", "identify"):
            news |= _learn_traits(person, event, plan.traits)
            if kind == "signup":
                person.signup_at = min(person.signup_at or at, at)
                news |= signing_up
        elif kind == "identity_merged" and not person.origin and not person.decided:
            person.origin = str(event.payload["previousId"])
            news = True
        elif kind == "preferences_changed":
            news |= self._prefer(person, event, turn)
        path = plan.path_for(person.traits) if news or person.path not in plan.paths else person.path
        proved, moved = record(person, event, plan.rules(kind, event.name, event.payload)), path != person.path
        if proved or moved:
            done, fresh = self._progress(person, path, before, turn)
        else:
            done, fresh = before, {}
        if kind in _EXPOSURES:
            self._guidance.expose(turn, person, kind, event.payload, at, person.now)
        _remember(person, event)
        if at == person.newest or moved:
            person.inactive_due = self._later(person, person.newest + plan.triggers.inactive.after, done)
        if signing_up:
            self._guidance.consider(turn, person, "signup", person.now, done)
        if fresh and proved:  # a new path finds steps completed that were done long ago: no news to the person
            self._guidance.consider(turn, person, "step_completed", person.now, done)
        if person.path and not person.activated_at:
            self._look_for_signals(person, event, done, turn)
        if news or fresh or person.activated_at != activated:
            turn.outputs.append(self._person_fact(person, done))

    def _progress(self, person: Person, path: str, before: Mapping[str, int], turn: Turn) -> tuple[dict[str, int], dict[str, int]]:
        """Evidence or path have changed: tell it, and settle decisions. Returns what is completed, and what of it is newly so."""
        plan, moved = self._plan, path != person.path
        person.path = path
        done = completed(plan, path, person.steps)
        fresh = {step: at for step, at in done.items() if step not in before}
        for step, at in done.items():
            if moved or before.get(step) != at:
                turn.outputs.append(self._progress_fact(person, step, "completed", done))
        if moved:
            shown = self._guidance.current(person, person.now)
            if shown is not None and (path not in plan.paths or shown.step not in plan.paths[path].steps):
                self._guidance.take_back(turn, person, "path_changed", person.now)
        activated = activated_at(plan, path, done)
        if bool(activated) != bool(person.activated_at):  # a new path may take activation back
            turn.outputs.append(Count("activated", by=1 if activated else -1))
        newly, person.activated_at = bool(activated and not person.activated_at), activated
        if not (moved or fresh):
            return done, fresh
        current = current_step(plan, path, done)
        if current:
            turn.outputs.append(self._progress_fact(person, current, "current", done))
        person.pages.clear()
        self._guidance.settle(turn, person, fresh, person.now)
        if newly:
            person.inactive_due = 0
            self._guidance.take_back(turn, person, "activated", person.now)
        person.active, person.slow_told = 0, False
        return done, fresh

    def _later(self, person: Person, due: int, done: Mapping[str, int]) -> int:
        """When a timer that belongs to the current step is due: never sooner than the plan's lookahead, never without such a step."""
        if person.activated_at or not current_step(self._plan, person.path, done):
            return 0
        return max(due, person.now + self._plan.lookahead)

    def _session(self, person: Person, event: Event) -> bool:
        """Follow sessions by the newest events; return whether one began."""
        if event.timestamp < person.newest:
            return False
        session = zlib.crc32(event.session.encode()) if event.session else 0
        began = (
            not person.sessions
            or event.timestamp - person.session_to > self._plan.limits.session_gap
            or bool(session and person.session and session != person.session)
        )
        if began:
            person.session_total += person.session_to - person.session_from
            person.session_from = event.timestamp
            person.sessions += 1
        else:
            person.active += event.timestamp - person.session_to
        person.session = session or person.session
        person.session_to = event.timestamp
        return began

    def _prefer(self, person: Person, event: Event, turn: Turn) -> bool:
        """Preferences: the newest wins, each by itself. Switching guidance off takes back what the app may show."""
        at, guidance, quiet = event.timestamp, event.payload.get("guidance"), event.payload.get("quietHours")
        if "quietHours" in event.payload and at >= person.preferences_at:
            person.preferences_at, person.quiet_from, person.quiet_to = at, -1, -1
            if isinstance(quiet, dict):
                person.quiet_from, person.quiet_to = parse_minute_of_day(quiet.get("start")), parse_minute_of_day(quiet.get("end"))
                if person.quiet_to < 0:
                    person.quiet_from = -1
        if isinstance(guidance, bool) and (at > person.guidance_at or (at == person.guidance_at and not guidance)):
            person.guidance_at, person.guidance = at, guidance
        if not person.guidance:
            self._guidance.take_back(turn, person, "opted_out", person.now)
        return True

    def _delete(self, person: Person, event: Event, turn: Turn) -> None:
        """Forget everything but that, and when, the person was deleted. The version goes on, so that nothing older can return."""
        self._guidance.forget(turn, person, person.now)
        turn.outputs.append(Erase(person.tenant, person.user, person.version + 1))
        fresh = Person("", "", partition=person.partition, version=person.version + 1, now=person.now, deleted_at=event.timestamp)
        for field in person.__struct_fields__:
            setattr(person, field, getattr(fresh, field))

    # being stuck

    def _look_for_signals(self, person: Person, event: Event, done: Mapping[str, int], turn: Turn) -> None:
        kind, at, policies = event.type, event.timestamp, self._plan.triggers
        if kind == "error" and policies.errors.enabled:
            if count := signals.error(person.errors, at, policies.errors):
                evidence = {"errors": count, "within": policies.errors.within, "code": str(event.payload.get("code", ""))[:64]}
                self._signal(person, _ERRORS, person.now, done, turn, evidence, self._step_meant(person, event, done))
        elif kind == "button_click" and policies.rage_clicks.enabled:
            target = str(event.payload["target"])
            if count := signals.click(person.clicks, at, target, policies.rage_clicks):
                evidence = {"clicks": count, "within": policies.rage_clicks.within, "target": target[:64]}
                self._signal(person, _RAGE, person.now, done, turn, evidence, self._step_meant(person, event, done))
        elif kind == "page_view" and policies.looping.enabled:
            page = str(event.payload["path"])
            if count := signals.visit(person.pages, at, page, policies.looping):
                evidence = {"visits": count, "within": policies.looping.within, "page": page[:64]}
                self._signal(person, _LOOPING, person.now, done, turn, evidence, self._step_meant(person, event, done))
        if policies.slow_step.enabled and not person.slow_told and (step := current_step(self._plan, person.path, done)):
            after = self._plan.slow_after[step]
            if person.active >= after:
                person.slow_told = True
                self._signal(person, _SLOW, person.now, done, turn, {"activeTime": person.active, "after": after}, step)

    def _signal(
        self, person: Person, trigger: str, at: int, done: Mapping[str, int], turn: Turn, evidence: Mapping[str, Any], step: str = ""
    ) -> None:
        """The person is stuck: say so, on what evidence, and consider guidance. Held-out people are detected like everyone."""
        step = step or current_step(self._plan, person.path, done)
        if not step:
            return
        person.version += 1
        signal_id = self._keys.decision_id(person.tenant, person.user, f"signal {trigger}", step, person.version)
        turn.outputs.append(
            SignalFact(
                person.tenant, signal_id, person.user, trigger, person.path, step, _json.encode(evidence).decode(), at, person.version
            )
        )  # fmt: skip
        status = "completed" if step in done else "current"
        turn.outputs.append(self._progress_fact(person, step, status, done))
        self._guidance.consider(turn, person, trigger, at, done, step)

    def _step_meant(self, person: Person, event: Event, done: Mapping[str, int]) -> str:
        """The open step of the path that the event belongs to by its matchers; empty (the current one) where there is none."""
        if path := self._plan.paths.get(person.path):
            for rule in self._plan.rules(event.type, event.name, event.payload):
                is_open = rule.step in path.steps and rule.step not in done
                if is_open and all(each in done for each in self._plan.steps[rule.step].requires):
                    return rule.step
        return ""

    # telling

    def _progress_fact(self, person: Person, step: str, status: str, done: Mapping[str, int]) -> ProgressFact:
        state = person.steps.get(step) or StepState()
        path = self._plan.paths[person.path]
        return ProgressFact(
            person.tenant, person.user, person.path, step, path.steps.index(step) + 1, status, state.attempts, state.errors,
            state.first, state.last, last_progress(person, {key: at for key, at in done.items() if key != step}),
            done.get(step, 0), person.now, person.version,
        )  # fmt: skip

    def _group(self, person: Person) -> str:
        if person.merged:
            return "merged"
        return "holdout" if self._guidance.held_out(person) else "adaptive"

    def _person_fact(self, person: Person, done: Mapping[str, int]) -> PersonFact:
        total = len(self._plan.paths[person.path].steps) if person.path in self._plan.paths else 0
        sessions_ms = person.session_total + person.session_to - person.session_from

        def trait(name: str) -> str:
            return str(person.traits.get(name, ""))

        return PersonFact(
            person.tenant, person.user, person.path, self._plan.segment(person.traits),
            self._group(person),
            trait("persona"), trait("useCase"), trait("companySize"), trait("signupSource"), trait("tier"), trait("locale"),
            person.guidance, len(done), total, person.sessions, sessions_ms / 1000 / max(person.sessions, 1),
            engagement(len(done), total, person.sessions), person.first_seen, person.signup_at, person.newest, person.activated_at,
            person.version,
        )  # fmt: skip


def engagement(steps_completed: int, steps_total: int, sessions: int) -> float:
    """A plain index from 0 to 100: 60 for the share of steps completed, 40 for sessions, which count up to ten."""
    share = steps_completed / steps_total if steps_total else 0.0
    return round(60 * share + 4 * min(sessions, 10), 1)


def forget_seen(person: Person) -> None:
    """Drop event ids that are older than ``floor``, since such events are late anyway; raise ``floor`` where too many remain."""
    person.seen = {mark: at for mark, at in person.seen.items() if at >= person.floor}
    if len(person.seen) >= MOST_SEEN:
        person.floor = sorted(person.seen.values())[MOST_SEEN // 2] + 1
        person.seen = {mark: at for mark, at in person.seen.items() if at >= person.floor}


def _learn_traits(person: Person, event: Event, wanted: frozenset[str]) -> bool:
    """Keep the newest value of each wanted trait; ties go to the greater text, so that order does not matter."""
    given = event.payload.get("traits")
    if not isinstance(given, dict):
        return False
    changed, at = False, event.timestamp
    for name, value in given.items():
        if name not in wanted or not _fit(value):
            continue
        old_at = person.trait_times.get(name, person.traits_at) if name in person.traits else 0
        if at > old_at or (at == old_at and _rank(value) > _rank(person.traits[name])):
            changed |= name not in person.traits or _rank(person.traits[name]) != _rank(value)
            person.traits[name] = value
            person.traits_at = person.traits_at or at
            person.trait_times.pop(name, None)
            if at != person.traits_at:
                person.trait_times[name] = at
    return changed


def _rank(value: Scalar) -> tuple[str, str]:
    """Orders values; tells ``1`` from ``True``, which Python holds to be equal."""
    return str(value), type(value).__name__


def _fit(value: object) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 128)


def _remember(person: Person, event: Event) -> None:
    """Keep the last few events in brief, by arrival: what a model may be told of what the person was doing."""
    payload = event.payload
    told = (event.name, payload.get("path"), payload.get("target"), payload.get("form"), payload.get("code"))
    subject = next((each for each in told if each and isinstance(each, str)), "")
    if len(person.recent) >= RECENT:
        del person.recent[0]
    person.recent.append(f"{event.type} {subject}"[:32].rstrip())


def _event_fact(event: Event, status: str) -> EventFact:
    """``version`` lets an applied row win over a late repetition of the same event."""
    return EventFact(
        event.tenant, event.user, event.id, event.session, event.type, event.name, event.raw_payload.decode(), status, event.timestamp,
        event.log_time, event.partition, event.offset, event.traceparent, 1 if status == "applied" else 0,
    )  # fmt: skip
