"""A catalog with every recognised language, and its claims without those that it forbids itself."""

from __future__ import annotations

from llm.guardrails.claims_by_language import CLAIMS
from llm.guardrails.forbidden_claims import ForbiddenClaims
from tests.llm.wording_requests import saas

LANGUAGES = sorted(CLAIMS)
SEVERAL = saas(languages=["en", *LANGUAGES])
assert SEVERAL.catalog.wording is not None
CLAIMED = ForbiddenClaims(SEVERAL.catalog.wording.model_copy(update={"forbidden": []}))
