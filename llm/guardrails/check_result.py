"""The result of one guardrail."""

from __future__ import annotations

import msgspec


class CheckResult(msgspec.Struct, frozen=True, gc=False):
    """One check of one text. ``reason`` is empty where it passed. ``detail`` is for people and never quotes the text."""

    check: str
    reason: str = ""
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the check passed."""
        return not self.reason
