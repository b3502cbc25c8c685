"""Every type of ClickHouse reaches the table, the CSV and the JSON of ``onramp sql`` as what it means."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from reports.values import cell, csv_value, json_value
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.errors import QueryFailed
from sinks.clickhouse.read_only_query import query_values
from sinks.clickhouse.result_table import ResultTable, parse

pytest_plugins = ["tests.support.clickhouse_stores"]

_UUID = "61f0c404-5cb3-11e7-907b-a6006ad3dba0"
_TIME = "toDateTime('2026-01-05 01:02:03', 'UTC')"


class Case(NamedTuple):
    """An expression, and how its value is shown. ``csv`` is as in JSON where it is not given."""

    sql: str
    json: Any
    table: str
    csv: str | None = None


def _number(name: str, value: int | str) -> Case:
    return Case(f"CAST('{value}' AS {name})", int(value), str(value))


CASES: dict[str, Case] = {
    **{
        name: _number(name, -(2 ** (int(name[3:]) - 1)) if name.startswith("I") else 2 ** int(name[4:]) - 1)
        for name in "Int8 Int16 Int32 Int64 Int128 Int256 UInt8 UInt16 UInt32 UInt64 UInt128 UInt256".split()
    },
    **{
        f"Interval{unit}": Case(f"toInterval{unit}(3)", 3, "3")
        for unit in "Nanosecond Microsecond Millisecond Second Minute Hour Day Week Month Quarter Year".split()
    },
    "Float32": Case("toFloat32(0.5)", 0.5, "0.5"),
    "Float64": Case("toFloat64(1e-7)", 1e-7, "1e-07"),
    "BFloat16": Case("toBFloat16(1.5)", 1.5, "1.5"),
    "not a number": Case("nan", None, "nan", "nan"),
    "infinite": Case("-inf", None, "-inf", "-inf"),
    "Bool": Case("true", True, "yes", "true"),
    "Decimal": Case("CAST('1.10' AS Decimal(10, 2))", "1.10", "1.10"),
    "Decimal32": Case("toDecimal32('1.10', 2)", "1.10", "1.10"),
    "Decimal64": Case("toDecimal64('-1.10', 3)", "-1.100", "-1.100"),
    "Decimal128": Case("toDecimal128('12345678901234567890.123', 3)", "12345678901234567890.123", "12345678901234567890.123"),
    "Decimal256": Case("toDecimal256('-1.123456789012345678901234567890', 30)", *["-1.123456789012345678901234567890"] * 2),
    "String": Case("'a,\"b\\n日'", 'a,"b\n日', 'a,"b\n日'),
    "not UTF-8": Case("unhex('ff61fe')", "\\xffa\\xfe", "\\xffa\\xfe"),
    "FixedString": Case("toFixedString('abc', 5)", "abc", "abc"),
    "UUID": Case(f"toUUID('{_UUID}')", _UUID, _UUID),
    "IPv4": Case("toIPv4('1.2.3.4')", "1.2.3.4", "1.2.3.4"),
    "IPv6": Case("toIPv6('2001:db8::1')", "2001:db8::1", "2001:db8::1"),
    "Enum": Case("CAST('a' AS Enum('a' = 1, 'b' = 2))", "a", "a"),
    "Enum8": Case("CAST('b,)' AS Enum8('a' = 1, 'b,)' = 2))", "b,)", "b,)"),
    "Enum16": Case("CAST('it\\'s' AS Enum16('it\\'s' = 1000))", "it's", "it's"),
    "Date": Case("toDate('2026-01-05')", "2026-01-05", "2026-01-05"),
    "Date32": Case("toDate32('1925-01-01')", "1925-01-01", "1925-01-01"),
    "DateTime": Case(_TIME, "2026-01-05T01:02:03.000Z", "2026-01-05 01:02:03"),
    "DateTime32": Case("toDateTime32('2026-01-05 01:02:03', 'Europe/Berlin')", "2026-01-05T00:02:03.000Z", "2026-01-05 00:02:03"),
    "DateTime64": Case(
        "toDateTime64('2026-01-05 01:02:03.123456789', 9, 'Asia/Tokyo')", "2026-01-04T16:02:03.123456789Z", "2026-01-04 16:02:03.123456789"
    ),
    "start of an hour": Case(f"toStartOfHour({_TIME})", "2026-01-05T01:00:00.000Z", "2026-01-05 01:00:00"),
    "early": Case("toDateTime64('1925-01-01 00:00:00', 3, 'UTC')", "1925-01-01T00:00:00.000Z", "1925-01-01 00:00:00"),
    "late": Case("toDateTime64('2299-12-31 23:59:59.5', 1, 'UTC')", "2299-12-31T23:59:59.500Z", "2299-12-31 23:59:59.500"),
    "time as text": Case(f"toString({_TIME})", "2026-01-05 01:02:03", "2026-01-05 01:02:03"),
    "Time": Case("CAST('12:34:56' AS Time)", "12:34:56", "12:34:56"),
    "Time64": Case("CAST('12:34:56.123' AS Time64(3))", "12:34:56.123", "12:34:56.123"),
    "Nullable": Case(f"CAST('{_UUID}' AS Nullable(UUID))", _UUID, _UUID),
    "Nothing": Case("NULL", None, "–", ""),
    "LowCardinality": Case("CAST('x' AS LowCardinality(Nullable(String)))", "x", "x"),
    "Array": Case(f"[{_TIME}, NULL]", ["2026-01-05T01:02:03.000Z", None], '["2026-01-05T01:02:03.000Z", null]'),
    "Array of numbers": Case("[1.5, nan]", [1.5, None], "[1.5, null]"),
    "Array of UUID": Case(f"[toUUID('{_UUID}')]", [_UUID], f'["{_UUID}"]'),
    "Map": Case(f"map('a', {_TIME})", {"a": "2026-01-05T01:02:03.000Z"}, '{"a": "2026-01-05T01:02:03.000Z"}'),
    "Map by day": Case("map(toDate('2026-01-05'), 1)", {"2026-01-05": 1}, '{"2026-01-05": 1}'),
    "Tuple": Case("(1, 'a', toFixedString('b', 3))", [1, "a", "b"], '[1, "a", "b"]'),
    "Tuple with names": Case(
        "CAST((1, toDateTime('2026-01-05 01:02:03', 'UTC')) AS Tuple(a UInt8, `b, \\`c(` DateTime('UTC')))",
        {"a": 1, "b, `c(": "2026-01-05T01:02:03.000Z"},
        '{"a": 1, "b, `c(": "2026-01-05T01:02:03.000Z"}',
    ),
    "Nested": Case(
        "CAST([(1, toDateTime('2026-01-05 01:02:03', 'UTC'))] AS Nested(a UInt8, b DateTime('UTC')))",
        [{"a": 1, "b": "2026-01-05T01:02:03.000Z"}],
        '[{"a": 1, "b": "2026-01-05T01:02:03.000Z"}]',
    ),
    "nested types": Case(
        "map('k', [(1, CAST('1.50' AS Decimal(5, 2)), toIPv4('1.2.3.4'))])",
        {"k": [[1, "1.50", "1.2.3.4"]]},
        '{"k": [[1, "1.50", "1.2.3.4"]]}',
    ),
    "JSON": Case(
        'CAST(\'{"a": {"b": 1}, "c": [null, "x"]}\' AS JSON)', {"a": {"b": 1}, "c": [None, "x"]}, '{"a": {"b": 1}, "c": [null, "x"]}'
    ),
    "Variant": Case("CAST(toUInt64(42) AS Variant(String, UInt64))", 42, "42"),
    "Dynamic": Case("CAST('text' AS Dynamic)", "text", "text"),
    "SimpleAggregateFunction": Case(
        f"CAST({_TIME} AS SimpleAggregateFunction(max, DateTime('UTC')))", "2026-01-05T01:02:03.000Z", "2026-01-05 01:02:03"
    ),
    "AggregateFunction": Case("(SELECT sumState(number) FROM numbers(3))", "\3" + 7 * "\0", "\3" + 7 * "\0"),
    "Point": Case("CAST((1.5, 2.5) AS Point)", [1.5, 2.5], "[1.5, 2.5]"),
    "MultiPoint": Case("CAST([(1.5, 2.5)] AS MultiPoint)", [[1.5, 2.5]], "[[1.5, 2.5]]"),
    "LineString": Case("CAST([(1.5, 2.5)] AS LineString)", [[1.5, 2.5]], "[[1.5, 2.5]]"),
    "Ring": Case("CAST([(1.5, 2.5)] AS Ring)", [[1.5, 2.5]], "[[1.5, 2.5]]"),
    "MultiLineString": Case("CAST([[(1.5, 2.5)]] AS MultiLineString)", [[[1.5, 2.5]]], "[[[1.5, 2.5]]]"),
    "Polygon": Case("CAST([[(1.5, 2.5)]] AS Polygon)", [[[1.5, 2.5]]], "[[[1.5, 2.5]]]"),
    "MultiPolygon": Case("CAST([[[(1.5, 2.5)]]] AS MultiPolygon)", [[[[1.5, 2.5]]]], "[[[[1.5, 2.5]]]]"),
    "Geometry": Case("CAST(CAST((1.5, 2.5) AS Point) AS Geometry)", [1.5, 2.5], "[1.5, 2.5]"),
    "QBit": Case("CAST([1, 2] AS QBit(Float32, 2))", [1, 2], "[1, 2]"),
}


def test_every_value_is_shown_as_what_it_means(migrated: ClickHouse) -> None:
    """All cases in one query; the engine says which column has which type."""
    found = query_values(migrated, f"SELECT {', '.join(f'{case.sql} AS `{name}`' for name, case in CASES.items())}")
    assert found.names == list(CASES)
    values = dict(zip(CASES, found.rows[0], strict=True))
    shown = {name: (json.loads(json.dumps(json_value(value))), cell(value), csv_value(value)) for name, value in values.items()}
    expected = {name: (case.json, case.table, _csv(case)) for name, case in CASES.items()}
    assert {name: each for name, each in shown.items() if each != expected[name]} == {}


def _csv(case: Case) -> str:
    if case.csv is not None:
        return case.csv
    return case.json if isinstance(case.json, str) else case.table


def test_no_type_of_the_engine_is_missing(migrated: ClickHouse) -> None:
    listed = {row[0] for row in query_values(migrated, "SELECT name FROM system.data_type_families WHERE alias_to = ''").rows}
    assert listed
    assert listed - CASES.keys() == set()


def test_without_rows_there_are_columns_and_numbers_are_known(migrated: ClickHouse) -> None:
    found = query_values(migrated, "SELECT toNullable(1) AS a, 'x' AS b, CAST(1 AS Nullable(Decimal(5, 2))) AS c WHERE 0")
    assert (found.names, found.rows) == (["a", "b", "c"], [])
    assert [found.is_number(column) for column in range(3)] == [True, False, True]


def test_names_that_occur_twice_are_told_apart() -> None:
    found = ResultTable(["n", "n", "n_2"], ["UInt8"] * 3, [[1, 2, 3]])
    assert found.records() == [{"n": 1, "n_2": 2, "n_2_2": 3}]


@pytest.mark.parametrize("answer", [b"", b'["a"]\n', b'["a"]\n["UInt8"]\n[1', b'["a"]\n["UInt8"]\n\xff'])
def test_half_an_answer_is_an_error_and_not_half_a_result(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"columns|Expecting|delimiter"):
        parse(answer)


def test_a_mistake_is_named(migrated: ClickHouse) -> None:
    with pytest.raises(QueryFailed, match="nope"):
        query_values(migrated, "SELECT nope")
