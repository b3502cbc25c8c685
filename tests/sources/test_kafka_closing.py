"""Closing consumers whose broker does not answer. ``test_kafka.py`` does it with a broker that is dead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from confluent_kafka import Consumer

from sources.kafka import closing
from sources.kafka.closing import ConsumerCloser
from tests.support.waiting import PATIENCE, ends_within


class Waiting:
    """A consumer that closes once ``answered`` is set, or after ``seconds``."""

    def __init__(self, answered: threading.Event, seconds: float = PATIENCE) -> None:
        self._answered, self._seconds = answered, seconds

    def close(self) -> None:
        self._answered.wait(self._seconds)


@pytest.fixture
def answered() -> Iterator[threading.Event]:
    """Set at the end of the test, so that no thread stays."""
    event = threading.Event()
    yield event
    event.set()


def close(closer: ConsumerCloser, *consumers: Any) -> None:
    for each in consumers:
        closer.close(cast(Consumer, each))


def test_all_consumers_together_wait_for_so_long(answered: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "_LEAST_S", 0.001)
    with ends_within(20, "closing 200 consumers with one second for all of them"):
        close(ConsumerCloser("events", 1.0), *[Waiting(answered)] * 200)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == closing.__name__]


def test_one_that_is_not_answered_is_told(answered: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    close(ConsumerCloser("events", 0.01), Waiting(answered))
    assert said(caplog) == ["events: Kafka does not answer the last commit of a partition; this process ends without it"]


def test_one_that_is_answered_still_sends_its_commit_when_the_time_is_over(
    answered: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "_LEAST_S", PATIENCE)
    close(ConsumerCloser("events", 0.0), Waiting(answered, 0.2))
    assert said(caplog) == []
