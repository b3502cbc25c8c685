"""Inserts frames into ClickHouse, and deletes people from it. The drain calls it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import polars as pl
from clickhouse_connect.driver.binding import format_str
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.summary import QuerySummary

from sinks.clickhouse.client import ClickHouse, unlogged
from sinks.clickhouse.errors import Fault, PermanentInsert, StoreError, TransientInsert, code_of, is_no_answer, meaning_of
from state.records.facts import FACTS
from state.records.recommendation import Erase

PERSONAL_TABLES: tuple[str, ...] = tuple(kind.TABLE for kind in FACTS if "user_id" in kind.__struct_fields__)
"""Every table with rows about a person."""

_ERASED_AT_ONCE = 200
"""People per mutation."""
_STATEMENT_CHARACTERS = 60_000
"""Of the longer condition: on people, or on rejected messages. In bytes it stays below the server's limit of 256 KiB for a statement."""


class Inserter(Protocol):
    """A destination of rows. All methods block, and are called from the drain's thread only.

    They raise ``TransientInsert`` if a retry may succeed, and ``insert`` raises ``PermanentInsert`` if it cannot. A call that raised may
    have taken effect: the rows of the next try then replace themselves.
    """

    def warm(self) -> None:
        """Connect, so that the first insert is not slow."""

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Insert rows into a table. When it returns, the store has acknowledged them."""

    def erase(self, erasures: Sequence[Erase]) -> None:
        """Delete each person's rows with a version below that of the erasure, from every table about people. Complete when it returns.

        It is never given up: whatever it raises, the caller tries again.
        """

    def close(self) -> None:
        """Close the connections."""


class ClickHouseInserter:
    """Inserts Arrow streams that polars encodes. One insert of 100k rows costs less than a tenth of a hundred inserts of 1k."""

    def __init__(self, store: ClickHouse) -> None:
        self._store = store

    def warm(self) -> None:
        """Connect."""
        try:
            self._store.warm()
        except StoreError as error:
            raise TransientInsert(str(error)) from error
        except (ClickHouseError, OSError) as error:
            raise self._store_error("SELECT 1", error) from error

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Send one Arrow stream, compressed if it goes over a network; where that is too large for a proxy, its halves one by one."""
        if not all(name.isidentifier() for name in (table, *frame.columns)):  # they become a part of the statement
            raise PermanentInsert(f"no version of onramp has a table {table!r} with the columns of these rows")
        waiting = [frame]
        while waiting:
            part = waiting.pop()
            if not self._send(table, part):
                half = part.height // 2
                waiting += [part[half:], part[:half]]

    def _send(self, table: str, frame: pl.DataFrame) -> bool:
        """Insert ``frame``; False where it is too large and has halves."""
        buffer = io.BytesIO()
        # The oldest Arrow layout, because ClickHouse does not read string views.
        frame.write_ipc_stream(buffer, compression="uncompressed" if self._store.embedded else "lz4", compat_level=pl.CompatLevel.oldest())
        try:
            answer = self._store.client().raw_insert(
                table,
                column_names=frame.columns,
                insert_block=buffer.getvalue(),
                # An input of many years creates many monthly parts at once. That is slow but correct.
                settings={"throw_on_max_partitions_per_insert_block": 0},
                fmt="ArrowStream",
            )
        except StoreError as error:
            raise TransientInsert(str(error)) from error
        except (ClickHouseError, OSError) as error:
            if meaning_of(error).fault is Fault.TOO_LARGE and frame.height > 1:
                return False
            raise self._store_error(f"insert into {table}", error) from error
        self._check_answer(f"insert into {table}", answer)
        return True

    def erase(self, erasures: Sequence[Erase], *, logged: Mapping[str, str] | None = None, until: int = 0) -> None:
        """Run one mutation for each table and up to ``_ERASED_AT_ONCE`` people, and wait for all replicas.

        With ``logged``, the column of each table with a time, only rows with a time up to ``until`` (ms). Rejected messages that name one
        of them are deleted too. A table that refuses does not keep the people in the other tables.
        """
        self._delete(
            (table, condition if logged is None else f"({condition}) AND {logged[table]} <= fromUnixTimestamp64Milli({until:d}, 'UTC')")
            for where, rejected in _conditions(erasures)
            for table, condition in (*((table, where) for table in PERSONAL_TABLES), ("dead_letters", rejected))
        )

    def erase_letters(self, ids: Sequence[str]) -> None:
        """Delete the rows of these rejected messages, and wait for all replicas."""
        self._delete(
            ("dead_letters", f"dead_letter_id IN ({', '.join(map(format_str, ids[at : at + _ERASED_AT_ONCE]))})")
            for at in range(0, len(ids), _ERASED_AT_ONCE)
        )

    def _delete(self, conditions: Iterable[tuple[str, str]]) -> None:
        """Run a mutation for each table and condition."""
        refused: list[StoreError] = []
        for table, condition in conditions:
            try:
                client = self._store.client()
                statement = f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2"
                answer = client.command(statement, settings=unlogged(client))
            except StoreError as error:
                raise TransientInsert(str(error)) from error
            except (ClickHouseError, OSError) as error:
                refused.append(self._store_error(f"erasure from {table}", error, people=True))
                if is_no_answer(error):
                    raise refused[0] from error
            else:
                self._check_answer(f"erasure from {table}", answer)
        if refused:
            raise refused[0]

    def close(self) -> None:
        """Close the clients of the calling thread."""
        self._store.release()

    def _check_answer(self, what: str, answer: object) -> None:
        """Raise ``TransientInsert`` where something else than ClickHouse said that all is well."""
        if not (isinstance(answer, QuerySummary) and ("written_rows" in answer.summary or answer.query_id())):
            raise TransientInsert(
                f"{what} at {self._store.where}: the answer is not one of ClickHouse; correct what stands before the server"
            )

    def _store_error(self, what: str, error: Exception, *, people: bool = False) -> StoreError:
        meaning = meaning_of(error)
        # The text of a failed mutation contains user ids, which must not reach an error file or a log.
        text = f"code {code_of(error)}" if people else " ".join(str(error).split())
        advice = f"; {meaning.advice}" if meaning.advice else ""
        # An erasure is never given up: it is sent again until the table is mended, or a proxy takes the statement.
        kind = PermanentInsert if not people and meaning.fault in {Fault.DATA, Fault.TOO_LARGE} else TransientInsert
        return kind(f"{what} at {self._store.where}: {text}{advice}")


def _conditions(erasures: Sequence[Erase]) -> Iterator[tuple[str, str]]:
    """The conditions of the mutations: on rows of people, and on rejected messages. Of a person the last deletion includes the others."""
    newest: dict[tuple[str, str], int] = {}
    for one in erasures:
        person = one.tenant_id, one.user_id
        newest[person] = max(newest.get(person, 0), int(one.version))
    rows: list[str] = []
    rejected: list[str] = []
    size = 0
    for (tenant_id, user_id), version in newest.items():
        tenant, user = format_str(tenant_id), format_str(user_id)
        of_person = f"(tenant_id = {tenant} AND user_id = {user} AND version < {version})"
        naming_them = f"(has(user_ids, {user}) AND (empty(tenant_ids) OR has(tenant_ids, {tenant})))"
        longer = max(len(of_person), len(naming_them))
        if len(rows) == _ERASED_AT_ONCE or (rows and size + longer > _STATEMENT_CHARACTERS):
            yield " OR ".join(rows), " OR ".join(rejected)
            rows, rejected, size = [], [], 0
        rows.append(of_person)
        rejected.append(naming_them)
        size += longer
    if rows:
        yield " OR ".join(rows), " OR ".join(rejected)
