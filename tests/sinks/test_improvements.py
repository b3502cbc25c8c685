"""When the words of a model take a template's place under a person's key, on a real server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from sinks.redis.reader import RecommendationReader
from sinks.redis.writer import RecommendationWriter, WritePolicy
from state.records.recommendation import Effect, Freeze, Improve, Publish, Recommendation, redis_key, shown_key
from tests.sinks.recommendation_samples import erase, publish
from tests.support.valkey import run_valkey

WORDS = "Better words"


def improve(tenant: str, user: str, version: int, message: str = WORDS) -> Improve:
    template = publish(tenant, user, version).recommendation
    return Improve(msgspec.structs.replace(template, message=message, source="llm", prompt_version="nudge-1"))


def freeze(tenant: str, user: str, version: int) -> Freeze:
    return Freeze(tenant, user, f"decision-{version}", version)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with run_valkey(tmp_path_factory.mktemp("valkey")) as server, Redis.from_url(server.url) as client:
        client.onramp_url = server.url
        yield client


class Desk:
    """One person's key, written as the job writes it and read as an app reads it."""

    def __init__(self, redis: Redis) -> None:
        self.tenant, self.redis = uuid.uuid4().hex, redis
        url: str = redis.onramp_url  # type: ignore[attr-defined]
        self.writer = RecommendationWriter(url, WritePolicy())
        self.reader = RecommendationReader(url)

    def write(self, *effects: Effect) -> None:
        for effect in effects:
            self.writer.write([effect])

    @property
    def message(self) -> str | None:
        found = self.reader.read(self.tenant, "ada")
        return found.message if isinstance(found, Recommendation) else None


@pytest.fixture
def desk(redis: Redis) -> Iterator[Desk]:
    made = Desk(redis)
    yield made
    made.writer.close()
    made.reader.close()


def test_a_template_that_nobody_has_seen_is_improved(desk: Desk) -> None:
    desk.write(publish(desk.tenant, "ada", 1), improve(desk.tenant, "ada", 1))
    found = desk.reader.read(desk.tenant, "ada")
    assert isinstance(found, Recommendation)
    assert (found.message, found.source, found.prompt_version, found.version) == (WORDS, "llm", "nudge-1", 1)
    assert desk.writer.counts.improved == 1


def test_the_record_does_not_live_longer_for_it(desk: Desk) -> None:
    desk.write(publish(desk.tenant, "ada", 1))
    desk.redis.pexpire(redis_key(desk.tenant, "ada"), 60_000)
    desk.write(improve(desk.tenant, "ada", 1))
    assert 0 < int(desk.redis.pttl(redis_key(desk.tenant, "ada"))) <= 60_000


def test_text_never_changes_under_a_readers_eyes(desk: Desk) -> None:
    desk.write(publish(desk.tenant, "ada", 1), freeze(desk.tenant, "ada", 1), improve(desk.tenant, "ada", 1))
    assert desk.message != WORDS
    assert desk.writer.counts.refused == 1


def test_an_app_may_set_the_marker_itself(desk: Desk) -> None:
    desk.write(publish(desk.tenant, "ada", 1))
    desk.redis.set(shown_key(desk.tenant, "ada"), "decision-1")
    desk.write(improve(desk.tenant, "ada", 1))
    assert desk.message != WORDS


def test_having_seen_an_older_decision_keeps_nothing_back(desk: Desk) -> None:
    desk.write(
        publish(desk.tenant, "ada", 1), freeze(desk.tenant, "ada", 1), publish(desk.tenant, "ada", 2), improve(desk.tenant, "ada", 2)
    )
    assert desk.message == WORDS


@pytest.mark.parametrize("version", [1, 3])
def test_only_the_record_of_the_same_decision_is_improved(desk: Desk, version: int) -> None:
    desk.write(publish(desk.tenant, "ada", 2), improve(desk.tenant, "ada", version))
    assert desk.message == "Connect your data"


def test_a_deleted_person_gets_nothing(desk: Desk) -> None:
    desk.write(publish(desk.tenant, "ada", 1), freeze(desk.tenant, "ada", 1), erase(desk.tenant, "ada", 2), improve(desk.tenant, "ada", 1))
    assert desk.message is None
    assert not desk.redis.exists(shown_key(desk.tenant, "ada"))


def test_what_has_expired_is_not_brought_back(desk: Desk) -> None:
    desk.write(improve(desk.tenant, "ada", 1))
    assert desk.message is None


def test_improving_twice_changes_the_words_once(desk: Desk) -> None:
    desk.write(publish(desk.tenant, "ada", 1), improve(desk.tenant, "ada", 1), improve(desk.tenant, "ada", 1, "Still other words"))
    assert desk.message == WORDS


def test_a_replay_of_the_template_leaves_the_improved_words(desk: Desk) -> None:
    desk.write(publish(desk.tenant, "ada", 1), improve(desk.tenant, "ada", 1), publish(desk.tenant, "ada", 1))
    assert desk.message == WORDS


def test_a_replay_that_chose_otherwise_replaces_them(desk: Desk) -> None:
    desk.write(publish(desk.tenant, "ada", 1), improve(desk.tenant, "ada", 1))
    other = msgspec.structs.replace(
        publish(desk.tenant, "ada", 1, "Chosen otherwise").recommendation, recommendation_id="decision-1.other.mac"
    )
    desk.write(Publish(other))
    assert desk.message == "Chosen otherwise"


@pytest.mark.parametrize("value", [b"", b"null", b"[1]", b"not json", b'{"version":1}'])
def test_what_cannot_be_read_is_not_improved(desk: Desk, value: bytes) -> None:
    desk.redis.set(redis_key(desk.tenant, "ada"), value)
    desk.write(improve(desk.tenant, "ada", 1))
    assert desk.redis.get(redis_key(desk.tenant, "ada")) == value


def test_a_marker_of_another_type_does_no_harm(desk: Desk) -> None:
    desk.redis.lpush(shown_key(desk.tenant, "ada"), "x")
    desk.write(publish(desk.tenant, "ada", 1), improve(desk.tenant, "ada", 1), freeze(desk.tenant, "ada", 1))
    assert desk.message == WORDS


KINDS = st.sampled_from(["publish", "improve", "freeze", "erase"])


@given(plan=st.lists(st.tuples(KINDS, st.integers(1, 4)), max_size=12), cuts=st.sets(st.integers(0, 12)))
@settings(max_examples=60)
def test_batches_of_any_size_end_alike(redis: Redis, plan: list[tuple[str, int]], cuts: set[int]) -> None:
    make: dict[str, Callable[[str, str, int], Effect]] = {"publish": publish, "improve": improve, "freeze": freeze, "erase": erase}
    order = list(make)
    # One version belongs to one record, and effects come in order of it, a replay apart.
    plan = sorted(plan, key=lambda each: (each[1], order.index(each[0])))
    ends: list[str | None] = []
    for batched in (False, True):
        desk = Desk(redis)
        effects = [make[kind](desk.tenant, "ada", version) for kind, version in plan]
        start = 0
        for stop in sorted(cuts | {len(effects)}) if batched else range(1, len(effects) + 1):
            desk.writer.write(effects[start:stop])
            start = stop
        ends.append(desk.message)
        desk.writer.close()
        desk.reader.close()
    assert ends[0] == ends[1]


def test_both_keys_of_a_person_share_a_cluster_slot() -> None:
    assert shown_key("t", "u").split("}")[0] == redis_key("t", "u").split("}")[0]
