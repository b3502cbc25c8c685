"""Fixtures for tests that need a ClickHouse: every test runs on the embedded engine and on a server, in a database of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clickhouse import EmbeddedClickHouse
from sinks.clickhouse.client import ClickHouse
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


def _made(request: pytest.FixtureRequest) -> Iterator[ClickHouse]:
    database = f"test_{uuid.uuid4().hex}"
    if request.param == "embedded":
        made = ClickHouse(embedded=EmbeddedClickHouse(request.getfixturevalue("embedded_path")), database=database)
    else:
        made = ClickHouse(url=request.getfixturevalue("server_url"), database=database)
    yield made
    made.close()
