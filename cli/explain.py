"""``onramp explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.failures import say
from cli.options import DataDirOption, JsonOption, TenantOption, UserArgument

if TYPE_CHECKING:
    from cli.stores import Facts


def explain(
    user: UserArgument,
    tenant: TenantOption = "default",
    limit: Annotated[int, typer.Option("--limit", min=0, help="Show this many entries, the newest; 0 shows all.")] = 200,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Tell a person's story: events, progress, signals with their evidence, every decision and non-decision and why,
    and who worded the guidance: a model, or why the template stayed.

    \b
    Example:  onramp explain u000042 --limit 50
    """
    from cli.demo_dir import for_reading
    from cli.options import load
    from cli.stores import open_facts
    from reports.plain import plain
    from reports.screen import out, print_json

    with open_facts(for_reading(load(data_dir=data_dir)), "onramp explain") as facts:
        person, timeline = ask(facts, tenant, user)
    if person is None and not timeline:
        if as_json:
            print_json({"tenantId": tenant, "userId": user, "known": False, "timeline": []})
        say(f"nobody named {plain(user)} is known in tenant {plain(tenant)}.")
        raise typer.Exit(1)
    if as_json:
        from reports.timeline import as_records

        entries = as_records(timeline)
        body = {"tenantId": tenant, "userId": user, "known": True, "person": person, "entries": len(entries)}
        print_json({**body, "timeline": entries[-limit:] if limit else entries})
    else:
        from reports.timeline import show

        show(out(), user, tenant, person, timeline, limit)


def ask(facts: Facts, tenant: str, user: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Return what is known of the person as such, and everything that happened, in order."""
    from reports.cells import camel, json_value

    people = facts.rows(
        "SELECT * FROM people_final WHERE tenant_id = {tenant:String} AND user_id = {user:String}", tenant=tenant, user=user
    )
    timeline = facts.rows(
        "SELECT at, kind, what, path_id, step_id, trigger, reason, arm, propensity, decision_id, detail FROM person_timeline "
        "WHERE tenant_id = {tenant:String} AND user_id = {user:String} "
        # progress has the version of its newest change, not of this one: it goes by rank, after the events
        "ORDER BY at, least(rank, 3), if(rank = 2, place, 0), version, rank, place, what",
        tenant=tenant,
        user=user,
    )
    person = {camel(name): json_value(value) for name, value in people[0].items() if name != "version"} if people else None
    return person, timeline
