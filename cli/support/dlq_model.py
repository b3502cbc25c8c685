"""``onramp dlq --model``: shows the calls of a model that are kept, above all the answers that were rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from flows.settings import Settings


def list_calls(settings: Settings, reason: str | None, tenant: str | None, since: int | None, limit: int, *, as_json: bool) -> None:
    """Print the rejected and failed calls, the newest first. ``since`` is in milliseconds."""
    from cli.support.stores import open_facts

    with open_facts(settings) as facts:
        from reports.kept_calls import HOW, as_record, is_anything_kept, rejected, show_list
        from reports.render import out, print_json

        rows, total = rejected(facts, reason, tenant, since, limit)
        kept = bool(total) or is_anything_kept(facts)
    if as_json:
        print_json({"total": total, "calls": [as_record(row) for row in rows]})
    elif total:
        show_list(out(), rows, total)
    else:
        out().print("No rejected answer and no failed call is among those that are kept." if kept else HOW)


def show_call(settings: Settings, decision_id: str, *, as_json: bool) -> None:
    """Print everything that is kept of one call."""
    from cli.support.stores import open_facts

    with open_facts(settings) as facts:
        from reports.kept_calls import HOW, as_record, is_anything_kept, one, show_one
        from reports.render import out, print_json

        row = one(facts, decision_id)
        kept = row is not None or is_anything_kept(facts)
    if row is None:
        said = f"there is no call for the decision {decision_id!r} among those that are kept; `onramp dlq list --model` shows their ids."
        raise typer.BadParameter(said if kept else f"{HOW[0].lower()}{HOW[1:]}", param_hint="'ID'")
    if as_json:
        print_json(as_record(row))
    else:
        show_one(out(), row)


def count_calls(settings: Settings, reason: str | None, tenant: str | None, since: int | None, *, as_json: bool) -> None:
    """Print how many calls ended how, accepted ones included."""
    from cli.support.stores import open_facts

    with open_facts(settings) as facts:
        from reports.kept_calls import HOW, counts, is_anything_kept, show_counts
        from reports.render import out, print_json
        from reports.values import json_record

        rows = counts(facts, reason, tenant, since)
        kept = bool(rows) or is_anything_kept(facts)
    if as_json:
        print_json({"total": sum(row["calls"] for row in rows), "reasons": [json_record(row) for row in rows]})
    elif kept:
        show_counts(out(), rows)
    else:
        out().print(HOW)
