"""Read-only SQL for reports and ``onramp sql``.

Two checks enforce it: the text must look like a single read, and the engine runs it in its read-only mode.
"""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from sinks.clickhouse.check_is_read import check_is_read
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.errors import QueryFailed, QueryRefused, is_no_answer
from sinks.clickhouse.result_table import FORMAT, ResultTable, parse

if TYPE_CHECKING:
    import polars as pl

_NO_TABLE, _NO_COLUMN = "60", "47"  # codes of ClickHouse
_NAMED = re.compile(r"(?:identifier ['`]|\bTable `?)([^'`\s]+)")
# The text around the message of an error: codes before it, version and address after it.
_ERROR_WRAPPING = re.compile(r"^.*DB::Exception: |\s*\((?:version|for url) [^()]*(?:\([^)]*\))?\)", re.DOTALL)


def query(store: ClickHouse, sql: str, parameters: Mapping[str, Any] | None = None, *, private: bool = False) -> pl.DataFrame:
    """Run one read and return its rows. The frame has its columns even if it has no rows.

    ``parameters`` are the values of ``{name:Type}`` placeholders. ``private``: the server's log of queries, which has these values, is to
    have none of this one. Blocks at most a minute; then the engine cancels the query. Raises
    ``QueryRefused`` for anything except a single read (it is not sent), ``QueryFailed`` for an error of the engine, and what
    ``ClickHouse.reader`` raises.
    """
    import polars as pl  # noqa: PLC0415 - a quarter of a second, which commands that ask for a value or two save

    data = _answer(store, sql, parameters, "ArrowStream", private=private)
    try:
        return pl.read_ipc_stream(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise QueryFailed(f"the result has a column that cannot be shown ({str(error)[:120]}): wrap it in toString() or hex().") from None


def query_values(store: ClickHouse, sql: str, parameters: Mapping[str, Any] | None = None) -> ResultTable:
    """Like ``query``, with every type of ClickHouse as the value that it means. For what people ask; slower than ``query``."""
    try:
        return parse(_answer(store, sql, parameters, FORMAT))
    except ValueError as error:
        raise QueryFailed(f"the answer of ClickHouse at {store.where} cannot be read ({str(error)[:120]}); ask again.") from None


def _answer(store: ClickHouse, sql: str, parameters: Mapping[str, Any] | None, output: str, *, private: bool = False) -> bytes:
    statement = check_is_read(sql)
    for text in (statement, *(parameters or {}).values()):
        if isinstance(text, str) and not _is_utf8(text):
            raise QueryRefused(f"{text.encode(errors='backslashreplace').decode()[:100]} is not UTF-8 text; use a value that is.")
    values = dict(parameters) if parameters else None
    try:
        try:
            return bytes(store.reader(private=private).raw_query(statement, parameters=values, fmt=output))
        except (ClickHouseError, OSError) as error:
            if not (store.embedded and is_no_answer(error)):
                raise
        store.find_again()  # its process was killed; a read may be repeated
        return bytes(store.reader(private=private).raw_query(statement, parameters=values, fmt=output))
    except (ClickHouseError, OSError) as error:
        raise QueryFailed(_sentence(store, error)) from None


def _is_utf8(text: str) -> bool:
    """Whether the text came from bytes that are UTF-8. A command line may hold others, which Python keeps as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _sentence(store: ClickHouse, error: Exception) -> str:
    if isinstance(error, DatabaseError) and not is_no_answer(error):
        return _advice(store, str(error)) or _ERROR_WRAPPING.sub("", str(error)).strip()
    return f"ClickHouse at {store.where} does not answer any more; run the command again."


def _advice(store: ClickHouse, said: str) -> str:
    """The sentence for a table or a column that does not exist; empty for any other error."""
    code, name = re.search(r"Code: (\d+)\.", said), _NAMED.search(said)
    if code is None or name is None or code[1] not in {_NO_TABLE, _NO_COLUMN}:
        return ""
    if code[1] == _NO_COLUMN:
        return f'there is no column {name[1]!r}; `onramp sql "DESCRIBE TABLE …"` lists the columns of a table or view.'
    wanted = name[1].rpartition(".")[2]
    there = [row[0] for row in store.reader().query("SHOW TABLES").result_rows]
    close = difflib.get_close_matches(wanted.lower(), there, n=2, cutoff=0.7) or [each for each in there if wanted.lower() in each][:3]
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    return f'there is no table {wanted!r}; {meant}`onramp sql "SHOW TABLES"` lists all.'
