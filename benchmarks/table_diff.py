"""Compares tables row by row, with a declared list of permitted differences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Row = tuple[Any, ...]


class Table(NamedTuple):
    """Rows in any order, each with a value for every column."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Difference(NamedTuple):
    """One difference, as a sentence."""

    table: str
    text: str


@dataclass(frozen=True)
class Deliberate:
    """The permitted differences. Keys of the mappings are names and values of the base, values those of the new tree.

    ``columns`` maps ``table.column`` (or ``*.column``) to the new name. ``values`` maps ``table.column`` to old value → new value.
    ``ignored`` holds tables, and columns as ``table.column`` (or ``*.column``). ``summed`` names for a table the column to drop and the
    column to sum over rows that are equal otherwise. ``tolerances``: relative, for ``table.column``; only for floating-point sums, whose
    last bits depend on the order of the terms.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    summed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    tolerances: Mapping[str, float] = field(default_factory=dict)

    def ignores(self, table: str, column: str) -> bool:
        """Return whether a column of the base is not compared."""
        return f"{table}.{column}" in self.ignored or f"*.{column}" in self.ignored

    def renamed(self, table: str, column: str) -> str:
        """Return the new name of a column of the base."""
        return self.columns.get(f"{table}.{column}", self.columns.get(f"*.{column}", column))


def compare(base: Sequence[Table], new: Sequence[Table], deliberate: Deliberate) -> tuple[dict[str, tuple[int, int]], list[Difference]]:
    """Return the numbers of rows compared (base, new) of each table, and every difference."""
    counts, found = dict[str, tuple[int, int]](), list[Difference]()
    theirs = {table.name: table for table in new}
    for table in base:
        other = theirs.pop(deliberate.tables.get(table.name, table.name), None)
        if table.name in deliberate.ignored:
            continue
        if other is None:
            found.append(Difference(table.name, "the new tree has no such table"))
            continue
        rows, others, differences = _rows(table, other, deliberate)
        counts[table.name] = (len(rows), len(others))
        found += differences
    found += [Difference(name, "the base has no such table") for name in theirs if name not in deliberate.ignored]
    return counts, found


def _rows(table: Table, other: Table, deliberate: Deliberate) -> tuple[list[Row], list[Row], list[Difference]]:
    name = table.name
    kept = [column for column in table.columns if not deliberate.ignores(name, column)]
    names = [deliberate.renamed(name, column) for column in kept]
    found = [Difference(name, f"column {column} is missing in the new tree") for column in names if column not in other.columns]
    extra = [column for column in other.columns if column not in names and not deliberate.ignores(name, column)]
    found += [Difference(name, f"column {column} is missing in the base") for column in extra]
    both = [(old, fresh) for old, fresh in zip(kept, names, strict=True) if fresh in other.columns]
    dropped, summed = deliberate.summed.get(name, ("", ""))
    both = [pair for pair in both if pair[0] != dropped]
    if summed:
        both.sort(key=lambda pair: pair[0] == summed)  # the sum comes last
    old = [_mapped(row, name, [pair[0] for pair in both], deliberate) for row in _picked(table, [pair[0] for pair in both])]
    fresh_rows = _picked(other, [pair[1] for pair in both])
    if summed:
        old, fresh_rows = _sums(old), _sums(fresh_rows)
    found += _pairs(name, [pair[0] for pair in both], old, fresh_rows, deliberate)
    return old, fresh_rows, found


def _picked(table: Table, columns: Sequence[str]) -> list[Row]:
    places = [list(table.columns).index(column) for column in columns]
    return [tuple(_hashable(row[place]) for place in places) for row in table.rows]


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _mapped(row: Row, table: str, columns: Sequence[str], deliberate: Deliberate) -> Row:
    maps = [deliberate.values.get(f"{table}.{column}") for column in columns]
    return tuple(value if known is None else known.get(value, value) for value, known in zip(row, maps, strict=True))


def _sums(rows: Sequence[Row]) -> list[Row]:
    sums: Counter[Row] = Counter()
    for *key, count in rows:
        sums[tuple(key)] += count
    return [(*key, count) for key, count in sums.items()]


def _pairs(table: str, columns: Sequence[str], base: Sequence[Row], new: Sequence[Row], deliberate: Deliberate) -> list[Difference]:
    """Remove equal rows; pair each remaining row with the one that agrees in most columns from the left."""
    left, right = Counter(base), Counter(new)
    only_base = sorted((left - right).elements(), key=repr)
    only_new = sorted((right - left).elements(), key=repr)
    allowed = [deliberate.tolerances.get(f"{table}.{column}", 0.0) for column in columns]
    found = []
    by_start: dict[Row, list[Row]] = {}
    for row in only_new:
        by_start.setdefault(row[:2], []).append(row)
    for row in only_base:
        candidates = by_start.get(row[:2], [])
        if not candidates:
            found.append(Difference(table, f"only in the base: {_shown(columns, row)}"))
            continue
        partner = max(candidates, key=lambda other, row=row: sum(map(_equal, row, other, allowed)))  # type: ignore[misc]
        candidates.remove(partner)
        unequal = [place for place in range(len(columns)) if not _equal(row[place], partner[place], allowed[place])]
        if unequal:
            where = ", ".join(f"{columns[place]}: {row[place]!r} is now {partner[place]!r}" for place in unequal)
            found.append(Difference(table, f"{_shown(columns[:3], row)}: {where}"[:600]))
    found += [Difference(table, f"only in the new tree: {_shown(columns, row)}") for rows in by_start.values() for row in rows]
    return found


def _equal(first: Any, second: Any, tolerance: float) -> bool:
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(_equal(one, other, tolerance) for one, other in zip(first, second, strict=True))
    if isinstance(first, float) and isinstance(second, float):
        return first == second or math.isclose(first, second, rel_tol=tolerance, abs_tol=0.0)
    return bool(first == second)


def _shown(columns: Sequence[str], row: Row) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in zip(columns, row, strict=False))[:300]
