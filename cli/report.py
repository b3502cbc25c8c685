"""``onramp report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.support.options import DataDirOption, JsonOption
from cli.support.streams import writing


def report(
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="One tenant; without it the one with most users, and in JSON the views of all.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", metavar="DIR", help="Draw plots (SVG) into this directory.", file_okay=False)
    ] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show everything that is known of a running system, without any truth: activation by group and the lift with its interval, funnels,
    stuck signals judged by held-out users, how long steps take, arms and their believed success rates, cost and effect of texts by a
    model, the reasons of non-decisions, and whether the figures can be believed.

    \b
    Example:  onramp report
              onramp report --json | jq .verdict.liftInterval
              onramp report --plots pictures
    """
    from cli.support.demo_dir import for_reading
    from cli.support.options import load
    from cli.support.stores import open_facts

    settings = for_reading(load(data_dir=data_dir))
    with open_facts(settings) as facts:
        from rich.text import Text

        from reports import live
        from reports.plots import draw_all
        from reports.render import out, print_json
        from state.plain_text import plain

        known = facts.tenants()
        chosen = tenant if tenant is not None else next(iter(known), "default")
        found = live.build(facts, chosen) if chosen in known else None
        drawn = []
        if found is not None and plots is not None:
            with writing(plots):
                drawn = draw_all(found, plots)
        if as_json:
            print_json({**live.as_json(facts, found, chosen, only=tenant is not None), "plots": [str(path) for path in drawn]})
            return
        console = out()
        if found is None:
            console.print(Text(f"No user is known{f' in tenant {plain(chosen)}' if tenant is not None else ''} yet."))
        else:
            live.show(console, facts, found, chosen)
        live.show_rest(console, facts, chosen, known, drawn)
