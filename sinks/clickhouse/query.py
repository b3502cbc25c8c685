"""Read-only SQL: what reports and ``onramp sql`` ask.

Two locks: the text must look like a single read, and the engine is told to allow nothing else.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import polars as pl
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.errors import QueryFailed, QueryRefused

_READS = {"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS"}
# Comments, and everything quoted, so that what remains is the statement itself. ClickHouse knows curly quotes and heredocs too.
_COMMENT_OR_QUOTED = re.compile(
    r"""--[^\n]*|\#[!\s][^\n]*|/\*.*?\*/|'(?:\\.|''|[^'\\])*'|"(?:\\.|""|[^"\\])*"|`(?:\\.|``|[^`\\])*`|‘[^’]*’|“[^”]*”|\$(\w*)\$.*?\$\1\$""",
    re.DOTALL,
)
_EXTERNAL_TABLE = re.compile(
    r"\b((?:s3|hdfs|azureBlobStorage|deltaLake|iceberg|hudi|url|remote)(?:Secure|Cluster|Azure|HDFS|Local|S3)*|gcs|mysql|postgresql|mongodb"
    r"|redis|odbc|jdbc)\s*\(",
    re.IGNORECASE,
)
_OUTFILE = re.compile(r"\bOUTFILE\b", re.IGNORECASE)
_FORMAT = re.compile(r"\bFORMAT\s+\w+\s*$", re.IGNORECASE)
# What the engine and the client put around the message: codes in front, version and address behind.
_ERROR_WRAPPING = re.compile(r"^.*DB::Exception: |\s*\((?:version|for url) [^()]*(?:\([^)]*\))?\)", re.DOTALL)


def query(store: ClickHouse, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """Run one read and return its rows; the frame has its columns even when it has no rows.

    ``parameters`` fill ``{name:Type}`` places. Blocks at most a minute, after which the engine gives up. Raises ``QueryRefused`` for
    anything but a single read (nothing is sent), ``QueryFailed`` when the engine objects, and what ``ClickHouse.reader`` raises.
    """
    statement = check_is_read(sql)
    try:
        data = store.reader().raw_query(statement, parameters=dict(parameters) if parameters else None, fmt="ArrowStream")
    except (ClickHouseError, OSError) as error:
        raise QueryFailed(_sentence(store, error)) from None
    try:
        return pl.read_ipc_stream(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise QueryFailed(f"the result has a column that cannot be shown ({str(error)[:120]}): wrap it in toString() or hex().") from None


def check_is_read(sql: str) -> str:
    """Return the statement without its closing semicolon, or raise ``QueryRefused`` saying why it will not be sent."""
    statement = sql.strip()
    bare = _COMMENT_OR_QUOTED.sub(" ", statement).strip()
    while bare.endswith(";"):
        bare = bare[:-1].rstrip()
        statement = statement[: statement.rindex(";")].rstrip()
    words = bare.lstrip("( \n\t").split(None, 1)
    if not words or words[0].upper() not in _READS:
        raise QueryRefused(f"Only reads are allowed: start with {', '.join(sorted(_READS))}.")
    if ";" in bare:
        raise QueryRefused("Only one statement at a time is allowed.")
    # Anywhere at all, even quoted: embedded, the engine writes files for a client that asks, read-only or not.
    if _OUTFILE.search(statement):
        raise QueryRefused("Writing a result to a file is not allowed; the word OUTFILE may not occur.")
    if found := _EXTERNAL_TABLE.search(bare):
        raise QueryRefused(f"Reading other systems is not allowed; {found[1]}() may not occur.")
    if _FORMAT.search(bare):
        raise QueryRefused("Leave FORMAT out: the result comes back as a table.")
    return statement


def _sentence(store: ClickHouse, error: Exception) -> str:
    if isinstance(error, DatabaseError):
        return _ERROR_WRAPPING.sub("", str(error)).strip()
    return f"ClickHouse at {store.where} does not answer: {error}"
