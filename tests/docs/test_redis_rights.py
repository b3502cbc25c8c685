"""The rights in Redis that docs/stores.md lists are enough, and without one of them a command says so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from cli.app import invoke
from flows.doctor.store_checks import check_redis
from flows.metrics.probes import RedisProbe
from flows.places.redis import ModelTexts, UserRecords
from flows.settings import load_settings
from gateway.records import Records
from llm.cache.answer_cache import AnswerCache, CachedText, CachePolicy, text_hash, user_digest
from llm.limits.daily_budget import Allowance, Budget, BudgetSettings, Reservation
from llm.review_queue import ReviewEntry, ReviewPolicy, ReviewQueue
from sinks.redis.async_client import connect_async, connect_subscriber
from sinks.redis.client import connect
from sinks.redis.errors import StoreRefusedError
from sinks.redis.reader import RecommendationReader
from sinks.redis.writer import RecommendationWriter, WritePolicy
from state.records.subject import Subject
from tests.sinks.recommendation_samples import erase, progress, publish
from tests.support.valkey import Valkey
from tests.support.valkey_fixtures import valkey
from tests.support.waiting import run_async

__all__ = ["valkey"]  # fixtures

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")
JOB, MODEL, GATEWAY = "the job", "a model", "the gateway"
ALLOWANCE: Final = Allowance(tokens=1_000, micros=1_000)
ANN: Final = Subject("acme", ("ann",))

As = Callable[..., str]
"""Makes a user with the rights of some rows, and no others, and returns the address with that user."""

Review = Callable[..., tuple[int, str]]
"""Runs ``onramp review`` with the address of Redis, and returns its code and what it said."""


def rights_of(*rows: str) -> list[str]:
    """The rights that the table lists in the rows that have these words before a comma, as ``ACL SETUSER`` takes them."""
    table = PAGE.partition("### The rights of its users")[2].partition("\n#")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]
    found = [right for title, commands in cells if title.partition(",")[0] in rows for right in re.findall(r"`([A-Z ]+)`", commands)]
    return ["+" + right.lower().replace(" ", "|") for right in found]


@pytest.fixture
def as_user(valkey: Valkey) -> Iterator[As]:
    admin: Any = connect(valkey.url)
    admin.flushall()

    def make(*rows: str, without: str = "", database: int = 0) -> str:
        rights = [right for right in rights_of(*rows) if right != f"+{without}"]
        assert rights
        admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", "~onramp:*", "&onramp:updates:*", *rights)
        return f"redis://app:pw@127.0.0.1:{valkey.port}/{database}"

    yield make
    admin.execute_command("ACL", "DELUSER", "app")
    admin.close()


@pytest.mark.parametrize("database", [0, 1])
def test_the_job_writes_and_erases_and_commands_read(as_user: As, database: int) -> None:
    url = as_user(JOB, *(["a database other than 0"] if database else []), database=database)
    writer = RecommendationWriter(url, WritePolicy())
    writer.write([publish("acme", "ann", 1), progress("acme", "ann", 1, done=1)])
    writer.write([publish("acme", "ann", 2)])
    reader = RecommendationReader(url)
    assert reader.read("acme", "ann") is not None
    place = UserRecords(url)
    assert len(place.held(ANN)) >= 2
    place.erase(ANN)
    writer.write([erase("acme", "ann", 3)])
    assert place.held(ANN) == []
    place.maintain(ANN)
    probe = RedisProbe(url)
    assert probe.measure()
    for each in (writer, reader, probe):
        each.close()


def test_the_job_announces_what_the_gateway_reads(as_user: As, valkey: Valkey) -> None:
    writer = RecommendationWriter(as_user(JOB, "the gateway's stream: of the job"), WritePolicy())
    with Redis.from_url(valkey.url) as client, client.pubsub(ignore_subscribe_messages=True) as channels:
        channels.psubscribe("onramp:updates:*")
        channels.get_message(timeout=10)
        writer.write([publish("acme", "ann", 1)])
        assert channels.get_message(timeout=10) is not None
    writer.close()


def test_the_gateway_reads_counts_and_listens(as_user: As) -> None:
    url = as_user(GATEWAY, "the gateway's quotas", "the gateway's stream: of the gateway")

    async def run() -> None:
        records = Records(lambda: url)
        assert await records.read("acme", "ann") == (None, None)
        assert await records.recommendation("acme", "ann") is None
        assert await records.progress("acme", "ann") is None
        assert await records.add("onramp:quota:x", 2, keep_seconds=10) == 2
        assert await records.answers()
        await records.close()
        subscriber = connect_subscriber(url, 10.0)
        async with subscriber.pubsub() as channels:
            await channels.psubscribe("onramp:updates:*")
            await channels.ping()
        await subscriber.aclose()

    run_async(run())


def entry(text: str, owner: str = "") -> ReviewEntry:
    scope = "personal" if owner else "shared"
    return ReviewEntry("a" * 32, scope, text, 0.5, "nudge-1", "step", "signup", "arm", "small", 1_767_600_000_000, "low", owner=owner)  # type: ignore[arg-type]


def write_texts(url: str) -> None:
    """What a job with a model writes."""
    own = user_digest("acme", "ann")

    async def run() -> None:
        client = connect_async(url, 10.0)
        cache = AnswerCache(client, CachePolicy(wait_seconds=10.0, local_seconds=0.0))
        for key, user in (("b" * 32, ""), ("c" * 32, "ann")):
            await cache.put("acme", key, CachedText("Go on.", 0.9, "small", "nudge-1", text_hash("Go on."), 1), user=user)
            assert await cache.get("acme", key, user=user) is not None
        assert cache.faults == 0
        queue = ReviewQueue(client, ReviewPolicy(most=2, wait_seconds=10.0))
        for each in (entry("One."), entry("Two."), entry("Three."), entry("Four.", own)):
            assert await queue.put("acme", each) == "queued"
        assert not await queue.was_rejected("acme", text_hash("One."))
        assert await queue.holds("acme", entry("One.").key)
        budget = Budget(client, BudgetSettings(shared=ALLOWANCE, personal=ALLOWANCE, answer_seconds=10))
        reserved = await budget.reserve("acme", "shared", tokens=600, micros=100, day="2026-03-01")
        assert isinstance(reserved, Reservation)
        await budget.settle(reserved, tokens=100, micros=100)
        await client.aclose()

    run_async(run())


@pytest.fixture
def review(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Review:
    def run(url: str, *words: str) -> tuple[int, str]:
        monkeypatch.setenv("ONRAMP_REDIS_URL", url)
        monkeypatch.setenv("ONRAMP_DATA_DIR", str(tmp_path / "data"))
        code = invoke(["review", *words, "--tenant", "acme"])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_a_job_with_a_model_writes_and_people_decide(as_user: As, review: Review) -> None:
    url = as_user(JOB, MODEL)
    write_texts(url)
    two, three = entry("Two.").id, entry("Three.").id
    assert "3 texts wait" in review(url, "list")[1]
    assert review(url, "approve", two, "--by", "bob")[0] == 0
    assert "1 approved text is shown" in review(url, "list", "--approved")[1]
    assert review(url, "reject", three, "--by", "bob")[0] == 0
    code, said = review(url, "reject", two, "--by", "bob")
    assert (code, said.partition(":")[0]) == (0, "Rejected")
    place = ModelTexts(url)
    assert len(place.held(ANN)) == 2
    place.erase(ANN)
    assert place.held(ANN) == []


def test_the_doctor_asks_what_it_wants_to_know(as_user: As) -> None:
    found = check_redis(load_settings(redis_url=as_user("`onramp doctor`")))
    assert {each.status for each in found} <= {"ok", "warn"}, found
    assert found[0].check == "Redis"


@pytest.mark.parametrize(("words", "without"), [("list", "zrange"), ("list --approved", "hgetall"), ("reject x --by bob", "hmget")])
def test_a_review_without_a_right_names_what_to_grant(as_user: As, review: Review, words: str, without: str) -> None:
    write_texts(as_user(JOB, MODEL))
    code, said = review(as_user(JOB, MODEL, without=without), *words.split())
    assert code == 1
    assert without in said
    assert said.endswith("grant this user the commands that docs/stores.md lists, on keys that match onramp:*.\n")
    assert "pw@" not in said


@pytest.mark.parametrize("without", ["smembers", "zrange", "get"])
def test_an_export_without_a_right_names_what_to_grant(as_user: As, without: str) -> None:
    url = as_user(JOB, MODEL, without=without)
    with pytest.raises(StoreRefusedError, match=r"grant this user the commands that docs/stores\.md lists"):
        (UserRecords if without == "get" else ModelTexts)(url).held(ANN)


def test_a_user_has_no_other_rights(as_user: As) -> None:
    """Else these tests would find nothing."""
    with Redis.from_url(as_user(JOB, MODEL)) as client, pytest.raises(NoPermissionError):
        client.mget("onramp:x")
