"""No sentence says ``1 segments``: a number before a thing is written by ``state.quantity.count``. The rule is read off the syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.run import rows_left
from sinks.clickhouse.delivery import DeliveryResult
from state.quantity import count

ROOT = Path(__file__).resolve().parents[1]
ROOMS = "cli reports flows sinks local operators sources llm evaluation state".split()
THINGS = re.compile(
    r" (?:more |earlier |other )?(?:alarms|answers|arms|attempts|calls|checks|days|decisions|entries|episodes|events|faults|hours|letters"
    r"|lines|messages|outcomes|people|records|rewards|rows|segments|signals|steps|texts|tokens|users)\b"
)
BIG = {"allowance.tokens", "len(checks)"}
"""Never one where they are printed: a day's budget, and a number that a condition beside it has looked at."""


def breaches(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and value of each number that stands before the name of several things."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for value, text in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant) and THINGS.match(str(text.value)):
                    shown = ast.unparse(value.value)
                    if shown not in BIG and not shown.isupper():
                        yield node.lineno, shown


def test_numbers_before_things_are_counted() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {shown}"
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, shown in breaches(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_rule_finds_what_it_is_for() -> None:
    assert list(breaches('x = f"{left} segments of rows"')) == [(1, "left")]
    assert list(breaches('x = f"{number(n):,} more events"')) == [(1, "number(n)")]
    assert list(breaches("x = f\"{count(n, 'event')} wait\"")) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (count(0, "call"), "0 calls"),
        (count(1, "call"), "1 call"),
        (count(2_000, "call"), "2,000 calls"),
        (count(1, "text waits", "texts wait"), "1 text waits"),
        (count(3, "person", "people"), "3 people"),
    ],
)
def test_a_count(said: str, expected: str) -> None:
    assert said == expected


@pytest.mark.parametrize(
    ("left", "rejected", "error", "begins"),
    [
        (1, 0, "", "1 segment of rows still waits for ClickHouse; the next run"),
        (2, 0, "it is down", "2 segments of rows still wait for ClickHouse (it is down); the next run"),
        (0, 1, "", "ClickHouse refused 1 segment of rows; what it refused is kept"),
        (0, 3, "no", "ClickHouse refused 3 segments of rows (no); what it refused is kept"),
    ],
)
def test_rows_that_are_left(left: int, rejected: int, error: str, begins: str) -> None:
    said = rows_left(DeliveryResult(complete=False, rows_inserted=0, left=left, rejected=rejected, last_error=error))
    assert said.startswith(begins)
    assert "()" not in said
