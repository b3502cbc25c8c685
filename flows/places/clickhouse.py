"""ClickHouse: every table with rows about users, and the rejected messages that name them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.binding import format_str
from typing_extensions import override

from flows.places.place import FOR_MAINTENANCE, LOGGED_IN, Place, erasures_of
from flows.places.visitors import Row
from local.clickhouse import EmbeddedClickHouse
from local.clickhouse_leftovers import remove_leftovers
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.errors import QueryFailed
from sinks.clickhouse.inserter import PERSONAL_TABLES, ClickHouseInserter
from sinks.clickhouse.read_only_query import query
from state.person.visitors_of import Claim
from state.records.subject import Subject, is_sent_by_another

_TABLES: Final = (*PERSONAL_TABLES, "dead_letters")
_KEEP_LITTLE: Final = (
    "finished_mutations_to_keep",
    "old_parts_lifetime",
    "merge_tree_clear_old_parts_interval_seconds",
    "cleanup_delay_period",
)
_LOGS: Final = {"query_log": "query", "query_thread_log": "query", "query_views_log": "view_query", "text_log": "message"}
"""Logs of a server that may have the text of a statement → the column with it. The embedded one has none of them."""
_WITH_TEXTS: Final = "arrayExists(each -> position({}, each) > 0, {{texts:Array(String)}})"
_CLEAN_S: Final = 90.0
_POKE_S: Final = 15.0
_PAUSE_S: Final = 1.5
_LETTERS: Final = "hasAny(user_ids, {ids:Array(String)}) AND (empty(tenant_ids) OR has(tenant_ids, {tenant:String}))"
_ROWS: Final = "tenant_id = {tenant:String} AND has({ids:Array(String)}, user_id)"


class Tables(Place):
    """All rows about the user, also those that a newer row replaced: they are on disk until ClickHouse merges them."""

    name = "clickhouse"

    def __init__(self, store: ClickHouse, letters: Callable[[Subject], Collection[str]] = lambda _subject: ()) -> None:
        """``store`` must stay open for as long as this is used.

        ``letters`` returns which rejected messages are about a user, by the ids of their rows: rows from before migration 39 do not tell
        whom the key names.
        """
        self._store = store
        self._letters = letters

    def held(self, subject: Subject) -> list[Any]:
        """Return the rows, each with the name of its table."""
        found: list[Any] = []
        values: dict[str, Any] = {"tenant": subject.tenant, "ids": list(subject.ids)}
        if subject.deleted is not None:
            values["until"] = subject.deleted.logged
        for table, condition in (*((table, _ROWS) for table in PERSONAL_TABLES), ("dead_letters", _LETTERS)):
            before = "" if subject.deleted is None else f" AND {LOGGED_IN[table]} <= fromUnixTimestamp64Milli({{until:Int64}}, 'UTC')"
            rows = query(self._store, f"SELECT * FROM {table} WHERE {condition}{before}", values, private=True)  # noqa: S608
            found += [{"table": table, **row} for row in rows.to_dicts()]
        if subject.own_only:
            found = [each for each in found if each["table"] != "dead_letters" or not is_sent_by_another(each["raw"].encode(), subject)]
        return found

    def has_of_others(self, subject: Subject) -> bool:
        """Whether another tenant has a row about a user with one of the ids, or a rejected message that names one."""
        values = {"tenant": subject.tenant, "ids": list(subject.ids)}
        rows = "tenant_id != {tenant:String} AND has({ids:Array(String)}, user_id)"
        letters = "hasAny(user_ids, {ids:Array(String)}) AND notEmpty(tenant_ids) AND NOT has(tenant_ids, {tenant:String})"
        return any(
            query(self._store, f"SELECT 1 AS found FROM {table} WHERE {condition} LIMIT 1", values, private=True).height  # noqa: S608
            for table, condition in (*((table, rows) for table in PERSONAL_TABLES), ("dead_letters", letters))
        )

    def erase(self, subject: Subject) -> None:
        """Delete the rows, and wait until they are gone. Only where no job writes new ones."""
        inserter = ClickHouseInserter(self._store)
        if subject.deleted is None:
            inserter.erase(erasures_of(subject))
        else:
            inserter.erase(erasures_of(subject), logged=LOGGED_IN, until=subject.deleted.logged)
        inserter.erase_letters(sorted(self._letters(subject)))


class Traces(Place):
    """What a deletion leaves behind for a while: the text of the last deletions, which has the ids, and old files of the tables."""

    name = "clickhouse_traces"
    is_trace = True

    def __init__(self, store: ClickHouse, embedded: Path | None) -> None:
        """``store`` must stay open for as long as this is used. ``embedded`` is the directory of the embedded one, None for a server."""
        self._store = store
        self._embedded = embedded

    def held(self, subject: Subject) -> list[Any]:
        """Return the deletions whose text has one of the ids, and each log of the server that has one, as far as its rows can be read."""
        texts = _texts(subject)
        found = self._deletions(texts)
        there = query(self._store, "SELECT name FROM system.tables WHERE database = 'system'")["name"].to_list()
        for log, column in _LOGS.items():
            if log in there:
                count = (
                    f"SELECT 'system.{log}' AS log, count() AS rows FROM system.{log} WHERE {_WITH_TEXTS.format(column)} HAVING rows > 0"  # noqa: S608
                )
                with suppress(QueryFailed):  # the user may not read it, or it is too large to be read in a minute
                    found += query(self._store, count, texts, private=True).to_dicts()
        return found

    @override
    def note_for(self, held: Sequence[Any], subject: Subject) -> str:
        logs = [str(each["log"]) for each in held if isinstance(each, dict) and "log" in each]
        notes = (
            [f"the text of deletions, with the ids: each stays until a hundred later deletions of its table; {FOR_MAINTENANCE}"]
            if len(held) > len(logs)
            else []
        )
        notes += [f"{', '.join(logs)}: the log of the server has the ids until its TTL ends; delete its rows, or wait"] if logs else []
        return "; ".join(notes)

    def maintain(self, subject: Subject) -> None:
        """Remove old files and texts of deletions: of the embedded one while it is stopped, which takes some seconds.

        A server is asked to drop them soon. When it does so cannot be forced; the receipt says what is left after ``_CLEAN_S``.
        """
        if self._embedded is not None:
            running = query(self._store, "SELECT count() AS n FROM system.mutations WHERE database = currentDatabase() AND NOT is_done")
            if not running["n"][0]:
                self._store.close()  # it opens again with the next query
                with EmbeddedClickHouse(self._embedded).stopped():
                    remove_leftovers(self._embedded)
            return
        client = self._store.client()
        try:
            for table in _TABLES:
                client.command(f"ALTER TABLE {table} MODIFY SETTING {', '.join(f'{name} = 1' for name in _KEEP_LITTLE)}")
            self._wait_for_cleaning(client, subject)
        finally:
            for table in _TABLES:
                client.command(f"ALTER TABLE {table} RESET SETTING {', '.join(_KEEP_LITTLE)}")

    def _wait_for_cleaning(self, client: Any, subject: Subject) -> None:
        began = int(query(self._store, "SELECT toUnixTimestamp(now()) AS at")["at"][0])
        deadline, poke_at = time.monotonic() + _CLEAN_S, 0.0
        while time.monotonic() < deadline:
            if time.monotonic() >= poke_at:  # a table cleans up soon after something happens to it, and else after ten minutes
                poke_at = time.monotonic() + _POKE_S
                for table in _TABLES:
                    client.command(f"ALTER TABLE {table} DELETE WHERE 0 SETTINGS mutations_sync = 2")
            time.sleep(_PAUSE_S)
            if not self._with_files_of_before(began) and not self._deletions(_texts(subject)):
                break

    def _deletions(self, texts: dict[str, list[str]]) -> list[Any]:
        sql = f"SELECT table, mutation_id FROM system.mutations WHERE database = currentDatabase() AND {_WITH_TEXTS.format('command')}"  # noqa: S608
        return query(self._store, sql, texts, private=True).to_dicts()

    def _with_files_of_before(self, began: int) -> set[str]:
        """Tables with files that were replaced before ``began`` (seconds). Files replaced later held nothing of the user any more."""
        sql = (
            "SELECT DISTINCT table FROM system.parts WHERE database = currentDatabase() AND NOT active "
            "AND toUnixTimestamp(remove_time) <= {began:UInt32}"
        )
        return set(query(self._store, sql, {"began": began})["table"].to_list()) & set(_TABLES)


def _texts(subject: Subject) -> dict[str, list[str]]:
    """The ids as they stand in a statement, with their quotes: one id may begin with another. The quotes may be escaped."""
    quoted = [format_str(each) for each in subject.ids]
    return {"texts": [text for each in quoted for text in (each, f"{each[:-1]}\\'")]}


class Merges:
    """The merges that the job has recorded, and the rows of people that were merged."""

    def __init__(self, store: ClickHouse) -> None:
        """``store`` must stay open for as long as this is used."""
        self._store = store

    def claims(self, tenant: str, ids: Collection[str]) -> list[Claim]:
        """Return the merges that name one of ``ids``, or were sent by one. The table does not say which of them the job refused."""
        found = query(
            self._store,
            "SELECT user_id, JSONExtractString(payload, 'previousId') AS visitor, toUnixTimestamp64Milli(min(log_time)) AS at FROM events "
            "WHERE tenant_id = {tenant:String} AND event_type = 'identity_merged' AND (has({ids:Array(String)}, user_id) "
            "OR has({ids:Array(String)}, JSONExtractString(payload, 'previousId'))) GROUP BY user_id, visitor",
            {"tenant": tenant, "ids": sorted(ids)},
            private=True,
        )
        return [Claim(at, by, visitor) for by, visitor, at in found.iter_rows()]

    def rows(self, tenant: str, ids: Collection[str], keys: Collection[str]) -> list[Row]:
        """Return the rows of people with one of these ids or keys."""
        keyed = query(self._store, "EXISTS visitors_by_key")["result"][0]  # not before the first job of this release has run
        key = "person_key" if keyed else "''"
        found = query(
            self._store,
            f"SELECT user_id, experiment_group = 'merged' AS merged, {key} AS key FROM people FINAL WHERE tenant_id = {{tenant:String}} "  # noqa: S608 - a column
            "AND (has({ids:Array(String)}, user_id) OR has({keys:Array(String)}, key))",
            {"tenant": tenant, "ids": sorted(ids), "keys": sorted(keys)},
            private=True,
        )
        return [Row(user, bool(merged), key) for user, merged, key in found.iter_rows()]
