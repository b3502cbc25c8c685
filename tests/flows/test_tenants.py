"""A job with a catalog for each tenant: what it does for one tenant is what a job of that tenant alone would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from bytewax.testing import TestingSource, run_main

from flows.catalogs import BUILT_IN, load_catalog
from flows.onboarding import FlowParts, SideChannels, build
from local.data_dir import DataDir, DataDirError
from sources.batching import BatchPolicy
from sources.files.source import JsonlSource
from sources.selected import SelectedSource
from state.catalog.by_tenant import ByTenant, Plans
from state.catalog.plan import Plan
from state.decode import peek, peek_person
from state.duration import DAY, HOUR, MINUTE
from state.messages import Message
from state.records.dead_letter import DeadLetter
from state.records.facts import (
    CatalogFact,
    DeadLetterFact,
    DecisionFact,
    OutcomeFact,
    PersonFact,
    ProgressFact,
    RecommendationFact,
    StepMetricFact,
    StepStatisticFact,
)
from state.records.recommendation import Erase, Publish
from tests.support.job_runs import finish, kill_often
from tests.support.job_state import differences, rows
from tests.support.memory_job import KEYS, Job, metrics
from tests.support.populations import population
from tests.support.stories import MONDAY, Log, MemoryRedis, MemorySink, rfc3339, rich_log, visitors_log
from tests.support.two_products import ACME, BLUE, PLANS, TENANTS, lines_of_both, of_both, tenant_of

STORY = tuple(of_both(rich_log().items))
VISITORS = tuple(of_both(visitors_log().items))
HOUR_LONG = timedelta(hours=1)


class Left(NamedTuple):
    """What a run left: rows without the partial sums, those sums, what apps read, and rejected messages. Counters of the whole job."""

    rows: list[Any]
    sums: Counter[tuple[Any, ...]]
    redis: dict[tuple[str, str], Any]
    progress: dict[tuple[str, str], Any]
    letters: list[DeadLetter]

    def of(self, tenant: str) -> Left:
        """The part of one tenant, in an order that does not depend on other tenants. Rejected messages have none."""
        own = [row for row in self.rows if not isinstance(row, DeadLetterFact) and row.tenant_id == tenant]
        rows = sorted(own, key=lambda row: (type(row).__name__, msgspec.json.encode(row)))
        sums = Counter({key: count for key, count in self.sums.items() if key[0] == tenant})
        redis = {key: effect for key, effect in self.redis.items() if key[0] == tenant}
        progress = {key: effect for key, effect in self.progress.items() if key[0] == tenant}
        return Left(rows, sums, redis, progress, [])


def left(facts: MemorySink, redis: MemoryRedis, letters: MemorySink) -> Left:
    assert not redis.changed
    rows = [row for row in facts.items if not isinstance(row, StepMetricFact)]
    return Left(rows, metrics(facts.items), redis.newest, redis.progress, letters.items)


def ran(items: Iterable[Any], store: Path, plans: Plans, *, workers: int = 1) -> Left:
    """A job over ``items``, resumed after every break in them."""
    job = Job(items, store, partitions=2 if workers > 1 else 1)
    job.plans = plans
    for _ in range(1 + sum(isinstance(item, TestingSource.EOF | TestingSource.ABORT) for item in job.items)):
        job.run(epoch=HOUR_LONG, workers=workers)
    return left(job.facts, job.redis, job.letters)


def only(tenant: str, items: Iterable[Any]) -> list[Any]:
    """The input without the messages of other tenants."""
    return [item for item in items if not isinstance(item, Message) or is_of(tenant, item)]


def alone(tenant: str) -> Plans:
    """The catalog of one tenant as the only one of a job."""
    return ByTenant(PLANS.of(tenant))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return ran(STORY, tmp_path_factory.mktemp("together") / "state", PLANS)


@pytest.mark.parametrize("story", [STORY, VISITORS], ids=["story", "visitors"])
def test_one_job_with_two_catalogs_leaves_what_two_jobs_with_one_each_leave(story: tuple[Any, ...], tmp_path: Path) -> None:
    both = ran(story, tmp_path / "both", PLANS)
    for place, tenant in enumerate(TENANTS):
        single = ran(only(tenant, story), tmp_path / f"single-{place}", alone(tenant))
        assert both.of(tenant) == single.of(tenant)
        assert len(both.of(tenant).rows) > 100


def test_the_same_events_of_the_same_users_mean_something_else_to_the_other_tenant(together: Left) -> None:
    acme, blue = (together.of(tenant) for tenant in TENANTS)
    steps = [[row for row in each.rows if isinstance(row, ProgressFact) and row.completed_at] for each in (acme, blue)]
    done = [{(row.user_id, row.step_id) for row in each} for each in steps]
    assert ("ana", "connect_source") in done[0]
    assert ("ana", "build_dashboard") in done[1] - done[0]
    shown = [[each.progress for each in side.progress.values() if each.progress is not None] for side in (acme, blue)]
    titles = [{step.title for each in side for step in each.steps} for side in shown]
    assert all(title.startswith("the other ") for title in titles[1])
    assert not titles[0] & titles[1]
    texts = [{each.recommendation.message for each in side.redis.values() if isinstance(each, Publish)} for side in (acme, blue)]
    assert all(texts)
    assert texts[0] & texts[1] <= {""}, "only withdrawn guidance has no words of its own"


@pytest.mark.parametrize("every", [19, pytest.param(3, marks=pytest.mark.slow)])
def test_a_crash_anywhere_changes_nothing_for_either_tenant(together: Left, every: int, tmp_path: Path) -> None:
    cuts = range(every, len(STORY), every)
    for cut in cuts if every < 10 else list(cuts)[::3]:
        items = [*STORY[:cut], TestingSource.ABORT(), *STORY[cut:]]
        assert ran(items, tmp_path / str(cut), PLANS) == together


@pytest.mark.slow
def test_on_two_workers_each_tenant_has_the_same_progress(together: Left, tmp_path: Path) -> None:
    """Rows between may differ: an event of a visitor may overtake one of the user."""
    found = ran(STORY, tmp_path / "state", PLANS, workers=2)
    for tenant in TENANTS:
        assert completed(found.of(tenant)) == completed(together.of(tenant)) != {}


def completed(of: Left) -> dict[tuple[str, str], int]:
    """(User, step) → when it was completed, as the newest rows say."""
    newest: dict[tuple[str, str], ProgressFact] = {}
    for row in of.rows:
        if isinstance(row, ProgressFact):
            known = newest.get((row.user_id, row.step_id))
            newest[row.user_id, row.step_id] = row if known is None or known.version <= row.version else known
    return {key: row.completed_at for key, row in newest.items() if row.completed_at}


# one tenant's catalog changes, or a tenant comes


def test_a_change_of_one_catalog_leaves_the_others_as_they_are(together: Left, tmp_path: Path) -> None:
    half = len(STORY) // 2
    items = [*STORY[:half], TestingSource.EOF(), *STORY[half:]]
    job = Job(items, tmp_path / "state")
    job.plans = PLANS
    job.run(epoch=HOUR_LONG)
    before = len(job.facts.items)
    job.plans = ByTenant(None, {ACME: PLANS.of(ACME), BLUE: Plan(load_catalog("saas").model_copy(update={"version": "2"}))})
    job.run(epoch=HOUR_LONG)
    found = left(job.facts, job.redis, job.letters)
    assert found.of(ACME) == together.of(ACME)
    assert found.of(BLUE) != together.of(BLUE)
    derived_anew = {row.user_id for row in job.facts.items[before:] if isinstance(row, PersonFact) and row.tenant_id == BLUE}
    assert derived_anew, "who was known in the changed tenant is derived anew"


def test_a_tenant_without_a_catalog_is_rejected_with_a_reason_until_a_restart_brings_one(tmp_path: Path) -> None:
    half = 1 + max(place for place, item in enumerate(STORY) if isinstance(item, Message) and b"user_deleted" in item.value)
    job = Job([*STORY[:half], TestingSource.EOF(), *STORY[half:]], tmp_path / "state")
    job.plans = ByTenant(None, {ACME: PLANS.of(ACME)})
    job.run(epoch=HOUR_LONG)
    first = left(job.facts, job.redis, job.letters)
    rejected = [letter for letter in first.letters if letter.reason == "unknown_tenant"]
    sent = [item.value for item in STORY[:half] if isinstance(item, Message) and tenant_of(item.value) == BLUE]
    deletions = [value for value in sent if b"user_deleted" in value]
    assert [letter.raw for letter in rejected] == [value for value in sent if value not in deletions]
    assert [type(effect) for effect in first.of(BLUE).redis.values()] == [Erase] * len(deletions) != [], "a deletion is never refused"
    assert not [row for row in first.rows if isinstance(row, PersonFact | ProgressFact) and row.tenant_id == BLUE]
    with_catalog = {row.tenant_id for row in first.rows if isinstance(row, CatalogFact)}
    assert with_catalog == {ACME}, "a deletion is the same under every catalog, and none is that of the tenant"
    job.plans = PLANS
    job.run(epoch=HOUR_LONG)
    assert len([letter for letter in job.letters.items if letter.reason == "unknown_tenant"]) == len(rejected)
    assert left(job.facts, job.redis, job.letters).of(BLUE).progress


def test_a_tenant_with_users_by_the_catalog_for_all_others_gets_no_other_product(tmp_path: Path) -> None:
    """Nobody named it, so only what the job learned of its users says that it has some."""
    data_dir, log = DataDir.create(tmp_path / "data"), Log()
    for number in range(3):
        log.send(9 * HOUR, f"user-{number}", "signup", traits={"persona": "analyst"})
    ran(of_both(log.items), data_dir.state, ByTenant(PLANS.of(ACME)))
    data_dir.bind_catalogs(ByTenant("shop"))
    for tenant in TENANTS:
        refusal = f"The tenant {tenant} belongs to the catalog shop in .*, and this run uses bank for it: keep the tenant in that catalog"
        with pytest.raises(DataDirError, match=refusal):
            data_dir.check_catalogs(ByTenant("shop", {"new": "bank", tenant: "bank"}))
        data_dir.check_catalogs(ByTenant("shop", {"new": "bank", tenant: "shop"}))
    with pytest.raises(DataDirError, match="keep that one without `tenants`"):
        data_dir.check_catalogs(ByTenant(None, dict.fromkeys(TENANTS, "shop")))
    data_dir.bind_catalogs(ByTenant("shop", {"new": "bank"}))
    with pytest.raises(DataDirError, match="The tenant new belongs to the catalog bank"):
        data_dir.check_catalogs(ByTenant("shop", {"new": "shop"}))
    for file in data_dir.state.iterdir():
        file.write_bytes(b"damaged" * 1000)
    with pytest.raises(DataDirError, match="cannot be read"):
        data_dir.check_catalogs(ByTenant("shop", {"new": "bank", ACME: "bank"}))


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_pause_reaches_its_tenant_after_a_long_stop_whatever_the_other_catalog_says(tenant: str, tmp_path: Path) -> None:
    """Recommendations of one tenant are valid for 24 hours, of the other for 5: the job must not forget the switch after 5."""
    log = Log()
    for number in range(9):
        log.send(9 * HOUR, f"user-{number}", "signup", traits={"persona": "analyst"})
    before = len(of_both(log.items))
    log.send(17 * HOUR, "eve", "page_view", path="/home")
    both = of_both(log.items)
    sender = {"tenantId": tenant, "eventId": "s", "userId": "boss", "timestamp": rfc3339(MONDAY + 9 * HOUR)}
    switch = msgspec.json.encode({**sender, "eventType": "guidance_switched", "payload": {"action": "pause"}})
    last = both[before - 1]
    assert isinstance(last, Message)
    paused = msgspec.structs.replace(last, value=switch, seq=last.seq + 1, offset=last.seq + 1, log_time=last.log_time + MINUTE)
    items = [*both[:before], paused, TestingSource.EOF(), *both[before:]]
    found = ran(items, tmp_path / "state", PLANS)
    shown = {
        name: {each.recommendation.ui_component for each in found.of(name).redis.values() if isinstance(each, Publish)} for name in TENANTS
    }
    assert shown.pop(tenant) == {"none"}
    assert shown.popitem()[1] - {"none"}, "nobody paused the other tenant"


# simulated users, through the source that reads files


def on_a_file(path: Path, plans: Plans, wanted: Callable[[Message], bool]) -> Left:
    side, redis, facts, letters = SideChannels(), MemoryRedis(), MemorySink(), MemorySink()
    policy = BatchPolicy(side.timers.peek, partial(side.parameters.lookahead, plans.distinct), 500)
    source = JsonlSource(path, peek, policy, now=lambda: MONDAY + 365 * DAY, peek_person=peek_person)
    run_main(build(FlowParts(SelectedSource(source, wanted), redis, facts, letters, plans, KEYS, side)))  # type: ignore[no-untyped-call]
    return left(facts, redis, letters)


def is_of(tenant: str, message: Message) -> bool:
    return tenant_of(message.value) in (None, tenant)


@pytest.mark.parametrize(
    ("users", "days", "seed"),
    [(25, 6, 3), *(pytest.param(120, 10, seed, marks=pytest.mark.slow) for seed in (1, 2))],
)
def test_simulated_users_of_two_tenants_are_treated_as_in_two_jobs(users: int, days: int, seed: int, tmp_path: Path) -> None:
    """Learned parameters, drawn arms, texts, alarms, timers, deletions and visitors: all of it, in every row."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line + b"\n" for each in population(users, days, seed) for line in lines_of_both(each)))
    both = on_a_file(path, PLANS, lambda _message: True)
    for tenant in TENANTS:
        single = on_a_file(path, alone(tenant), partial(is_of, tenant))
        assert both.of(tenant) == single.of(tenant)
        assert both.letters == single.letters
        kinds = Counter(type(row) for row in single.of(tenant).rows)
        assert min(kinds[kind] for kind in (DecisionFact, OutcomeFact, PersonFact, RecommendationFact, StepStatisticFact)) > 0


@pytest.mark.slow
def test_the_whole_job_with_a_directory_of_catalogs_is_killed_again_and_again_and_leaves_the_same(tmp_path: Path) -> None:
    """The real job in processes of its own: every row, record and letter of both tenants, on embedded stores."""
    text = (BUILT_IN / "saas.yaml").read_text(encoding="utf-8")
    other = (
        text.replace("cooldown: 1h", "cooldown: 20m").replace("holdout: 0.1", "holdout: 0").replace("    title: ", "    title: the other ")
    )
    directory, source = tmp_path / "catalogs", tmp_path / "events.jsonl"
    directory.mkdir()
    (directory / "one.yaml").write_text(f"{text}tenants: [{ACME}]\n", encoding="utf-8")
    (directory / "two.yaml").write_text(f"{other}tenants: ['{BLUE}']\n", encoding="utf-8")
    lines = [line for each in population(40, 6, 3) for line in lines_of_both(each)]
    source.write_bytes(b"".join(line + b"\n" for line in lines))
    settings: dict[str, Any] = {"catalog": str(directory), "batch_size": 40, "epoch_seconds": 0.3}
    expected = finish(tmp_path / "reference", source, **settings)
    moments = [len(lines) * part // 4 for part in range(1, 5)]
    assert kill_often(tmp_path / "data", source, moments, Random(1), **settings) > 1
    assert not differences(expected, finish(tmp_path / "data", source, **settings))
    decided = [row["tenant_id"] for row in rows(expected, "decisions")]
    assert min(decided.count(tenant) for tenant in TENANTS) > 50
    assert DataDir.open(tmp_path / "data").read_run()["catalogs"] == {ACME: "saas", BLUE: "saas"}
