"""The pure parts of the benchmarks of speed: generator, small fold, statistics, agreement of contenders."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from inspect import signature
from types import ModuleType
from typing import Any

import msgspec
import pytest
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from benchmarks.saas_people import START
from benchmarks.speed import core, growth, latency, short, start
from benchmarks.speed.__main__ import SCENARIOS, parser
from benchmarks.speed.contenders import tuned
from benchmarks.speed.core import describe
from benchmarks.speed.engine import Watch, WatchedSource
from benchmarks.speed.figures import DisagreementError, check_agreement, percentile, percentiles, ratio, stalls, summary
from benchmarks.speed.growth import at_size, compare_sizes
from benchmarks.speed.growth import describe as describe_growth
from benchmarks.speed.latency import describe as describe_latency
from benchmarks.speed.meter import Meter
from benchmarks.speed.scale import describe as describe_scale
from benchmarks.speed.scale import joined, serial_share
from benchmarks.speed.seeding import keys, states
from benchmarks.speed.small_fold import REMEMBERED, State, fold, label_of, millis, user_of
from benchmarks.speed.stream import Sent, stream
from state.decode import decode
from state.event import Event
from state.messages import Message
from state.person import snapshot


def events(count: int = 3000, **more: Any) -> list[Sent]:
    return list(stream(events=count, users=200, seed=3, **more))


def test_the_same_arguments_give_the_same_events() -> None:
    assert events() == events()
    assert events() != list(stream(events=3000, users=200, seed=4))


def test_the_events_have_what_real_ones_have() -> None:
    sent = events()
    decoded = [json.loads(each.line) for each in sent]
    kinds = {event["eventType"] for event in decoded}
    assert {"signup", "identity_merged", "page_view", "button_click", "error"} <= kinds
    assert 0 < len(sent) - len({event["eventId"] for event in decoded}) < 0.03 * len(sent)  # duplicates
    late = [each for each, event in zip(sent, decoded, strict=True) if millis(event["timestamp"]) < each.at - 900]
    assert 0.005 < len(late) / len(sent) < 0.04
    assert 25 < len({event["anonymousId"] for event in decoded if "anonymousId" in event}) < 55  # a fifth of 200 people
    assert all(each.key == user_of(event) for each, event in zip(sent, decoded, strict=True))


def test_this_project_accepts_all_events() -> None:
    for number, each in enumerate(events()):
        message = Message(each.line, each.key.encode(), "speed", 0, number, each.at, each.at, 2 * number)
        assert isinstance(decode(message), Event)


def test_more_log_time_changes_nothing_but_the_times() -> None:
    def without_times(sent: Sequence[Sent]) -> list[dict[str, Any]]:
        return [{name: value for name, value in json.loads(each.line).items() if name != "timestamp"} for each in sent]

    dense, sparse = events(span=60_000), events(span=6_000_000)
    assert without_times(dense) == without_times(sparse)
    assert dense[-1].at - START == pytest.approx((sparse[-1].at - START) / 100, abs=1)


def test_people_of_a_seeded_store_only_work() -> None:
    assert not {"signup", "identity_merged"} & {json.loads(each.line)["eventType"] for each in events(old=True)}


def test_the_small_fold_finds_sessions_steps_and_needs_of_help() -> None:
    state = State()
    at = "2026-01-05T09:00:00.000Z"
    assert fold(state, "a", "page_view", "", at) == ("session", 1)
    assert fold(state, "b", "track", "dashboard_created", at) == ("step", "dashboard_created")
    assert fold(state, "c", "track", "dashboard_created", at) is None
    assert fold(state, "d", "error", "", at) is None
    assert fold(state, "d", "error", "", at) is None  # a duplicate
    assert fold(state, "e", "error", "", at) == ("help", 2)
    assert fold(state, "f", "page_view", "", "2026-01-05T09:40:00.000Z") == ("session", 2)
    assert fold(state, "g", "page_view", "", at) is None  # late
    assert (state.events, state.sessions, state.errors) == (7, 2, 2)


def test_the_small_fold_remembers_a_bounded_number_of_ids() -> None:
    state = State()
    for number in range(100):
        fold(state, str(number), "page_view", "", "2026-01-05T09:00:00.000Z")
    assert state.ids == [str(number) for number in range(100 - REMEMBERED, 100)]


def test_contenders_read_and_keep_the_same() -> None:
    """A dict from ``json`` and a typed event, a plain state and a compact one: the fold gives the same after a snapshot too."""
    plain: dict[str, State] = {}
    compact: dict[str, tuned.State] = {}
    for each in events(1000):
        loose, typed = json.loads(each.line), tuned.decode_event(each.line)
        assert user_of(loose) == (typed.user_id or typed.anonymous_id)
        assert label_of(loose) == (typed.name or typed.payload.form)
        user = user_of(loose)
        one = fold(plain.setdefault(user, State()), loose["eventId"], loose["eventType"], label_of(loose), loose["timestamp"])
        state = compact.setdefault(user, tuned.State())
        other = fold(state, typed.event_id, typed.event_type, label_of(loose), typed.timestamp)
        assert one == other
        compact[user] = tuned.decode_state(tuned.encode_state(state))
    assert {user: vars(state) for user, state in plain.items()} == {user: msgspec.structs.asdict(s) for user, s in compact.items()}


def test_seeded_people_are_copies_of_folded_ones() -> None:
    seeded = dict(states(users=601, events=2, end=START, seed=1, partitions=7))
    assert len(seeded) == 601
    people = {key: snapshot.decode(state) for key, state in seeded.items()}
    assert {keys().stream_key("default", person.user) for person in people.values()} == set(people)
    assert {person.partition for person in people.values()} == set(range(7))
    alike = {snapshot.encode(msgspec.structs.replace(person, user="", partition=0)) for person in people.values()}
    assert 100 < len(alike) <= 300


def test_no_timer_of_a_seeded_user_is_overdue() -> None:
    """Else a job would be busy with them for minutes after it resumed, where it should be idle."""
    people = [snapshot.decode(state) for _, state in states(users=300, events=6, end=START, seed=1, partitions=1)]
    deadlines = [due for person in people if (due := person.next_due)]
    assert deadlines
    assert min(deadlines) > START


def test_the_meter_does_not_time_the_warm_up() -> None:
    meter = Meter(events=100, warm=20)
    for _ in range(10):
        meter.read(10)
    meter.processed()
    found = meter.measured()
    assert found["eventsPerSecond"] * found["seconds"] == pytest.approx(80)


def test_the_meter_refuses_a_run_that_read_too_little() -> None:
    meter = Meter(events=100, warm=0)
    meter.read(99)
    with pytest.raises(SystemExit, match="99 events of 100"):
        meter.measured()


class _Counting(FixedPartitionedSource[int, int]):
    def list_parts(self) -> list[str]:
        return ["0", "1"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> StatefulSourcePartition[int, int]:
        return _CountingPartition()


class _CountingPartition(StatefulSourcePartition[int, int]):
    def next_batch(self) -> list[int]:
        return [1, 2]

    def snapshot(self) -> int:
        return 7


def test_an_epoch_is_one_pause_however_many_partitions_there_are() -> None:
    meter = Meter(events=8, warm=2)
    watch = Watch(meter)
    source = WatchedSource(_Counting(), watch)
    partitions = [source.build_part("in", name, None) for name in source.list_parts()]
    for _ in range(2):
        for partition in partitions:
            assert partition.next_batch() == [1, 2]
        for partition in partitions:
            assert partition.snapshot() == 7
    assert len(watch.pauses) == 1  # the second epoch is not stored yet
    partitions[1].next_batch()
    assert len(watch.pauses) == 1
    partitions[0].next_batch()
    assert len(watch.pauses) == 2
    assert meter.seen == 12


def test_digests_do_not_depend_on_the_order_of_outputs() -> None:
    one, other, third = (Meter(events=1, warm=0) for _ in range(3))
    one.out("a", ("step", "x"))
    one.out("b", ("help", 2))
    other.out("b", ("help", 2))
    other.out("a", ("step", "x"))
    third.out("b", ("help", 4))
    third.out("a", ("step", "x"))
    assert one.digest == other.digest != third.digest


def test_contenders_must_agree() -> None:
    check_agreement({"a": [{"outputs": 3}, {"outputs": 3}], "b": [{"outputs": 3}]}, ("outputs",))
    with pytest.raises(DisagreementError, match=r"a: outputs 3; b: outputs 4"):
        check_agreement({"a": [{"outputs": 3}], "b": [{"outputs": 3}, {"outputs": 4}]}, ("outputs",))


def test_summaries_and_percentiles() -> None:
    assert summary([4.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 4.0, "spread": 1.5, "runs": 3}
    values = [float(value) for value in range(1, 101)]
    assert percentiles(values) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 0.5)


def test_a_ratio_is_the_median_of_the_turns() -> None:
    """A turn in which the whole machine is slow does not change it."""
    ours = [{"speed": 2.0}, {"speed": 0.2}, {"speed": 2.2}]
    others = [{"speed": 1.0}, {"speed": 0.1}, {"speed": 1.0}]
    assert ratio(ours, others, "speed") == 2.0


def test_a_contender_is_compared_with_the_ceiling_and_with_ours() -> None:
    def runs(speed: float) -> list[dict[str, Any]]:
        return [{"events": 9, "outputs": 1, "eventsPerSecond": speed, "cpuPerEvent": 1 / speed, "peakMb": 1.0}]

    found = describe("slow", {"bare loop": runs(100.0), "onramp": runs(80.0), "slow": runs(20.0)})
    assert (found["ofBareLoop"], found["onrampTimes"]) == (0.2, 4.0)


def test_the_short_set_calls_the_scenarios_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes minutes, so here the scenarios only check their arguments."""

    def checked(module: ModuleType) -> Callable[..., dict[str, Any]]:
        signature = inspect.signature(module.measure)

        def measure(**given: Any) -> dict[str, Any]:
            return {"asked": sorted(signature.bind(**given).arguments)}

        return measure

    for module in (core, growth, latency, start):
        monkeypatch.setattr(module, "measure", checked(module))
    found = short.measure(repeat=1, seed=1, tell=lambda _text: None)
    assert set(found) == {"core", "growth", "latency", "start"}
    assert "repeat" in found["core"]["asked"]


def test_stalls_are_counted_once_and_timed_from_start_to_start() -> None:
    delays = [0.01] * 10 + [0.5, 0.4, 0.3] + [0.01] * 10 + [0.6] + [0.01] * 5
    at = [number * 0.5 for number in range(len(delays))]
    assert stalls(at, delays, above=0.1) == {"stalls": 2, "secondsBetween": 6.5}
    assert stalls(at, delays, above=1.0) == {"stalls": 0, "secondsBetween": 0.0}


def test_latencies_are_ordered_by_their_sign_ups() -> None:
    found = describe_latency([(2.0, 0.5), (1.0, 0.001), (3.0, 0.002)], asked=5, ended=7.5)
    assert (found["p50"], found["max"], found["asked"], found["answered"], found["stalls"]) == (0.002, 0.5, 5, 3, 1)
    assert found["behind"] == 4.5


def test_sizes_are_compared_with_the_smallest() -> None:
    sizes: dict[str, Any] = {
        str(n): {"job": {"eventsPerSecond": {"median": s}, "cpuPerEvent": {"median": 1 / s}}} for n, s in ((1000, 50.0), (90, 100.0))
    }
    compare_sizes(sizes)
    assert [(sizes[n]["ofSmallest"], sizes[n]["ofSmallestByCpu"]) for n in ("90", "1000")] == [(1.0, 1.0), (0.5, 0.5)]


def test_a_cluster_lasts_from_its_first_process_to_its_last() -> None:
    one = {"events": 60, "begun": 10.0, "ended": 12.0, "cpu": 1.0}
    other = {"events": 40, "begun": 11.0, "ended": 14.0, "cpu": 3.0}
    assert joined([one, other]) == {"events": 100, "eventsPerSecond": 25.0, "cpuPerEvent": 0.04}
    assert serial_share(2.0, 2) == 0.0
    assert serial_share(1.0, 2) == 1.0
    assert serial_share(1.0, 1) is None


def test_more_processes_are_compared_with_the_fewest() -> None:
    runs = {str(n): [{"eventsPerSecond": speed, "cpuPerEvent": 1.0}] for n, speed in ((10, 50.0), (2, 20.0))}
    found = describe_scale(runs)
    assert [(found[n]["speedup"], found[n]["serialShare"]) for n in ("2", "10")] == [(1.0, None), (2.5, 0.25)]


def test_pauses_are_compared_with_those_of_the_floor() -> None:
    def run(pauses: list[float], resume: float) -> dict[str, Any]:
        return {"pauses": pauses, "resumeSeconds": resume}

    found = describe_growth({"job": [run([0.2, 0.4], 6.0), run([0.3], 6.0)], "floor": [run([0.1], 3.0), run([], 3.0)]})
    assert found["ofFloor"] == {"resumeSeconds": 2.0, "pause": pytest.approx(3.0)}
    assert "pause" not in describe_growth({"job": [run([], 1.0)], "floor": [run([0.1], 1.0)]})["ofFloor"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_options_and_defaults(scenario: str) -> None:
    given = vars(parser().parse_args([scenario]))
    assert (given["repeat"], given["seed"], given["json"]) == (5, 1, False)
    taken = signature(SCENARIOS[scenario].measure).parameters.keys() - {"tell"}
    assert given.keys() - {"scenario", "normalise", "json", "out"} == taken


def test_epochs_and_the_rate_of_the_log_grow_with_the_people_unless_they_are_fixed() -> None:
    assert [at_size(users, 1000.0, fixed=False) for users in (10_000, 100_000, 1_000_000)] == [100.0, 1000.0, 10_000.0]
    assert [at_size(users, 1000.0, fixed=True) for users in (10_000, 1_000_000)] == [1000.0, 1000.0]
