"""The guardrails of the catalog that ships."""

from __future__ import annotations

from llm.guardrails.output_guardrails import OutputGuardrails
from llm.prompts import BUILT_IN, load_prompts
from tests.llm.wording_requests import PLAN

PROMPTS = load_prompts(["nudge-1", "nudge-2"], [BUILT_IN])
RAILS = OutputGuardrails(PLAN, PROMPTS)
