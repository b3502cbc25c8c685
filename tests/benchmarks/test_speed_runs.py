"""A tiny run of each scenario of the benchmarks of speed. The figures mean nothing; the counts and the form do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.__main__ import SCENARIOS, main
from benchmarks.speed.broker import broker, fill, new_topic
from benchmarks.speed.contenders.task import Task
from benchmarks.speed.core import CONTENDERS, _run
from benchmarks.speed.figures import check_agreement
from benchmarks.speed.plot import draw
from benchmarks.speed.stream import stream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TINY = {
    "core": "--events 4000 --slow-events 2000 --users 300 --epoch 1 --recovery-partitions 4",
    "growth": "--sizes 300 900 --epoch 300 --epochs 2 --recovery-partitions 4 --density-events 1000",
    "latency": "--users 300 --rates 50 --sign-ups 20 --epoch 1 --epochs 3 --recovery-partitions 4",
    "idle": "--users 300 --settle 1 --seconds 3 --epoch 1 --recovery-partitions 4",
    "stop": "--users 300 --rate 50 --epoch 1 --recovery-partitions 4",
    "scale": "--events 2000 --users 200 --processes 1 2 --partitions 4",
    "sinks": "--events 1000 --rounds 1",
    "start": "--demo-users 0",
    "full": "--events 1000 --answer-after 0.01",
}


def run(scenario: str, options: str, out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    main([scenario, *options.split(), "--repeat", "1", "--json", "--out", str(out)])
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    assert SCENARIOS[scenario].lines(printed["results"])
    return printed


def test_all_scenarios_are_run_here() -> None:
    assert set(TINY) | {"short"} == set(SCENARIOS)  # that one is made of others


@pytest.mark.parametrize("scenario", TINY)
def test_a_tiny_run(scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(scenario, TINY[scenario], tmp_path / "out.json", capsys)
    assert found["scenario"] == scenario
    assert len(found["commit"]) >= 7
    assert found["machine"]["cpus"] >= 1


def test_the_own_fold_gives_the_same_in_every_engine(tmp_path: Path) -> None:
    with broker(None) as brokers:
        topic = new_topic(brokers, 3)
        fill(brokers, topic, stream(events=2000, users=100, seed=1))
        task = Task(brokers, topic, 3, 2000, 100, 1.0, str(tmp_path), 4, "own")
        runs = {name: [_run(CONTENDERS[name], task)] for name in ("bare loop", "onramp", "stock bytewax")}
    check_agreement(runs, ("outputs",))
    assert runs["onramp"][0]["outputs"] > 2000


def test_the_plot_is_drawn_from_results(tmp_path: Path) -> None:
    speed = {"median": 10.0, "least": 9.0, "most": 11.0}
    core = {"results": {"contenders": {name: {"eventsPerSecond": speed} for name in CONTENDERS}}}
    points = {point: {"median": 0.01} for point in ("p50", "p95", "p99")}
    draw(core, {"results": {"rates": {"500": {"job": points, "floor": points}}}}, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 10_000
