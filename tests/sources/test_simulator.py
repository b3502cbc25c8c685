"""The simulator's promises: reproducible, valid, true to the catalog, honest about what happened."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.simulator import START, Truth, Written, read_truth, simulate, write
from sources.simulator.matching import MISSING, payloads, values
from state.catalog.model import Catalog, Condition
from state.catalog.parse import parse
from state.duration import DAY
from state.events import decode
from state.messages import Message
from state.vocabulary import STUCK_TRIGGERS

CATALOG = """
id: toy
version: 1
product: Toy
links: [/app/*]
arms: [{id: calm, tone: passive, component: tooltip}]
templates:
  signup: {passive: Hello.}
  step_completed: {passive: Next.}
  "stuck:inactive": {passive: Come back.}
  "stuck:errors": {passive: Try this.}
  "stuck:rage_clicks": {passive: Not there.}
  "stuck:looping": {passive: This way.}
  "stuck:slow_step": {passive: Take your time.}
steps:
  - {id: look, title: Look, link: /app/look, typical: 5m, complete: [{type: page_view, where: {path: {prefix: /app/look/, suffix: .html}}}]}
  - {id: profile, title: Profile, link: /app/me, complete: [{type: identify, where: {traits.companySize: {exists: true}}}]}
  - id: load
    title: Load
    link: /app/load
    typical: 20m
    requires: [look]
    complete:
      - {type: track, name: rows_loaded, where: {rows: {gte: 10, lt: 12}, kind: [csv, json], meta.source: {contains: own}}, times: 3}
      - {type: form_submit, where: {form: load, error: {exists: false}}}
    activity: [{type: button_click, where: {target: {prefix: load-}}}]
  - id: share
    title: Share
    link: /app/share
    requires: [load]
    complete: [{type: track, name: shared, where: {share: {gt: 0, lte: 0.5}}}]
paths:
  - {id: big, title: Big, match: {companySize: [51-200, 1000+], persona: admin}, steps: [look, load, share, profile], activated_by: [share]}
  - {id: small, title: Small, match: {useCase: {prefix: re}, tier: {not_in: [free]}}, steps: [profile, look]}
  - {id: rest, title: Rest, match: {persona: {exists: true}}, steps: [look, load]}
"""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return parse(CATALOG, "toy.yaml")


END = START + 20 * DAY


class Run:
    """A simulation, kept: its lines as they came, its events in order of time, its truth."""

    def __init__(self, catalog: Catalog, users: int = 150, days: int = 10, seed: int = 7, messy: bool = False) -> None:
        self.truth: list[Truth] = []
        self.lines = list(simulate(catalog, users, days, seed, messy=messy, on_truth=self.truth.append))
        self.events: list[dict[str, Any]] = [msgspec.json.decode(line) for line in self.lines]
        self.end = START + days * DAY


@pytest.fixture(scope="module")
def run(catalog: Catalog) -> Run:
    return Run(catalog)


# The reference: what a matcher means, written again from the catalog's documentation. Nothing of the simulator is used.


def passes(condition: Condition, value: Any) -> bool:
    for test, wanted in condition.model_dump(exclude_unset=True).items():
        if test == "exists":
            ok = (value is not None) is wanted
        elif test == "eq":
            ok = value == wanted and type(value) is type(wanted)
        elif test == "in_":
            ok = any(value == one and type(value) is type(one) for one in wanted)
        elif test == "not_in":
            ok = value not in [one for one in wanted if type(one) is type(value)]
        elif isinstance(value, str) and isinstance(wanted, str):
            ok = re.search({"prefix": r"\A%s", "suffix": r"%s\Z", "contains": "%s"}[test] % re.escape(wanted), value) is not None
        elif isinstance(value, int | float) and not isinstance(value, bool):
            ok = {"gt": value > wanted, "gte": not value < wanted, "lt": value < wanted, "lte": not value > wanted}.get(test, False)
        else:
            ok = False
        if not ok:
            return False
    return True


def get(payload: Any, field: str) -> Any:
    for part in field.split("."):
        payload = payload.get(part) if isinstance(payload, dict) else None
    return payload


def satisfied(where: Mapping[str, Condition], payload: Any) -> bool:
    return all(passes(condition, get(payload, field)) for field, condition in where.items())


_texts = st.text("ab -/é7", min_size=1, max_size=6)
_numbers = st.one_of(st.integers(-1000, 1000), st.floats(-1000, 1000).filter(lambda number: number not in (0.0, -0.0)))
_scalars = st.one_of(_texts, st.booleans(), st.integers(-50, 50))
_satisfiable: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"eq": _scalars}),
    st.fixed_dictionaries({"in": st.lists(_scalars, min_size=1, max_size=4)}, optional={"exists": st.just(True)}),
    st.fixed_dictionaries({"not_in": st.lists(_scalars, min_size=1, max_size=6)}, optional={"exists": st.just(True)}),
    st.fixed_dictionaries({"prefix": _texts}, optional={"suffix": _texts, "contains": _texts, "not_in": st.lists(_texts, max_size=3)}),
    st.fixed_dictionaries({"suffix": _texts}, optional={"contains": _texts}),
    st.fixed_dictionaries({"contains": _texts}),
    st.fixed_dictionaries({"gt": _numbers}, optional={"not_in": st.lists(st.integers(-50, 50), max_size=4)}),
    st.fixed_dictionaries({"gte": _numbers}),
    st.fixed_dictionaries({"lt": _numbers}),
    st.fixed_dictionaries({"lte": _numbers}),
    st.tuples(_numbers, st.floats(0.001, 50)).map(lambda pair: {"gt": pair[0], "lt": pair[0] + pair[1]}),
    st.tuples(_numbers, st.floats(0, 50)).map(lambda pair: {"gte": pair[0], "lte": pair[0] + pair[1]}),
    st.fixed_dictionaries({"exists": st.booleans()}),
)
_anything = st.dictionaries(
    st.sampled_from(["prefix", "suffix", "contains", "eq", "gt", "gte", "lt", "lte", "exists"]), _scalars, min_size=1, max_size=4
)


@given(_satisfiable.map(Condition.model_validate))
def test_for_every_condition_that_can_be_met_a_value_is_found_that_meets_it(condition: Condition) -> None:
    found = values(condition)
    assert found
    for value in found:
        assert passes(condition, None if value is MISSING else value)


@given(_anything)
def test_a_condition_that_contradicts_itself_gives_no_value_rather_than_a_wrong_one(tests: dict[str, Any]) -> None:
    try:
        condition = Condition.model_validate(tests)
    except ValueError:
        return
    for value in values(condition):
        assert passes(condition, None if value is MISSING else value)


@given(st.dictionaries(st.sampled_from(["a", "b", "c.d", "c.e.f"]), _satisfiable.map(Condition.model_validate), max_size=4))
def test_every_payload_satisfies_all_conditions_and_survives_json(where: dict[str, Condition]) -> None:
    found = payloads(where, {"path": "/x"})
    assert found
    for payload in found:
        assert satisfied(where, msgspec.json.decode(msgspec.json.encode(payload)))
        assert payload["path"] == "/x"


def test_fields_that_stand_in_each_others_way_give_no_payload() -> None:
    where = {"a": Condition(eq=1), "a.b": Condition(eq=2)}
    assert payloads(where, {}) == []


# The whole


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(catalog: Catalog) -> None:
    first = b"\n".join(simulate(catalog, 40, 5, 3))
    assert b"\n".join(simulate(catalog, 40, 5, 3)) == first
    assert b"\n".join(simulate(catalog, 40, 5, 4)) != first


@pytest.mark.parametrize("messy", [False, True])
def test_more_people_change_nothing_about_the_earlier_ones(catalog: Catalog, messy: bool) -> None:
    few, many = Run(catalog, 20, messy=messy), Run(catalog, 50, messy=messy)
    earlier = {person.user_id for person in few.truth}
    assert [event for event in many.events if event["userId"] in earlier] == few.events
    assert many.truth[:20] == few.truth


def test_every_event_is_accepted_by_the_contract(catalog: Catalog) -> None:
    for offset, line in enumerate(Run(catalog, 60, messy=True).lines):
        message = Message(
            value=line, key=None, topic="t", partition=0, offset=offset, seq=offset, log_time=START, reference=START + 20 * DAY
        )
        event = decode(message)
        assert not hasattr(event, "reason"), event
        assert re.search(rb'"timestamp":"2026-01-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"', line)
        assert len(msgspec.json.decode(line)["eventId"]) <= 128


def test_clean_events_come_in_order_within_the_period_with_ids_of_their_own(run: Run) -> None:
    times = [event["timestamp"] for event in run.events]
    assert times == sorted(times)
    assert times[0] >= "2026-01-05T00:00:00.000Z"
    assert times[-1] < "2026-01-15T00:00:00.000Z"
    assert len({event["eventId"] for event in run.events}) == len(run.events)
    assert len({(event["userId"], event["timestamp"]) for event in run.events}) == len(run.events)


def test_messy_transport_doubles_and_reorders_but_loses_nothing_and_leaves_truth_alone(catalog: Catalog, run: Run) -> None:
    messy = Run(catalog, messy=True)
    assert messy.truth == run.truth
    assert {event["eventId"]: event for event in messy.events} == {event["eventId"]: event for event in run.events}
    assert 1.004 < len(messy.events) / len(run.events) < 1.016
    newest, behind = "", 0
    for event in messy.events:
        behind += event["timestamp"] < newest
        newest = max(newest, event["timestamp"])
    assert behind > 0


def test_truth_says_completed_exactly_when_the_events_say_so(catalog: Catalog, run: Run) -> None:
    steps = {step.id: step for step in catalog.steps}
    paths = {path.id: path for path in catalog.paths}
    for person in run.truth:
        own = [event for event in run.events if event["userId"] == person.user_id]
        proved: dict[str, str] = {}
        for step in catalog.steps:
            for matcher in step.complete:
                hits = [
                    event["timestamp"]
                    for event in own
                    if event["eventType"] == matcher.type
                    and (matcher.name is None or event.get("name") == matcher.name)
                    and satisfied(matcher.where, event["payload"])
                ]
                if len(hits) >= matcher.times:
                    proved[step.id] = min(hits[matcher.times - 1], proved.get(step.id, "9"))
        done: dict[str, str] = {}
        for step_id in paths[person.path_id].steps if person.path_id else ():
            needs = steps[step_id].requires
            if step_id in proved and all(need in done for need in needs):
                done[step_id] = max([proved[step_id], *(done[need] for need in needs)])
        assert {step: _ms(at) for step, at in done.items()} == person.completed_steps
        goal = set(paths[person.path_id].activated_by or paths[person.path_id].steps) if person.path_id else {"nothing"}
        assert person.activated_at == (max(person.completed_steps[step] for step in goal) if goal <= done.keys() else None)


def _ms(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def test_people_take_every_path_and_some_none(catalog: Catalog, run: Run) -> None:
    assert {person.path_id for person in run.truth} == {"big", "small", "rest", None}
    for person in run.truth:
        fitting = [path.id for path in catalog.paths if all(passes(rule, person.traits.get(name)) for name, rule in path.match.items())]
        assert person.path_id == (fitting[0] if fitting else None)


def test_episodes_are_of_all_causes_lie_in_the_period_and_never_overlap(run: Run) -> None:
    episodes = [episode for person in run.truth for episode in person.stuck]
    assert {episode.cause for episode in episodes} == set(STUCK_TRIGGERS)
    assert any(episode.ended_at is None for episode in episodes)
    for person in run.truth:
        free_from = person.signup_at
        for episode in person.stuck:
            assert free_from <= episode.started_at < run.end
            assert episode.started_at < person.completed_steps.get(episode.step_id, run.end)
            free_from = run.end if episode.ended_at is None else episode.ended_at
            assert episode.started_at <= free_from
        if person.activated_at is not None:
            assert all(episode.ended_at is not None and episode.ended_at <= person.activated_at for episode in person.stuck)


def test_who_drifted_away_sends_nothing_meanwhile(run: Run) -> None:
    for person in run.truth:
        times = [_ms(event["timestamp"]) for event in run.events if event["userId"] == person.user_id]
        for episode in person.stuck:
            if episode.cause == "stuck:inactive":
                assert not [at for at in times if episode.started_at <= at < (episode.ended_at or run.end)]


def test_detection_is_not_trivial_people_who_are_well_err_and_pause_too(run: Run) -> None:
    well = {person.user_id for person in run.truth if not person.stuck and person.path_id}
    errors = [event for event in run.events if event["userId"] in well and event["eventType"] == "error"]
    longest_pause = 0
    for user in well:
        times = [_ms(event["timestamp"]) for event in run.events if event["userId"] == user]
        longest_pause = max([longest_pause, *(later - earlier for earlier, later in pairwise(times))])
    assert errors
    assert longest_pause > DAY


def test_a_step_that_no_event_can_complete_is_refused_by_name() -> None:
    broken = CATALOG.replace("share: {gt: 0, lte: 0.5}", "share: {gt: 2, lte: 0.5}")
    with pytest.raises(ValueError, match="nobody could complete the step 'share'"):
        next(simulate(parse(broken, "toy.yaml"), 1, 1, 1))


@pytest.mark.parametrize(("users", "days"), [(0, 1), (1, 0)])
def test_nobody_and_no_time_are_refused(catalog: Catalog, users: int, days: int) -> None:
    with pytest.raises(ValueError, match="at least one user and one day"):
        next(simulate(catalog, users, days, 1))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**9), days=st.integers(1, 30))
def test_any_seed_and_length_run_to_their_end(seed: int, days: int) -> None:
    run = Run(parse(CATALOG, "toy.yaml"), 8, days, seed)
    assert len(run.truth) == 8
    assert {event["userId"] for event in run.events} == {person.user_id for person in run.truth}


def test_files_can_be_gzipped_are_reproducible_and_hold_the_truth(catalog: Catalog, run: Run, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def count(done: int, total: int) -> None:
        seen.append((done, total))

    def to(name: str) -> Written:
        return write(catalog, 150, 10, 7, tmp_path / f"{name}.jsonl.gz", tmp_path / f"{name}.truth.jsonl", messy=False, progress=count)

    written = to("a")
    assert to("b") == written
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    with gzip.open(tmp_path / "a.jsonl.gz") as lines:
        assert lines.read().splitlines() == run.lines
    assert list(read_truth(tmp_path / "b.truth.jsonl")) == run.truth
    assert (written.users, written.events) == (150, len(run.lines))
    assert written.activated == sum(person.activated_at is not None for person in run.truth)
    assert sum(written.stuck.values()) == sum(len(person.stuck) for person in run.truth)
    assert seen[-1] == (150, 150)


def test_a_dash_writes_to_standard_output(catalog: Catalog, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    written = write(catalog, 3, 2, 1, "-")
    assert len(capsysbinary.readouterr().out.splitlines()) == written.events
