"""What a demo tells of a model's texts at its end: what was asked, what came of it, and a few texts beside the templates they replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.text import Text

from reports import wordings
from reports.cells import camel, json_value
from reports.plain import plain
from reports.screen import heading, lines, number, table

if TYPE_CHECKING:
    from cli.stores import Facts
    from evaluation.model_value import ModelValue

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
"""``failed``: no answer, or none that anybody waited for. ``rejected``: by a check, or seen too late to be of use."""
_ANSWERED = {"call": "the model", "cache": "the cache", "coalesced": "a call on its way"}


class Texts(NamedTuple):
    """What the tables tell. ``found`` is as in ``onramp report``; ``examples`` have the words before and after."""

    found: Row
    sources: list[Row]
    examples: list[Row]


def read(facts: Facts, tenant: str) -> Texts | None:
    """Read what became of a model's texts; None where no model was ever considered."""
    found = wordings.read(facts, tenant)
    return None if found is None else Texts(found, facts.rows(_SOURCES, tenant=tenant), facts.rows(_EXAMPLES, tenant=tenant))


def as_record(texts: Texts | None, value: ModelValue | None) -> Row | None:
    """The same as JSON: what ``onramp report --json`` has under ``llm``, with ``bySource`` and ``examples``."""
    record = wordings.as_record(texts.found, value) if texts is not None else None
    if texts is None or record is None:
        return None
    return {**record, "bySource": _records(texts.sources), "examples": _records(texts.examples)}


def show(console: Console, texts: Texts | None, value: ModelValue | None) -> None:
    """Print it, or nothing where no model was considered."""
    if texts is None:
        return
    wordings.show(console, texts.found, value)
    if texts.sources:
        console.print()
        rows = ((_ANSWERED.get(row["source"], row["source"]), *(number(row[name]) for name in _COUNTS)) for row in texts.sources)
        console.print(table(["asked of", *(f">{name}" for name in _COUNTS)], rows))
    if texts.examples:
        heading(console, "Templates, and what the model made of them")
    for index, row in enumerate(texts.examples[:_SHOWN]):
        if index:
            console.print()
        lines(
            console,
            Text(f"{plain(row['step_id'])} upon {plain(row['trigger'])} by {plain(row['arm'])}", style="dim"),
            Text(plain(row["template"]), style="dim"),
            Text(plain(row["text"])),
        )


def _records(rows: list[Row]) -> list[Row]:
    return [{camel(name): json_value(value) for name, value in row.items()} for row in rows]
