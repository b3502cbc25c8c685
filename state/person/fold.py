"""The fold: applies one event or timer at a time to one person's state. Pure: the same inputs and log times give the same outputs.

For an event, timers that were due before it run first, each at its own deadline. Then the event is checked (deleted, late, duplicate) and
applied. Progress does not depend on the order of events within the lateness bound; decisions do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from state import counters
from state.catalog.plan import Plan, Rule
from state.decision.attribution import EXPOSURES, current
from state.decision.eligibility import refuses_surface
from state.decision.experiment_groups import counts, draw_group, enter, experiment_draw, keep_beginning, note_beginning
from state.decision.guidance import Guidance
from state.decision.switches import AT_SIGNUP, Switches
from state.event import Event
from state.ids import Keys
from state.person.arrivals import GuidanceSwitched, TimerDue, VisitorDeleted, VisitorMerged
from state.person.collector import Collector
from state.person.completion_counts import completed_beside_the_path, count_completions, leave_path, note_minutes
from state.person.deduplication import MOST_SEEN, forget_old_events, is_known, remember
from state.person.departure import Departure
from state.person.link import REFUSED_USER
from state.person.meaning import Meanings
from state.person.person import BEGUN_BEFORE, NOT_BEGUN, Person
from state.person.preferences import update_preferences
from state.person.progress import (
    activated_at,
    begin_as_the_visitor,
    beginnings,
    completed,
    current_step,
    last_progress,
    record_evidence,
)
from state.person.recent import EVENTS_COUNTED, keep_notes
from state.person.sessions import follow_session
from state.person.traits import update_traits
from state.records.fact_builders import catalog_met_fact, event_fact, person_fact, progress_effect, progress_fact
from state.stuck.detector import Detector
from state.stuck.parameters import Parameters, ParameterStore
from state.vocabulary import IDENTITY_MERGED, USER_DELETED

_NONE: Final[Mapping[str, int]] = {}
_ANSWERED: Final = frozenset({"signup", "step_completed"})
"""Event types after which the app may wait for the person's progress, so that it is published each time."""


class Fold:
    """The fold for the people of one plan. It has no state of its own: ``parameters`` has the learned step statistics, ``switches`` what
    operators decided.
    """

    def __init__(self, plan: Plan, keys: Keys, parameters: ParameterStore | None = None, switches: Switches | None = None) -> None:
        self._plan: Final = plan
        self._keys: Final = keys
        self._meanings: Final = Meanings(plan)
        self._session_gap: Final = plan.limits.session_gap
        self._lateness: Final = plan.limits.lateness
        self._guidance: Final = Guidance(plan, keys, switches)
        self._detector: Final = Detector(plan, keys, self._guidance, parameters or ParameterStore())
        self._departure: Final = Departure(plan, keys, self._guidance, self._detector)

    # inputs

    def apply(self, person: Person | None, event: Event, out: Collector) -> Person:
        """Apply one event. Return the person (a new one for ``None``); outputs go to ``out``. Never raises for a valid event.

        ``event.user`` may be empty: the event then is of a visitor who was merged into the person. Where the person's id is not known yet,
        it goes to ``out.waiting``, but not where the person was merged: nothing brings the id then.
        """
        if person is None:
            person = self._new_person(event, out)
        elif 0 < person.next_due <= event.log_time:
            self.advance(person, event.log_time, out)
        person.now = max(person.now, event.log_time)
        person.partition = event.partition
        if person.merged_into:
            person = self._as_user(person, event, out)
        if person.deleted_at:
            if not self._begins_anew(person, event):
                if event.type == USER_DELETED and event.timestamp > person.deleted_at:
                    self._departure.delete_again(person, event, out)
                out.count(counters.EVENTS_IGNORED, "deleted")
                return person
            person.previous_deletion_at = person.deleted_at
            person.floor = person.deleted_at + 1  # the ids of earlier events are forgotten
            person.tenant, person.user, person.first_seen, person.deleted_at = event.tenant, event.user, event.timestamp, 0
            person.catalog, out.met = self._plan.digest, person.tenant
            self._enter(person, event.log_time, out)
            out.count(counters.PEOPLE)
        elif person.catalog != self._plan.digest:
            self._meet_catalog(person, event.log_time, out)
        if not event.user:
            if not person.user:  # with several workers it may overtake the event that brings the id, and waits for that one
                if person.merged_into:
                    out.count(counters.EVENTS_IGNORED, "unknown_user")
                    return person
                out.waiting = [*(out.waiting or ()), event]
                return person
            event = msgspec.structs.replace(event, user=person.user)
        elif not person.user:
            self._become_known(person, event.user, event.log_time, out)
        status = self._rejection(person, event)
        if status == "duplicate":
            out.count(counters.EVENTS_DUPLICATE)
        elif status and event.from_visitor:
            pass
        elif status == "deleted":  # no row: it would bring back what was erased
            out.count(counters.EVENTS_IGNORED, status)
        elif status:
            out.count(counters.EVENTS_IGNORED, status)
            out.rows.append(event_fact(event, status, 0))
            if status == "late" and event.type == "preferences_changed":
                # Each preference counts by its own time, and a refusal must not be lost behind a device with a wrong clock.
                self._take_late_preferences(person, event, out)
        elif event.type == USER_DELETED:
            out.count(counters.EVENTS_APPLIED)
            self._departure.delete(person, event, out)
        else:
            if not event.from_visitor:  # already recorded and counted under the visitor's id
                out.count(counters.EVENTS_APPLIED)
                out.rows.append(event_fact(event, "applied", person.version + 1))
            person.version += 1
            if not (person.known or event.anonymous or event.from_visitor):
                person.known = True
            self._apply(person, event, out)
        return person

    def advance(self, person: Person, now: int, out: Collector) -> None:
        """Run every timer of ``person`` that is due at log time ``now`` or earlier, in order, each at its own deadline."""
        while (due := person.next_due) and due <= now:
            if person.catalog != self._plan.digest:
                self._meet_catalog(person, due, out)
                continue
            person.now = max(person.now, due)
            person.version += 1
            parameters = self._detector.parameters(person, due - 1)
            self._guidance.attribution.close_due(person, due, out)
            if person.check_due and person.check_due <= due:
                person.check_due = 0
                self._detector.check(person, due, parameters, out)

    def due(self, person: Person, due: TimerDue, out: Collector) -> None:
        """A timer fired. One that is not, or no longer, due has no effect, nor has one of a partition where the person was before."""
        if due.partition == person.partition:
            self.advance(person, due.at, out)

    def switched(self, person: Person, switched: GuidanceSwitched, out: Collector) -> None:
        """A switch came into force: withdraw guidance from before it, where the person may no longer be guided.

        It may come again after a restart: what was decided after the switch stays, so a repetition has no effect. Each partition has its
        own: one that is not the person's has no effect.
        """
        at = switched.at
        if person.tenant != switched.tenant or person.partition != switched.partition:
            return
        self.advance(person, at, out)
        shown = current(person, at)
        if shown is not None and shown.created < at and (reason := self._guidance.switched_off(person, at, out.seq)):
            person.now = max(person.now, at)
            self._guidance.withdraw(person, reason, person.now, out)

    def merge(self, person: Person | None, merged: VisitorMerged, out: Collector) -> Person | None:
        """The visitor is another person: guidance continues under that person's key, and this key's guidance is withdrawn.

        A person who was ever seen as a user is not a visitor: an ``identity_merged`` that names them changes nothing.
        """
        if person is not None:
            self.advance(person, merged.log_time, out)
            person.now = max(person.now, merged.log_time)
            if merged.user and not (person.user or person.deleted_at):  # it began with an event of another visitor
                self._become_known(person, merged.user, merged.log_time, out)
        if merged.refused or (person is not None and person.known):
            out.count(counters.EVENTS_IGNORED, merged.refused or REFUSED_USER)
            return person
        if person is None:
            return Person(merged.tenant, merged.user, now=merged.log_time, first_seen=merged.timestamp, merged_into=merged.into_key)
        self._departure.merge(person, merged, out)
        return person

    def merged_user_deleted(self, person: Person | None, deleted: VisitorDeleted, out: Collector) -> Person:
        """The person into whom this visitor was merged was deleted: erase the records and rows under the visitor's id too.

        So it is where this visitor is that person, and another one of theirs was deleted. It has no effect where the visitor is a user. Who
        sends it has accepted the merge, also where ``merged_into`` says another: with several workers merges may arrive in another order.
        The deletion may arrive before the merge, which takes another way.
        """
        if person is None:
            person = Person("", "", partition=deleted.partition, now=deleted.log_time, deleted_at=deleted.timestamp)
            person.merged_into = deleted.into_key
            return person
        if person.known:
            return person
        if person.deleted_at:  # what came before this deletion does not return either
            person.deleted_at = max(person.deleted_at, deleted.timestamp)
            return person
        if not person.merged_into:
            self.advance(person, deleted.log_time, out)
            if not deleted.into_key:
                person.now = max(person.now, deleted.log_time)
                self._departure.delete(person, deleted, out)
                return person
        self._departure.delete_merged(person, deleted, out)
        return person

    # checks

    def _begins_anew(self, person: Person, event: Event) -> bool:
        """Whether a deleted person signs up again. A sign-up from before the deletion may come again, and a merged visitor is a user."""
        if event.type != "signup" or event.timestamp <= person.deleted_at or not event.user or person.merged_into:
            return False
        return not is_known(person, self._keys.event_hash(event.id))

    def _rejection(self, person: Person, event: Event) -> str:
        """Reason code why the event is not applied. Empty where it is applied; its id is then remembered."""
        at = event.timestamp
        if event.type == USER_DELETED:  # a deletion is never late, unless it was already applied
            return "deleted" if at <= person.previous_deletion_at else ""
        if at < person.floor:
            if at <= person.previous_deletion_at:
                return "deleted"
            if not event.from_visitor:
                return "late"
        event_hash = self._keys.event_hash(event.id)
        if event_hash in person.seen and is_known(person, event_hash):  # nearly always the first says no, and spares a call
            return "duplicate"
        if person.merged_into:
            return "merged"
        remembered_at = at if at >= person.floor else max(person.newest, person.floor)  # a visitor's old event counts as one of now
        count = remember(person, event_hash, remembered_at)
        if at > person.newest:
            person.newest = at
            person.floor = max(person.floor, at - self._lateness)
        if count >= 64 and (count & (count - 1) == 0 or count >= MOST_SEEN):
            forget_old_events(person)
        return ""

    # applying

    def _apply(self, person: Person, event: Event, out: Collector) -> None:
        """Apply an event that counts: who the person is, what they have done, whether they are stuck, whether to guide them."""
        plan, kind, now = self._plan, event.type, person.now
        parameters = self._detector.parameters(person, event.log_time)
        absent = event.timestamp - person.session_to if person.session_to else -1
        activated, signing_up = person.activated_at, kind == "signup" and not person.signup_at
        row_changed, traits_changed = self._take_profile(person, event, out, signing_up=signing_up)
        meaning = self._meanings.of(event)
        path = plan.path_for(person.traits) if traits_changed or person.path not in plan.paths else person.path
        known, newly, evidence_changed = self._take_evidence(person, event, meaning.rules, path, out)
        if kind in EXPOSURES:
            self._guidance.attribution.expose(person, kind, event.payload, event.timestamp, now, out)
        person.last_event = meaning.shown
        if person.events < EVENTS_COUNTED:
            person.events += 1
        if plan.keeps_notes:
            keep_notes(person, event)
        if not plan.everyone_starts:
            if person.episode is None:
                self._detector.begin(person, self._completed(person, known), now, out)
            elif person.beginning == NOT_BEGUN:
                self._detector.leave_onboarding(person, now, out)
        if not event.from_visitor:
            self._detector.detect_bot(person, event, meaning, now, parameters, out)
        if signing_up:
            self._guidance.consider(person, "signup", now, self._completed(person, known), out, parameters_version=parameters.version)
        if newly and evidence_changed:  # a new path may count steps that were done long ago
            done = self._completed(person, known)
            self._guidance.consider(person, "step_completed", now, done, out, parameters_version=parameters.version)
        if absent >= plan.triggers.inactive.after and not newly and event.timestamp == person.newest:
            self._consider_return(person, self._completed(person, known), parameters, out)
        if person.episode is not None:
            self._detector.take_event(person, event, meaning.rules, parameters, out)
        if row_changed or newly or person.activated_at != activated:
            out.rows.append(person_fact(plan, self._keys, person, self._completed(person, known)))

    def _take_profile(self, person: Person, event: Event, out: Collector, *, signing_up: bool) -> tuple[bool, bool]:
        """Take what an event says of who the person is. Return whether the person's row changed, and whether a trait did."""
        plan, kind, at = self._plan, event.type, event.timestamp
        row_changed, traits_changed = follow_session(person, event, self._session_gap), False
        began = (event.visitor_seen or at) if event.from_visitor else at
        if began < person.first_seen:
            person.first_seen, row_changed = began, True
        if kind in ("signup", "identify"):
            traits_changed = update_traits(person, event, plan.traits, out)
            row_changed |= traits_changed
            if kind == "signup":
                # Once guidance was considered, when somebody signs up may be an effect of it.
                if signing_up and (not person.considered or plan.catalog.starts.when == "signup"):
                    self._note_switches(person, event.log_time, out)
                row_changed |= signing_up or at < person.signup_at
                person.signup_at = min(person.signup_at or at, at)
        elif kind == IDENTITY_MERGED and not event.anonymous and self._may_enter_anew(person):
            person.draw = experiment_draw(person.tenant, str(event.payload["previousId"]))
            self._enter(person, event.log_time, out)
            row_changed = True
        elif kind == "preferences_changed":
            update_preferences(person, event, out)
            row_changed = True
            self._withdraw_refused(person, out)
        if row_changed and not plan.everyone_starts:
            note_beginning(plan, person)
        return row_changed, traits_changed

    def _take_evidence(
        self, person: Person, event: Event, rules: tuple[Rule, ...], path: str, out: Collector
    ) -> tuple[Mapping[str, int] | None, Mapping[str, int], bool]:
        """Take what an event says of the steps of ``path``. Return the completed steps (None where they had not to be derived), those newly
        completed, and whether the evidence of a step changed.
        """
        plan, moved, asked = self._plan, path != person.path, event.type in _ANSWERED and not event.from_visitor
        if not (rules or moved or asked):
            return None, _NONE, False
        done: Mapping[str, int] = completed(plan, person.path, person.steps)
        newly: Mapping[str, int] = _NONE
        visited, beside = (event, completed_beside_the_path(plan, person)) if event.from_visitor else (None, _NONE)
        if rules:
            note_minutes(plan, person, done)
        evidence_changed, touched = record_evidence(person, event, rules)
        if evidence_changed or moved or asked:
            done, newly = self._progress(person, path, done, out, publish=asked, visited=visited)
        if visited is not None:
            fresh = {step: when for step, when in completed_beside_the_path(plan, person).items() if beside.get(step) != when}
            count_completions(plan, person, plan.path_for({}), beside, fresh, out, of_visitor=True)
        for step in touched:
            if step not in newly and (path, step) in plan.places:
                out.rows.append(progress_fact(plan, person, step, done))
        return done, newly, evidence_changed

    def _take_late_preferences(self, person: Person, event: Event, out: Collector) -> None:
        if update_preferences(person, event, out):
            person.version += 1
            self._withdraw_refused(person, out)
            done = completed(self._plan, person.path, person.steps)
            out.rows.append(person_fact(self._plan, self._keys, person, done))

    def _withdraw_refused(self, person: Person, out: Collector) -> None:
        """Preferences changed: withdraw guidance that the person does not want."""
        shown = current(person, person.now)
        if shown and (not person.guidance or refuses_surface(self._plan, person, shown.trigger, shown.step, person.now)):
            self._guidance.withdraw(person, "opted_out", person.now, out)

    def _completed(self, person: Person, known: Mapping[str, int] | None) -> Mapping[str, int]:
        """The completed steps of a person, derived anew where they are not known."""
        return completed(self._plan, person.path, person.steps) if known is None else known

    def _meet_catalog(self, person: Person, at: int, out: Collector) -> None:
        """The person was last seen under another catalog: derive anew, as of log time ``at``, what depends on it.

        Nothing is considered for steps that count as completed now. A decision about a step that is gone ends as withdrawn: its outcome
        would say nothing of its arm.
        """
        plan = self._plan
        known, person.catalog, out.met = person.catalog, plan.digest, person.tenant
        if person.merged_into or not person.user:  # nothing is recorded of somebody whose id is not known
            return
        person.now = max(person.now, at)
        person.version += 1
        if not person.drawn_group:
            draw_group(plan, person)
        if not plan.catalog.bot_detection:
            self._detector.forget_rhythm(person)
        keep_beginning(plan, person)
        path, decided = plan.path_for(person.traits), {each.step for each in person.open}
        out.rows.append(catalog_met_fact(person))
        done = completed(plan, path, person.steps)
        before = {step: when for step, when in done.items() if step not in decided}
        done, _ = self._progress(person, path, before, out, anew=True)
        for each in [each for each in person.open if each.step not in plan.steps]:
            self._guidance.attribution.close(person, each, "withdrawn", person.now, out)
        self._detector.reschedule(person, person.now, self._detector.parameters(person, at))
        if known:
            out.rows.append(person_fact(plan, self._keys, person, done))

    def _progress(
        self,
        person: Person,
        path: str,
        before: Mapping[str, int],
        out: Collector,
        *,
        anew: bool = False,
        publish: bool = False,
        visited: Event | None = None,
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Evidence or path changed: record progress and close decisions. Return the completed steps, and those newly completed.

        ``anew``: the catalog changed. What became current through that is current from now on, and its beginning was not observed.
        ``publish``: the app waits for the progress, also where nothing of it changed. ``visited``: the event of a visitor from before
        the merge, who was observed then.
        """
        plan, moved = self._plan, anew or path != person.path
        if path != person.path:
            leave_path(person, before)
        person.path = path
        done = completed(plan, path, person.steps)
        newly = {step: at for step, at in done.items() if step not in before}
        changed = [step for step, at in done.items() if moved or before.get(step) != at]
        begun: Mapping[str, int] = _NONE
        if visited is not None:
            if counts(plan, person):
                start = (plan.catalog.starts.when == "signup" and person.signup_at) or person.first_seen
                begun = beginnings(plan, path, done, start)
                changed = begin_as_the_visitor(person, done, changed, begun, unknown=-1 if visited.visitor_seen else start)
            if person.episode is not None and person.episode.step in newly:
                self._detector.censor(person, person.now, out)
        out.rows += [progress_fact(plan, person, step, done) for step in changed]
        count_completions(plan, person, path, before, done, out, moved=moved, of_visitor=visited is not None)
        if moved:
            shown = current(person, person.now)
            if shown is not None and (path not in plan.paths or shown.step not in plan.paths[path].steps):
                self._guidance.withdraw(person, "path_changed", person.now, out)
        activated = activated_at(plan, path, done)
        if bool(activated) != bool(person.activated_at):  # a new path may revoke activation
            out.count(counters.PEOPLE_ACTIVATED, by=1 if activated else -1)
        just_activated, person.activated_at = bool(activated and not person.activated_at), activated
        step = current_step(plan, path, done)
        if moved or changed or publish:
            out.effects.append(progress_effect(plan, person, done, step))
        if not (moved or newly):
            return done, newly
        first = step not in person.since and not anew
        if step and counts(plan, person):
            person.since.setdefault(step, person.now if anew else begun.get(step) or last_progress(person, done))
            out.rows.append(progress_fact(plan, person, step, done))
        if moved:
            later = [each for each, _ in plan.routes.get(path, ()) if each not in done and each != step]
            out.rows += [progress_fact(plan, person, each, done) for each in later]
        self._guidance.complete(person, newly, person.now, out)
        if just_activated:
            self._guidance.withdraw(person, "activated", person.now, out)
        if not (anew and person.episode is not None and person.episode.step == step):
            person.pages.clear()
            person.active, person.slow_noted = 0, False
        self._detector.update_episode(person, done, person.now, out, first=first, from_visitor=visited is not None)
        self._detector.leave_episode(person, done, person.now, out)
        return done, newly

    def _consider_return(self, person: Person, done: Mapping[str, int], parameters: Parameters, out: Collector) -> None:
        """The person returned after ``stuck:inactive.after``. Consider guidance without an alarm where none is current."""
        if person.episode is not None and self._plan.triggers.inactive.enabled and current(person, person.now) is None:
            self._guidance.consider(person, "stuck:inactive", person.now, done, out, parameters_version=parameters.version)

    def _new_person(self, event: Event, out: Collector) -> Person:
        """Somebody who begins with ``event``."""
        person = Person(event.tenant, event.user, partition=event.partition, first_seen=event.timestamp, catalog=self._plan.digest)
        self._enter(person, event.log_time, out)
        out.met = person.tenant
        if event.user:
            out.count(counters.PEOPLE)
        return person

    def _become_known(self, person: Person, user: str, at: int, out: Collector) -> None:
        """The id of somebody who began with events of merged visitors is known at last."""
        person.user = user
        if not person.merged_into:
            self._enter(person, at, out)
            out.count(counters.PEOPLE)

    def _enter(self, person: Person, at: int, out: Collector) -> None:
        """The person begins, or begins anew, at log time ``at``."""
        enter(self._plan, person)
        self._note_switches(person, at, out)

    @staticmethod
    def _may_enter_anew(person: Person) -> bool:
        """Whether a first id that becomes known is the one under which the person enters: guidance was not considered for them so far."""
        return person.draw is None and not person.considered and person.beginning != BEGUN_BEFORE

    def _note_switches(self, person: Person, at: int, out: Collector) -> None:
        """Remember whether guidance is on when the person begins: at the sign-up, and until then at the first event."""
        person.at_signup = AT_SIGNUP.index(self._guidance.switched_off(person, at, out.seq) or "on")

    def _as_user(self, person: Person, event: Event, out: Collector) -> Person:
        """A merged visitor's event. One of a user shows that the id is a ``userId``, hence nobody's visitor: a life of its own begins.

        Of the life before only the version stays, and what is needed to recognise repeated events.
        """
        if event.anonymous or event.from_visitor or not event.user:
            person.user = person.user or ("" if person.deleted_at else event.user)
            return person
        own = self._new_person(event, out)
        own.partition, own.version, own.now = person.partition, person.version, person.now
        own.seen, own.newest, own.floor = person.seen, person.newest, person.floor
        if person.sessions:  # the visitor's row says merged, and not every event begins a session
            own.version += 1
            out.rows.append(person_fact(self._plan, self._keys, own, {}))
        return own
