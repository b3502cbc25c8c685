"""``onramp demo``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.failures import INTERRUPTED, say
from cli.local_model import LOCAL, LlmOption
from cli.options import CatalogOption, DataDirOption, JsonOption
from cli.people_option import PopulationOption, ScenarioOption, play

if TYPE_CHECKING:
    from flows.engines import Engines
    from flows.job import RunningJob, RunResult
_USERS: Final = 2_000
_DAYS: Final = 14
_USERS_LOCAL: Final = 60
_DAYS_LOCAL: Final = 4
"""With the local model simulated time waits for each answer, and a processor takes seconds for one."""


def demo(
    users: Annotated[
        int | None,
        typer.Option(
            "--users",
            min=1,
            max=1_000_000,
            help=f"People to simulate. [default: {_USERS}; with --llm local {_USERS_LOCAL}]",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            "--days",
            min=1,
            max=365,
            help=f"Days that pass; activation takes 10 or more to judge. [default: {_DAYS}; with --llm local {_DAYS_LOCAL}]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same people.")] = 1,
    scenario: ScenarioOption = "baseline",
    population: PopulationOption = None,
    llm: LlmOption = None,
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Let people live with the engine: they act, it decides, their apps show what it decided, and they respond to that.

    The whole job runs on them with embedded engines. What only the people's program knows, it tells at the end: who was stuck, and what
    would have happened without guidance. It all lives in `demo/` in the data directory, apart from your own data, and starts afresh each
    time. With --llm a model words what the engine decides; simulated time waits for its answers, and what they cost is told at the end.
    Without it none is asked, whatever ONRAMP_LLM_URL says.

    \b
    Example:  onramp demo
              onramp demo --users 500 --days 10 --catalog recipes
              onramp demo --scenario harmful_arm --seed 7
              onramp demo --population "./my_people --verbose"
              onramp demo --llm local
    """
    started = time.perf_counter()
    from cli.demo_dir import for_demo
    from cli.engine_noise import engine_noise_aside
    from cli.local_model import chosen_model
    from cli.options import load
    from evaluation.scenarios import stage
    from flows.catalogs import load_catalog
    from flows.job import ClosedLoop, StopRequest
    from flows.job import run as run_job
    from reports.display import Display
    from reports.screen import err
    from sources.closed_loop import START, Begin, PopulationError, describe
    from state.duration import DAY

    asked = load(data_dir=data_dir, catalog=catalog)
    if users is None:
        users = _USERS_LOCAL if llm == LOCAL else _USERS
    if days is None:
        days = _DAYS_LOCAL if llm == LOCAL else _DAYS
    end = START + days * DAY
    product = stage(load_catalog(asked.catalog), scenario, START, end)
    begin = Begin(scenario, seed, users, START, end, describe(product))
    what = {"users": users, "days": days, "seed": seed, "scenario": scenario, "catalog": asked.catalog, "population": population}
    if llm is not None:
        what["llm"] = LOCAL if llm == LOCAL else "server"
    stop, result = StopRequest(), dict[str, Any]()

    def watch(live: RunningJob) -> None:
        from cli.clock import bounded_run_began

        bounded_run_began(live.engines.data_dir)
        display.watch(live)

    def after(engines: Engines, outcome: RunResult) -> None:
        from cli.clock import bounded_run_ended
        from cli.run import newest_log_time

        display.close()
        bounded_run_ended(engines.data_dir, newest_log_time(engines))
        if outcome.finished:
            from reports.demo_end import conclude

            result.update(outcome.summary, finished=True)
            try:
                result.update(conclude(engines, outcome, loop, asked, settings, silent=as_json))
            finally:  # they may tell why there was nothing to conclude from
                for note in outcome.summary["notes"]:
                    say(note)

    with play(population) as people, chosen_model(llm) as model:
        settings = for_demo(asked, what, model)  # clears the demo before: not where the people cannot even be started
        if llm == LOCAL:
            say(
                f"{users:,} people live for {days} {'day' if days == 1 else 'days'}, and simulated time waits for each answer of the model."
            )
        loop = ClosedLoop(people, begin, product, settings.data_dir / "truth.jsonl")
        with engine_noise_aside(), Display(err(), "Living") as display:
            try:
                run_job(settings, input_path=None, holder="onramp demo", started=started, stop=stop, loop=loop, watch=watch, after=after)
            except PopulationError:
                if not stop():  # Ctrl-C reaches the program as well, which may leave before it is asked to
                    raise
    if not result:
        say("stopped before its end; run the same command to start over.")
        raise typer.Exit(INTERRUPTED)
    if as_json:
        from reports.screen import print_json

        print_json(result)
