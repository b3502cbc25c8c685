"""A real Apache Kafka, started once for all files of this directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.apache_kafka import ApacheKafka, run_apache_kafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    with run_apache_kafka(tmp_path_factory.mktemp("kafka") / "broker") as broker:
        yield broker
