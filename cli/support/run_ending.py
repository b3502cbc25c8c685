"""Prints the end of ``onramp run``: counts, notes, and how to resume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cli.support.failures import say

if TYPE_CHECKING:
    from flows.engines import Engines
    from flows.run import RunResult
    from flows.stop import StopRequest


class RunEnding:
    """Prints the end of a run, also of an incomplete one."""

    def __init__(self, input_path: Path | None, *, as_json: bool) -> None:
        """``input_path`` is None if the job reads Kafka."""
        self._input, self._as_json = input_path, as_json
        self._outcome: RunResult | None = None

    def record(self, engines: Engines, outcome: RunResult) -> None:
        """Keep the result. The job calls it while the stores are open."""
        self._outcome = outcome
        if self._input is not None:
            from local.expiry_time import record_bounded_end

            record_bounded_end(engines.data_dir, outcome.log_time)

    @property
    def nothing_accepted(self) -> bool:
        """Whether the input was read to its end and held no event."""
        return self._outcome is not None and self._outcome.nothing_accepted

    def show(self, stop: StopRequest) -> None:
        """Print the counts, the notes and, if the run was stopped, how to resume."""
        outcome = self._outcome
        if outcome is None:
            return
        if self._as_json:
            from reports.render import print_json

            print_json({**outcome.summary, "finished": outcome.finished and not (stop() and self._input is None)})
        else:
            from reports.render import out
            from reports.run_summary import show_figures, show_throughput

            console = out()
            show_throughput(console, outcome.summary)
            show_figures(console, outcome.summary)
            console.print()
        for note in outcome.summary["notes"]:
            say(note)
        if stop():
            say(_how_to_resume(self._input, outcome.finished))


def _how_to_resume(input_path: Path | None, finished: bool) -> str:
    if input_path is None:
        return "stopped cleanly; run the same command to resume."
    if finished:
        return "stop requested, but the input was already read to its end."
    if str(input_path) == "-":
        return "stopped before the end of the input. The events read so far are kept, but standard input cannot be resumed."
    return "stopped before the end of the input; run the same command to resume."
