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

from tests.population.simulate import PRODUCT, START, RandomGuidance, begin_line, simulate
from tests.support.waiting import PATIENCE, read_line, read_to_end, running

ROOT = Path(__file__).parents[2]
Program = subprocess.Popen[str]


@pytest.fixture
def program() -> Iterator[Program]:
    command = [sys.executable, "-m", "population"]
    pipe = subprocess.PIPE
    with running(subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)) as process:
        yield process


def send(program: Program, line: dict[str, Any] | str) -> None:
    assert program.stdin is not None
    program.stdin.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
    program.stdin.flush()


def receive(program: Program) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(read_line(program.stdout, "the population's answer"))
    return answer


def test_the_protocol_gives_the_same_events_and_truth_as_a_run_in_process(program: Program) -> None:
    begin, guide = begin_line(users=60), RandomGuidance(PRODUCT)
    send(program, begin)
    ready = receive(program)
    assert (ready["type"], ready["protocol"], ready["slotMs"]) == ("ready", 1, 300_000)
    at: int | None = START
    reads: list[str] = []
    events: list[dict[str, Any]] = []
    while at is not None:
        send(
            program,
            {"type": "advance", "at": at, "until": at + 300_000, "recommendations": {user: guide.record(user, at) for user in reads}},
        )
        answer = receive(program)
        assert answer["type"] == "events"
        assert all(at <= one["at"] < at + 300_000 for one in answer["events"])
        for one in answer["events"]:
            guide.see(one["event"], one["at"])
        events += answer["events"]
        reads, at = answer["reads"], answer["next"]
    send(program, {"type": "finish"})
    truth = [receive(program) for _ in range(62)]  # 60 people, world, done
    assert program.wait(PATIENCE) == 0
    run = simulate(begin, RandomGuidance(PRODUCT))
    assert [(one["at"], one["event"]) for one in events] == [(when, json.loads(event)) for when, event in run.events]
    people, world, done = truth[:-2], truth[-2], truth[-1]
    assert (people, done) == (run.people, {"type": "done", "people": 60})
    assert {**world, "horizons": sorted(world["horizons"])} == {**run.world, "horizons": sorted(run.world["horizons"])}
    assert run.exposures


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"type":"dance"}',
        '{"type":"finish"}',
        '{"type":"advance","at":0,"until":300000,"recommendations":{}}',
        json.dumps(begin_line("unanswer_of")),
        json.dumps(begin_line("new_arm")),
        json.dumps(begin_line() | {"protocol": 2}),
        json.dumps(begin_line() | {"product": {}}),
    ],
)
def test_an_invalid_line_ends_the_program_with_an_error_message(program: Program, line: str) -> None:
    output, errors = program.communicate(line + "\n", timeout=PATIENCE)
    assert program.returncode == 2
    error = json.loads(output)
    assert error["type"] == "error"
    assert errors == f"population: {error['message']}\n"


def test_a_slot_out_of_order_is_rejected(program: Program) -> None:
    send(program, begin_line())
    receive(program)
    send(program, {"type": "advance", "at": START + 300_000_000, "until": START + 300_300_000, "recommendations": {}})
    assert receive(program)["type"] == "error"
    assert program.wait(PATIENCE) == 2


def test_the_program_exits_with_status_0_when_its_input_ends(program: Program) -> None:
    output, errors = program.communicate(json.dumps(begin_line(users=5)) + "\n", timeout=PATIENCE)
    assert (program.returncode, errors) == (0, "")
    assert json.loads(output)["type"] == "ready"


def test_the_program_exits_with_status_0_on_sigterm(program: Program) -> None:
    send(program, begin_line(users=5))
    receive(program)
    program.send_signal(signal.SIGTERM)
    assert program.wait(PATIENCE) == 0
    assert read_to_end(program.stderr, "the end of standard error") == ""


def test_the_recorded_conversation_is_what_the_program_says() -> None:
    page = (ROOT / "docs/population.md").read_text(encoding="utf-8")
    recorded = page.split("```text\n")[1].split("```")[0].splitlines()
    requests, answers = ([line[2:] for line in recorded if line.startswith(mark)] for mark in "><")
    assert len(requests) + len(answers) == len(recorded)
    done = subprocess.run(
        [sys.executable, "-m", "population"],
        cwd=ROOT,
        input="\n".join(requests) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout.splitlines() == answers
    assert any("recommendation_shown" in answer for answer in answers)


def test_the_example_program_in_the_documentation_speaks_the_protocol() -> None:
    page = (ROOT / "docs/population.md").read_text(encoding="utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    shown = {"u": {"recommendationId": "r", "uiComponent": "tooltip"}}
    requests = [
        begin_line(),
        {"type": "advance", "at": START, "until": START + 900_000, "recommendations": {}},
        {"type": "advance", "at": START + 900_000, "until": START + 1_800_000, "recommendations": shown},
        {"type": "finish"},
    ]
    lines = "\n".join(map(json.dumps, requests))
    done = subprocess.run([sys.executable, "-c", example], input=lines, capture_output=True, text=True, check=True, timeout=PATIENCE)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["type"] for answer in answers] == ["ready", "events", "events", "person", "world", "done"]
    assert (answers[1]["reads"], answers[1]["next"], answers[2]["next"]) == (["u"], START + 900_000, None)
    assert [one["event"]["eventType"] for one in answers[2]["events"]] == ["page_view", "recommendation_shown"]
    assert answers[3].keys() == simulate(begin_line(users=1)).people[0].keys() | {"type"}
