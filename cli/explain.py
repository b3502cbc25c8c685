"""``onramp explain``."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.support.failures import say
from cli.support.options import DataDirOption, JsonOption, TenantOption, UserArgument


def explain(
    user: UserArgument,
    tenant: TenantOption = "default",
    limit: Annotated[int, typer.Option("--limit", min=0, help="Show the newest N entries; 0 shows all.")] = 200,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show one user's history: events with their traits, progress and changes of the path, stuck signals with their evidence, every
    decision and non-decision with its reason, and whether a model or a template worded each recommendation.

    \b
    Example:  onramp explain u000042 --limit 50
    """
    from cli.support.demo_dir import for_reading
    from cli.support.options import load
    from cli.support.stores import open_facts

    settings = for_reading(load(data_dir=data_dir))
    with open_facts(settings) as facts:
        from cli.support.unknown_user import unknown_user
        from reports.render import out, print_json
        from reports.timeline import as_records, read, show

        person, timeline = read(facts, tenant, user)
    if person is None and not timeline:
        if as_json:
            print_json({"tenantId": tenant, "userId": user, "known": False, "timeline": []})
        say(unknown_user(settings, tenant, user))
        raise typer.Exit(1)
    if as_json:
        entries = as_records(timeline)
        body = {"tenantId": tenant, "userId": user, "known": True, "person": person, "entries": len(entries)}
        print_json({**body, "timeline": entries[-limit:] if limit else entries})
    else:
        show(out(), user=user, tenant=tenant, person=person, timeline=timeline, limit=limit)
