"""Wishes and answers for the tests of the guardrails, on the catalog that ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from state.catalog.parse import parse
from state.catalog.plan import Plan
from state.decision.wording_request import WordingRequest
from state.event_fields import Scalar
from state.records.recommendation import Recommendation

CATALOG = Path(__file__).resolve().parents[2] / "catalog" / "saas.yaml"


def saas(**changes: Any) -> Plan:
    """The catalog that ships, with some of its wording policy changed."""
    catalog = parse(CATALOG.read_text(encoding="utf-8"), CATALOG.name)
    assert catalog.wording is not None
    return Plan(catalog.model_copy(update={"wording": catalog.wording.model_copy(update=changes)}))


PLAN = saas()


def request_for(
    step: str = "connect_source",
    trigger: str = "stuck:errors",
    arm: str = "moderate_tooltip",
    done: tuple[str, ...] = (),
    traits: dict[str, Scalar] | None = None,
    locale: str = "en",
) -> WordingRequest:
    """A request about ``step`` by somebody who has completed ``done``."""
    record = Recommendation(
        decision_id="d1",
        recommendation_id="r1",
        tenant_id="acme",
        user_id="u1",
        version=1,
        path_id="first_dashboard",
        step_id=step,
        trigger=trigger,
        arm=arm,
        propensity=0.5,
        message="the template",
        ui_component=PLAN.component[arm],
        deep_link=PLAN.steps[step].link,
        confidence=1.0,
        source="template",
        validation_hash="",
        created_at="2026-01-01T00:00:00Z",
        expires_at="2026-01-02T00:00:00Z",
    )
    return WordingRequest(record, PLAN.version, "nudge-1", locale, "returning", done, traits or {}, 0, 1)


def answer(request: WordingRequest, text: str, **changes: object) -> str:
    """The raw answer of a model that says ``text`` and keeps to what was asked otherwise."""
    asked = {"uiComponent": request.record.ui_component, "deepLink": request.record.deep_link, "language": request.locale}
    return json.dumps({"text": text, "facts": [], **asked, "confidence": 0.9, **changes})
