"""``onramp demo``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.failures import say
from flows.cli.options import CatalogOption, DataDirOption, JsonOption

if TYPE_CHECKING:
    from flows.engines import Engines
    from flows.job import Live, Outcome


def demo(
    users: Annotated[int, typer.Option("--users", min=1, max=1_000_000, help="People to simulate.")] = 2000,
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="Days that pass.")] = 14,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same people.")] = 1,
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Simulate people, run the whole job on them with embedded engines, and show what came of it.

    It lives in `demo/` in the data directory, apart from your own data, and starts afresh each time.

    \b
    Example:  onramp demo
              onramp demo --users 500 --days 7 --catalog recipes
    """
    started = time.perf_counter()
    from flows.catalogs import load_catalog
    from flows.cli.demo_dir import for_demo
    from flows.cli.display import Display, Steps
    from flows.cli.engine_noise import engine_noise_aside
    from flows.cli.options import load
    from flows.cli.screen import err, number
    from flows.job import Stop
    from flows.job import run as run_job
    from sources.simulator import write

    asked = load(data_dir=data_dir, catalog=catalog)
    product = load_catalog(asked.catalog)
    settings = for_demo(asked, {"users": users, "days": days, "seed": seed, "catalog": asked.catalog})
    events, truth = settings.data_dir / "events.jsonl", settings.data_dir / "truth.jsonl"
    console = err()
    with Steps("Simulating", console) as steps:
        written = write(product, users, days, seed, events, truth, progress=steps)
    console.print(f"Simulated {number(users)} people over {number(days)} days: {number(written.events)} events.")

    stop, result = Stop(), dict[str, Any]()
    with engine_noise_aside(), Display(console, "Running") as display:

        def watch(live: Live) -> None:
            from flows.cli.clock import bounded_run_began

            bounded_run_began(live.engines.data_dir)
            display.watch(live)

        def after(engines: Engines, outcome: Outcome) -> None:
            from flows.cli.clock import bounded_run_ended
            from flows.cli.run import newest_log_time

            display.close()
            bounded_run_ended(engines.data_dir, newest_log_time(engines))
            if outcome.finished:
                _conclude(engines, outcome)

        def _conclude(engines: Engines, outcome: Outcome) -> None:
            from flows.cli.demo_end import score_of, show_end

            score = score_of(engines, truth)
            result.update(outcome.summary, finished=True)
            result["truth"] = {
                "stuckPrecision": score.overall.precision,
                "stuckRecall": score.overall.recall,
                "byTrigger": {trigger: {"precision": row.precision, "recall": row.recall} for trigger, row in score.by_trigger.items()},
            }
            if not as_json:
                show_end(engines, outcome, score, asked, settings)

        run_job(settings, input_path=events, holder="onramp demo", started=started, stop=stop, watch=watch, after=after)
    if not result:
        say("stopped before its end; run the same command to start over.")
    elif as_json:
        from flows.cli.screen import print_json

        print_json(result)
