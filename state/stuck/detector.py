"""The detector: tracks each person's episode, scores it, and raises an alarm when the person is stuck. It treats held-out people alike.

An *episode* is a person at their current step, from its becoming current. It ends when the step is completed, or is *left* when a later
step is completed before. Its *horizon* is that of the step when it began (``state/stuck/completion_times.py``). It is scored when evidence
arrives (errors, rage clicks, circles, a slow step), and by a timer at each of ``SHARES`` of the horizon. The score
(``state/stuck/score.py``) is the probability that the person will neither complete nor leave the step within its horizon without help. A
score at or above the threshold (``state/stuck/operating_point.py``) raises an alarm: at most one for each episode, none after half of the
horizon, when it would come too late, and none at a step with ``alarms: false``. The catalog's thresholds define evidence; only the score
raises an alarm.

The end of an episode is reported as an ``EpisodeObservation``. Guided people contribute what both groups have in common; that they are
guided is a feature of its own. The two are separated by the experiment group, never by exposure: only people who return are shown anything,
so people without an exposure would look more stuck than they are. Where the catalog has no holdout, everyone counts as held out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from state import counters
from state.catalog.plan import Plan, Rule
from state.decision.attribution import EXPOSURES
from state.decision.experiment_groups import counts, experiment_group
from state.decision.guidance import Guidance
from state.event import Event
from state.ids import Keys
from state.person import bot_detection
from state.person.collector import Collector
from state.person.meaning import Meaning
from state.person.person import (
    LEFT_BEHIND,
    MATURED,
    NOT_BEGUN,
    OBSERVED_GUIDED,
    OBSERVED_HELD_OUT,
    SETTLED,
    ActivityRhythm,
    Episode,
    Person,
)
from state.person.progress import completed, current_step, last_progress
from state.records.fact_builders import progress_fact
from state.records.facts import SignalFact, StuckScoreFact
from state.stuck import operating_point, signals
from state.stuck.evidence import HELD_OUT, Kind, feature, features
from state.stuck.observations import BEGUN, CENSORED, COMPLETED, LEFT, WAITING, EpisodeObservation
from state.stuck.parameters import Parameters, ParameterStore, fitted, replaceable
from state.stuck.row import Row, pack
from state.stuck.score import SHARES, Prediction, bucket_at
from state.vocabulary import STUCK_TRIGGERS

_INACTIVE, _ERRORS, _RAGE, _LOOPING, _SLOW = STUCK_TRIGGERS
_json = msgspec.json.Encoder()

_MAX_COUNTED: Final = 99
_MAX_ROWS: Final = 8
"""Rows kept of an episode, with one reserved for each look still to come: the share of a look must count everyone who waited that long,
also those with much evidence before."""
_NO_ACTIVITY: Final = EXPOSURES | {"identify"}
_ANSWERS: Final = EXPOSURES - {"recommendation_shown"}


class _Alarm(NamedTuple):
    """Why an alarm is raised at log time ``at``. ``signs``: trigger → what it adds to the score; ``details`` of the newest evidence."""

    trigger: str
    at: int
    found: Prediction
    signs: Mapping[str, float]
    details: Mapping[str, Any]


class Detector:
    """Stuck detection for all people of one plan. Methods change the given person and emit into the given collector."""

    def __init__(self, plan: Plan, keys: Keys, guidance: Guidance, parameters: ParameterStore) -> None:
        self._plan: Final = plan
        self._keys: Final = keys
        self._guidance: Final = guidance
        self._parameters: Final = parameters
        self._detects_bots: Final = plan.catalog.bot_detection
        triggers = plan.triggers
        self._errors: Final = triggers.errors if triggers.errors.enabled else None
        self._rage_clicks: Final = triggers.rage_clicks if triggers.rage_clicks.enabled else None
        self._looping: Final = triggers.looping if triggers.looping.enabled else None
        self._notes_slow: Final = triggers.slow_step.enabled
        self._enabled: Final = plan.enabled
        self._replaceable: Final = replaceable(plan)
        self._without_alarms: Final = plan.without_alarms

    def parameters(self, person: Person, at: int) -> Parameters:
        """The parameters in force at log time ``at``."""
        return self._parameters.at(self._plan, person.tenant, at)

    # bots

    def detect_bot(self, person: Person, event: Event, meaning: Meaning, at: int, parameters: Parameters, out: Collector) -> None:
        """Update the rhythm of a person's events, mark bots, and clear those who turn out to be people."""
        rhythm, kind, timestamp = person.rhythm, event.type, event.timestamp
        if kind in _NO_ACTIVITY:
            if rhythm is None or kind not in _ANSWERS or not person.open:
                return
            bot_detection.clear(rhythm)
        elif meaning.automatic or not self._detects_bots:
            return
        else:
            if rhythm is None:
                rhythm = person.rhythm = ActivityRhythm()
            bot_detection.observe(
                rhythm,
                timestamp,
                meaning.kind,
                act=kind != "track" or bool(meaning.rules),
                since_signup=timestamp - person.signup_at if person.signup_at else -1,
                page_view=kind == "page_view",
            )
        marked = bot_detection.is_marked(rhythm, timestamp)
        if marked and not person.bot:
            person.bot, person.check_due = True, 0
            self.censor(person, at, out)
        elif person.bot and not marked:
            person.bot = False
            self.reschedule(person, at, parameters)
        elif rhythm.beats and bot_detection.is_monitor(rhythm, timestamp):
            self.censor(person, at, out)

    def reschedule(self, person: Person, at: int, parameters: Parameters) -> None:
        """Set the timer of the current step anew: something that it depends on has changed."""
        if person.episode is not None:
            self._schedule(person, person.episode, at, parameters)

    def forget_rhythm(self, person: Person) -> None:
        """The catalog switched bot detection off."""
        person.bot, person.rhythm = False, None

    # episodes

    def update_episode(
        self, person: Person, done: Mapping[str, int], at: int, out: Collector, *, first: bool, from_visitor: bool = False
    ) -> None:
        """Progress or the path changed: end the episode and begin the next. ``first``: the step is current for the first time.

        ``from_visitor``: through what a visitor did before the merge. Where the visitor stayed at the step until the first look, or longer,
        the episode is not observed: what was seen of the visitor there is not known of the person.
        """
        current = self._current(person, done)
        episode = person.episode
        if episode is not None and episode.step == current:
            return
        parameters = self.parameters(person, at)
        if episode is not None:
            self._leave(person, episode, done, at, out)
            self._end(person, episode, done, at, out)
        person.episode, person.check_due = None, 0
        if not current:
            return
        onset, horizon = person.since[current], parameters.horizons[current]
        seen = first and not (from_visitor and at - onset >= SHARES[0] * horizon)
        flags = (self._observed_as(person) if seen else 0) | (SETTLED if current in parameters.settled else 0)
        episode = person.episode = Episode(current, onset, horizon, flags, person.sessions)
        self._leave(person, episode, done, at, out)
        if person.known and (not episode.settled or (current in self._replaceable and not parameters.settled[current])):
            self._observe(person, episode, BEGUN, at, out, lasted=0)
        self._schedule(person, episode, at, parameters)

    def begin(self, person: Person, done: Mapping[str, int], at: int, out: Collector) -> None:
        """Begin the episode of a person who begins the onboarding with this event, or does so again, by the catalog's ``starts``."""
        if self._plan.everyone_starts or person.episode is not None or not person.path:
            return
        current = self._current(person, done)
        if not current:
            return
        first = current not in person.since
        if first:
            person.since[current] = last_progress(person, done)
            out.rows.append(progress_fact(self._plan, person, current, done))
        self.update_episode(person, done, at, out, first=first)

    def _current(self, person: Person, done: Mapping[str, int]) -> str:
        """The step at which the person may be stuck; empty where there is none.

        Who began and is guided no more may be stuck too: whoever is held out and counts is judged, and so must raise alarms.
        """
        plan = self._plan
        if person.activated_at or person.merged_into or not counts(plan, person):
            return ""
        return current_step(plan, person.path, done)

    def censor(self, person: Person, at: int, out: Collector) -> None:
        """The person's episode is no longer observed: they are a bot, or have become another person."""
        if person.episode is not None:
            self._censor(person, person.episode, at, out)

    def leave_onboarding(self, person: Person, at: int, out: Collector) -> None:
        """The person turned out not to begin the onboarding: they are at no step of it."""
        self.censor(person, at, out)
        person.episode, person.check_due = None, 0

    def _censor(self, person: Person, episode: Episode, at: int, out: Collector) -> None:
        if person.known and (not episode.settled or episode.step in self._replaceable):
            self._observe(person, episode, CENSORED, at, out, lasted=0)
        episode.censor()

    def _end(self, person: Person, episode: Episode, done: Mapping[str, int], at: int, out: Collector) -> None:
        """End the episode: the step was completed or left, or the person changed to another path.

        A step that was completed before the episode began (by a visitor before the merge, or an event that comes late) was never begun.
        """
        lasted = done.get(episode.step, 0) - episode.onset
        if lasted < 0 or episode.left:
            self._censor(person, episode, at, out)
        else:
            self._observe(person, episode, COMPLETED, at, out, lasted=lasted)

    def leave_episode(self, person: Person, done: Mapping[str, int], at: int, out: Collector) -> None:
        """Progress was made: end the episode where it was at a later step."""
        if person.episode is not None:
            self._leave(person, person.episode, done, at, out)

    def _leave(self, person: Person, episode: Episode, done: Mapping[str, int], at: int, out: Collector) -> None:
        if episode.left or episode.step in done:
            return
        later = [done[step] for step in self._plan.later_steps.get((person.path, episode.step), ()) if step in done]
        if later and min(later) >= episode.onset:
            self._observe(person, episode, LEFT, at, out, lasted=min(later) - episode.onset)
            episode.censor()
        if later:
            self._censor(person, episode, at, out)
            episode.flags |= LEFT_BEHIND
            person.check_due = 0

    @staticmethod
    def _observe(person: Person, episode: Episode, end: int, at: int, out: Collector, *, lasted: int) -> None:
        if not episode.observed:
            return
        out.observations.append(
            EpisodeObservation(
                tenant=person.tenant,
                step=episode.step,
                end=end,
                at=at,
                since=episode.onset,
                horizon=episode.horizon,
                lasted=lasted,
                rows=() if episode.matured else tuple(episode.rows),
                settled=episode.settled,
                matured=episode.matured,
                guided=episode.observed == OBSERVED_GUIDED,
            )
        )

    def _observed_as(self, person: Person) -> int:
        if person.bot or person.merged_into:
            return 0
        plan = self._plan
        held_out = plan.observing or not plan.catalog.holdout or experiment_group(plan, person) == "holdout"
        return OBSERVED_HELD_OUT if held_out else OBSERVED_GUIDED

    def _schedule(self, person: Person, episode: Episode, now: int, parameters: Parameters) -> None:
        """Set the timer for the next share of the horizon that is far enough away, or for the horizon, when the episode matures."""
        person.check_due = 0
        soonest = now + parameters.lookahead
        if person.bot or episode.left:
            return
        if not episode.alarmed or episode.observed:
            for share in SHARES:
                due = episode.onset + math.ceil(share * episode.horizon)
                if due >= soonest:
                    person.check_due = due
                    return
        if episode.observed and not episode.matured:
            person.check_due = max(episode.onset + episode.horizon + 1, soonest)

    # scoring

    def check(self, person: Person, due: int, parameters: Parameters, out: Collector) -> None:
        """The timer of the current step fired at log time ``due``."""
        episode = person.episode
        if episode is None or person.bot or episode.left:
            return
        if person.beginning == NOT_BEGUN:  # an earlier release kept the episode
            self.leave_onboarding(person, due, out)
            return
        elapsed = due - episode.onset
        if elapsed > episode.horizon:
            if not episode.matured:
                self._observe(person, episode, WAITING, due - 1, out, lasted=elapsed)
            episode.flags |= MATURED
            episode.rows = []
        elif 2 * elapsed <= episode.horizon + 1:
            self._score(person, episode, due, parameters, None, out)
        self._schedule(person, episode, due, parameters)

    def take_event(self, person: Person, event: Event, rules: tuple[Rule, ...], parameters: Parameters, out: Collector) -> None:
        """Count an applied event as evidence, and score the episode where it completes a sign of being stuck."""
        episode = person.episode
        if episode is None or person.bot or episode.left or event.timestamp < episode.onset:
            return
        kind, at = event.type, event.timestamp
        if rules and episode.touches < _MAX_COUNTED:
            for rule in rules:
                if rule.step == episode.step:
                    episode.touches += 1
                    break
        details: dict[str, Any] | None = None
        if kind == "error" and self._errors is not None:
            episode.errors = min(episode.errors + 1, _MAX_COUNTED)
            if signals.error(person.errors, at, self._errors):
                episode.bursts += 1
                details = {"code": str(event.payload.get("code", ""))[:64]}
        elif kind == "button_click" and self._rage_clicks is not None:
            target = str(event.payload["target"])
            if signals.click(person.clicks, at, target, self._rage_clicks):
                episode.rage += 1
                details = {"target": target[:64]}
        elif kind == "page_view" and self._looping is not None:
            page = str(event.payload["path"])
            if signals.visit(person.pages, at, page, self._looping):
                episode.circles += 1
                details = {"page": page[:64]}
        if not person.slow_noted and self._notes_slow and person.active >= self._plan.slow_after[episode.step]:
            person.slow_noted = True
            details = details or {}
        if details is None:
            return
        if 2 * max(person.now - episode.onset, 0) <= episode.horizon:
            self._score(person, episode, person.now, parameters, details, out)

    def _score(
        self,
        person: Person,
        episode: Episode,
        at: int,
        parameters: Parameters,
        details: Mapping[str, Any] | None,
        out: Collector,
    ) -> None:
        """Score the episode at log time ``at`` and raise the alarm at the threshold.

        ``details``: of the evidence that led to it; None for a look at one of ``SHARES``, which is written down.
        """
        bucket, observed = bucket_at(max(at - episode.onset, 0), episode.horizon), episode.observed
        evidence = features(person, episode, at=at, bucket=bucket)
        found = parameters.score.predict(episode.step, bucket, evidence)
        in_session = at - person.newest <= self._plan.catalog.limits.session_gap
        if observed and not episode.matured and len(episode.rows) < _MAX_ROWS - (len(SHARES) - bucket):
            if observed != OBSERVED_HELD_OUT:
                evidence.remove(HELD_OUT)
            episode.rows.append(Row(bucket, found.time, found.added, found.score, pack(evidence), in_session))
        if details is None and observed == OBSERVED_HELD_OUT:
            out.rows.append(
                StuckScoreFact(
                    tenant_id=person.tenant,
                    user_id=person.user,
                    step_id=episode.step,
                    share=SHARES[bucket - 1],
                    score=round(found.score, 6),
                    time_alone=round(found.time, 6),
                    horizon_ms=float(episode.horizon),
                    judged_at=at,
                    parameters_version=parameters.version,
                    version=person.version,
                )
            )
        if episode.alarmed or found.score < parameters.point.threshold(bucket, settled=episode.settled, in_session=in_session):
            return
        if episode.step in self._without_alarms:
            return
        if person.rhythm is not None and bot_detection.is_suspicious(person.rhythm, at):
            return
        signs = self._signs(episode, person, parameters)
        trigger = self._trigger_of(signs)
        if trigger:
            self._alarm(person, episode, _Alarm(trigger, at, found, signs, details or {}), parameters, out)

    def _signs(self, episode: Episode, person: Person, parameters: Parameters) -> dict[str, float]:
        """What each sign of being stuck that the person showed adds to the score, in logits; at least a little."""
        shown = {
            _ERRORS: feature(Kind.ERROR_BURSTS, min(episode.bursts, 3)) if episode.bursts else -1,
            _RAGE: feature(Kind.RAGE_CLICKS, min(episode.rage, 3)) if episode.rage else -1,
            _LOOPING: feature(Kind.CIRCLES, min(episode.circles, 3)) if episode.circles else -1,
            _SLOW: feature(Kind.SLOW, 1) if person.slow_noted else -1,
        }
        weight = parameters.score.weight
        return {trigger: max(weight(sign), 0.001) for trigger, sign in shown.items() if sign >= 0 and self._enabled[trigger]}

    def _expected_by(self, step: str) -> str:
        """Which field of the catalog says how long the step takes."""
        if step in fitted(self._plan):
            return "fit"
        return "usual" if self._plan.steps[step].usual else "after"

    def _trigger_of(self, signs: Mapping[str, float]) -> str:
        """The trigger whose sign adds most to the score; ``stuck:inactive``, if enabled, where the person showed none; else empty."""
        if signs:
            return max(signs, key=lambda trigger: signs[trigger])
        return _INACTIVE if self._enabled[_INACTIVE] else ""

    def _alarm(self, person: Person, episode: Episode, alarm: _Alarm, parameters: Parameters, out: Collector) -> None:
        """Emit the signal with its evidence, and consider guidance."""
        trigger, at = alarm.trigger, alarm.at
        episode.alarmed = at
        person.version += 1
        step, done = episode.step, completed(self._plan, person.path, person.steps)
        people = parameters.settled.get(step, 0) if episode.settled else 0
        measured = self._plan.steps[step].measured
        evidence = {
            "elapsed": at - episode.onset,
            "horizon": episode.horizon,
            "people": people,
            **({} if people else {"finished": parameters.finished.get(step, 0), "expectedBy": self._expected_by(step)}),
            **({"measured": measured, "fitted": self._plan.steps[step].usual} if measured and not people else {}),
            "lastActiveAt": person.newest,
            "inSession": at - person.newest <= self._plan.catalog.limits.session_gap,
            "errors": episode.errors,
            "errorBursts": episode.bursts,
            "rageClicks": episode.rage,
            "circles": episode.circles,
            "activeTime": person.active,
            "visits": person.sessions - episode.sessions,
            "touches": episode.touches,
            "signs": {sign: round(added, 3) for sign, added in alarm.signs.items()},
            "timeAlone": round(alarm.found.time, 4),
            "parameters": parameters.version,
            **alarm.details,
        }
        signal_id = self._keys.decision_id(person.tenant, person.user, f"signal {trigger}", step, person.version)
        out.count(counters.STUCK_SIGNALS, trigger)
        if parameters.point.episodes >= operating_point.ENOUGH and not parameters.point.reachable:
            out.count(counters.STUCK_SIGNALS_LESS_SURE)
        out.rows.append(
            SignalFact(
                tenant_id=person.tenant,
                signal_id=signal_id,
                user_id=person.user,
                trigger=trigger,
                path_id=person.path,
                step_id=step,
                evidence=_json.encode(evidence).decode(),
                detected_at=at,
                version=person.version,
                score=round(alarm.found.score, 6),
                parameters_version=parameters.version,
            )
        )
        out.rows.append(progress_fact(self._plan, person, step, done))
        self._guidance.consider(person, trigger, at, done, out, parameters_version=parameters.version, step=step)
