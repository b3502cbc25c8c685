"""``onramp demo``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import typer

from cli.support.demo_options import DAYS, DAYS_LOCAL, USERS, USERS_LOCAL, DaysOption, SeedOption, UsersOption
from cli.support.failures import INTERRUPTED, say
from cli.support.local_model import LOCAL, LlmOption
from cli.support.options import CatalogOption, DataDirOption, JsonOption
from cli.support.population_program import PopulationOption, ScenarioOption, population_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.engines import Engines
    from flows.run import RunningJob, RunResult
    from sources.closed_loop import Begin
    from state.catalog.model import Catalog

_HISTORY_USERS: Final = 1_000


def demo(
    users: UsersOption = None,
    days: DaysOption = None,
    seed: SeedOption = 1,
    scenario: ScenarioOption = "baseline",
    population: PopulationOption = None,
    llm: LlmOption = None,
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Simulate users, run the whole engine on them, and compare its estimates with the truth.

    Embedded engines do the work; nothing else must be installed. First the catalog is fitted, as `onramp catalog fit` does it, to two weeks
    before in which other users were not guided; with --population it is taken as it is. When the run ends, the simulator reveals what only
    it knows: who was stuck, and what would have happened without guidance. The data lives in `demo/` in the data directory, apart from your
    own, and each demo starts afresh. With --llm a model words the recommendations, and simulated time waits for its answers. Without --llm
    no model is asked, whatever ONRAMP_LLM_URL says.

    \b
    Example:  onramp demo
              onramp demo --users 500 --days 10 --catalog recipes
              onramp demo --scenario harmful_arm --seed 7
              onramp demo --population "./my_people --verbose"
              onramp demo --llm local
    """
    started = time.perf_counter()
    from cli.support.demo_dir import for_demo
    from cli.support.local_model import chosen_model
    from cli.support.native_stderr import capture_native_stderr
    from cli.support.options import load
    from evaluation.scenarios import scenario_catalog
    from flows.catalogs import load_catalog
    from flows.inputs import ClosedLoop
    from flows.run import run as run_job
    from flows.stop import StopRequest
    from local import expiry_time
    from reports.display import Display
    from reports.render import err, print_json
    from sources.closed_loop import START, Begin, PopulationError, describe
    from state.duration import DAY
    from state.quantity import count

    asked = load(data_dir=data_dir, catalog=catalog)
    users = users or (USERS_LOCAL if llm == LOCAL else USERS)
    days = days or (DAYS_LOCAL if llm == LOCAL else DAYS)
    end = START + days * DAY
    product = scenario_catalog(load_catalog(asked.catalog), scenario, START, end)
    begin = Begin(scenario, seed, users, START, end, describe(product))
    what = {"users": users, "days": days, "seed": seed, "scenario": scenario, "catalog": asked.catalog, "population": population}
    if llm is not None:
        what["llm"] = LOCAL if llm == LOCAL else "server"
    stop, result = StopRequest(), dict[str, Any]()

    def on_start(live: RunningJob) -> None:
        expiry_time.record_bounded_start(live.engines.data_dir)
        display.watch(live)

    def on_end(engines: Engines, outcome: RunResult) -> None:
        from cli.support.demo_ending import finish  # needs a second, while the job has ended

        display.close()
        result.update(finish(engines, outcome, loop, asked, settings, silent=as_json))

    with population_program(population) as people, chosen_model(llm) as model:
        if population is None:  # another program need not have other users for the same seed
            product = _fitted(product, begin)
        settings = for_demo(asked, what, model)  # clears the demo before: not where the population cannot even be started
        if llm == LOCAL:
            say(f"simulating {count(users, 'user')} for {count(days, 'day')}; simulated time waits for each answer of the model.")
        loop = ClosedLoop(people, begin, product, settings.data_dir / "truth.jsonl")
        with capture_native_stderr(), Display(err(), "Simulating") as display:
            try:
                run_job(
                    settings, input_path=None, owner="onramp demo", started=started, stop=stop, loop=loop, on_start=on_start, on_end=on_end
                )
            except PopulationError:
                if not stop():  # Ctrl-C reaches the program as well, which may leave before it is asked to
                    raise
    if not result:
        say("stopped before its end; run the same command to start over.")
        raise typer.Exit(INTERRUPTED)
    if as_json:
        print_json(result)


def _fitted(product: Catalog, begin: Begin) -> Catalog:
    """The catalog with what ``onramp catalog fit`` measures on the two weeks before: other users of the same product, unguided."""
    from evaluation.catalog_fit import fit_to_history
    from reports.display import Steps
    from reports.render import err
    from sources.closed_loop import unguided
    from state.duration import DAY

    before = begin.two_weeks_before(min(begin.users, _HISTORY_USERS))
    days = (before.end - before.start) // DAY
    with population_program(None) as people, Steps("Fitting the catalog to two weeks of history", "day", err()) as steps:

        def events() -> Iterator[tuple[int, bytes]]:
            for slot in unguided(people, before):
                yield from slot.events
                steps((min(slot.next or before.end, before.end) - before.start) // DAY, days)

        return fit_to_history(product, events())
