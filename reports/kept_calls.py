"""Calls of a model that are kept for review: ``onramp dlq --model``.

The answer of a call that a check rejected is a dead letter of the model; so is a call that failed. Accepted calls are only counted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from reports.render import dollars, heading, number, record, table
from reports.safe_text import shortened
from reports.values import cell, json_record
from state.plain_text import plain
from state.quantity import count

if TYPE_CHECKING:
    from reports.facts import Facts

Row = dict[str, Any]

HOW: Final = (
    "No call of a model is kept. ONRAMP_LLM_KEEP_DAYS=30, in the settings of the job, keeps the prompts and rejected answers of its "
    "next calls for 30 days."
)

_WIDTH: Final = 60
_EVER: Final = 0
_CHOSEN: Final = (
    "({reason:String} = '' OR reason = {reason:String}) AND ({tenant:String} = '' OR tenant_id = {tenant:String}) "
    "AND toUnixTimestamp64Milli(called_at) >= {since:Int64}"
)
_LIST: Final = f"""
SELECT decision_id, tenant_id, user_id, called_at, status, refused_by, reason, model, scope, step_id, trigger, arm, answer
FROM llm_answers_final WHERE status IN ('rejected', 'failed') AND {_CHOSEN} ORDER BY called_at DESC, decision_id LIMIT {{limit:UInt32}}
"""  # noqa: S608 - a constant
_TOTAL: Final = f"SELECT countIf(status IN ('rejected', 'failed')) AS total FROM llm_answers_final WHERE {_CHOSEN}"  # noqa: S608
_ONE: Final = "SELECT * FROM llm_answers_final WHERE decision_id = {id:String} ORDER BY tenant_id LIMIT 1"
_STATS: Final = f"""
SELECT status, refused_by, reason, count() AS calls, sum(cost_micros) / 1000000 AS cost_dollars, min(called_at) AS first,
    max(a.called_at) AS last, argMax(decision_id, a.called_at) AS example
FROM llm_answers_final AS a WHERE {_CHOSEN} GROUP BY status, refused_by, reason ORDER BY calls DESC, status, refused_by, reason
"""  # noqa: S608


def is_anything_kept(facts: Facts) -> bool:
    """Whether a call of any status is kept."""
    return bool(facts.rows("SELECT count() > 0 AS kept FROM llm_answers")[0]["kept"])


def rejected(facts: Facts, reason: str | None, tenant: str | None, since: int | None, limit: int) -> tuple[list[Row], int]:
    """The newest rejected and failed calls, at most ``limit``, and how many there are in all. ``since`` is in milliseconds."""
    chosen = {"reason": reason or "", "tenant": tenant or "", "since": _EVER if since is None else since}
    return facts.rows(_LIST, **chosen, limit=limit), int(facts.rows(_TOTAL, **chosen)[0]["total"])


def one(facts: Facts, decision_id: str) -> Row | None:
    """The call that was charged to a decision, of any status; None where none is kept."""
    return next(iter(facts.rows(_ONE, id=decision_id)), None)


def counts(facts: Facts, reason: str | None, tenant: str | None, since: int | None) -> list[Row]:
    """How many calls ended how, the most frequent first."""
    return facts.rows(_STATS, reason=reason or "", tenant=tenant or "", since=_EVER if since is None else since)


def as_record(row: Row) -> Row:
    """A call as JSON: its id is that of the decision."""
    found = json_record(row)
    return {"id": found.pop("decisionId"), **found}


def show_list(console: Console, rows: list[Row], total: int) -> None:
    """Print the calls, the newest first."""
    columns = ("id", "called", "~reason", "~model", "~answer")
    cells = ((row["decision_id"], _moment(row), _why(row), row["model"], _beginning(row["answer"])) for row in rows)
    console.print(table(columns, cells))
    if len(rows) < total:
        console.print(f"{total - len(rows):,} more; --limit shows them.")


def show_one(console: Console, row: Row) -> None:
    """Print everything that is kept of a call. The prompt and the answer are neither wrapped nor indented."""
    place = f"{row['step_id']} upon {row['trigger']} by {row['arm']}"
    whose = "for this user alone" if row["scope"] == "personal" else "for everybody in this place"
    spent = f"{number(row['input_tokens'])} + {count(row['output_tokens'], 'token')}, {dollars(row['cost_micros'] / 1e6)}"
    fields = (
        ("decision", row["decision_id"]),
        ("recommendation", row["recommendation_id"]),
        ("tenant", row["tenant_id"]),
        ("user", row["user_id"]),
        ("where", f"{place}, {whose}"),
        ("called", _moment(row)),
        ("model", row["model"]),
        ("ended", " ".join(filter(None, (row["status"], _why(row))))),
        ("spent", spent),
        ("trace", row["trace_id"] or "–"),
    )
    console.print(record(fields))
    heading(console, "The prompt", plain(row["prompt_version"]))
    _as_it_is(console, row["prompt"])
    if row["answer"]:
        heading(console, "The rejected answer", "users never see it")
        _as_it_is(console, row["answer"])


def show_counts(console: Console, rows: list[Row]) -> None:
    """Print how many calls ended how."""
    columns = ("status", "~reason", ">calls", ">cost", "last", "example")
    cells = (
        (row["status"], _why(row), number(row["calls"]), dollars(row["cost_dollars"]), cell(row["last"])[:10], row["example"])
        for row in rows
    )
    console.print(table(columns, cells))


def _why(row: Row) -> str:
    """The check and the reason, as in ``grounding: url``."""
    return ": ".join(filter(None, (str(row["refused_by"]), str(row["reason"]))))


def _moment(row: Row) -> str:
    return cell(row["called_at"])


def _beginning(answer: str) -> str:
    """The text of the answer where it can be read, else its beginning."""
    try:
        said = json.loads(answer)["text"]
    except (ValueError, TypeError, KeyError, RecursionError):
        said = answer
    return shortened(str(said), _WIDTH)


def _as_it_is(console: Console, text: str) -> None:
    console.out("\n".join(plain(line) for line in text.split("\n")), highlight=False)
