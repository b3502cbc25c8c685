"""Texts by a model at the end of a demo: the counts by source, and a few texts beside the templates of the same decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.text import Text

from reports import llm
from reports.render import heading, lines, number, table
from reports.values import json_record
from state.plain_text import plain

if TYPE_CHECKING:
    from evaluation.model_value import ModelValue
    from reports.facts import Facts

Row = dict[str, Any]

_SOURCES = """
SELECT toString(source) AS source, count() AS asked, countIf(model != '') AS answered, countIf(status = 'improved') AS accepted,
    answered - accepted AS rejected, asked - answered AS failed, sum(input_tokens + output_tokens) AS tokens,
    sum(cost_micros) / 1000000 AS cost_dollars
FROM llm_asked WHERE tenant_id = {tenant:String} GROUP BY source ORDER BY indexOf(['call', 'cache', 'coalesced'], source)
"""
_EXAMPLES = """
SELECT m.step_id AS step_id, toString(m.trigger) AS trigger, toString(m.arm) AS arm, toString(m.source) AS source,
    t.message AS template, m.message AS text, m.confidence AS confidence
FROM recommendations_final AS m
INNER JOIN recommendations_final AS t ON t.tenant_id = m.tenant_id AND t.decision_id = m.decision_id
WHERE m.tenant_id = {tenant:String} AND m.source IN ('llm', 'cache') AND t.source = 'template' AND t.ui_component != 'none'
ORDER BY m.source = 'cache', m.created_at, m.decision_id
LIMIT 1 BY m.step_id LIMIT 5
"""
_SHOWN = 3
_COUNTS = ("asked", "answered", "accepted", "rejected", "failed", "tokens")
"""``failed``: no answer, or the call was cancelled. ``rejected``: by a check, or because the answer came too late."""
_ANSWERED = {"call": "the model", "cache": "the cache", "coalesced": "another user's call"}


class ModelTexts(NamedTuple):
    """``found`` is as in ``onramp report``; ``examples`` have the words before and after."""

    found: Row
    sources: list[Row]
    examples: list[Row]


def read(facts: Facts, tenant: str) -> ModelTexts | None:
    """Read the counts and the examples; None where no model was ever considered."""
    found = llm.read(facts, tenant)
    return None if found is None else ModelTexts(found, facts.rows(_SOURCES, tenant=tenant), facts.rows(_EXAMPLES, tenant=tenant))


def as_record(texts: ModelTexts | None, value: ModelValue | None) -> Row | None:
    """The same as JSON: what ``onramp report --json`` has under ``llm``, with ``bySource`` and ``examples``."""
    record = llm.as_record(texts.found, value) if texts is not None else None
    if texts is None or record is None:
        return None
    return {**record, "bySource": [json_record(row) for row in texts.sources], "examples": [json_record(row) for row in texts.examples]}


def show(console: Console, texts: ModelTexts | None, value: ModelValue | None) -> None:
    """Print it, or nothing where no model was considered."""
    if texts is None:
        return
    llm.show(console, texts.found, value)
    if texts.sources:
        console.print()
        rows = ((_ANSWERED.get(row["source"], row["source"]), *(number(row[name]) for name in _COUNTS)) for row in texts.sources)
        console.print(table(["asked of", *(f">{name}" for name in _COUNTS)], rows))
    if texts.examples:
        heading(console, "Templates and the texts of the model")
    for index, row in enumerate(texts.examples[:_SHOWN]):
        if index:
            console.print()
        lines(
            console,
            Text(f"{plain(row['step_id'])} upon {plain(row['trigger'])} by {plain(row['arm'])}", style="dim"),
            Text(plain(row["template"]), style="dim"),
            Text(plain(row["text"])),
        )
