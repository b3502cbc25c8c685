"""Rows of the archive as Parquet, for any program that reads it.

::

    partition    int32
    offset       int64
    append_time  timestamp (ms, UTC), null where the log has none
    key          binary, null where the message has none
    value        binary, null for a tombstone of Kafka and for a forgotten message
    headers      list of {name: string, value: binary}, in their order

The columns hold the bytes of the log. The file has no statistics: they would repeat keys, which are ids of users. It has a checksum of each
page, so that a changed bit is noticed. PyArrow reads and writes it: it looks at the checksums, and polars ends the process at some damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

import polars as pl

from sources.errors import ArchiveFileError
from sources.local_log.erase import ERASED_HEADER
from sources.raw_log import RawRow

_TIME: Final = pl.Datetime("ms", "UTC")
SCHEMA: Final = pl.Schema(
    {
        "partition": pl.Int32(),
        "offset": pl.Int64(),
        "append_time": _TIME,
        "key": pl.Binary(),
        "value": pl.Binary(),
        "headers": pl.List(pl.Struct({"name": pl.String(), "value": pl.Binary()})),
    }
)


def forgotten(row: RawRow) -> RawRow:
    """What stands in place of a message of a person who was forgotten."""
    return RawRow(row.offset, row.time, None, None, ((ERASED_HEADER, b""),))


def is_forgotten(row: RawRow) -> bool:
    """Whether a message was erased, in the archive or before in the log. Readers skip it."""
    return not row.value and bool(row.headers) and row.headers[0][0] == ERASED_HEADER


def frame_of(partition: int, rows: Sequence[RawRow]) -> pl.DataFrame:
    """Return ``rows`` as a table."""
    headers = [[{"name": name, "value": value} for name, value in row.headers] for row in rows]
    return pl.DataFrame(
        {
            "partition": pl.Series([partition] * len(rows), dtype=pl.Int32()),
            "offset": pl.Series([row.offset for row in rows], dtype=pl.Int64()),
            "append_time": pl.Series([row.time for row in rows], dtype=pl.Int64()).cast(_TIME),
            "key": pl.Series([row.key for row in rows], dtype=pl.Binary()),
            "value": pl.Series([row.value for row in rows], dtype=pl.Binary()),
            "headers": pl.Series(headers, dtype=SCHEMA["headers"]),
        }
    )


def rows_of(frame: pl.DataFrame) -> Iterator[RawRow]:
    """Yield the rows of a table."""
    columns = frame.select("offset", pl.col("append_time").cast(pl.Int64()), "key", "value", "headers")
    for offset, time, key, value, headers in columns.iter_rows():
        yield RawRow(offset, time, key, value, tuple((each["name"], each["value"]) for each in headers) if headers else ())


def decoded(data: bytes, where: object) -> pl.DataFrame:
    """Return the table of a file, which ``where`` names. Raises ``ArchiveFileError`` for one that is damaged or of another program."""
    from pyarrow import ArrowException, BufferReader  # noqa: PLC0415 -- most commands that import this module read no file
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    try:
        with ParquetFile(BufferReader(data), page_checksum_verification=True) as file:
            if file.schema_arrow.remove_metadata() != frame_of(0, ()).to_arrow().schema:
                raise ArchiveFileError(f"The archive file {where} has other columns than an archive file; restore it from a copy.")
            return cast("pl.DataFrame", pl.from_arrow(file.read())).cast(SCHEMA)
    except (ArrowException, pl.exceptions.PolarsError, OSError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArchiveFileError(f"The archive file {where} cannot be read ({why}); restore it from a copy.") from error


def encoded(frame: pl.DataFrame) -> bytes:
    """Return a table as the content of a file."""
    from pyarrow import BufferOutputStream  # noqa: PLC0415 -- as above
    from pyarrow.parquet import write_table  # noqa: PLC0415

    file = BufferOutputStream()
    write_table(frame.to_arrow(), file, compression="zstd", write_statistics=False, write_page_checksum=True)
    data: bytes = file.getvalue().to_pybytes()
    return data


def without(
    frame: pl.DataFrame, partition: int, concerned: Callable[[RawRow], bool], left_of: Callable[[RawRow], RawRow]
) -> pl.DataFrame | None:
    """Return the table with ``left_of`` each concerned message; None where there is none."""
    rows, changed = list(rows_of(frame)), False
    for place, row in enumerate(rows):
        if not is_forgotten(row) and concerned(row):
            rows[place], changed = left_of(row), True
    return frame_of(partition, rows) if changed else None
