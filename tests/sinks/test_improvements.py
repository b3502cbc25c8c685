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
from state.records.recommendation import Effect, MarkShown, Publish, Recommendation, ReplaceText, redis_key, shown_key
from tests.sinks.recommendation_samples import erase, progress, publish
from tests.support.valkey import run_valkey

WORDS = "Better words"


def replace_text(tenant: str, user: str, version: int, message: str = WORDS) -> ReplaceText:
    template = publish(tenant, user, version).recommendation
    return ReplaceText(msgspec.structs.replace(template, message=message, source="llm", prompt_version="nudge-1"))


def mark_shown(tenant: str, user: str, version: int) -> MarkShown:
    return MarkShown(tenant, user, f"decision-{version}", version)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with run_valkey(tmp_path_factory.mktemp("valkey")) as server, Redis.from_url(server.url) as client:
        client.onramp_url = server.url
        yield client


class Store:
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
def store(redis: Redis) -> Iterator[Store]:
    made = Store(redis)
    yield made
    made.writer.close()
    made.reader.close()


def test_a_template_that_nobody_has_seen_is_improved(store: Store) -> None:
    store.write(publish(store.tenant, "ada", 1), replace_text(store.tenant, "ada", 1))
    found = store.reader.read(store.tenant, "ada")
    assert isinstance(found, Recommendation)
    assert (found.message, found.source, found.prompt_version, found.version) == (WORDS, "llm", "nudge-1", 1)
    assert store.writer.counts.improved == 1


def test_the_record_does_not_live_longer_for_it(store: Store) -> None:
    store.write(publish(store.tenant, "ada", 1))
    store.redis.pexpire(redis_key(store.tenant, "ada"), 60_000)
    store.write(replace_text(store.tenant, "ada", 1))
    assert 0 < int(store.redis.pttl(redis_key(store.tenant, "ada"))) <= 60_000


def test_text_never_changes_under_a_readers_eyes(store: Store) -> None:
    store.write(publish(store.tenant, "ada", 1), mark_shown(store.tenant, "ada", 1), replace_text(store.tenant, "ada", 1))
    assert store.message != WORDS
    assert store.writer.counts.refused == 1


def test_an_app_may_set_the_marker_itself(store: Store) -> None:
    store.write(publish(store.tenant, "ada", 1))
    store.redis.set(shown_key(store.tenant, "ada"), "decision-1")
    store.write(replace_text(store.tenant, "ada", 1))
    assert store.message != WORDS


def test_having_seen_an_older_decision_keeps_nothing_back(store: Store) -> None:
    store.write(
        publish(store.tenant, "ada", 1),
        mark_shown(store.tenant, "ada", 1),
        publish(store.tenant, "ada", 2),
        replace_text(store.tenant, "ada", 2),
    )
    assert store.message == WORDS


@pytest.mark.parametrize("version", [1, 3])
def test_only_the_record_of_the_same_decision_is_improved(store: Store, version: int) -> None:
    store.write(publish(store.tenant, "ada", 2), replace_text(store.tenant, "ada", version))
    assert store.message == "Connect your data"


def test_a_deleted_person_gets_nothing(store: Store) -> None:
    store.write(
        publish(store.tenant, "ada", 1),
        mark_shown(store.tenant, "ada", 1),
        erase(store.tenant, "ada", 2),
        replace_text(store.tenant, "ada", 1),
    )
    assert store.message is None
    assert not store.redis.exists(shown_key(store.tenant, "ada"))


def test_a_deletion_in_one_batch_with_what_was_shown_leaves_no_key(store: Store) -> None:
    store.writer.write([publish(store.tenant, "ada", 1), mark_shown(store.tenant, "ada", 1), erase(store.tenant, "ada", 2)])
    store.write(mark_shown(store.tenant, "ada", 1))  # repeated after a crash
    assert not store.redis.exists(shown_key(store.tenant, "ada"))


def test_what_has_expired_is_not_brought_back(store: Store) -> None:
    store.write(replace_text(store.tenant, "ada", 1))
    assert store.message is None


def test_improving_twice_changes_the_words_once(store: Store) -> None:
    store.write(
        publish(store.tenant, "ada", 1), replace_text(store.tenant, "ada", 1), replace_text(store.tenant, "ada", 1, "Still other words")
    )
    assert store.message == WORDS


def test_a_replay_of_the_template_leaves_the_improved_words(store: Store) -> None:
    store.write(publish(store.tenant, "ada", 1), replace_text(store.tenant, "ada", 1), publish(store.tenant, "ada", 1))
    assert store.message == WORDS


def test_a_replay_that_chose_otherwise_replaces_them(store: Store) -> None:
    store.write(publish(store.tenant, "ada", 1), replace_text(store.tenant, "ada", 1))
    other = msgspec.structs.replace(
        publish(store.tenant, "ada", 1, "Chosen otherwise").recommendation, recommendation_id="decision-1.other.mac"
    )
    store.write(Publish(other))
    assert store.message == "Chosen otherwise"


@pytest.mark.parametrize("value", [b"", b"null", b"[1]", b"not json", b'{"version":1}'])
def test_what_cannot_be_read_is_not_improved(store: Store, value: bytes) -> None:
    store.redis.set(redis_key(store.tenant, "ada"), value)
    store.write(replace_text(store.tenant, "ada", 1))
    assert store.redis.get(redis_key(store.tenant, "ada")) == value


def test_a_marker_of_another_type_does_no_harm(store: Store) -> None:
    store.redis.lpush(shown_key(store.tenant, "ada"), "x")
    store.write(publish(store.tenant, "ada", 1), replace_text(store.tenant, "ada", 1), mark_shown(store.tenant, "ada", 1))
    assert store.message == WORDS


KINDS = st.sampled_from(["publish", "replace_text", "mark_shown", "progress", "erase"])


@given(plan=st.lists(st.tuples(KINDS, st.integers(1, 4)), max_size=12), cuts=st.sets(st.integers(0, 12)))
@settings(max_examples=60)
def test_batches_of_any_size_end_alike(redis: Redis, plan: list[tuple[str, int]], cuts: set[int]) -> None:
    make: dict[str, Callable[[str, str, int], Effect]] = {
        "publish": publish,
        "replace_text": replace_text,
        "mark_shown": mark_shown,
        "progress": progress,
        "erase": erase,
    }
    order = list(make)
    # One version belongs to one record, and effects come in order of it, a replay apart.
    plan = sorted(plan, key=lambda each: (each[1], order.index(each[0])))
    ends: list[tuple[object, ...]] = []
    for batched in (False, True):
        store = Store(redis)
        effects = [make[kind](store.tenant, "ada", version) for kind, version in plan]
        start = 0
        for stop in sorted(cuts | {len(effects)}) if batched else range(1, len(effects) + 1):
            store.writer.write(effects[start:stop])
            start = stop
        told = store.reader.read_progress(store.tenant, "ada")
        ends.append((store.message, store.redis.get(shown_key(store.tenant, "ada")), told and told.version))
        store.writer.close()
        store.reader.close()
    assert ends[0] == ends[1]


def test_both_keys_of_a_person_share_a_cluster_slot() -> None:
    assert shown_key("t", "u").split("}")[0] == redis_key("t", "u").split("}")[0]
