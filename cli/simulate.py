"""``onramp simulate``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from cli.support.options import CatalogOption, JsonOption, refuse_missing_directory
from cli.support.population_program import PopulationOption, ScenarioOption, population_program

if TYPE_CHECKING:
    from evaluation.truth import SealedTruth


def simulate(
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where events go; gzipped if it ends in .gz, - for standard output.")],
    users: Annotated[int, typer.Option("--users", min=1, max=1_000_000, help="Users to simulate.")] = 2000,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Days that pass.")] = 14,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same users.")] = 1,
    truth: Annotated[
        str | None, typer.Option("--truth", metavar="FILE", help="Where the truth about the users goes; docs/population.md has its form.")
    ] = None,
    scenario: ScenarioOption = "baseline",
    population: PopulationOption = None,
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the events of simulated users who never see guidance, and the truth about who was stuck.

    Same users and random draws as `onramp demo`, but never guided, so that the app reports no showings. No duplicates or late events:
    `--scenario messy` has them, and wrong clocks.

    \b
    Example:  onramp simulate --users 500 --days 7 --seed 1 --out events.jsonl.gz --truth truth.jsonl
              onramp simulate --users 500 --scenario messy --out - | onramp run --input -
    """
    from cli.support.failures import say
    from cli.support.new_files import writable
    from cli.support.options import load
    from evaluation.scenarios import scenario_catalog
    from evaluation.truth import TruthError, read_truth
    from flows.catalogs import load_catalog
    from reports.display import Steps
    from reports.render import err, print_json
    from sources.closed_loop import START, Begin, describe, unguided
    from state.duration import DAY
    from state.plain_text import plain
    from state.quantity import count

    if (out == "-") + (truth == "-") + as_json > 1:
        raise typer.BadParameter(
            "standard output can hold one thing only: the events, the truth or the JSON object.", param_hint="'--json'"
        )
    for option, target in (("--out", out), ("--truth", truth)):
        if target not in {None, "-"}:
            refuse_missing_directory(str(target), option)
    settings = load(catalog=catalog)
    end = START + days * DAY
    product = describe(scenario_catalog(load_catalog(settings.catalog), scenario, START, end))
    begin = Begin(scenario, seed, users, START, end, product)
    events = 0
    with ExitStack() as open_until_done:
        people = open_until_done.enter_context(population_program(population))
        steps = open_until_done.enter_context(Steps("Simulating users", "day", err()))
        out_file = open_until_done.enter_context(writable(out))
        truth_file = open_until_done.enter_context(writable(truth)) if truth is not None else None
        for slot in unguided(people, begin):
            events += len(slot.events)
            out_file.writelines(event + b"\n" for _, event in slot.events)
            steps((min(slot.next or end, end) - START) // DAY, days)
        lines = list(people.finish())
        if truth_file is not None:
            truth_file.writelines(line + b"\n" for line in lines)
        try:
            known = read_truth(lines)
        except TruthError as error:
            raise TruthError(f"{error}. docs/population.md has its form; all events were written.") from error
    if as_json:
        activated = sum(person.activated_at is not None for person in known.people)
        print_json({"users": len(known.people), "events": events, "activated": activated, "stuck": _stuck(known, end)})
    elif out != "-":
        who = count(len(known.people), "user")
        say(f"{plain(out)} has {count(events, 'event')} of {who} over {count(days, 'day')}.")


def _stuck(truth: SealedTruth, end: int) -> dict[str, int]:
    """How often users were stuck, by the first trouble; ``none``: they met none that shows."""
    from evaluation.stuck import label_by_truth

    stuck = label_by_truth(truth, end).filter("positive").group_by("cause").len().sort("cause", nulls_last=True)
    return {cause or "none": times for cause, times in stuck.iter_rows()}
