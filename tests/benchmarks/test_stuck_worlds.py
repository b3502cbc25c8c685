"""The bench of many worlds: what is drawn, and a small world through the job."""

from __future__ import annotations

import gzip
import json
import statistics
import sys
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.stuck import __main__ as bench
from benchmarks.stuck.frontier import episodes, timestamp_ms, waiting
from benchmarks.stuck.worlds import LAWS, World, draw
from state.catalog.parse import parse
from state.decode import decode
from state.event import Event
from state.messages import Message

SMALL = 3_000


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [draw(3, number, SMALL) for number in range(12)]


def test_the_same_seed_and_number_give_the_same_world(worlds: list[World]) -> None:
    assert draw(3, 4, SMALL) == worlds[4]
    assert draw(4, 4, SMALL).events != worlds[4].events
    assert len({world.name for world in worlds}) == len(worlds)


def test_every_line_is_an_event_in_order_of_time_and_the_number_is_bounded(worlds: list[World]) -> None:
    for world in worlds:
        assert 100 < len(world.events) <= SMALL
        times = [datetime.fromisoformat(json.loads(line)["timestamp"]) for line in world.events]
        assert times == sorted(times)
        for number, line in enumerate(world.events):
            at = round(times[number].timestamp() * 1000)
            assert isinstance(decode(Message(line, None, "test", 0, number, at, at, number)), Event), line


def test_every_catalog_is_valid_observes_and_has_the_steps(worlds: list[World]) -> None:
    for world in worlds:
        catalog = parse(world.catalog, world.name)
        assert catalog.observe
        assert [step.id for step in catalog.steps] == list(world.steps)
        done = {event["name"] for event in map(json.loads, world.events) if event["eventType"] == "track"}
        assert done == set(world.steps.values())


def test_a_dozen_worlds_cover_the_family(worlds: list[World]) -> None:
    assert {step["law"] for world in worlds for step in world.about["steps"]} == set(LAWS)
    assert Counter(world.evidence for world in worlds) == {True: 6, False: 6}
    rates = [world.about["people_a_day"] for world in worlds]
    assert max(rates) > 20 * min(rates)
    for field in ("drift", "usual", "precision"):
        assert len({world.about[field] for world in worlds}) > 2, field


def errors_so_far(number: int) -> dict[bool, float]:
    """Return the mean number of errors of those who still wait at 0.3 of the horizon of the first step: of the stuck, and of the others."""
    world = draw(1, number, 12_000)
    errors: dict[str, list[int]] = defaultdict(list)
    for event in map(json.loads, world.events):
        if event["eventType"] == "error":
            errors[event["userId"]].append(timestamp_ms(event["timestamp"]))
    counts: dict[bool, list[int]] = {True: [], False: []}
    for row in waiting(episodes(world.events, dict([next(iter(world.steps.items()))])), 0.3).iter_rows(named=True):
        counts[row["stuck"]].append(sum(at <= row["at"] for at in errors[row["user_id"]]))
    return {stuck: statistics.mean(each) for stuck, each in counts.items()}


def test_signs_mean_something_only_where_the_world_carries_evidence() -> None:
    about = {number: draw(1, number, 400).about for number in range(1, 60, 2)}
    noise = next(number for number, each in about.items() if "errors" in each["signs"] and len(each["steps"]) == 1)
    telling, empty = errors_so_far(0), errors_so_far(noise)
    assert telling[True] > 1.5 * telling[False]
    assert empty[True] == pytest.approx(empty[False], rel=0.25)


def test_a_small_world_runs_and_is_scored(worlds: list[World]) -> None:
    result = bench.measure(worlds[0])
    assert result["rejected"] == 0
    assert result["episodes"] > 50
    assert result["scored"] > 0.8
    assert result["gap"] == min(row["engine"] - row["time_alone"] for row in result["frontier"] if row["engine"] is not None)
    assert list(bench.table([result]))[1].endswith(worlds[0].name + " (few stuck)")


def test_nobody_is_judged_after_activation(worlds: list[World]) -> None:
    world = next(world for world in worlds if len(world.steps) > 1)
    first = next(iter(world.steps))
    activating = world._replace(catalog=world.catalog.replace("title: all, ", f"title: all, activated_by: [{first}], "))
    found = bench.measure(activating)
    assert 50 < found["episodes"] < bench.measure(world)["episodes"]
    assert found["frontier"] == bench.measure(activating._replace(steps={first: world.steps[first]}))["frontier"]


def fake(name: str, gap: float | None, *, evidence: bool = True) -> dict[str, Any]:
    nothing = {
        "gap": gap,
        "gain": gap,
        "scored": 0.0,
        "calibration_error": gap,
        "bins_inside": gap,
        "few": False,
        "seconds": 1.0,
        "days": 2.0,
    }
    alarms = dict.fromkeys(("precision", "recall", "lead", "best_recall", "timeout_share", "late_share"))
    nothing |= {"time_alone_error": None, "time_alone_inside": None}
    counts = {"stuck": 1, "episodes": 2, "events": 3}
    return (
        {"world": name, "evidence": evidence, "horizon": {"ratio": None, "error": None}, "alarms": {"asked": 0.9, **alarms}}
        | nothing
        | counts
    )


def test_the_worst_world_comes_first_and_medians_are_over_worlds_with_evidence() -> None:
    results = [fake("fine", 0.2), fake("bad", -0.1), fake("noise", -0.05, evidence=False), fake("unscored", None), fake("middle", 0.1)]
    lines = list(bench.table(results))
    assert [line.split("  ")[-1] for line in lines[1:-1]] == ["unscored", "bad", "noise (no evidence)", "middle", "fine"]
    assert lines[-1].startswith("medians with evidence: gap 0.100")


def test_a_log_of_ones_own_takes_part(
    tmp_path: Path, worlds: list[World], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events, catalog = tmp_path / "own.jsonl.gz", tmp_path / "own.yaml"
    events.write_bytes(gzip.compress(b"\n".join(worlds[1].events[:600]) + b"\n"))
    catalog.write_text(worlds[1].catalog, encoding="utf-8")
    steps = [f"{step}={name}" for step, name in worlds[1].steps.items()]
    words = ["stuck", "--worlds", "0", "--events", str(events), "--catalog", str(catalog), "--steps", *steps]
    monkeypatch.setattr(sys, "argv", words)
    bench.main()
    said = capsys.readouterr()
    assert "own.jsonl.gz" in said.out
    assert "1 of 1: own.jsonl.gz: 600 events" in said.err
    monkeypatch.setattr(sys, "argv", [*words, "--json"])
    bench.main()
    assert json.loads(capsys.readouterr().out)["events"] == 600
    monkeypatch.setattr(sys, "argv", ["stuck", "--events", str(events)])
    with pytest.raises(SystemExit):
        bench.main()
    assert "--events needs --catalog and --steps" in capsys.readouterr().err
