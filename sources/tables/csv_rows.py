"""Reads CSV strictly, row by row. Polars and others give up, or cut silently, at the first row that has too many cells or a stray quote."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sources.errors import InputError
from sources.tables.mapping import FileOptions
from sources.tables.text_lines import ByteLines
from state.quantity import count

_SEPARATORS: Final = ",;\t|"
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""The line by which Excel is told the separator of the lines that follow."""
_MOST_CELL: Final = 1024 * 1024
"""Characters of a cell. The contract allows 32 KiB of payload; a quote that is never closed ends here."""
_SHOWN: Final = 20
_LONGEST_SHOWN: Final = 60
_EXPLAINED: Final = {
    "unexpected end of data": "opens a quote that is never closed",
    "field larger than field limit": "has a cell larger than 1 MiB; a quote may not be closed",
    "expected after": "has text behind a closing quote; a quote inside of quotes is written twice",
}

_Read = tuple[int, Mapping[str, Any] | None, str, str]
"""Line, values or None, fault, text."""


def csv_rows(lines: ByteLines, options: FileOptions, wanted: Sequence[str], *, default_separator: str) -> Iterator[_Read]:
    """Yield every row but empty ones. Raises ``InputError`` if the header lacks one of ``wanted``, or has it twice.

    ``wanted``: columns, dotted for what is inside of the JSON text of one.
    """
    for _ in range(options.skip):
        next(lines, None)
    separator = options.separator
    names = options.header
    for line in lines:
        if said := _SEPARATOR_LINE.fullmatch(line[1]):
            separator = separator or said[1]
        else:
            lines.put_back([line])
        break
    if names is None:
        blanks = f' "{separator or _SEPARATORS}'
        number, text, fault = next((line for line in lines if line[2] or line[1].strip(blanks)), (0, "", "is missing; the file is empty"))
        if fault:
            raise InputError(f"The header, line {number}, {fault}.")
        separator, names = _header(text, separator, wanted, default_separator)
    _check_names(names, wanted)
    columns = _unique(names)
    nothing = dict.fromkeys(options.nothing)
    for number, cells, fault, text in _cells(lines, separator or default_separator):
        if fault:
            yield number, None, fault, text
        elif len(cells) != len(columns):
            why = "its separator, or a quote that is not closed, may be the cause"
            yield number, None, f"has {count(len(cells), 'cell')}, the header has {len(columns)}; {why}", text
        else:
            yield number, {name: nothing.get(value, value) for name, value in zip(columns, cells, strict=True)}, "", ""


def _cells(lines: ByteLines, separator: str) -> Iterator[tuple[int, list[str], str, str]]:
    """Yield line, cells, fault and text of each row. After a fault inside of quotes reading goes on at the next line."""
    taken: list[tuple[int, str, str]] = []

    def feed() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield f"{line[1]}\n"

    csv.field_size_limit(_MOST_CELL)
    while True:
        reader = csv.reader(feed(), delimiter=separator, strict=True)
        while True:
            taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                first, *others = taken
                lines.put_back(others)
                yield (
                    first[0],
                    [],
                    first[2] or _explained(error),
                    first[1],
                )
                break
            if not cells or (len(cells) == 1 and not cells[0].strip()):
                continue
            fault = next((fault for _, _, fault in taken if fault), "")
            yield taken[0][0], cells, fault, "\n".join(text for _, text, _ in taken)


def _explained(error: csv.Error) -> str:
    return next((words for sign, words in _EXPLAINED.items() if sign in str(error)), f"is no CSV ({error})")


def _header(text: str, separator: str | None, wanted: Sequence[str], default: str) -> tuple[str, list[str]]:
    """Return the separator and the names. Without a separator in the mapping, the one by which most of its columns are found."""
    read: dict[str, list[str]] = {}
    for each in (separator,) if separator is not None else (default, *_SEPARATORS):
        try:
            read[each] = [name.strip() for name in next(csv.reader([text], delimiter=each, strict=True), [])]
        except csv.Error:
            continue
    if not read:
        raise InputError("The header cannot be read: a quote is opened and never closed.")
    best = max(read, key=lambda each: sum(_in_header(column, read[each]) in read[each] for column in wanted))
    return best, read[best]


def _in_header(column: str, names: Sequence[str]) -> str:
    """The name that must be in the header for ``column``: its own, or the beginning of a dotted one, whose cells hold JSON."""
    return column if column in names else column.partition(".")[0]


def _check_names(names: Sequence[str], wanted: Sequence[str]) -> None:
    counted = Counter(names)
    for column in wanted:
        name = _in_header(column, names)
        if counted[name] > 1:
            raise InputError(
                f"The header has the column {name} {counted[name]} times; name all columns with file.header, and set file.skip to 1."
            )
        if name not in counted:
            listed = ", ".join(name[:_LONGEST_SHOWN] for name in names[:_SHOWN]) + ("…" if len(names) > _SHOWN else "")
            raise InputError(f"The header has no column {column}; there are {listed}. Correct the mapping, or its file.separator.")


def _unique(names: Sequence[str]) -> list[str]:
    """Names by which each column has a key of its own: the digest of a row covers all cells."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}\n{seen[name]}")
    return unique
