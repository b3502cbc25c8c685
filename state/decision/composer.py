"""Composes the record that the app reads: the catalog's template for the chosen arm, with its slots filled."""

from __future__ import annotations

from typing import Final

from state.catalog.plan import Plan
from state.catalog.template import render
from state.decision.messages import Decision
from state.ids import Keys
from state.records.fact_builders import recommendation_fact
from state.records.facts import RecommendationFact
from state.records.recommendation import Publish, Recommendation, validation_hash
from state.times import rfc3339
from state.traceparent import trace_id


class Composer:
    """Composes recommendations for one plan. Pure."""

    def __init__(self, plan: Plan, keys: Keys) -> None:
        self._plan: Final = plan
        self._keys: Final = keys

    def compose(self, decision: Decision) -> tuple[Publish, RecommendationFact]:
        """Return the effect and the row of one decision."""
        request, plan = decision.request, self._plan
        step, component = plan.steps[request.step], plan.component[decision.arm]
        message = render(plan.template(request.trigger, request.step, decision.arm), plan.catalog, step.title, request.traits)
        expires = request.at + plan.limits.recommendation_ttl
        record = Recommendation(
            decision_id=request.decision,
            recommendation_id=self._keys.recommendation_id(request.decision, decision.arm),
            tenant_id=request.tenant,
            user_id=request.user,
            version=request.version,
            path_id=request.path,
            step_id=request.step,
            trigger=request.trigger,
            arm=decision.arm,
            propensity=decision.propensity,
            message=message,
            ui_component=component,
            deep_link=step.link,
            confidence=1.0,
            source="template",
            validation_hash=validation_hash(message, component, step.link),
            created_at=rfc3339(request.at),
            expires_at=rfc3339(expires),
            trace_id=trace_id(request.traceparent),
        )
        return Publish(record, request.traceparent), recommendation_fact(record, created_at=request.at, expires_at=expires)
