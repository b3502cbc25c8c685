"""Fixtures for tests that need a ClickHouse: every test runs on the embedded engine and on a server, and finds no rows of another test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clickhouse import EmbeddedClickHouse
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.migrate import migrate
from tests.support.clickhouse_http import clickhouse_server


@pytest.fixture(scope="module")
def embedded_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory whose embedded ClickHouse runs for the length of a module: starting one costs seconds."""
    path = tmp_path_factory.mktemp("clickhouse")
    keeper = EmbeddedClickHouse(path)
    keeper.url()
    yield path
    keeper.close()
    with keeper.stopped():
        pass


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a process of its own."""
    with clickhouse_server(tmp_path_factory.mktemp("clickhouse-server")) as url:
        yield url


@pytest.fixture(scope="module", params=["embedded", "server"])
def store_of_module(request: pytest.FixtureRequest) -> Iterator[ClickHouse]:
    """A store that all tests of a module share."""
    yield from _made(request)


@pytest.fixture(params=["embedded", "server"])
def store(request: pytest.FixtureRequest) -> Iterator[ClickHouse]:
    """A store with an empty database that does not exist yet."""
    yield from _made(request)


@pytest.fixture(scope="module")
def _with_tables(store_of_module: ClickHouse) -> tuple[ClickHouse, int]:
    migrate(store_of_module)
    return store_of_module, _schema(store_of_module)


@pytest.fixture
def migrated(_with_tables: tuple[ClickHouse, int]) -> Iterator[ClickHouse]:
    """A store whose tables are empty. Making them takes 0.4 seconds of CPU, so a module shares them, and they are emptied after each test.

    Parametrize ``store_of_module`` to choose the engine. A test that changes the schema needs ``store``; here it fails.
    """
    store, schema = _with_tables
    yield store
    assert _schema(store) == schema, "the test changed the schema of tables that the module shares"
    client = store.client()
    kept = "database = currentDatabase() AND total_rows > 0 AND name != 'schema_migrations'"
    for (name,) in client.query(f"SELECT name FROM system.tables WHERE {kept}").result_rows:
        client.command(f"TRUNCATE TABLE {name}")


def _schema(store: ClickHouse) -> int:
    """A number that changes with the definition of any table or view."""
    sql = "SELECT groupBitXor(cityHash64(name, create_table_query)) FROM system.tables WHERE database = currentDatabase()"
    return int(store.client().query(sql).result_rows[0][0])


def _made(request: pytest.FixtureRequest) -> Iterator[ClickHouse]:
    database = f"test_{uuid.uuid4().hex}"
    if request.param == "embedded":
        made = ClickHouse(embedded=EmbeddedClickHouse(request.getfixturevalue("embedded_path")), database=database)
    else:
        made = ClickHouse(url=request.getfixturevalue("server_url"), database=database)
    yield made
    made.close()
