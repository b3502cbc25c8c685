"""Shows the progress of a run: a few lines that change in place on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console, Group
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.logs import send_logs_to
from reports.render import number
from sources.closed_loop import LoopProgress
from state import counters
from state.duration import DAY
from state.quantity import count

if TYPE_CHECKING:
    from flows.run import RunningJob

_LOG = logging.getLogger(__name__)
_PLAIN_EVERY: Final = 5.0  # seconds between two lines where there is no terminal
_RATE_OVER: Final = 4.0  # seconds that the shown rate looks back
_FRAMES: Final = 5  # a second; each costs the job a little


class Display:
    """Shows one run. The job calls ``watch`` when it starts; the last picture stays on the screen."""

    def __init__(self, console: Console, title: str, *, in_log: bool = False) -> None:
        """Show nothing yet. ``in_log``: where there is no terminal, write lines of the log."""
        self._console, self._title, self._in_log = console, title, in_log
        self._live: RunningJob | None = None
        self._screen: Screen | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._began = time.monotonic()
        self._seen: deque[tuple[float, int]] = deque()

    def __enter__(self) -> Self:
        return self

    def watch(self, live: RunningJob) -> None:
        """Begin to show."""
        self._live, self._began = live, time.monotonic()
        self._seen.append((self._began, 0))  # the first rate shown looks back as far
        if self._console.is_terminal:
            self._screen = Screen(console=self._console, get_renderable=self._picture, refresh_per_second=_FRAMES)
            self._screen.start()
            send_logs_to(sys.stderr)
        else:
            self._thread = threading.Thread(target=self._speak, name="display", daemon=True)
            self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop following; the last picture stays. Repeatable."""
        self._stop.set()
        self._seen = deque([(self._began, 0)])  # the last rate shown is that of the whole run
        if self._screen is not None:
            self._screen.stop()
            self._screen = None
            send_logs_to(sys.stderr)
        if self._thread is not None:
            self._thread.join()

    def _speak(self) -> None:
        while not self._stop.wait(_PLAIN_EVERY):
            line = f"{self._title}: {', '.join([self._place(), self._rate(), *self._figures(), *self._texts()])}"
            if self._in_log:
                _LOG.info("%s", line)
            else:
                self._console.print(Text(line))

    def _picture(self) -> Group:
        grid = Table.grid(padding=(0, 2), pad_edge=False)
        share = self._share()
        cells = [Text(self._title, style="bold")]
        if share is not None:
            cells += [ProgressBar(total=1.0, completed=share, width=24), Text(self._day() or f"{100 * share:.0f} %")]  # type: ignore[list-item]
        cells += [Text(count(self._read(), "event")), Text(self._rate()), Text(f"{time.monotonic() - self._began:.0f} s", style="dim")]
        if share is None:
            cells.append(Text(self._place()))
        grid.add_row(*cells)
        parts = [self._figures(), texts] if (texts := self._texts()) else [self._figures()]
        return Group(grid, *(Text("  " + "   ".join(line), style="dim", no_wrap=True, overflow="ellipsis") for line in parts))

    def _read(self) -> int:
        return counters.MESSAGES_READ.total(self._live.counters.total) if self._live is not None else 0

    def _read_now(self) -> int:
        """Events of this run: without those of the runs that it goes on from."""
        return self._read() - counters.MESSAGES_READ.total(self._live.counters.resumed) if self._live is not None else 0

    def _share(self) -> float | None:
        progress = self._live.progress if self._live is not None else None
        if progress is None or not progress.total:
            return None
        return min(1.0, progress.read / progress.total)

    def _day(self) -> str | None:
        """Which simulated day it is, where people live with the engine."""
        progress = self._live.progress if self._live is not None else None
        if not isinstance(progress, LoopProgress):
            return None
        days = -(-progress.total // DAY)
        return f"day {min(progress.read // DAY + 1, days)} of {days}"

    def _place(self) -> str:
        share = self._share()
        if share is not None:
            return f"{self._day() or f'{100 * share:.0f} % of the input'}, {count(self._read(), 'event')}"
        lag = self._live.lag if self._live is not None else None
        behind = f", {count(sum(lag.values()), 'message')} behind" if lag else ""
        return f"{count(self._read(), 'event')}{behind}"

    def _rate(self) -> str:
        now, read = time.monotonic(), self._read_now()
        self._seen.append((now, read))
        while len(self._seen) > 2 and self._seen[1][0] < now - _RATE_OVER:
            self._seen.popleft()
        then, before = self._seen[0]
        return f"{(read - before) / (now - then):,.0f}/s" if now > then else "–/s"

    def _figures(self) -> list[str]:
        total = self._live.counters.total if self._live is not None else {}
        outcomes = counters.OUTCOMES.by_label(total)
        success, failure = outcomes.get("success", 0), outcomes.get("failure", 0)
        return [
            count(counters.PEOPLE.total(total), "user"),
            f"{number(counters.PEOPLE_ACTIVATED.total(total))} activated",
            count(counters.DECISIONS.total(total), "decision"),
            f"{count(success + failure, 'reward')} ({number(success)} good)",
        ]

    def _texts(self) -> list[str]:
        """Counts of the texts asked of a model; empty where none was asked."""
        if self._live is None or self._live.model is None:
            return []
        tally, waiting = self._live.model.wording.counters, self._live.model.gate.pending
        asked, improved = tally["asked"], tally["improved"]
        if not asked and not waiting:
            return []
        return [
            f"{number(asked)} asked for a model's text",
            count(tally["calls"], "call"),
            f"{number(improved)} sent",
            f"{number(asked - improved)} kept their template",
            f"{number(waiting)} waiting",
        ]


class Steps:
    """Shows how many of how many are done. Call it with both numbers."""

    def __init__(self, title: str, unit: str, console: Console) -> None:
        """Show nothing yet."""
        self._title, self._unit, self._console = title, unit, console
        self._done, self._all = 0, 1
        self._screen: Screen | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._screen = Screen(console=self._console, get_renderable=self._picture, refresh_per_second=_FRAMES, transient=True)
            self._screen.start()
        return self

    def __call__(self, done: int, of: int) -> None:
        """Update the numbers."""
        self._done, self._all = done, of

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._screen is not None:
            self._screen.stop()

    def _picture(self) -> Table:
        grid = Table.grid(padding=(0, 2), pad_edge=False)
        grid.add_row(
            Text(self._title, style="bold"),
            ProgressBar(total=self._all, completed=self._done, width=24),
            Text(f"{self._done:,} of {count(self._all, self._unit)}"),
        )
        return grid
