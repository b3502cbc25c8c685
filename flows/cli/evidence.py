"""Says in words on what evidence somebody was called stuck."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from flows.cli.plain import plain
from state.duration import render


def in_words(trigger: str, evidence: str) -> str:
    """One clause; what cannot be put into words is shown as it was recorded."""
    try:
        found: dict[str, Any] = json.loads(evidence)
        return plain(_WORDS[trigger](found))
    except (ValueError, KeyError, TypeError):
        return plain(evidence)


def _inactive(found: dict[str, Any]) -> str:
    seen = datetime.fromtimestamp(found["lastActiveAt"] / 1000, UTC)
    return f"nothing since {seen:%Y-%m-%d %H:%M}, limit {render(found['after'])}"


def _errors(found: dict[str, Any]) -> str:
    return f"{found['errors']} errors within {render(found['within'])}{', last ' + found['code'] if found['code'] else ''}"


def _rage(found: dict[str, Any]) -> str:
    return f"{found['clicks']} clicks on {found['target']} within {render(found['within'])}"


def _looping(found: dict[str, Any]) -> str:
    return f"came to {found['page']} {found['visits']} times within {render(found['within'])}"


def _slow(found: dict[str, Any]) -> str:
    return f"active on it for {round(found['activeTime'] / 60_000)} min, limit {render(found['after'])}"


_WORDS = {
    "stuck:inactive": _inactive,
    "stuck:errors": _errors,
    "stuck:rage_clicks": _rage,
    "stuck:looping": _looping,
    "stuck:slow_step": _slow,
}
