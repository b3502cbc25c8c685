"""The detector: tracks each person's episode, scores it, and raises an alarm when the person is stuck. It treats held-out people alike.

An *episode* is a person at their current step. It is scored when evidence arrives (errors, rage clicks, circles, a slow step), and by a
timer at each quarter of the time up to the step's deadline (``state/stuck/survival.py``). The score (``state/stuck/score.py``) is the
probability that the step will not be completed within its horizon. A score above the threshold raises an alarm: at most one for each
episode, and none after half of the horizon, when it would come too late to count. The catalog's thresholds define evidence; only the score
raises an alarm.

The end of an episode is reported as an ``EpisodeObservation``. The level of the models is estimated from held-out people, because nothing
influenced them; there are few of them. Guided people contribute what both have in common: how steps compare, and the effect of each kind of
evidence. The two are separated by the experiment group, never by exposure: only people who return are shown anything, so people without an
exposure would look more stuck than they are. Where the catalog has no holdout, everyone counts as held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from state import counters
from state.catalog.plan import Plan, Rule
from state.decision.attribution import EXPOSURES
from state.decision.experiment_groups import experiment_group
from state.decision.guidance import Guidance
from state.events import Event
from state.ids import Keys
from state.person import bot_detection
from state.person.collector import Collector
from state.person.person import ActivityRhythm, Episode, Person
from state.person.progress import current_step
from state.records.fact_builders import progress_fact
from state.records.facts import SignalFact
from state.stuck import signals
from state.stuck.observations import EpisodeObservation
from state.stuck.parameters import Parameters, ParameterStore
from state.stuck.score import ACTIVE_FROM, ALARMED, LAST_CHECKPOINT, OPEN, RAISING, SILENT_FROM, Levels
from state.stuck.survival import Curve
from state.times import minute_of_day
from state.vocabulary import STUCK_TRIGGERS

_INACTIVE, _ERRORS, _RAGE, _LOOPING, _SLOW = STUCK_TRIGGERS
_json = msgspec.json.Encoder()

_HELD_OUT, _GUIDED = 1, 2
_MAX_COUNTED: Final = 99
_MAX_ROWS: Final = 6
_MANY_TOUCHES: Final = 3
_LAST_EVENT: Final = {"page_view": 1, "button_click": 2, "error": 3}
_OTHER_EVENT: Final = 4
_THREE_HOURS: Final = 180  # minutes
_NO_ACTIVITY: Final = EXPOSURES | {"identify"}
_ANSWERS: Final = EXPOSURES - {"recommendation_shown"}
_TRIGGER_OF_PART: Final = {
    "silence": _INACTIVE,
    "visits": _INACTIVE,
    "errors": _ERRORS,
    "rageClicks": _RAGE,
    "circles": _LOOPING,
    "slow": _SLOW,
}


class Detector:
    """Stuck detection for all people of one plan. Methods change the given person and emit into the given collector."""

    def __init__(self, plan: Plan, keys: Keys, guidance: Guidance, parameters: ParameterStore) -> None:
        self._plan: Final = plan
        self._keys: Final = keys
        self._guidance: Final = guidance
        self._parameters: Final = parameters
        self._enabled: Final = {trigger: plan.triggers.enabled(trigger) for trigger in STUCK_TRIGGERS}

    def parameters(self, person: Person, at: int, out: Collector) -> Parameters:
        """The parameters in force at log time ``at``. Stores their version in ``out``."""
        found = self._parameters.at(self._plan, person.tenant, at)
        out.parameters = found.version
        return found

    # bots

    def detect_bot(self, person: Person, event: Event, kind: int, meant: bool, at: int, out: Collector, parameters: Parameters) -> None:
        """Update the rhythm of a person's events, mark bots, and clear those who turn out to be people.

        ``kind`` is the hash of the event's type and subject; ``meant``: it fulfils a matcher of a step.
        """
        rhythm = person.rhythm
        if event.type in _NO_ACTIVITY:
            if rhythm is None or event.type not in _ANSWERS or not person.open:
                return
            bot_detection.clear(rhythm)
        elif not self._plan.catalog.bot_detection or self._plan.is_automatic(event.type, event.name, event.payload):
            return
        else:
            if rhythm is None:
                rhythm = person.rhythm = ActivityRhythm()
            bot_detection.observe(
                rhythm,
                event.timestamp,
                kind,
                act=meant or event.type != "track",
                since_signup=event.timestamp - person.signup_at if person.signup_at else -1,
                page_view=event.type == "page_view",
            )
        marked = bot_detection.is_marked(rhythm, event.timestamp)
        if marked and not person.bot:
            person.bot, person.check_due = True, 0
            self.censor(person, at, out)
        elif person.bot and not marked:
            person.bot = False
            self.reschedule(person, at, parameters)
        elif bot_detection.is_monitor(rhythm, event.timestamp):
            self.censor(person, at, out)

    def reschedule(self, person: Person, at: int, parameters: Parameters) -> None:
        """Set the timer of the current step anew: something that it depends on has changed."""
        if person.episode is not None:
            self._schedule(person, person.episode, at, parameters.curves[person.episode.step])

    def forget_rhythm(self, person: Person) -> None:
        """The catalog switched bot detection off."""
        person.bot, person.rhythm = False, None

    # episodes

    def update_episode(self, person: Person, done: Mapping[str, int], at: int, out: Collector, *, first: bool) -> None:
        """Progress or the path changed: end the episode and begin the next. ``first``: the step is current for the first time."""
        current = "" if person.activated_at or person.merged_into else current_step(self._plan, person.path, done)
        episode = person.episode
        if episode is not None and episode.step == current:
            return
        parameters = self.parameters(person, at, out)
        if episode is not None:
            self._end(person, episode, done, at, out, parameters)
        person.episode, person.check_due = None, 0
        if not current:
            return
        observed = self._observed_as(person) if first else 0
        episode = person.episode = Episode(current, person.since[current], observed, person.sessions)
        if observed:
            self._emit(out, person, episode, "entered", at)
        self._schedule(person, episode, at, parameters.curves[current])

    def censor(self, person: Person, at: int, out: Collector) -> None:
        """Censor the person's episode: they are a bot, or are no longer observed."""
        episode = person.episode
        if episode is not None and episode.observed:
            self._emit(out, person, episode, "censored", at, lasted=max(at - episode.onset, 0))
            episode.observed, episode.rows = 0, []

    def _end(self, person: Person, episode: Episode, done: Mapping[str, int], at: int, out: Collector, parameters: Parameters) -> None:
        """End the episode: the step was completed, or the person changed to another path."""
        if episode.step not in done:
            self.censor(person, at, out)
            return
        lasted = max(done[episode.step] - episode.onset, 0)
        horizon = parameters.curves[episode.step].horizon
        if episode.observed:
            rows = () if episode.matured else tuple(episode.rows)
            self._emit(out, person, episode, "completed", at, lasted=lasted, rows=rows, positive=lasted > horizon)

    @staticmethod
    def _emit(
        out: Collector,
        person: Person,
        episode: Episode,
        kind: str,
        at: int,
        *,
        lasted: int = 0,
        rows: tuple[int, ...] = (),
        positive: bool = False,
    ) -> None:
        out.observations.append(
            EpisodeObservation(
                tenant=person.tenant,
                step=episode.step,
                kind=kind,
                at=at,
                since=episode.onset,
                lasted=lasted,
                rows=rows,
                positive=positive,
                guided=episode.observed == _GUIDED,
            )
        )

    def _observed_as(self, person: Person) -> int:
        if person.bot or person.merged_into:
            return 0
        held_out = experiment_group(self._plan, person) == "holdout" or not self._plan.catalog.holdout
        return _HELD_OUT if held_out else _GUIDED

    def _schedule(self, person: Person, episode: Episode, now: int, curve: Curve) -> None:
        """Set the timer for the next checkpoint that is far enough away, or for the horizon, when the episode matures."""
        person.check_due = 0
        soonest = now + self._plan.lookahead
        if person.bot:
            return
        if not episode.alarmed or episode.observed:
            for quarter in range(1, LAST_CHECKPOINT + 1):
                due = episode.onset + curve.deadline * quarter // LAST_CHECKPOINT
                if due >= soonest:
                    person.check_due = due
                    return
        if episode.observed and not episode.matured:
            person.check_due = max(episode.onset + curve.horizon, soonest)

    # scoring

    def check(self, person: Person, due: int, done: Mapping[str, int], out: Collector, parameters: Parameters) -> None:
        """The timer of the current step fired at log time ``due``."""
        episode = person.episode
        if episode is None or person.bot:
            return
        curve = parameters.curves[episode.step]
        elapsed = due - episode.onset
        if elapsed >= curve.horizon:
            if episode.observed and not episode.matured:
                self._emit(out, person, episode, "matured", due - 1, rows=tuple(episode.rows), positive=True)
            episode.matured, episode.rows = True, []
        elif 2 * elapsed <= curve.horizon:
            checkpoint = min(int(LAST_CHECKPOINT * elapsed / curve.deadline + 0.05), LAST_CHECKPOINT)
            self._score(person, episode, due, checkpoint, done, out, parameters, {}, record=True)
        self._schedule(person, episode, due, curve)

    def take_event(
        self, person: Person, event: Event, rules: tuple[Rule, ...], done: Mapping[str, int], out: Collector, parameters: Parameters
    ) -> None:
        """Count an applied event as evidence, and score the episode where it completes a sign of being stuck."""
        episode = person.episode
        if episode is None or person.bot or event.timestamp < episode.onset:
            return
        kind, at, policies = event.type, event.timestamp, self._plan.triggers
        if episode.touches < _MAX_COUNTED and any(rule.step == episode.step for rule in rules):
            episode.touches += 1
        if at == person.newest:
            episode.last = _LAST_EVENT.get(kind, _OTHER_EVENT)
        details: dict[str, Any] | None = None
        if kind == "error" and policies.errors.enabled:
            episode.errors = min(episode.errors + 1, _MAX_COUNTED)
            if signals.error(person.errors, at, policies.errors):
                episode.bursts += 1
                details = {"code": str(event.payload.get("code", ""))[:64]}
        elif kind == "button_click" and policies.rage_clicks.enabled:
            target = str(event.payload["target"])
            if signals.click(person.clicks, at, target, policies.rage_clicks):
                episode.rage += 1
                details = {"target": target[:64]}
        elif kind == "page_view" and policies.looping.enabled:
            page = str(event.payload["path"])
            if signals.visit(person.pages, at, page, policies.looping):
                episode.circles += 1
                details = {"page": page[:64]}
        if not person.slow_noted and policies.slow_step.enabled and person.active >= self._plan.slow_after[episode.step]:
            person.slow_noted = True
            details = details or {}
        if details is None:
            return
        curve = parameters.curves[episode.step]
        elapsed = max(person.now - episode.onset, 0)
        if 2 * elapsed <= curve.horizon:
            checkpoint = min(int(LAST_CHECKPOINT * elapsed / curve.deadline), LAST_CHECKPOINT - 1)
            self._score(person, episode, person.now, checkpoint, done, out, parameters, details, record=not episode.recorded)
            episode.recorded = True

    def _levels(self, person: Person, episode: Episode, at: int, checkpoint: int, deadline: int) -> Levels:
        enabled, triggers = self._enabled, self._plan.triggers
        silence = min(max(at - person.newest, 0), max(at - episode.onset, 0)) / deadline if enabled[_INACTIVE] else 0.0
        errors = 0
        if episode.bursts:
            errors = 3 if episode.errors < 2 * triggers.errors.count else 4
        elif episode.errors:
            errors = 1 if episode.errors < triggers.errors.count else 2
        slow = self._plan.slow_after[episode.step]
        touches = episode.touches
        return Levels(
            checkpoint=checkpoint,
            silence=sum(silence >= share for share in SILENT_FROM),
            errors=errors,
            rage=min(episode.rage, 2),
            circles=min(episode.circles, 3),
            slow=min(person.active // slow, 2) if enabled[_SLOW] else 0,
            activity=1 + sum(person.active >= each for each in ACTIVE_FROM) if person.active else 0,
            last=episode.last,
            visits=min(person.sessions - episode.sessions, 3) if enabled[_INACTIVE] else 0,
            touches=0 if not touches else 1 if touches < _MANY_TOUCHES else 2,
            hour=minute_of_day(person.newest, str(person.traits.get("timezone", "UTC"))) // _THREE_HOURS,
        )

    def _score(
        self,
        person: Person,
        episode: Episode,
        at: int,
        checkpoint: int,
        done: Mapping[str, int],
        out: Collector,
        parameters: Parameters,
        details: Mapping[str, Any],
        *,
        record: bool,
    ) -> None:
        """Score the episode at log time ``at`` and raise the alarm above the threshold. ``record``: keep the levels as a row."""
        curve, model = parameters.curves[episode.step], parameters.model
        levels = self._levels(person, episode, at, checkpoint, curve.deadline)
        flag = ALARMED if episode.alarmed else OPEN
        if not episode.alarmed and not (person.rhythm is not None and bot_detection.is_suspicious(person.rhythm, at)):
            score = model.score(episode.step, levels)
            if score >= (model.last if checkpoint == LAST_CHECKPOINT else model.early):
                parts = model.parts(levels)
                trigger = self._trigger_of(parts)
                if trigger:
                    flag = RAISING
                    self._alarm(person, episode, trigger, score, parts, at, done, out, curve, details)
        if episode.observed and not episode.matured and (record or flag == RAISING) and len(episode.rows) < _MAX_ROWS:
            episode.rows.append(levels._replace(guided=int(episode.observed == _GUIDED)).pack(flag))

    def _trigger_of(self, parts: Mapping[str, float]) -> str:
        """The trigger whose evidence adds most to the score. ``stuck:inactive``, if enabled, where none adds anything; else empty."""
        added: dict[str, float] = {trigger: 0.0 for trigger, enabled in self._enabled.items() if enabled}
        for part, trigger in _TRIGGER_OF_PART.items():
            if trigger in added:
                added[trigger] += parts[part]
        best = max(added, key=lambda trigger: added[trigger], default="")
        if best and added[best] > 0.0:
            return best
        return _INACTIVE if _INACTIVE in added else ""

    def _alarm(
        self,
        person: Person,
        episode: Episode,
        trigger: str,
        score: float,
        parts: Mapping[str, float],
        at: int,
        done: Mapping[str, int],
        out: Collector,
        curve: Curve,
        details: Mapping[str, Any],
    ) -> None:
        """Emit the signal with its evidence, and consider guidance."""
        episode.alarmed = at
        person.version += 1
        step = episode.step
        evidence = {
            "elapsed": at - episode.onset,
            "horizon": curve.horizon,
            "lastActiveAt": person.newest,
            "errors": episode.errors,
            "errorBursts": episode.bursts,
            "rageClicks": episode.rage,
            "circles": episode.circles,
            "activeTime": person.active,
            "visits": person.sessions - episode.sessions,
            "touches": episode.touches,
            "logits": {part: round(added, 3) for part, added in parts.items() if round(added, 3)},
            "parameters": out.parameters,
            **details,
        }
        signal_id = self._keys.decision_id(person.tenant, person.user, f"signal {trigger}", step, person.version)
        out.count(counters.STUCK_SIGNALS, trigger)
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
                score=round(score, 6),
                parameters_version=out.parameters,
            )
        )
        out.rows.append(progress_fact(self._plan, person, step, done))
        self._guidance.consider(out, person, trigger, at, done, step)
