"""Keeps a few processes running: starts them, starts again what died, and stops them in order."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.child_process import start_bound_process, stop_process
from local.last_log_line import last_log_line
from state.backoff import backoff_seconds

_LOOK_SECONDS: Final = 0.2
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""A process that has run for so long counts as well again: its next end is the first."""
_MOST_FAILURES: Final = 6
"""Ends in a row after which starting again is no help. With the waits between them that is about half a minute."""
_MOST_FAILED_STARTS: Final = 2
"""The same for a process that was never healthy: what it says, the user has to mend."""
_SICK_SECONDS: Final = 5.0
"""For so long a process that was healthy may be unhealthy before it is stopped and started again."""
_PATIENCE_SECONDS: Final = 60.0
"""The user is told of a process that is not healthy so long after its start."""
_WRONG_USAGE: Final = 2
_LOG_BYTES: Final = 16 * 1024 * 1024
"""A longer log is moved to ``….1``, of which one is kept."""


class PartFailedError(Exception):
    """A process cannot run. The text is a sentence for the user, with the last line of its log."""


@dataclass(frozen=True)
class Part:
    """One process. ``name`` is what the user calls it. ``log`` takes both its output streams.

    ``healthy`` is asked a few times a second and must not block for long. Once it was true, a process for which it stays false for seconds
    is stopped and started again. ``stop_seconds`` is how long it may take to end after SIGTERM.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    healthy: Callable[[], bool]
    stop_seconds: float


class _Running:
    """A part with its process."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.next_start = 0.0
        self.failures = 0
        self.begun = False  # was healthy once
        self.was_healthy = False  # since it was started
        self.told_to_wait = False
        self.healthy_at = 0.0


class Supervisor:
    """Runs ``parts`` in their order, each once the one before it is healthy, and stops them in the opposite order. Main thread only.

    ``say`` takes a sentence for the user whenever a process ended or started again.
    """

    def __init__(self, parts: Sequence[Part], say: Callable[[str], None]) -> None:
        """Start nothing yet."""
        self._parts = [_Running(part) for part in parts]
        self._say = say

    def run(self, stop: Callable[[], bool], *, on_ready: Callable[[], None]) -> None:
        """Start all and keep them running until ``stop`` returns true; then stop them. Blocks.

        ``on_ready`` is called once, when all are healthy. Raises ``PartFailedError`` for one that cannot run, when all have ended.
        """
        told = False
        try:
            while not stop():
                for running in self._parts:
                    self._look_after(running)
                    if not running.begun:
                        break  # the next part needs this one
                if not told and all(running.begun for running in self._parts):
                    told = True
                    on_ready()
                time.sleep(_LOOK_SECONDS)
        finally:
            self._stop_all()

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        if running.process is None:
            if now >= running.next_start:
                self._start(running, now)
            return
        _bound_log(running.part.log)
        code = running.process.poll()
        if code is not None:
            running.process = None
            self._ended(running, code, now)
        elif running.part.healthy():
            running.begun, running.was_healthy, running.healthy_at = True, True, now
            if now - running.started_at >= _STEADY_SECONDS:
                running.failures = 0
        elif not running.was_healthy and not running.told_to_wait and now - running.started_at >= _PATIENCE_SECONDS:
            running.told_to_wait = True
            self._say(f"{running.part.name} is not ready yet; its log is {running.part.log}.")
        elif running.was_healthy and now - running.healthy_at >= _SICK_SECONDS:
            self._say(f"{running.part.name} has not answered for {_SICK_SECONDS:g} seconds; it is stopped and started again.")
            stop_process(running.process, running.part.stop_seconds)
            running.process = None
            running.next_start = time.monotonic()
            running.failures += 1

    def _start(self, running: _Running, now: float) -> None:
        part = running.part
        part.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with part.log.open("ab") as log:
            running.process = start_bound_process(part.command, output=log, environment=part.environment)
        running.started_at = running.healthy_at = now
        running.was_healthy = running.told_to_wait = False
        if running.failures:
            self._say(f"{part.name} runs again.")

    def _ended(self, running: _Running, code: int, now: float) -> None:
        part = running.part
        if now - running.started_at >= _STEADY_SECONDS:
            running.failures = 0
        running.failures += 1
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        most = _MOST_FAILURES if running.begun else _MOST_FAILED_STARTS
        if code == _WRONG_USAGE or running.failures >= most:
            raise PartFailedError(f"{part.name} {how} and cannot run: {last_log_line(part.log)} (log: {part.log}).")
        wait = backoff_seconds(running.failures - 1, first=_FIRST_WAIT, longest=_LONGEST_WAIT, jitter=1.0)
        running.next_start = now + wait
        self._say(f"{part.name} {how}; it starts again in {wait:.1f} seconds.")

    def _stop_all(self) -> None:
        for running in reversed(self._parts):
            if running.process is not None:
                stop_process(running.process, running.part.stop_seconds)
                running.process = None


def _bound_log(log: Path) -> None:
    """Keep the log short while its process writes it, always at the end. What is written between the two steps is lost.

    Without space for the copy, or without the file, the next look tries again: a full disk must not end the supervisor.
    """
    with suppress(OSError):
        if log.stat().st_size > _LOG_BYTES:
            shutil.copyfile(log, log.with_suffix(".1"))
            os.truncate(log, 0)
