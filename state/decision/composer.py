"""Words a choice: the catalog's template, its slots filled, as the record that the app reads."""

from __future__ import annotations

from typing import Final

from state.catalog.plan import Plan
from state.catalog.template import render
from state.decision.guidance import recommendation_fact
from state.ids import Keys
from state.records.facts import RecommendationFact
from state.records.recommendation import Publish, Recommendation, validation_hash
from state.stream_items import Decision
from state.times import rfc3339

Composed = Publish | RecommendationFact


class Composer:
    """Composes recommendations for one plan. Pure."""

    def __init__(self, plan: Plan, keys: Keys) -> None:
        self._plan: Final = plan
        self._keys: Final = keys

    def compose(self, choice: Decision) -> tuple[Publish, RecommendationFact]:
        """Return the effect and the fact of one decided ask."""
        ask, plan = choice.ask, self._plan
        step, component = plan.steps[ask.step], plan.component[choice.arm]
        message = render(plan.template(ask.trigger, ask.step, choice.arm), plan.catalog, step.title, ask.traits)
        expires = ask.at + plan.limits.recommendation_ttl
        record = Recommendation(
            decision_id=ask.decision,
            recommendation_id=self._keys.recommendation_id(ask.decision, choice.arm),
            tenant_id=ask.tenant,
            user_id=ask.user,
            version=ask.version,
            path_id=ask.path,
            step_id=ask.step,
            trigger=ask.trigger,
            arm=choice.arm,
            propensity=choice.propensity,
            message=message,
            ui_component=component,
            deep_link=step.link,
            confidence=1.0,
            source="template",
            validation_hash=validation_hash(message, component, step.link),
            created_at=rfc3339(ask.at),
            expires_at=rfc3339(expires),
            trace_id=trace_id(ask.traceparent),
        )
        return Publish(record), recommendation_fact(record, ask.at, expires)


def trace_id(traceparent: str) -> str | None:
    """Trace id of a W3C ``traceparent`` header (https://www.w3.org/TR/trace-context/), ``None`` where there is none."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None
