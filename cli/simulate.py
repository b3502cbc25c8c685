"""``onramp simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import CatalogOption, JsonOption


def simulate(
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where events go; gzipped if it ends in .gz, - for standard output.")],
    users: Annotated[int, typer.Option("--users", min=1, max=10_000_000, help="People to simulate.")] = 2000,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Days that pass.")] = 14,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same people.")] = 1,
    truth: Annotated[str | None, typer.Option("--truth", metavar="FILE", help="Where the truth about each person goes.")] = None,
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the events of simulated people who use a catalog's product, and the truth about who was stuck.

    \b
    Example:  onramp simulate --users 500 --days 7 --seed 1 --out events.jsonl.gz --truth truth.jsonl
    """
    from cli.failures import say
    from cli.options import load
    from flows.catalogs import load_catalog
    from reports.display import Steps
    from reports.screen import err, number, print_json
    from sources.simulator import write

    if as_json and out == "-":
        raise typer.BadParameter("standard output cannot hold both the events and the JSON object.", param_hint="--json")
    for option, target in (("--out", out), ("--truth", truth)):
        if target not in {None, "-"} and not Path(str(target)).parent.is_dir():
            raise typer.BadParameter(f"there is no directory {str(Path(str(target)).parent)!r}.", param_hint=option)
    settings = load(catalog=catalog)
    with Steps("Simulating people", err()) as steps:
        written = write(load_catalog(settings.catalog), users, days, seed, out, truth, progress=steps)
    if as_json:
        print_json({"users": written.users, "events": written.events, "activated": written.activated, "stuck": written.stuck})
    elif out != "-":
        say(f"{number(written.events)} events of {number(written.users)} people over {days} days are in {out}.")
