"""One store, two ways to find it: what holds on the embedded one holds on a server."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from local.clickhouse import EmbeddedClickHouse
from scripts.write_tables import SCHEMA, definitions
from sinks.clickhouse.check_is_read import check_is_read
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.delivery import FactDelivery
from sinks.clickhouse.errors import MigrationRefused, PermanentInsert, QueryFailed, QueryRefused, StoreDenied, StoreUnreachable
from sinks.clickhouse.inserter import PERSONAL_TABLES, ClickHouseInserter
from sinks.clickhouse.migrate import Migration, migrate, shipped
from sinks.clickhouse.read_only_query import query
from state.records.facts import FACTS, DeadLetterFact, DecisionFact, EventFact, Fact, PersonFact, StepMetricFact
from state.records.recommendation import Erase
from tests.support.facts import make

pytest_plugins = ["tests.support.clickhouse_stores"]

MOMENT = 1_767_225_600_123  # 2026-01-01T00:00:00.123Z
SECONDS = 60.0
HERE = EmbeddedClickHouse(Path("x"))


def insert(store: ClickHouse, *rows: Fact) -> None:
    inserter = ClickHouseInserter(store)
    for row in rows:
        inserter.insert(row.TABLE, to_frame(type(row), [row]))


# ------------------------------------------------------------------------------------------------------------------ migrations


def test_migrating_twice_applies_every_file_once(store: ClickHouse) -> None:
    assert migrate(store) == [migration.name for migration in shipped()]
    assert migrate(store) == []
    assert query(store, "SELECT count() AS n FROM schema_migrations FINAL")["n"].to_list() == [len(shipped())]


def test_the_schema_of_an_empty_database_is_what_all_migrations_make(store: ClickHouse) -> None:
    migrate(store, shipped())
    assert definitions(store) == SCHEMA.read_text(encoding="utf-8"), "run `make tables`"


def test_where_a_job_died_while_it_made_the_tables_the_next_one_makes_the_same(store: ClickHouse) -> None:
    migrate(store)
    store.client().command("TRUNCATE TABLE schema_migrations")  # they are noted last
    assert migrate(store) == [migration.name for migration in shipped()]
    assert definitions(store) == SCHEMA.read_text(encoding="utf-8")


def test_a_migration_that_stopped_half_way_is_applied_again(store: ClickHouse) -> None:
    first = shipped()[0]
    half = Migration(first.version, first.name, ";\n".join(first.statements()[:2]) + ";\nBROKEN;")
    with pytest.raises(MigrationRefused):
        migrate(store, [half])
    assert migrate(store, shipped()[:2]) == [migration.name for migration in shipped()[:2]]


def test_an_applied_migration_that_changed_is_refused(store: ClickHouse) -> None:
    migrate(store, [Migration(1, "0001_a.sql", "CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = Memory;")])
    with pytest.raises(MigrationRefused, match=r"0001_a\.sql was changed after"):
        migrate(store, [Migration(1, "0001_a.sql", "CREATE TABLE IF NOT EXISTS a (x Int16) ENGINE = Memory;")])


def test_a_database_that_is_ahead_is_refused(store: ClickHouse) -> None:
    migrate(store, [Migration(9999, "9999_later.sql", "SELECT 1;")])
    with pytest.raises(MigrationRefused, match=r"9999_later\.sql, unknown to this version"):
        migrate(store)


def test_every_shipped_statement_can_be_repeated() -> None:
    for migration in shipped():
        for statement in migration.statements():
            code = "\n".join(line for line in statement.splitlines() if not line.startswith("--")).lstrip()
            repeatable = code.startswith(("CREATE TABLE IF NOT EXISTS", "CREATE OR REPLACE VIEW"))
            filled_once = code.startswith("ALTER TABLE dead_letters UPDATE") and "WHERE empty(user_ids)" in code
            told_again = code.startswith("ALTER TABLE dead_letters UPDATE\n    tenant_ids =") and migration.version == 32
            comment = re.match(r"ALTER TABLE \w+\s+(MODIFY COMMENT|COMMENT COLUMN)", code)
            index = re.match(r"ALTER TABLE \w+ (ADD INDEX IF NOT EXISTS|MATERIALIZE INDEX)", code)
            assert repeatable or filled_once or told_again or comment or index or "ADD COLUMN IF NOT EXISTS" in code, migration.name


def test_rejected_messages_of_before_are_found_by_a_deletion(store: ClickHouse) -> None:
    raws = {
        "a": r'{"userId": "Zo\u00eb", "tenantId": "t", "previousId":"a\"b"}',
        "b": '{"user_id": 7, "anonymousId" : "v-1"',
        "c": "no JSON",
    }
    migrate(store, [each for each in shipped() if each.version < 9])
    client = store.client()
    for name, raw in raws.items():
        client.command(
            "INSERT INTO dead_letters (dead_letter_id, raw) VALUES ({name:String}, {raw:String})", parameters={"name": name, "raw": raw}
        )
    migrate(store, [each for each in shipped() if each.version <= 9])
    found = query(store, "SELECT dead_letter_id, user_ids, tenant_ids FROM dead_letters ORDER BY 1").rows()
    assert found == [("a", ["Zoë", 'a"b'], ["t"]), ("b", ["7", "v-1"], []), ("c", [], [])]


def test_the_tenant_of_rejected_messages_of_before_is_told_where_their_sender_can_be_read(store: ClickHouse) -> None:
    letters: dict[str, tuple[str, str, list[str], list[str]]] = {  # name → reason, bytes, tenants before and after
        "a left out": ("bad_payload", '{"userId": "u", "payload": {}}', [], ["default"]),
        "b left out, one in the payload": ("bad_payload", '{"anonymousId": "u", "payload": {"tenantId": "t"}}', ["t"], ["default"]),
        "c another in the payload": (
            "bad_name",
            '{"tenantId": "t", "userId": "u", "payload": {"tenantId": "x"}}',
            ["t", "x"],
            ["t"],
        ),
        "d known": ("bad_name", '{"userId": "u", "tenantId": "t"}', ["t"], ["t"]),
        "e long, so it was read": ("payload_too_large", '{"userId": "u", "payload": {"a": "', [], ["default"]),
        "f long": ("payload_too_large", '{"userId": "u", "payload": {"a": "', ["t"], ["t"]),
        "g cut off": ("not_json", '{"userId": "u", "payload": {"a": "', [], []),
        "h no sender": ("missing_user", '{"user_id": "u"}', [], []),
        "i no object": ("not_an_object", '[{"userId": "u"}]', [], []),
        "j none that an event can have": ("bad_tenant_id", '{"userId": "u", "tenantId": ""}', [""], []),
        "k a placeholder": ("placeholder_id", '{"userId": "u", "tenantId": "null"}', ["null"], []),
        "l wrong type": ("bad_tenant_id", '{"userId": "u", "tenantId": null}', [], []),
        "m another placeholder": ("placeholder_id", '{"userId": "null", "tenantId": "t"}', ["t"], ["t"]),
    }
    migrate(store, [each for each in shipped() if each.version < 32])
    client = store.client()
    for name, (reason, raw, before, _) in letters.items():
        detail = "tenantId is 'null', which stands for nobody" if name == "k a placeholder" else ""
        client.command(
            "INSERT INTO dead_letters (dead_letter_id, reason, detail, raw, tenant_ids) "
            "VALUES ({name:String}, {reason:String}, {detail:String}, {raw:String}, {tenants:Array(String)})",
            parameters={"name": name, "reason": reason, "detail": detail, "raw": raw, "tenants": before},
        )
    expected = {name: after for name, (_, _, _, after) in letters.items()}
    for _ in range(2):  # it can be repeated
        for statement in next(each for each in shipped() if each.version == 32).statements():
            client.command(statement)
        found = query(store, "SELECT dead_letter_id, tenant_ids FROM dead_letters ORDER BY 1").rows()
        assert dict(found) == expected


def test_tables_have_the_columns_and_keys_of_their_facts(migrated: ClickHouse) -> None:
    for kind in FACTS:
        columns = query(
            migrated, "SELECT name FROM system.columns WHERE database = {db:String} AND table = {table:String} ORDER BY position",
            {"db": migrated.database, "table": kind.TABLE},
        )  # fmt: skip
        assert columns["name"].to_list() == [field.name for field in msgspec.structs.fields(kind)]
        key = query(
            migrated, "SELECT sorting_key FROM system.tables WHERE database = {db:String} AND name = {table:String}",
            {"db": migrated.database, "table": kind.TABLE},
        )  # fmt: skip
        assert key.item() == ", ".join(kind.KEY)


# ---------------------------------------------------------------------------------------------------------------------- rows


def test_values_arrive_as_they_were_sent(migrated: ClickHouse) -> None:
    decision = make(
        DecisionFact, decision_id="d", arms=("a", "b"), propensities=(0.25, 0.75), propensity=0.75, decided_at=MOMENT, version=3
    )
    insert(migrated, decision, make(EventFact, event_id="e", payload="NUL \x00 and 🙂 'quoted'", timestamp=MOMENT, log_time=MOMENT))
    row = query(migrated, "SELECT * FROM decisions_final").row(0, named=True)
    assert row["arms"] == ["a", "b"]
    assert row["propensities"] == [0.25, 0.75]
    assert row["decided_at"] == datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)
    assert row["version"] == 3
    assert query(migrated, "SELECT payload FROM events_final").item() == "NUL \x00 and 🙂 'quoted'"


def test_the_final_views_show_the_newest_version_once_and_null_for_what_has_not_happened(migrated: ClickHouse) -> None:
    insert(
        migrated,
        make(PersonFact, version=2, signup_at=MOMENT, guidance=True),
        make(PersonFact, version=2, signup_at=MOMENT, guidance=True),
        make(PersonFact, version=1),
    )
    people = query(migrated, "SELECT version, guidance, signup_at IS NULL AS no_signup, activated_at FROM people_final")
    assert people.rows() == [(2, True, False, None)]


def test_an_insert_over_many_years_is_taken(migrated: ClickHouse) -> None:
    month = 31 * 24 * 3600 * 1000
    frame = to_frame(EventFact, [make(EventFact, event_id=str(number), timestamp=MOMENT - number * month) for number in range(150)])
    ClickHouseInserter(migrated).insert("events", frame)
    assert query(migrated, "SELECT count() AS n FROM events_final").item() == 150


def test_a_block_of_the_wrong_shape_is_a_permanent_failure(migrated: ClickHouse) -> None:
    with pytest.raises(PermanentInsert):
        ClickHouseInserter(migrated).insert("events", pl.DataFrame({"no_such_column": [1]}))
    with pytest.raises(PermanentInsert):
        ClickHouseInserter(migrated).insert("events", pl.DataFrame({"version": ["not a number"]}))


def test_a_table_that_is_a_part_of_a_statement_writes_no_file(migrated: ClickHouse, tmp_path: Path) -> None:
    """A segment of a backup that somebody changed names its tables itself."""
    for table, frame in (
        (f"FUNCTION file('{tmp_path / 'written'}', 'LineAsString', 'line String')", pl.DataFrame({"line": ["a command"]})),
        ("events", pl.DataFrame({"version`) SELECT 1 --": [1]})),
    ):
        with pytest.raises(PermanentInsert, match="no version of onramp has a table"):
            ClickHouseInserter(migrated).insert(table, frame)
    assert not list(tmp_path.iterdir())


def test_facts_go_through_the_spool_into_the_tables(migrated: ClickHouse, tmp_path: Path) -> None:
    delivery = FactDelivery(migrated, tmp_path / "spool")
    delivery.start()
    partition = delivery.sink.build_part("facts", "facts", None)
    for number in range(3):
        partition.write_batch([[make(EventFact, event_id=f"e{number}"), make(StepMetricFact, metric="event", count=2)]])
        partition.snapshot()
    partition.write_batch([[make(kind) for kind in FACTS if kind not in {EventFact, StepMetricFact}]])
    result = delivery.flush(SECONDS)
    delivery.close()
    assert result == (True, 3 + 3 + len(FACTS) - 2, 0, 0, "")
    assert query(migrated, "SELECT count() AS n FROM events_final").item() == 3
    assert query(migrated, "SELECT total FROM step_metrics").item() == 6
    for kind in FACTS:
        assert query(migrated, f"SELECT count() AS n FROM {kind.TABLE}").item() >= 1


# ------------------------------------------------------------------------------------------------------------------- erasure


def test_erasing_a_person_removes_their_older_rows_everywhere_and_nothing_else(migrated: ClickHouse, tmp_path: Path) -> None:
    quoted = "o'brien \\ {x} %s"
    personal = [kind for kind in FACTS if kind.TABLE in PERSONAL_TABLES]
    rows: list[Fact | Erase] = []
    for kind in personal:
        ids = dict.fromkeys([name for name in ("event_id", "decision_id", "signal_id") if name in kind.__struct_fields__], "a")
        rows += [
            make(kind, user_id=quoted, version=4, **ids),
            make(kind, user_id="somebody else", version=4, **dict.fromkeys(ids, "b")),
            make(kind, tenant_id="other", user_id=quoted, version=4, **ids),
            make(kind, user_id="back again", version=9, **dict.fromkeys(ids, "c")),
        ]
    rows += [Erase("t", quoted, 5), Erase("t", "back again", 5), make(DeadLetterFact, dead_letter_id="x", user_ids=("o'brien",))]
    named = ((quoted,), ("somebody", "back again"), ("back again",))
    rows += [make(DeadLetterFact, dead_letter_id=f"named {number}", user_ids=users) for number, users in enumerate(named)]
    delivery = FactDelivery(migrated, tmp_path / "spool")
    delivery.sink.build_part("facts", "facts", None).write_batch([rows])
    delivery.start()
    assert delivery.flush(SECONDS).complete
    delivery.close()
    for kind in personal:
        left = query(migrated, f"SELECT tenant_id, user_id FROM {kind.TABLE} ORDER BY 1, 2").rows()
        assert left == [("other", quoted), ("t", "back again"), ("t", "somebody else")], kind.TABLE
    assert query(migrated, "SELECT dead_letter_id FROM dead_letters").rows() == [("x",)]


def test_many_deletions_of_the_same_people_need_few_mutations(store: ClickHouse) -> None:
    """People with the longest ids there are, whose statements must fit; each was deleted many times, and one came back in between."""
    migrate(store)
    tenant = "\N{PILE OF POO}" * 128
    people = [f"{number:04}" + "\N{PILE OF POO}" * 252 for number in range(201)]
    left = [people[1], "somebody else"]
    insert(store, *(make(PersonFact, tenant_id=tenant, user_id=user, version=7) for user in (people[0], people[-1], left[1])))
    insert(store, make(PersonFact, tenant_id=tenant, user_id=left[0], version=9))
    ClickHouseInserter(store).erase([Erase(tenant, user, version) for version in (2, 8, 3) for user in people])
    assert sorted(query(store, "SELECT user_id FROM people")["user_id"]) == left
    mutations = "SELECT count() AS n FROM system.mutations WHERE database = currentDatabase() AND table = 'people'"
    assert query(store, mutations).item() == 2, "the ids of 201 people do not fit into one statement"


# ------------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS x",
        "  select 1 as x ; ",
        "WITH 1 AS x SELECT x",
        "-- a comment\nSELECT 1 AS x",
        "(SELECT 1 AS x)",
        "SELECT 1 AS x FROM (SELECT 'insert; drop table' AS y)",
    ],
)
def test_reads_are_answered(migrated: ClickHouse, sql: str) -> None:
    assert query(migrated, sql).rows() == [(1,)]


def test_an_empty_result_still_has_its_columns(migrated: ClickHouse) -> None:
    empty = query(migrated, "SELECT tenant_id, decided_at FROM decisions_final")
    assert (empty.columns, empty.height) == (["tenant_id", "decided_at"], 0)
    assert query(migrated, "SHOW TABLES LIKE 'peopl%'")["name"].to_list() == ["people", "people_final"]
    assert query(migrated, "DESCRIBE TABLE people")["name"].to_list()[:2] == ["tenant_id", "user_id"]
    assert query(migrated, "EXPLAIN SELECT 1").height > 0


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "-- nothing",
        "INSERT INTO people (user_id) VALUES ('x')",
        "DROP TABLE people",
        "SET readonly = 0",
        "/* SELECT */ TRUNCATE TABLE people",
        "SELECT 1; DROP TABLE people",
        "SELECT 1; SELECT 2",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT 1 INTO /* */ outfile '/tmp/x'",
        "SELECT ‘ ' ’ INTO OUTFILE '/tmp/x'",
        "SELECT 1 FORMAT JSON",
    ],
)
def test_what_is_not_a_single_read_is_never_sent(sql: str) -> None:
    with pytest.raises(QueryRefused):
        check_is_read(sql)


@pytest.mark.parametrize(
    ("sql", "sent"),
    [
        ("SELECT 1;", "SELECT 1"),
        ("SELECT 1 ; ;", "SELECT 1"),
        ("SELECT 1; -- a;b", "SELECT 1"),
        ("SELECT 1 /* a;b */; # c;d", "SELECT 1 /* a;b */"),
        ("SELECT ';' -- a;", "SELECT ';' -- a;"),
        ("-- a;b\n SELECT 'x;y';\n/* c; */", "-- a;b\n SELECT 'x;y'"),
    ],
)
def test_a_statement_ends_at_its_last_semicolon_and_not_at_one_in_a_comment_or_in_quotes(sql: str, sent: str) -> None:
    assert check_is_read(sql) == sent


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO people (user_id) VALUES ('x')",
        "DROP TABLE people",
        "ALTER TABLE people DELETE WHERE 1",
        "CREATE TABLE evil (x Int8) ENGINE = Memory",
        "SET readonly = 0",
        "INSERT INTO FUNCTION file('evil.csv') SELECT 1",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/x', 'LineAsString')",
        "SELECT 1 SETTINGS readonly = 0",
    ],
)
def test_the_engine_itself_refuses_writes_and_files_on_a_reader(migrated: ClickHouse, sql: str) -> None:
    with pytest.raises(Exception, match=r"READONLY|readonly mode"):
        migrated.reader().command(sql)
    insert(migrated, make(PersonFact))  # and the writing client is untouched by it
    assert query(migrated, "SELECT count() AS n FROM people").item() == 1


def test_a_query_of_a_table_that_does_not_exist_says_so(migrated: ClickHouse) -> None:
    with pytest.raises(QueryFailed, match=r"^there is no table .nothing_here"):
        query(migrated, "SELECT * FROM nothing_here")


# ------------------------------------------------------------------------------------------------------- when it is not there


def test_a_server_that_is_not_there_is_one_sentence_without_the_password() -> None:
    store = ClickHouse(url="http://someone:hunter2@127.0.0.1:1")
    with pytest.raises(StoreUnreachable, match=r"^ClickHouse at http://127\.0\.0\.1:1 does not answer") as raised:
        store.client()
    assert "hunter2" not in str(raised.value) + repr(store)


def test_a_wrong_password_is_said_without_printing_it(server_url: str) -> None:
    store = ClickHouse(url=server_url, user="analyst", password="hunter2")
    with pytest.raises(StoreDenied, match="user or password") as raised:
        store.client()
    assert "hunter2" not in str(raised.value)
    right = ClickHouse(url=server_url, user="analyst", password="secret-pw", database="default")
    assert right.client().command("SELECT 1") == 1
    right.close()


def test_reading_before_the_job_ever_ran_says_so(server_url: str, embedded_path: Path) -> None:
    here = EmbeddedClickHouse(embedded_path)
    for store in (ClickHouse(url=server_url, database="never_made"), ClickHouse(embedded=here, database="never_made")):
        with pytest.raises(StoreDenied, match="has no database 'never_made' yet"):
            query(store, "SELECT 1")
        store.close()


@pytest.mark.parametrize(
    "arguments", [{}, {"embedded": HERE, "url": "http://h"}, {"url": "clickhouse://h"}, {"embedded": HERE, "database": "a; b"}]
)
def test_settings_that_cannot_work_are_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"ClickHouse|database"):
        ClickHouse(**arguments)  # type: ignore[arg-type]
