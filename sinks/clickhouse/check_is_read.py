"""Checks that a text is one read. Imports no driver: ``onramp sql`` checks before it opens anything."""

from __future__ import annotations

import re

from sinks.clickhouse.errors import QueryRefused

_READS = {"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS"}
# Comments and quoted text, which the checks must skip. ClickHouse also has curly quotes and heredocs.
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


def check_is_read(sql: str) -> str:
    """Return the statement without its final semicolon, and without comments behind it.

    Raises ``QueryRefused`` with the reason if it is not a single read.
    """
    statement = sql.strip()
    bare = _COMMENT_OR_QUOTED.sub(lambda found: " " * len(found[0]), statement).rstrip()  # each place in it is the same in the statement
    while bare.endswith(";"):
        statement = statement[: len(bare) - 1].rstrip()
        bare = bare[:-1].rstrip()
    words = bare.lstrip("( \n\t").split(None, 1)
    if not words or words[0].upper() not in _READS:
        given = f", not with {words[0][:40]!r}" if words else ""
        raise QueryRefused(f"Only reads are allowed: start with {', '.join(sorted(_READS))}{given}.")
    if ";" in bare:
        raise QueryRefused("Only one statement at a time is allowed.")
    # Refused even in quotes: the embedded engine writes such files even in read-only mode.
    if _OUTFILE.search(statement):
        raise QueryRefused("Writing a result to a file is not allowed; the word OUTFILE may not occur.")
    if found := _EXTERNAL_TABLE.search(bare):
        raise QueryRefused(f"Reading other systems is not allowed; {found[1]}() may not occur.")
    if _FORMAT.search(bare):
        raise QueryRefused("Leave FORMAT out: the result comes back as a table.")
    return statement
