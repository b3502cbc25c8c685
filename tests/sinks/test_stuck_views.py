"""The scorecard of the alarms gives the numbers a person works out by hand, on held-out people alone."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest
from msgspec import structs

from evaluation.episodes import KEY, episodes
from evaluation.stuck import classify_alarms, holdout_signals, label_by_holdout
from reports.evidence import load
from reports.run_report import build_report, read_learned
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.read_only_query import query
from state.records.facts import EventFact, Fact, PersonFact, ProgressFact, SignalFact, StepStatisticFact, StuckScoreFact
from tests.sinks.view_rows import HOUR, MONDAY, STORES, insert, progress, rows
from tests.support.facts import make

pytestmark = pytest.mark.parametrize("store_of_module", STORES, indirect=True)

pytest_plugins = ["tests.support.clickhouse_stores"]

DAY = 24 * HOUR


def newest_event(tenant: str = "t") -> EventFact:
    return make(EventFact, tenant_id=tenant, event_id="newest", timestamp=MONDAY, log_time=MONDAY + 3 * DAY)


def statistic(version: int, horizon: int, *, at: int) -> StepStatisticFact:
    return make(StepStatisticFact, step_id="one", parameters_version=version, horizon_ms=float(horizon), learned_at=MONDAY + at)


def person(user: str, group: str = "holdout", *, activated: int = 0) -> PersonFact:
    return make(
        PersonFact, user_id=user, path_id="p", experiment_group=group, last_active_at=MONDAY + 3 * DAY, activated_at=activated
    )  # fmt: skip


def current(user: str, done: int = 0, since: int = MONDAY) -> ProgressFact:
    return progress(user, "one", 1, "completed" if done else "current", since=since, done=done)


def alarm(user: str, after: int, trigger: str = "stuck:inactive", score: float = 0.9, ident: str = "") -> SignalFact:
    return make(
        SignalFact, signal_id=ident or user, user_id=user, trigger=trigger, path_id="p", step_id="one", score=score,
        detected_at=MONDAY + after,
    )  # fmt: skip


@pytest.fixture
def judged(migrated: ClickHouse) -> ClickHouse:
    """H is 20 h, and later 5 h. Stuck: found (twice, the first counts), late, missed. Not stuck: vain, fast. Not counted: guided, young."""
    insert(
        migrated,
        *(person(user) for user in ("found", "late", "missed", "vain", "fast", "young")),
        person("guided", "adaptive"),
        current("found"), current("late", MONDAY + 40 * HOUR), current("missed"), current("vain", MONDAY + 15 * HOUR),
        current("fast", MONDAY + HOUR), current("young", since=MONDAY + 3 * DAY - HOUR), current("guided"),
        alarm("found", 6 * HOUR), alarm("found", 9 * HOUR, "stuck:errors", ident="again"), alarm("late", 11 * HOUR, "stuck:errors"),
        alarm("vain", 8 * HOUR, score=0.8), alarm("guided", HOUR), alarm("young", 3 * DAY),
        statistic(1, 20 * HOUR, at=-DAY), statistic(2, 5 * HOUR, at=DAY), newest_event(),
        make(StepStatisticFact, step_id="*", parameters_version=2),
    )  # fmt: skip
    return migrated


def test_the_scorecard_by_step(judged: ClickHouse) -> None:
    columns = "step_id, episodes, stuck_people, alarms, matched_alarms, precision, recall, recovered_alone, lead_hours"
    assert rows(judged, "stuck_scorecard_by_step", columns) == [("one", 5, 3, 3, 1, 0.3333, 0.3333, 0.3333, 14.0)]


@pytest.mark.parametrize(("after", "went_on"), [(5 * HOUR, 0), (50 * HOUR, 1)], ids=["before the alarm", "after it"])
def test_the_scorecards_count_the_users_of_right_alarms_who_went_on_without_help(judged: ClickHouse, after: int, went_on: int) -> None:
    """A later step that was completed before the alarm (where the order matters, so that nothing was left) says nothing."""
    strict = [structs.replace(current(user), path_order="strict") for user in ("found", "late", "missed")]
    later = [progress(user, "two", 2, "completed", done=MONDAY + after) for user in ("found", "late", "missed", "vain", "guided")]
    insert(judged, *(structs.replace(each, version=2) for each in strict), *later)
    assert rows(judged, "stuck_episodes WHERE went_on", "user_id") == [("found",)] * went_on
    assert rows(judged, "stuck_scorecard_by_step WHERE step_id = 'one'", "went_on") == [(went_on,)]
    assert rows(judged, "stuck_scorecard_by_trigger ORDER BY trigger", "trigger, went_on") == [
        ("stuck:errors", 0),
        ("stuck:inactive", went_on),
    ]


def test_the_scorecard_by_trigger(judged: ClickHouse) -> None:
    columns = "trigger, alarms, matched_alarms, precision, found, mean_score, recovered_alone, lead_hours"
    assert rows(judged, "stuck_scorecard_by_trigger", columns) == [
        ("stuck:inactive", 2, 1, 0.5, 0.3333, 0.85, 0.5, 14.0),
        ("stuck:errors", 1, 0, 0.0, 0.0, 0.9, 0.0, None),
    ]


def test_nobody_is_stuck_after_activation_or_at_a_step_that_they_left(judged: ClickHouse) -> None:
    """As ``evaluation.episodes`` has it: where the order of the path matters, to complete a later step first is not to leave this one."""

    def two(user: str, position: int, *, since: int = 0, done: int = 0, order: str = "free") -> ProgressFact:
        row = progress(user, "two", position, "completed" if done else "current", since=since, done=done)
        return structs.replace(row, path_order=order)

    insert(
        judged,
        person("activated before", activated=MONDAY - 1), current("activated before"), alarm("activated before", HOUR),
        person("activated", activated=MONDAY + 20 * HOUR), current("activated"),
        person("activated late", activated=MONDAY + 20 * HOUR + 1), current("activated late"),
        person("moved on"), current("moved on", MONDAY + 30 * HOUR), two("moved on", 2, since=MONDAY + 9 * HOUR),
        person("ahead"), current("ahead"), two("ahead", 2, done=MONDAY + 9 * HOUR),
        person("long ahead"), current("long ahead"), two("long ahead", 2, done=MONDAY - HOUR),
        person("behind"), current("behind"), two("behind", 0, done=MONDAY + 9 * HOUR),
        person("strict"), structs.replace(current("strict"), path_order="strict"), two("strict", 2, done=MONDAY + 9 * HOUR, order="strict"),
    )  # fmt: skip
    columns = "user_id, stuck, round(ended_after_ms / 3600000)"
    new = "WHERE step_id = 'one' AND user_id NOT IN ('found', 'late', 'missed', 'vain', 'fast') ORDER BY user_id"
    assert rows(judged, f"stuck_episodes {new}", columns) == [
        ("activated", 0, 20.0),
        ("activated late", 1, 20.0),
        ("ahead", 0, 9.0),
        ("behind", 1, None),
        ("long ahead", 0, 0.0),
        ("moved on", 0, 9.0),
        ("strict", 1, None),
    ]
    assert rows(judged, "stuck_scorecard_by_step WHERE step_id = 'one'", "episodes, stuck_people, alarms") == [(12, 6, 3)]


def test_every_episode_is_judged_by_the_horizon_in_force_when_it_began(judged: ClickHouse) -> None:
    """That of its scores, else of its alarm, else of the statistics then in force, else of the first that were learned."""

    def scored(user: str, horizon: int, *, at: int) -> StuckScoreFact:
        return make(StuckScoreFact, user_id=user, step_id="one", share=0.1, horizon_ms=float(horizon), judged_at=at)

    then, now = MONDAY + HOUR, MONDAY + DAY + HOUR
    insert(
        judged,
        *(person(user) for user in ("first", "then", "now", "scored", "named", "another life")),
        current("first", MONDAY - 3 * DAY + 19 * HOUR, MONDAY - 3 * DAY), current("then", then + 19 * HOUR, then),
        current("now", now + 6 * HOUR, now), current("scored", now + 6 * HOUR, now), scored("scored", 7 * HOUR, at=now + HOUR),
        current("named", now + 6 * HOUR, now),
        structs.replace(alarm("named", DAY + 2 * HOUR), evidence='{"elapsed":3600000,"horizon":28800000}'),
        current("another life", now + 6 * HOUR, now), scored("another life", 90 * HOUR, at=now - 1),
    )  # fmt: skip
    users = ("first", "then", "now", "scored", "named", "another life")
    found = rows(judged, f"stuck_episodes WHERE user_id IN {users}", "user_id, horizon_ms / 3600000, stuck")
    assert {user: (horizon, stuck) for user, horizon, stuck in found} == {
        "first": (20.0, 0), "then": (20.0, 0), "now": (5.0, 1), "scored": (7.0, 0), "named": (8.0, 0), "another life": (5.0, 1),
    }  # fmt: skip
    insert(judged, *(structs.replace(each, step_id="two") for each in (current("then"), scored("then", 9 * HOUR, at=then))), person("next"))
    insert(judged, structs.replace(current("next"), step_id="two"))
    of_two = rows(judged, "stuck_episodes WHERE step_id = 'two'", "user_id, horizon_ms / 3600000, stuck")
    assert of_two == [("then", 9.0, 1)], "nothing was learned of the step yet"


def test_the_alarm_of_a_visitor_is_that_of_the_user_who_came_to_the_step_as_that_visitor(judged: ClickHouse) -> None:
    """Where the step began anew for the user, by a sign-up, the alarm from before is not theirs."""
    for user in ("ana", "ben"):
        merge = make(EventFact, user_id=user, event_id=user, event_type="identity_merged", status="applied", log_time=MONDAY + DAY,
                     timestamp=MONDAY + DAY, payload=f'{{"previousId": "visitor of {user}"}}')  # fmt: skip
        visitor = f"visitor of {user}"
        scored = make(StuckScoreFact, user_id=visitor, step_id="one", share=0.1, horizon_ms=20.0 * HOUR, judged_at=MONDAY + 2 * HOUR)
        insert(judged, person(user), person(visitor, "merged"), merge, current(visitor), alarm(visitor, 6 * HOUR), scored)
    insert(judged, current("ana"), current("ben", since=MONDAY + DAY))
    columns = "user_id, stuck, alarmed, matched, alarm_after_ms / 3600000"
    found = rows(judged, "stuck_episodes WHERE user_id IN ('ana', 'ben') ORDER BY user_id", columns)
    assert found == [("ana", 1, 1, 1, 6.0), ("ben", 1, 0, 0, None)]
    loaded = load(lambda sql, **parameters: query(judged, sql, parameters), "t")
    assert {*loaded.signals["user_id"]} & {"ana", "ben", "visitor of ana", "visitor of ben"} == {"ana", "visitor of ben"}
    assert {*loaded.scores["user_id"]} == {"ana", "visitor of ben"}


def test_the_step_of_a_user_began_with_the_visitor_whose_events_say_so_in_whatever_order_they_came(judged: ClickHouse) -> None:
    """The row of a visitor keeps when the step became current as the events came, that of the user when it did by their time.

    ``dan``'s second visitor came to the step later, as did the visitor of ``eva``, who was there herself.
    ``fay`` came to it by another step.
    """
    began = {"cy": 0, "dan": 0, "eva": -HOUR, "fay": HOUR // 4}
    visits = [("cy", 0, HOUR // 2), ("dan", 0, HOUR // 2), ("dan", HOUR, HOUR), ("eva", 0, HOUR // 2), ("fay", 0, HOUR // 2)]
    for user, since in began.items():
        insert(judged, person(user), current(user, since=MONDAY + since))
    for number, (user, first, since) in enumerate(visits):
        visitor = f"{user}'s {number}"
        of_visitor = make(PersonFact, user_id=visitor, experiment_group="merged", person_key=user, first_seen_at=MONDAY + first)
        insert(judged, structs.replace(person(user), person_key=user, version=2), of_visitor, current(visitor, since=MONDAY + since))
    insert(judged, structs.replace(current("fay's 4", done=MONDAY + HOUR // 4), step_id="zero"))
    found = rows(judged, "steps_of_visitors WHERE step_id = 'one' ORDER BY visitor_id", "visitor_id, user_id")
    assert found == [("cy's 0", "cy"), ("dan's 1", "dan"), ("fay's 4", "fay")]


def test_how_long_a_step_takes_ends_at_activation_and_begins_when_it_became_current(judged: ClickHouse) -> None:
    at = MONDAY + HOUR
    insert(
        judged,
        person("activated", activated=at), structs.replace(current("activated", at + DAY), step_id="two"),
        person("done"), structs.replace(current("done", at), step_id="two"),
        person("before"), structs.replace(current("before", MONDAY - HOUR), step_id="two"),
    )  # fmt: skip

    def asked(sql: str, **parameters: object) -> pl.DataFrame:
        return query(judged, sql, parameters)

    (curve,) = (each for each in build_report(load(asked, "t"), read_learned(asked, "t")).steps if each.step == "two")
    assert (curve.people, curve.completed, list(curve.observed.times)) == (2, 1, [HOUR])


def test_the_view_and_the_report_judge_the_same_episodes_alike(migrated: ClickHouse) -> None:
    """Random people on a path of free and one of strict order: steps in any order, done or not, with and without scores and alarms.

    Some of them were visitors, and some met another catalog.
    """
    draw = Random(7)
    facts: list[Fact] = [newest_event()]
    for version in range(6):
        at = MONDAY + (version - 1) * DAY // 2
        horizons = {step: float(draw.randrange(1, 30) * HOUR) for step in ("a", "b", "c")}
        facts += [
            make(StepStatisticFact, step_id=step, parameters_version=version, learned_at=at, horizon_ms=h) for step, h in horizons.items()
        ]
    for n in range(1_000):
        user, path = f"u{n}", draw.choice(["free", "strict"])
        group, activated = draw.choice(["holdout", "holdout", "adaptive", "existing"]), draw.choice([0, draw.randrange(60)])
        facts.append(
            make(PersonFact, user_id=user, path_id=path, experiment_group=group, activated_at=activated and MONDAY + activated * HOUR)
        )
        visitor = f"visitor {n}" if draw.random() < 0.2 else ""
        if visitor:
            named = f'{{"previousId": "{visitor}"}}'
            facts.append(make(PersonFact, user_id=visitor, path_id=path, experiment_group="merged"))
            facts.append(make(EventFact, user_id=user, event_id=user, event_type="identity_merged", status="applied", payload=named))
        if met := draw.random() < 0.2:
            facts.append(make(ProgressFact, user_id=user, status="catalog_changed", version=2))
        for position, step in enumerate(("a", "b", "c", "d"), 1):
            since, done = draw.choice([0, draw.randrange(1, 60)]), draw.choice([0, 0, draw.randrange(1, 70)])
            row = progress(
                user, step, position, "current", since=since and MONDAY + since * HOUR, done=done and MONDAY + done * HOUR, path=path
            )
            facts.append(structs.replace(row, path_order=path, version=1 + (met and draw.random() < 0.8)))
            came = visitor if draw.random() < 0.5 else ""
            if came:
                facts.append(structs.replace(row, user_id=visitor, completed_at=0))
            place = {"user_id": came or user, "step_id": step}
            if draw.random() < 0.4:
                at, horizon = MONDAY + (since + draw.randrange(-1, 9)) * HOUR, float(draw.randrange(1, 40) * HOUR)
                facts += [make(StuckScoreFact, share=share, horizon_ms=horizon, judged_at=at, **place) for share in (0.1, 0.2)]
            for turn in range(draw.choice([0, 0, 1, 2])):
                evidence = draw.choice(["{}", f'{{"horizon":{draw.randrange(1, 40) * HOUR}}}'])
                at = MONDAY + (since + draw.randrange(-2, 15)) * HOUR + turn
                facts.append(make(SignalFact, signal_id=f"{user} {step} {turn}", trigger="t", evidence=evidence, detected_at=at, **place))
    inserter = ClickHouseInserter(migrated)
    for kind in {type(fact) for fact in facts}:
        inserter.insert(kind.TABLE, to_frame(kind, [fact for fact in facts if type(fact) is kind]))
    loaded = load(lambda sql, **parameters: query(migrated, sql, parameters), "t")
    labelled = label_by_holdout(loaded, strict=["strict"])
    judged = classify_alarms(labelled, holdout_signals(loaded, labelled)).filter("counted").sort("user_id", "step_id")
    assert judged.filter("matched").height > 20
    expected = judged.select(
        *KEY, "horizon", ended=pl.col("ended_at") - pl.col("onset"), stuck="positive", alarmed="alarmed", matched="matched"
    )
    went_on = episodes(loaded, ["strict"]).select(*KEY, "went_on_at")
    counted = judged.join(went_on, on=KEY, how="left", maintain_order="left")
    expected = expected.with_columns(counted.select(went_on=pl.col("matched") & (pl.col("went_on_at") >= pl.col("detected_at"))))
    expected = expected.with_columns(pl.col("went_on").fill_null(value=False))
    assert 0 < expected["went_on"].sum() < expected["matched"].sum()
    columns = "user_id, step_id, horizon_ms, ended_after_ms, stuck, alarmed, matched, went_on"
    assert rows(migrated, "stuck_episodes ORDER BY user_id, step_id", columns) == [tuple(row) for row in expected.iter_rows()]
