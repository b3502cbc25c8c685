"""One user's story at the end of a demo: a signal, the decision upon it, what the user saw, and what followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from reports.render import heading, lines
from reports.timeline import portrait, read, show_entries
from state.plain_text import plain

if TYPE_CHECKING:
    from reports.facts import Facts

_STORY = """
SELECT d.user_id AS user_id, d.decision_id AS decision_id
FROM decisions_final AS d
INNER JOIN outcomes_final AS o ON o.tenant_id = d.tenant_id AND o.decision_id = d.decision_id
INNER JOIN people_final AS p ON p.tenant_id = d.tenant_id AND p.user_id = d.user_id
WHERE d.tenant_id = {tenant:String} AND d.outcome = 'decided'
GROUP BY user_id, decision_id
ORDER BY
    2 * countIf(o.kind = 'success') + countIf(o.kind = 'clicked') + 2 * any(startsWith(d.trigger, 'stuck:'))
        + any(p.activated_at IS NOT NULL) - any(d.trigger = 'stuck:inactive') / 2 DESC,
    user_id, decision_id
LIMIT 1
"""
_CURRENT = """
SELECT user_id FROM (
    SELECT user_id, ui_component, created_at, expires_at FROM recommendations_final
    WHERE tenant_id = {tenant:String} ORDER BY version DESC LIMIT 1 BY user_id
) WHERE ui_component != 'none' AND expires_at > (SELECT max(log_time) FROM events WHERE tenant_id = {tenant:String})
ORDER BY created_at DESC, user_id LIMIT 1
"""
_MODEL_TEXT = """
SELECT c.user_id AS user_id FROM llm_calls_final AS c
LEFT JOIN outcomes_final AS o ON o.tenant_id = c.tenant_id AND o.decision_id = c.decision_id
WHERE c.tenant_id = {tenant:String} AND c.status = 'improved' GROUP BY user_id
ORDER BY countIf(o.kind = 'shown') > 0 DESC, countIf(o.kind = 'success') > 0 DESC, user_id LIMIT 1
"""


def show_story(console: Console, facts: Facts, tenant: str) -> None:
    """Print it; nothing where no recommendation had an outcome."""
    for found in facts.rows(_STORY, tenant=tenant):
        person, timeline = read(facts, tenant, found["user_id"])
        entries = _about(timeline, found["decision_id"])
        heading(console, f"One user's story: {plain(found['user_id'])}")
        if person is not None:
            lines(console, Text(portrait(person), style="dim"))
        show_entries(console, entries, {})


def _about(timeline: list[dict[str, Any]], decision_id: str) -> list[dict[str, Any]]:
    """The decision, the signal that led to it, what was shown, the outcomes, and the completion of the step."""
    decision = next(row for row in timeline if row["kind"] == "decision" and row["decision_id"] == decision_id)

    def belongs(row: dict[str, Any]) -> bool:
        if row["kind"] == "signal":
            return all(row[name] == decision[name] for name in ("at", "step_id", "trigger"))
        if row["kind"] == "progress":
            return bool(row["what"] == "completed" and row["step_id"] == decision["step_id"])
        return bool(row["decision_id"] == decision_id and row["what"] != "none")

    return [row for row in timeline if belongs(row)]


def user_with_story(facts: Facts, tenant: str) -> str | None:
    """Return the user of ``show_story``."""
    return _first(facts, _STORY, tenant)


def user_with_model_text(facts: Facts, tenant: str) -> str | None:
    """Return a user who was shown a text by a model, if possible one that worked."""
    return _first(facts, _MODEL_TEXT, tenant)


def user_with_current(facts: Facts, tenant: str) -> str | None:
    """Return a user for whom the app has something to show at the end of the run."""
    return _first(facts, _CURRENT, tenant)


def _first(facts: Facts, sql: str, tenant: str) -> str | None:
    rows = facts.rows(sql, tenant=tenant)
    return str(rows[0]["user_id"]) if rows else None
