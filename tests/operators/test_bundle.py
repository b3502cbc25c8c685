"""Rows and effects arrive in another process as they were sent."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from operators.bundle import Bundle
from state.records.facts import EventFact, Fact
from state.records.recommendation import Erase
from tests.support.memory_job import LOG, VISITORS, Job


def arrived(items: Sequence[Any]) -> list[Any]:
    """Sent twice, as the engine does; both must be the same."""
    bundle = Bundle(items)
    sent = pickle.dumps(bundle)
    assert pickle.dumps(bundle) == sent
    found = pickle.loads(sent)
    assert type(found) is Bundle
    return list(found)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = Job([*LOG, *VISITORS], tmp_path_factory.mktemp("bundle") / "state")
    job.run()
    return job


def test_rows_of_a_job_arrive_in_order(job: Job) -> None:
    rows = job.facts.items
    assert len({type(row) for row in rows}) > 8
    assert any(isinstance(row, Erase) for row in rows)
    found = arrived(rows)
    assert found == rows
    assert [type(row) for row in found] == [type(row) for row in rows]


def test_effects_of_a_job_arrive_in_order(job: Job) -> None:
    effects = [*job.redis.newest.values(), *job.redis.progress.values()]
    assert len({type(effect) for effect in effects}) > 2
    assert arrived(effects) == effects


def test_every_kind_of_row_can_be_decoded() -> None:
    for kind in Fact.__subclasses__():
        msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]


def test_what_messagepack_cannot_hold_arrives_too(job: Job) -> None:
    row = next(row for row in job.facts.items if isinstance(row, EventFact))
    for odd in (msgspec.structs.replace(row, user_id="lone \ud800"), msgspec.structs.replace(row, version=2**70)):
        assert arrived([row, odd]) == [row, odd]


def test_a_bundle_is_encoded_once(job: Job) -> None:
    bundle = Bundle(job.facts.items)
    assert bundle.__reduce__() is bundle.__reduce__()


def test_an_empty_bundle_arrives() -> None:
    assert arrived([]) == []
