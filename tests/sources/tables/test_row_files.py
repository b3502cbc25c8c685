"""Files as they are found: each row is read or named with its line, and a file that cannot be read is one sentence."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.errors import InputError
from sources.tables.csv_rows import csv_rows
from sources.tables.mapping import FileOptions
from sources.tables.row_files import RowFile, TableRow
from sources.tables.text_lines import ByteLines


def read(path: Path, content: bytes | None = None, wanted: tuple[str, ...] = ("a",), **options: Any) -> list[TableRow]:
    if content is not None:
        path.write_bytes(content)
    with RowFile(path, FileOptions(**options), wanted) as file:
        return list(file)


def good(rows: list[TableRow]) -> list[dict[str, Any]]:
    return [dict(row.values) for row in rows if row.values is not None]


def bad(rows: list[TableRow]) -> list[tuple[int, str]]:
    return [(row.line, row.fault) for row in rows if row.values is None]


TWO = [{"a": "1", "b": "x"}, {"a": "2", "b": "ü"}]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("a,b\n1,x\n2,ü\n".encode(), {}),
        ("a,b\r\n1,x\r\n2,ü".encode(), {}),
        ("a,b\r1,x\r2,ü\r".encode(), {}),
        ("\ufeffa,b\n1,x\n\n \n2,ü\n".encode(), {}),
        ("a,b\n1,x\n2,ü\n".encode("utf-16"), {}),
        (codecs.BOM_UTF16_BE + "a,b\r\n1,x\r\n2,ü\r\n".encode("utf-16-be"), {}),
        ("a,b\n1,x\n2,ü\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("a;b\n1;x\n2;ü\n".encode(), {}),
        ("b\ta\nx\t1\nü\t2\n".encode(), {}),
        ("a~b\n1~x\n2~ü\n".encode(), {"separator": "~"}),
        ("1,x\n2,ü\n".encode(), {"header": ["a", "b"]}),
        ("Report of May\n\nb,a\nx,1\nü,2\n".encode(), {"skip": 2}),
        (b" a , b\n1,x\n" + "2,ü\n".encode(), {}),
        ("\ufeffsep=;\r\na;b\r\n1;x\r\n2;ü\r\n".encode(), {}),
        ('"sep=~"\na~b\n1~x\n2~ü\n'.encode(), {}),
        ("sep=\t\na\tb\n1\tx\n2\tü\n".encode("utf-16"), {}),
        ("sep=;\n1;x\n2;ü\n".encode(), {"header": ["a", "b"]}),
        ("Report of May\nsep=;\na;b\n1;x\n2;ü\n".encode(), {"skip": 1}),
        ("sep=;\na;b\n1;x\n2;ü\n".encode(), {"skip": 1}),
        ("\n \n;;\n\na;b\n1;x\n2;ü\n".encode(), {}),
        ("\n~\na~b\n1~x\n2~ü\n".encode(), {"separator": "~"}),
        (gzip.compress(b"a,b\n1,x\n") + gzip.compress("2,ü\n".encode()), {}),
    ],
)
def test_csv_in_many_dialects(tmp_path: Path, content: bytes, options: dict[str, Any]) -> None:
    rows = read(tmp_path / "t.csv", content, **options)
    assert (good(rows), bad(rows)) == (TWO, [])


def test_cells_may_hold_anything_and_nothing(tmp_path: Path) -> None:
    content = b'a,b\n"1\n2","say ""hi"", twice"\n,\\N\n0,NULL\n'
    assert good(read(tmp_path / "t.csv", content)) == [
        {"a": "1\n2", "b": 'say "hi", twice'},
        {"a": None, "b": None},
        {"a": "0", "b": "NULL"},
    ]
    assert good(read(tmp_path / "t.csv", content, nothing=["NULL"]))[1:] == [{"a": "", "b": "\\N"}, {"a": "0", "b": None}]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"1", "has 1 cell, the header has 2"),
        (b"1,2,3", "has 3 cells"),
        (b'"1"x,2', "behind a closing quote"),
        (b'"1,2', "never closed"),
        (b"1,\xff", "is not utf-8 text; set file.encoding"),
        (b"1," + b"x" * 1_100_000, "larger than 1 MiB"),
        (b"1," + b"x" * 4_200_000, "longer than 4 MiB"),
    ],
)
def test_a_row_that_is_broken_is_named_and_the_others_are_read(tmp_path: Path, row: bytes, said: str) -> None:
    rows = read(tmp_path / "t.csv", b"a,b\n0,x\n" + row + b"\n3,x\n4,y\n")
    assert [each["a"] for each in good(rows)] == ["0", "3", "4"]
    ((line, fault),) = bad(rows)
    assert line == 3
    assert said in fault


def test_quotes_that_are_not_closed_cost_their_own_lines_only(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.csv", b'a,b\n1,"x\n2,y\n3,"z\n4,w\n')
    assert good(rows) == [{"a": "2", "b": "y"}, {"a": "4", "b": "w"}]
    assert [line for line, _ in bad(rows)] == [2, 4]


def test_a_dotted_name_may_lead_into_a_column_of_the_header(tmp_path: Path) -> None:
    content = b'id;properties\n1;"{""a.b"": 2}"\n'
    assert good(read(tmp_path / "t.csv", content, ("properties.plan", "id"))) == [{"id": "1", "properties": '{"a.b": 2}'}]
    assert good(read(tmp_path / "t.csv", b"a;properties.plan\n1;free\n", ("properties.plan",)))[0]["properties.plan"] == "free"
    with pytest.raises(InputError, match="the column properties 2 times"):
        read(tmp_path / "t.csv", b"properties,properties\n1,2\n", ("properties.plan",))
    with pytest.raises(InputError, match=r"no column props\.plan"):
        read(tmp_path / "t.csv", content, ("props.plan",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"b,c\n1,2\n", "no column a; there are b, c"),
        (b"a,a\n1,2\n", "the column a 2 times"),
        (b'"a,b\n1,2\n', "header"),
        (b"\xffa,b\n1,2\n", "The header, line 1, is not utf-8 text"),
        (b"sep=;\n", "The header, line 0, is missing"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\x28\xb5\x2f\xfd....", "zstd data. Unpack it: zstd -dc"),
        (b"PAR1....", "cannot be read as Parquet"),
        (gzip.compress(b"a,b\n" * 1000)[:-12], "damaged or not complete"),
        (gzip.compress(b"PAR1...."), "is a Parquet file inside gzip"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "is not utf-16 text"),
    ],
)
def test_a_file_that_is_no_table_is_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    name = "t.parquet" if "Parquet" in said else "t.csv"
    with pytest.raises(InputError, match=said.replace(".", r"\.")):
        read(tmp_path / name, content)


ZIP = b"PK\x03\x04" + bytes(26)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.xlsx", ZIP),
        ("t.csv", ZIP + b"[Content_Types].xml..xl/workbook.xml"),
        ("t.csv", ZIP + b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
        ("t.ods", ZIP),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ],
)
def test_a_spreadsheet_is_one_sentence_that_says_to_save_it_as_csv(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(InputError, match=r"is a spreadsheet\. Save its table as CSV \(UTF-8\)"):
        read(tmp_path / name, content)


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("t.csv", b"PAR1....", {"format": "csv"}, "is a Parquet file"),
        ("t.parquet", b"a,b\n", {}, "is not a Parquet file"),
        ("t.jsonl", b'[{"a": 1}]', {}, "is a JSON array"),
        ("t.dat", b"what", {}, "set file.format"),
        ("t.jsonl", b'{"a": \x001}'[:0], {}, "is empty"),
    ],
)
def test_a_file_of_another_kind_than_it_should_be(tmp_path: Path, name: str, content: bytes, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path / name, content, **options)


def test_json_lines(tmp_path: Path) -> None:
    content = (
        b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": NaN, "b": "\\ud83d"}\n[1]\n{"a": \nnull\n'
        b'{"a": ' + b"[" * 100_000 + b"\n" + b'{"a": "\xff"}\n{"a": 9}'
    )
    rows = read(tmp_path / "t.jsonl", content)
    assert [each["a"] for each in good(rows)][::2] == [1, 9]
    assert [line for line, _ in bad(rows)] == [4, 5, 6, 7, 8]
    assert read(tmp_path / "t.x", b'{"a": 1}') == [TableRow(1, {"a": 1})]


def test_parquet_with_nested_columns_nulls_and_zones(tmp_path: Path) -> None:
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    frame = pl.DataFrame(
        {"a": [1, None], "n": [{"x": [1.5, None]}, None], "t": [at, None], "c": pl.Series(["k", None], dtype=pl.Categorical)}
    )
    path = tmp_path / "x[1]*.parquet"
    frame.with_columns(pl.col("t").dt.cast_time_unit("ns")).write_parquet(path)
    assert good(read(path, wanted=("a", "n.x"))) == [{"a": 1, "n": {"x": [1.5, None]}, "t": at, "c": "k"}, dict.fromkeys("antc")]
    with pytest.raises(InputError, match="no column z; there are a, n, t, c"):
        read(path, wanted=("z",))
    whole = path.read_bytes()
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(tmp_path / "cut.parquet", whole[: len(whole) // 2])
    frame.clear().write_parquet(path)
    assert read(path) == []


class InMemory:
    """Blocks of bytes."""

    def __init__(self, content: bytes) -> None:
        self.raw_read = 0
        self._content = io.BytesIO(content)

    def read(self) -> bytes | None:
        return self._content.read(7)


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@given(rows=st.lists(st.tuples(CELL, CELL), max_size=6), end=st.sampled_from(["\n", "\r\n"]))
def test_what_a_csv_writer_wrote_is_read_as_it_was(rows: list[tuple[str, str]], end: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *rows])
    lines = ByteLines(InMemory(text.getvalue().encode()), "utf-8")
    found = list(csv_rows(lines, FileOptions(nothing=[]), ("a",), default_separator=","))
    assert [fault for _, _, fault, _ in found if fault] == []
    # A carriage return before a line feed inside of a cell is a line end like any other.
    assert [values for _, values, _, _ in found] == [{"a": _ends(a), "b": _ends(b)} for a, b in rows]


def _ends(text: str) -> str:
    return text.replace("\r\n", "\n")


@given(content=st.binary(max_size=80).map(lambda junk: b"a,b\n" + junk + b"\n"))
def test_no_bytes_stop_the_reading_and_every_line_is_accounted_for(content: bytes) -> None:
    lines = ByteLines(InMemory(content), "utf-8")
    found = list(csv_rows(lines, FileOptions(), ("a",), default_separator=","))
    assert all((values is None) == bool(fault) for _, values, fault, _ in found)
    numbers = [line for line, _, _, _ in found]
    assert numbers == sorted(set(numbers))
    assert all(2 <= number <= content.count(b"\n") for number in numbers)
