"""The protocol over real pipes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.population.play import PRODUCT, START, AtRandom, begin_line, play

ROOT = Path(__file__).parents[2]
Program = subprocess.Popen[str]


@pytest.fixture
def program() -> Iterator[Program]:
    with subprocess.Popen(
        [sys.executable, "-m", "population"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        yield running
        running.kill()


def say(program: Program, line: dict[str, Any] | str) -> None:
    assert program.stdin is not None
    program.stdin.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
    program.stdin.flush()


def hear(program: Program) -> dict[str, Any]:
    assert program.stdout is not None
    heard: dict[str, Any] = json.loads(program.stdout.readline())
    return heard


def test_a_conversation_tells_what_a_play_tells(program: Program) -> None:
    begin, guide = begin_line(users=60), AtRandom(PRODUCT)
    say(program, begin)
    ready = hear(program)
    assert (ready["type"], ready["protocol"], ready["slotMs"]) == ("ready", 1, 300_000)
    at: int | None = START
    reads: list[str] = []
    events: list[dict[str, Any]] = []
    while at is not None:
        say(
            program,
            {"type": "advance", "at": at, "until": at + 300_000, "recommendations": {user: guide.record(user, at) for user in reads}},
        )
        heard = hear(program)
        assert heard["type"] == "events"
        assert all(at <= one["at"] < at + 300_000 for one in heard["events"])
        for one in heard["events"]:
            guide.see(one["event"], one["at"])
        events += heard["events"]
        reads, at = heard["reads"], heard["next"]
    say(program, {"type": "finish"})
    truth = [hear(program)]
    while truth[-1]["type"] != "done":
        truth.append(hear(program))
    assert program.wait(10) == 0
    run = play(begin, AtRandom(PRODUCT))
    assert [(one["at"], one["event"]) for one in events] == [(when, json.loads(event)) for when, event in run.events]
    assert truth == [*run.people, run.world, {"type": "done", "people": 60}]
    assert run.exposures


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"type":"dance"}',
        '{"type":"finish"}',
        '{"type":"advance","at":0,"until":300000,"recommendations":{}}',
        json.dumps(begin_line("unheard_of")),
        json.dumps(begin_line("new_arm")),
        json.dumps(begin_line() | {"protocol": 2}),
        json.dumps(begin_line() | {"product": {}}),
    ],
)
def test_a_line_that_makes_no_sense_ends_it_with_a_sentence(program: Program, line: str) -> None:
    said, complained = program.communicate(line + "\n", timeout=10)
    assert program.returncode == 2
    error = json.loads(said)
    assert error["type"] == "error"
    assert complained == f"population: {error['message']}\n"


def test_a_slot_out_of_turn_is_refused(program: Program) -> None:
    say(program, begin_line())
    hear(program)
    say(program, {"type": "advance", "at": START + 300_000_000, "until": START + 300_300_000, "recommendations": {}})
    assert hear(program)["type"] == "error"
    assert program.wait(10) == 2


def test_it_leaves_quietly_when_the_other_side_hangs_up(program: Program) -> None:
    said, complained = program.communicate(json.dumps(begin_line(users=5)) + "\n", timeout=10)
    assert (program.returncode, complained) == (0, "")
    assert json.loads(said)["type"] == "ready"


def test_it_leaves_quietly_when_told_to_stop(program: Program) -> None:
    say(program, begin_line(users=5))
    hear(program)
    program.send_signal(signal.SIGTERM)
    assert program.wait(10) == 0
    assert program.stderr is not None
    assert program.stderr.read() == ""
