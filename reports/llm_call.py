"""One model call in words: the line ``wording`` in ``onramp explain``."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from reports.reasons import why_template
from reports.render import dollars, number
from state.plain_text import plain
from state.quantity import count

Row = dict[str, Any]


def call_in_words(row: Row) -> str:
    """Whether a model's text was sent, why not, and what the call took and cost.

    Redis refuses a text that comes too late, and no row says so: a text that was sent need not have been shown.
    """
    detail = _detail(row["detail"])
    checks = [(str(each[0]), str(each[1])) for each in detail.get("checks", []) if len(each) == 2]
    how = ", ".join(_how(detail))
    found = _checked(checks, improved=row["what"] == "improved")
    if row["what"] == "improved":
        sent = f"a model's text was sent ({how})"
        return plain("; ".join(part for part in (sent, found, "the app may have shown the template") if part))
    why = why_template(row["reason"])
    code = "" if why == row["reason"] else f" ({row['reason']})"
    return plain("; ".join(part for part in (f"template kept: {why}{code}", how if _asked(detail) else "", found) if part))


def _detail(text: str) -> Row:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _asked(detail: Row) -> bool:
    """Whether there was an answer, or at least a request: a call may be cancelled before the first."""
    return detail.get("source") in {"cache", "coalesced"} or (detail.get("source") == "call" and detail["attempts"] > 0)


def _how(detail: Row) -> list[str]:
    """Prompt, where the answer came from, and what the call took."""
    parts = [f"prompt {detail['promptVersion']}"] if detail.get("promptVersion") else []
    source = detail.get("source")
    if source == "call":
        model = f" to {detail['model']}" if detail.get("model") else ""
        parts.append(f"call{model} in {number(detail['latencyMs'])} ms")
        parts.append(f"{number(detail['inputTokens'])} + {count(detail['outputTokens'], 'token')}, {dollars(detail['costMicros'] / 1e6)}")
        if detail["attempts"] > 1:
            parts.append(count(detail["attempts"], "attempt"))
    elif source == "cache":
        parts.append(f"from the cache in {number(detail['latencyMs'])} ms")
    elif source == "coalesced":
        parts.append(f"by a call that was on its way for another user, in {number(detail['latencyMs'])} ms")
    return parts


def _checked(checks: list[tuple[str, str]], *, improved: bool) -> str:
    rejected = Counter(f"{check} ({reason})" for check, reason in checks if reason and reason != "needs_approval")  # that one waits
    if rejected:
        return f"rejected by {', '.join(rejected)}"
    if not checks or not improved:
        return ""
    return "the check passed" if len(checks) == 1 else f"all {len(checks)} checks passed"
