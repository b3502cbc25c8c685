"""Reads a log of events for a command that needs no job: the source and the decoder of the job, without the engine."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.run import readable
from cli.support.failures import say

if TYPE_CHECKING:
    from state.event import Event

EventsOption = typer.Option(
    "--events",
    metavar="FILE",
    help="The log: a file of JSON lines, plain or gzip; - for standard input.",
    callback=readable,
)
LogTenantOption = Annotated[
    str | None,
    typer.Option("--tenant", help="Take only events of this tenant; those without a tenantId are of `default`.", show_default=False),
]
_PIPE_PAUSE = 0.01
_MOST_TENANTS: Final = 1_000
_NAMED: Final = 3


class EventsFileError(Exception):
    """The log holds no event. The text is one sentence for the user."""


class EventsFile:
    """A log of events. ``rejected``: reason → lines that are no events, and the first of them. ``of_other_tenants``: events left out for
    their tenant. ``tenants``: those that the log has, at most ``_MOST_TENANTS``. ``unsorted``: whether many lines go back in time. All are
    known once all lines were read.
    """

    def __init__(self, path: Path, command: str, tenants: Collection[str] = ()) -> None:
        """``command`` reads the log; advice names it. Of the events only those of ``tenants`` are read; of all where there are none."""
        self._path, self._command, self._wanted = path, command, sorted(tenants)
        self.rejected: dict[str, tuple[int, int]] = {}
        self.unsorted = False
        self.of_other_tenants = 0
        self.tenants: set[str] = set()
        self._was_read = False

    @property
    def can_be_read_again(self) -> bool:
        """A pipe can be read once."""
        return self._path.is_file()

    def events(self) -> Iterator[Event]:
        """Yield the events in the order of the log. Raises ``EventsFileError`` if there is none, ``InputError`` for a damaged file.

        What is wrong with the log is said the first time.
        """
        from flows.run_notes import UNSORTED, sorting
        from sources.batching import BatchPolicy
        from sources.files.kinds import advice
        from sources.files.source import JsonlSource
        from state.decode import decode, peek, peek_person
        from state.duration import HOUR
        from state.messages import Tick
        from state.quantity import count
        from state.records.dead_letter import DeadLetter
        from state.vocabulary import SWITCHED
        from system.wall_clock import wall_clock

        self.rejected, self.of_other_tenants = {}, 0
        policy = BatchPolicy(lambda *_: None, lambda _at: HOUR)
        source = JsonlSource(self._path, peek, policy, now=wall_clock, peek_person=peek_person)
        part = source.build_part("log", "input", None)
        accepted = 0
        try:
            while True:
                try:
                    batch = part.next_batch()
                except StopIteration:
                    break
                if not batch:  # a pipe without data for the moment
                    time.sleep(_PIPE_PAUSE)
                for message in batch:
                    if isinstance(message, Tick):
                        continue
                    found = decode(message)
                    if isinstance(found, DeadLetter):
                        times, line = self.rejected.get(found.reason, (0, found.offset))
                        self.rejected[found.reason] = times + 1, line
                    elif found.type != SWITCHED:  # its user is who switched
                        if len(self.tenants) < _MOST_TENANTS:
                            self.tenants.add(found.tenant)
                        if self._wanted and found.tenant not in self._wanted:
                            self.of_other_tenants += 1
                            continue
                        accepted += 1
                        yield found
        finally:
            part.close()
        if source.progress.error is not None:
            raise source.progress.error
        if self._was_read:
            return
        self._was_read = True
        self._say_what_was_left_out()
        if not accepted and self.of_other_tenants:
            which = "tenant" if len(self._wanted) == 1 else "tenants"
            raise EventsFileError(
                f"the log holds no event of the {which} {in_words(self._wanted)}; it has events of {in_words(sorted(self.tenants))}."
            )
        if not accepted:
            hint = advice(str(self._path), source.progress.head or b"").replace("onramp run --input -", f"{self._command} --events -")
            raise EventsFileError(f"the log holds no event. {hint}".rstrip())
        if source.progress.backward > UNSORTED * (accepted + self.of_other_tenants):
            self.unsorted = True
            back = count(source.progress.backward, "line goes", "lines go")
            say(
                f"WARNING: the log is not sorted by time ({back} back by more than an hour), so orders and times of steps are wrong. "
                f"{sorting(str(self._path))} Repeat the command with that."
            )

    def as_json(self) -> dict[str, dict[str, int]]:
        """The lines that are no events."""
        return {reason: {"lines": times, "firstLine": line} for reason, (times, line) in sorted(self.rejected.items())}

    def _say_what_was_left_out(self) -> None:
        from state.event_contract import REJECTIONS
        from state.quantity import count

        for reason, (times, line) in sorted(self.rejected.items()):
            which = count(times, "line was", "lines were")
            say(f"{which} left out, the first is line {line:,}: {REJECTIONS[reason]} ({reason}).")
        if self.of_other_tenants:
            which = count(self.of_other_tenants, "event of other tenants", "events of other tenants")
            say(f"{which} than {in_words(self._wanted)} {'was' if self.of_other_tenants == 1 else 'were'} left out.")


def in_words(names: Sequence[str]) -> str:
    """The first few of ``names``, as part of a sentence."""
    from state.plain_text import plain
    from state.quantity import count

    shown = [plain(name) for name in names[:_NAMED]]
    if len(names) > len(shown):
        shown.append(count(len(names) - len(shown), "other"))
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
