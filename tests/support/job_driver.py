"""One job in a process of its own, for tests that stop it, kill it, resume it, and look at everything it left.

As a program: ``python -m tests.support.job_driver PLAN``, where PLAN is the JSON of a ``Plan``. It runs the job once for each of ``stops``
and prints one line of JSON for each run: how it ended. With ``dump`` it writes the state of all stores there at the end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from flows.engines import Engines
from flows.run import RunningJob, RunResult, run
from flows.settings import load_settings
from flows.stop import StopRequest
from sinks.clickhouse.migrate import migrate
from sources.closed_loop import LoopProgress
from sources.files.progress import Progress
from state.never import never
from tests.support.job_state import read_state
from tests.support.waiting import pause, wait_until


class Plan(msgspec.Struct):
    """What to do. ``settings`` are those of ``load_settings``, the data directory among them."""

    settings: dict[str, Any]
    input: str | None = None
    """A file, ``-``, or None for Kafka."""
    stops: tuple[int | None, ...] = (None,)
    """Stop in order at the first batch after this many lines; None runs to the end."""
    kill_at: int | None = None
    """End with SIGKILL after this many lines of this process's runs, and a moment more."""
    kill_in: float = 0.0
    """That moment, in seconds."""
    dump: str | None = None


class StopAtLine(StopRequest):
    """Asks for the stop when the source has read enough lines."""

    def __init__(self, line: int | None) -> None:
        super().__init__()
        self._line = line
        self.progress: Progress | None = None

    def __call__(self) -> bool:
        if self._line is not None and self.progress is not None and self.progress.lines >= self._line:
            self.set()
        return super().__call__()


def main(plan: Plan) -> None:
    """Run what the plan says."""
    for number, line in enumerate(plan.stops):
        stop = StopAtLine(line)
        last = number == len(plan.stops) - 1
        outcome = run(
            load_settings(**plan.settings),
            input_path=None if plan.input is None else Path(plan.input),
            owner="test",
            started=time.perf_counter(),
            stop=stop,
            on_start=_watcher(plan, stop),
            on_end=_dumper(Path(plan.dump)) if plan.dump is not None and last else None,
        )
        sys.stdout.write(json.dumps({"finished": outcome.finished, "summary": outcome.summary}) + "\n")
        sys.stdout.flush()


def _watcher(plan: Plan, stop: StopAtLine) -> Callable[[RunningJob], None]:
    def watch(live: RunningJob) -> None:
        assert not isinstance(live.progress, LoopProgress), "the driver reads files and topics"
        stop.progress = live.progress
        if plan.kill_at is not None and live.progress is not None:
            threading.Thread(target=_die, args=(live.progress, plan.kill_at, plan.kill_in), daemon=True).start()

    return watch


def _die(progress: Progress, line: int, moment: float) -> None:
    wait_until(lambda: progress.lines >= line, f"line {line}", within=float("inf"), every=0.0005)
    pause(moment, "the kill comes at a random moment after the line")
    os.kill(os.getpid(), signal.SIGKILL)


def _dumper(path: Path) -> Callable[[Engines, RunResult], None]:
    def dump(engines: Engines, outcome: RunResult) -> None:
        engines.clickhouse.wait_for_first_try(never)
        engines.clickhouse.stop()
        migrate(engines.store)  # a run that is stopped may end before the job has prepared the store
        state = read_state(engines.store, engines.redis_url, engines.data_dir.dead_letters, outcome.summary)
        path.write_text(json.dumps(state))

    return dump


def random_moment(rng: Random) -> float:
    """A delay that hits reading, snapshots, and delivery alike."""
    return rng.choice([0.0, rng.uniform(0, 0.02), rng.uniform(0, 0.3)])


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Plan))
