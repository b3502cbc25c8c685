"""The fold: one person's state, one event or timer at a time. Pure: the same events and log times give the same outputs anywhere.

Order of an event: timers that were due before it run first, each at its own deadline; then the event is judged (deleted, late, duplicate),
then applied. Progress does not depend on the order of events within the lateness bound; decisions do, as they must.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from state.catalog.plan import Plan
from state.decision.guidance import Collector, Guidance
from state.events import Event
from state.ids import Keys
from state.person.person import Person
from state.person.profile import follow_session, learn_traits, listen, prefer, remember
from state.person.progress import activated_at, completed, current_step, last_progress, record_evidence
from state.records.fact_builders import event_fact, person_fact, progress_fact
from state.records.recommendation import Erase
from state.stream_items import Count, Due, Merged
from state.stuck.detector import Detector
from state.stuck.parameters import ParameterStore

MOST_SEEN: Final = 131_072
"""Event ids remembered of one person at most. Beyond it the older half is forgotten and ``floor`` rises: what is older is late."""

_EXPOSURES: Final = frozenset({"recommendation_shown", "recommendation_clicked", "recommendation_dismissed", "tooltip_dismiss"})


class Fold:
    """The fold over the people of one plan. Holds no state of its own; what has been learned of the steps stands on ``board``."""

    def __init__(self, plan: Plan, keys: Keys, board: ParameterStore | None = None) -> None:
        self._plan: Final = plan
        self._keys: Final = keys
        self._guidance: Final = Guidance(plan, keys)
        self._detector: Final = Detector(plan, keys, self._guidance, board or ParameterStore())

    # what may happen to a person

    def apply(self, person: Person | None, event: Event, turn: Collector) -> Person:
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
            turn.outputs.append(event_fact(event, status, 0))
        elif event.type == "user_deleted":
            turn.outputs.append(Count("accepted"))
            self._delete(person, event, turn)
        else:
            if not event.stitched:  # told and counted under the visitor's own id
                turn.outputs.append(Count("accepted"))
                turn.outputs.append(event_fact(event, "applied", person.version + 1))
            person.version += 1
            person.known = person.known or not (event.anonymous or event.stitched)
            self._apply(person, event, turn)
        return person

    def advance(self, person: Person, now: int, turn: Collector) -> None:
        """Run every timer of ``person`` that is due at log time ``now`` or earlier, in order, each at its own deadline."""
        while (due := self.next_due(person)) and due <= now:
            person.now = max(person.now, due)
            person.version += 1
            parameters = self._detector.parameters(person, due - 1, turn)
            self._guidance.close_due(turn, person, due)
            if person.check_due and person.check_due <= due:
                person.check_due = 0
                done = completed(self._plan, person.path, person.steps)
                if not self._detector.stand(person, done, due, turn):
                    self._detector.check(person, due, done, turn, parameters)

    def due(self, person: Person, due: Due, turn: Collector) -> None:
        """A timer fired. Harmless when it is not, or no longer, due."""
        self.advance(person, due.at, turn)

    def merge(self, person: Person | None, merged: Merged, turn: Collector) -> Person:
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
            self._detector.leave(person, person.now, turn)
            person.merged = True
            person.episode, person.check_due = None, 0
            if person.sessions:  # was counted, and told of, as somebody else
                turn.outputs.append(Count("users", by=-1))
                person.version += 1
                turn.outputs.append(person_fact(self._plan, person, self._group(person), completed(self._plan, person.path, person.steps)))
            person.traits, person.trait_times, person.recent, person.said = {}, {}, [], []
        return person

    @staticmethod
    def next_due(person: Person) -> int:
        """Log time at which a timer of ``person`` is due next, 0 for none. Ask again after every change."""
        due = person.check_due
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

    def _apply(self, person: Person, event: Event, turn: Collector) -> None:
        plan, kind, at = self._plan, event.type, event.timestamp
        parameters = self._detector.parameters(person, event.log_time, turn)
        gap = at - person.session_to if person.session_to else -1
        before, activated = completed(plan, person.path, person.steps), person.activated_at
        person.first_seen = min(person.first_seen, at)
        news = follow_session(person, event, plan.limits.session_gap)
        signing_up = kind == "signup" and not person.signup_at
        if kind in ("signup", "identify"):
            news |= learn_traits(person, event, plan.traits)
            if kind == "signup":
                person.signup_at = min(person.signup_at or at, at)
                news |= signing_up
        elif kind == "identity_merged" and not person.origin and not person.decided:
            person.origin = str(event.payload["previousId"])
            news = True
        elif kind == "preferences_changed":
            prefer(person, event)
            news = True
            if not person.guidance:
                self._guidance.take_back(turn, person, "opted_out", person.now)
        path = plan.path_for(person.traits) if news or person.path not in plan.paths else person.path
        rules = plan.rules(kind, event.name, event.payload)
        (proved, touched), moved = record_evidence(person, event, rules), path != person.path
        if proved or moved:
            done, fresh = self._progress(person, path, before, turn)
        else:
            done, fresh = before, {}
        self._detector.stand(person, done, person.now, turn)
        for step in touched:
            if step not in fresh and any(step == each for each, _ in plan.routes.get(path, ())):
                turn.outputs.append(progress_fact(plan, person, step, done))
        if kind in _EXPOSURES:
            self._guidance.expose(turn, person, kind, event.payload, at, person.now)
        again = remember(person, event)
        if plan.listens:
            listen(person, event)
        if not event.stitched and (gap >= 0 or not person.session_total):
            self._detector.rhythm(person, event, gap, again, person.now, turn)
        if signing_up:
            self._guidance.consider(turn, person, "signup", person.now, done)
        if fresh and proved:  # a new path finds steps completed that were done long ago: no news to the person
            self._guidance.consider(turn, person, "step_completed", person.now, done)
        if not fresh and at == person.newest and gap >= plan.triggers.inactive.after:
            self._welcome_back(person, done, turn)
        if person.episode is not None:
            self._detector.look(person, event, rules, done, turn, parameters)
        if news or fresh or person.activated_at != activated:
            turn.outputs.append(person_fact(self._plan, person, self._group(person), done))

    def _progress(self, person: Person, path: str, before: Mapping[str, int], turn: Collector) -> tuple[dict[str, int], dict[str, int]]:
        """Evidence or path have changed: tell it, and settle decisions. Returns what is completed, and what of it is newly so."""
        plan, moved = self._plan, path != person.path
        person.path = path
        done = completed(plan, path, person.steps)
        fresh = {step: at for step, at in done.items() if step not in before}
        for step, at in done.items():
            if moved or before.get(step) != at:
                turn.outputs.append(progress_fact(plan, person, step, done))
        if fresh:
            turn.outputs.append(Count("steps_completed", by=len(fresh)))
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
        first = current not in person.since
        if current:
            person.since.setdefault(current, last_progress(person, done))
            turn.outputs.append(progress_fact(plan, person, current, done))
        if moved:
            later = [step for step, _ in plan.routes.get(path, ()) if step not in done and step != current]
            turn.outputs += [progress_fact(plan, person, step, done) for step in later]
        person.pages.clear()
        self._guidance.settle(turn, person, fresh, person.now)
        if newly:
            self._guidance.take_back(turn, person, "activated", person.now)
        person.active, person.slow_told = 0, False
        self._detector.follow(person, done, person.now, turn, first=first)
        return done, fresh

    def _welcome_back(self, person: Person, done: Mapping[str, int], turn: Collector) -> None:
        """A silence of ``stuck:inactive.after`` is over; where what was decided in it has expired, consider guidance without an alarm."""
        if person.episode is not None and self._plan.triggers.inactive.enabled and self._guidance.current(person, person.now) is None:
            self._guidance.consider(turn, person, "stuck:inactive", person.now, done)

    def _delete(self, person: Person, event: Event, turn: Collector) -> None:
        """Forget everything but that, and when, the person was deleted. The version goes on, so that nothing older can return."""
        self._guidance.forget(turn, person, person.now)
        self._detector.leave(person, person.now, turn)
        turn.outputs.append(Erase(person.tenant, person.user, person.version + 1))
        fresh = Person("", "", partition=person.partition, version=person.version + 1, now=person.now, deleted_at=event.timestamp)
        for field in person.__struct_fields__:
            setattr(person, field, getattr(fresh, field))

    def _group(self, person: Person) -> str:
        if person.merged:
            return "merged"
        return self._guidance.group(person)


def forget_seen(person: Person) -> None:
    """Drop event ids that are older than ``floor``, since such events are late anyway; raise ``floor`` where too many remain."""
    person.seen = {mark: at for mark, at in person.seen.items() if at >= person.floor}
    if len(person.seen) >= MOST_SEEN:
        person.floor = sorted(person.seen.values())[MOST_SEEN // 2] + 1
        person.seen = {mark: at for mark, at in person.seen.items() if at >= person.floor}
