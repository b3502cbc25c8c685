"""Fixtures to import: a real Valkey for the tests of one file, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from sinks.redis.client import connect
from tests.support.valkey import Valkey, run_valkey


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with run_valkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def redis(valkey: Valkey) -> Iterator[Redis]:
    client = connect(valkey.url)
    yield client
    client.close()
