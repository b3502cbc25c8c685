"""Ends a demo: prints the report, and prepares its JSON. Imports everything that a report needs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from cli.support.demo_dir import option_to_read
from cli.support.failures import say
from cli.support.prog_name import prog_name
from llm.review_queue import ReviewQueue, ReviewUnavailableError
from local import expiry_time
from operators.async_map import run_in_background
from reports.demo import TENANT, finish_demo
from reports.facts import Facts
from sinks.redis.async_client import connect_async

if TYPE_CHECKING:
    from flows.engines import Engines
    from flows.inputs import ClosedLoop
    from flows.run import RunResult
    from flows.settings import Settings


def finish(engines: Engines, outcome: RunResult, loop: ClosedLoop, asked: Settings, demo: Settings, *, silent: bool) -> dict[str, Any]:
    """Print the end of the demo, and return it as JSON: nothing where the run was stopped."""
    expiry_time.record_bounded_end(engines.data_dir, outcome.log_time)
    if not outcome.finished:
        return {}

    def command(*arguments: str) -> str:
        return shlex.join([prog_name(), *arguments, *option_to_read(asked, demo)])

    try:
        ending = finish_demo(Facts(engines.store), outcome, loop, demo.data_dir, command, waiting=lambda: _waiting(engines), silent=silent)
    finally:  # the notes may say why there was nothing to report
        for note in outcome.summary["notes"]:
            say(note)
    return {**outcome.summary, "finished": True, **ending}


def _waiting(engines: Engines) -> int:
    """Return how many texts by a model wait for a person; 0 where Redis does not answer."""

    async def look() -> int:
        client = connect_async(engines.redis_url, 2.0)
        try:
            return (await ReviewQueue(client).waiting(TENANT, 1)).total
        except ReviewUnavailableError:
            return 0
        finally:
            await client.aclose()

    return int(run_in_background(look()))
