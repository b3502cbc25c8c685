"""What a catalog says about texts of a model, ready for use: its prompts, and the guardrails on both sides of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from llm.guardrails.input_guardrails import InputGuardrails
from llm.guardrails.output_guardrails import OutputGuardrails
from llm.prompts import PromptTemplate
from state.catalog.plan import Plan
from state.decision.wording_request import WordingRequest


@dataclass(frozen=True)
class CatalogWording:
    """One for each catalog whose texts a model may write. ``prompts``: version → prompt, of those that the catalog names."""

    plan: Plan
    prompts: Mapping[str, PromptTemplate]
    input_guardrails: InputGuardrails
    output_guardrails: OutputGuardrails

    @classmethod
    def of(cls, plan: Plan, prompts: Mapping[str, PromptTemplate]) -> Self | None:
        """Compile the guardrails of ``plan``; None if the catalog allows no texts by a model, or no model is there."""
        if plan.wording is None:
            return None
        return cls(plan, prompts, InputGuardrails(plan.wording, plan.catalog.slots), OutputGuardrails(plan, prompts))

    def needs_approval(self, request: WordingRequest) -> bool:
        """Whether only a text that a person approved may answer ``request``."""
        policy = self.plan.catalog.wording
        return policy is not None and policy.needs_approval(request.locale)
