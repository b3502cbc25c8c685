"""Notices who is stuck, and has guidance considered for them. Held-out people are noticed like everyone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from state import signals
from state.events import Event
from state.facts import SignalFact
from state.guidance import Guidance, Turn
from state.ids import Keys
from state.person import Person
from state.plan import Plan
from state.progress import current_step
from state.telling import progress_fact
from state.vocabulary import STUCK_TRIGGERS

_INACTIVE, _ERRORS, _RAGE, _LOOPING, _SLOW = STUCK_TRIGGERS
_json = msgspec.json.Encoder()


class Detector:
    """The signs of being stuck, for all people of one plan. Methods change the person given and append to the turn given."""

    def __init__(self, plan: Plan, keys: Keys, guidance: Guidance) -> None:
        self._plan: Final = plan
        self._keys: Final = keys
        self._guidance: Final = guidance

    def inactive(self, person: Person, due: int, done: Mapping[str, int], turn: Turn) -> None:
        """The person's inactivity timer ran at log time ``due``."""
        policy = self._plan.triggers.inactive
        if policy.enabled:
            person.lapsed = True
            self.stuck(person, _INACTIVE, due, done, turn, {"lastActiveAt": person.newest, "after": policy.after})

    def look(self, person: Person, event: Event, done: Mapping[str, int], turn: Turn) -> None:
        """Look at an event that was applied, for a person on the way to activation."""
        kind, at, policies = event.type, event.timestamp, self._plan.triggers
        if kind == "error" and policies.errors.enabled:
            if count := signals.error(person.errors, at, policies.errors):
                evidence = {"errors": count, "within": policies.errors.within, "code": str(event.payload.get("code", ""))[:64]}
                self.stuck(person, _ERRORS, person.now, done, turn, evidence, self._step_meant(person, event, done))
        elif kind == "button_click" and policies.rage_clicks.enabled:
            target = str(event.payload["target"])
            if count := signals.click(person.clicks, at, target, policies.rage_clicks):
                evidence = {"clicks": count, "within": policies.rage_clicks.within, "target": target[:64]}
                self.stuck(person, _RAGE, person.now, done, turn, evidence, self._step_meant(person, event, done))
        elif kind == "page_view" and policies.looping.enabled:
            page = str(event.payload["path"])
            if count := signals.visit(person.pages, at, page, policies.looping):
                evidence = {"visits": count, "within": policies.looping.within, "page": page[:64]}
                self.stuck(person, _LOOPING, person.now, done, turn, evidence, self._step_meant(person, event, done))
        if person.active >= self._plan.least_slow and policies.slow_step.enabled and not person.slow_told:
            step = current_step(self._plan, person.path, done)
            after = self._plan.slow_after.get(step, 0)
            if step and person.active >= after:
                person.slow_told = True
                self.stuck(person, _SLOW, person.now, done, turn, {"activeTime": person.active, "after": after}, step)

    def stuck(
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
        turn.outputs.append(progress_fact(self._plan, person, step, done))
        self._guidance.consider(turn, person, trigger, at, done, step)

    def _step_meant(self, person: Person, event: Event, done: Mapping[str, int]) -> str:
        """The open step of the path that the event belongs to by its matchers; empty (the current one) where there is none."""
        if path := self._plan.paths.get(person.path):
            for rule in self._plan.rules(event.type, event.name, event.payload):
                is_open = rule.step in path.steps and rule.step not in done
                if is_open and all(each in done for each in self._plan.steps[rule.step].requires):
                    return rule.step
        return ""
