"""compose: each decision is worded by the catalog of its tenant."""

from __future__ import annotations

from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from operators.choose import choose_logic
from operators.compose import Composed, compose_step
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decision.chooser import Choices
from state.decision.messages import DecisionRequest
from state.decision.wording_request import WordingRequest, WordingSkipped
from tests.state.lives import KEYS, Life, catalog, plan, signup


def composed(plans: ByTenant[Plan], batch: list[tuple[str, Choices]]) -> list[Composed]:
    flow, out = Dataflow("composing"), list[Composed]()
    source: TestingSource[Any] = TestingSource(batch, len(batch))
    op.output("out", compose_step("compose", op.input("chosen", flow, source), plans, KEYS), TestingSink(out))
    run_main(flow)  # type: ignore[no-untyped-call]
    return out


def test_text_and_request_for_a_model_are_those_of_the_tenants_catalog() -> None:
    life = Life()
    life.see(signup())
    words = "wording: {prompts: [{version: nudge-1}]}\n"
    other = Plan(catalog(change=lambda text: text.replace("{step}", "{step} and more") + words), wording=True)
    plans, batch = ByTenant(plan(), {"worded": other}), list[tuple[str, Choices]]()
    for tenant in ("t", "worded"):
        ask: DecisionRequest = msgspec.structs.replace(life.ask, tenant=tenant)
        (choices,), _ = choose_logic(plans)(None).on_batch([[ask]])
        batch.append((f"{tenant}|signup", choices))
    found = composed(plans, batch)
    asked: list[WordingRequest | WordingSkipped] = [each for out in found for each in out.wording]
    assert [each.record.tenant_id for each in asked] == ["worded"]
    texts = {each.recommendation.tenant_id: each.recommendation.message for out in found for each in out.effects}
    assert {tenant: "and more" in text for tenant, text in texts.items()} == {"t": False, "worded": True}
