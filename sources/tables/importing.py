"""Imports files of rows: reads, maps, sorts by time, and counts what became of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sources.tables.first_rows import joined
from sources.tables.mapper import Mapped, Rejected
from sources.tables.row_files import TableRow
from sources.tables.values import encode, plain

BAD_ROW: Final = "bad_row"
IDS_COMPARED: Final = 500_000
"""Events whose ids are compared with each other. It bounds the memory; a wrong choice of columns shows earlier."""
_MOST_KINDS: Final = 1_000
_OTHERS: Final = "(others)"
_LONGEST_TEXT: Final = 4_000


class RowMapper(Protocol):
    """Makes events of rows. ``unseen``: columns that it looks for and no row had so far. ``shown_twice``: rows so far with a local time
    that clocks show twice.
    """

    @property
    def unseen(self) -> Set[str]: ...

    @property
    def shown_twice(self) -> int: ...

    def __call__(self, row: Mapping[str, Any], /) -> Mapped | Rejected | None:
        """Return the event of a row, why it is none, or None to leave the row out."""


@dataclass
class Example:
    """The first row with a reason at a column, and how many there are. ``file``: its file, empty where there is only one."""

    line: int
    detail: str
    file: str = ""
    rows: int = 0


@dataclass
class Outcome:
    """What became of the rows. ``sign_ups`` were added beside ``events``. Times are milliseconds, None without events. ``both_ids`` and
    ``visitors`` count events that have a ``userId`` and an ``anonymousId``, and an ``anonymousId`` only. ``shown_twice`` counts rows with a
    local time that clocks show twice, because they are put back.
    """

    rows: int = 0
    events: int = 0
    left_out: int = 0
    repeated: int = 0
    sign_ups: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    examples: dict[tuple[str, str], Example] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    first: int | None = None
    last: int | None = None
    unseen: list[str] = field(default_factory=list)
    complete: bool = True
    both_ids: int = 0
    visitors: int = 0
    shown_twice: int = 0
    seen: set[int] = field(default_factory=set, repr=False)


def import_rows(
    rows: Iterable[TableRow],
    mapper: RowMapper,
    *,
    take: Callable[[int, bytes], object],
    reject: Callable[[bytes], object],
    watch: Callable[[], None],
    most_rows: int | None = None,
    before: Outcome | None = None,
    file: str = "",
) -> Outcome:
    """Map ``rows``; give events to ``take`` with their time, and rejected rows to ``reject`` as JSON. ``watch`` is called for each row.

    Where the mapping adds sign-ups, events come joined to theirs, for ``FirstRows``.

    ``most_rows``: stop behind as many; ``complete`` is False then if there are more. ``before``: what became of the files before, which is
    counted on. ``file`` names the file, where there are several.
    """
    outcome = Outcome() if before is None else before
    for row in rows:
        if outcome.rows == most_rows:
            outcome.complete = False
            break
        watch()
        outcome.rows += 1
        found = Rejected(BAD_ROW, f"the row {row.fault}") if row.values is None else mapper(row.values)
        if found is None:
            outcome.left_out += 1
        elif isinstance(found, Rejected):
            outcome.rejected[found.reason] += 1
            outcome.examples.setdefault((found.reason, found.column), Example(row.line, found.detail, file)).rows += 1
            reject(_rejection(row, found, file))
        else:
            _count(outcome, found)
            take(found.at, found.line if found.sign_up is None else joined(found.sign_up, found.line))
    outcome.unseen = sorted(mapper.unseen) if outcome.rows else []
    outcome.shown_twice = mapper.shown_twice
    return outcome


def _count(outcome: Outcome, event: Mapped) -> None:
    outcome.events += 1
    outcome.first = event.at if outcome.first is None else min(outcome.first, event.at)
    outcome.last = event.at if outcome.last is None else max(outcome.last, event.at)
    outcome.kinds[event.kind if event.kind in outcome.kinds or len(outcome.kinds) < _MOST_KINDS else _OTHERS] += 1
    outcome.both_ids += event.has_ids == (True, True)
    outcome.visitors += event.has_ids == (False, True)
    identity = hash(event.identity)
    if identity in outcome.seen:
        outcome.repeated += 1
    elif len(outcome.seen) < IDS_COMPARED:
        outcome.seen.add(identity)


def _rejection(row: TableRow, rejected: Rejected, file: str) -> bytes:
    said: dict[str, Any] = {**({"file": file} if file else {}), "line": row.line, "reason": rejected.reason, "detail": rejected.detail}
    if row.values is None:
        return encode({**said, "text": row.text[:_LONGEST_TEXT]})
    try:
        return encode({**said, "row": plain(dict(row.values))})
    except (ValueError, RecursionError):  # binary, or nested too deep
        return encode({**said, "text": repr(row.values)[:_LONGEST_TEXT]})
