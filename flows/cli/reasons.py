"""Reason codes in words."""

from __future__ import annotations

from typing import Final

from state.vocabulary import REASONS
from state.wording import REASONS as WORDING

_WITHDRAWN: Final = {"step_completed": "the step was completed", "path_changed": "the person moved to another path"}


def why_withdrawn(reason: str | None) -> str:
    """Why guidance was taken back."""
    return _WITHDRAWN.get(reason or "") or REASONS.get(reason or "") or reason or "it became stale"


def why_not(reason: str) -> str:
    """Why a consideration ended without a decision."""
    return REASONS.get(reason, reason)


def why_template(reason: str) -> str:
    """Why a decision kept its template, by the code where there are no words for it."""
    return WORDING.get(reason, reason)
