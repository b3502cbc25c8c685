"""``onramp simulate``: reproducible, valid, without guidance, honest about what happened."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from evaluation.truth import read_truth
from sources.closed_loop import START
from state.decode import decode
from state.duration import DAY, HOUR
from state.event import Event
from state.messages import Message
from tests.cli.command import onramp
from tests.cli.conftest import PEOPLE, Inside

FEW = ("--users", 40, "--days", 6, "--seed", 7)
END = START + 6 * DAY


def decoded(path: Path) -> list[Event]:
    events = []
    for number, line in enumerate(path.read_bytes().splitlines()):
        event = decode(Message(line, None, "t", 0, number, START, END + DAY, number))
        assert isinstance(event, Event), event
        events.append(event)
    return events


@pytest.mark.parametrize("scenario", ["baseline", "messy"])
def test_events_are_valid_and_the_truth_is_that_of_people_without_guidance(scenario: str, inside: Inside, tmp_path: Path) -> None:
    arguments = ("simulate", *FEW, "--scenario", scenario, "--out", "e.jsonl", "--truth", "t.jsonl")
    result = inside(*arguments, "--json", cwd=tmp_path)
    assert result.code == 0, result.err
    events = decoded(tmp_path / "e.jsonl")
    truth = read_truth((tmp_path / "t.jsonl").read_bytes().splitlines())
    summary = result.json
    assert (summary["users"], summary["events"]) == (40, len(events)) == (len(truth.people), len(events))
    assert {event.user for event in events} == {person.user_id for person in truth.people}
    assert not [event for event in events if event.type.startswith("recommendation_")]
    assert not truth.exposures()
    for person in truth.people:
        twin = person.untreated.activated_at
        assert person.activated_at == (twin if twin is not None and twin < END else None)
    activated = [person for person in truth.people if person.activated_at is not None]
    stuck = [
        episode
        for person in truth.people
        for episode in person.episodes
        if episode.untreated_at is None or episode.untreated_at > episode.onset + truth.world.horizons[episode.step]
    ]
    assert summary["activated"] == len(activated) > 0
    assert sum(summary["stuck"].values()) == len(stuck) > 0
    assert summary["stuck"]["inactive"] == sum(episode.cause == "inactive" for episode in stuck) > 0


def test_messy_transport_doubles_and_reorders(inside: Inside, tmp_path: Path) -> None:
    for scenario in ("baseline", "messy"):
        assert inside("simulate", *FEW, "--scenario", scenario, "--out", f"{scenario}.jsonl", cwd=tmp_path).code == 0
    clean, messy = decoded(tmp_path / "baseline.jsonl"), decoded(tmp_path / "messy.jsonl")
    times = [event.timestamp for event in clean]
    assert times == sorted(times)
    assert START <= times[0] < times[-1] < END
    assert len({event.id for event in clean}) == len(clean)
    assert len({event.id for event in messy}) < len(messy)
    times = [event.timestamp for event in messy]
    assert max(earlier - later for earlier, later in pairwise(times)) > HOUR // 4


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(inside: Inside, tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        files = ("--out", f"{name}.jsonl.gz", "--truth", f"{name}.truth.gz")
        assert inside("simulate", "--users", 20, "--days", 4, "--seed", seed, *files, cwd=tmp_path).code == 0
    for kind in ("jsonl.gz", "truth.gz"):
        first, again, other = ((tmp_path / f"{name}.{kind}").read_bytes() for name in "abc")
        assert first == again
        assert gzip.decompress(first) != gzip.decompress(other)


def test_a_dash_writes_to_standard_output_and_the_truth_to_its_file(tmp_path: Path) -> None:
    result = onramp("simulate", "--users", 3, "--days", 2, "--out", "-", "--truth", "t.jsonl", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    assert {json.loads(line)["userId"] for line in result.out.splitlines()} == {"p000000", "p000001", "p000002"}
    assert len((tmp_path / "t.jsonl").read_bytes().splitlines()) == 5


def test_another_program_may_play_the_people(inside: Inside, tmp_path: Path) -> None:
    result = inside("simulate", "--users", 8, "--days", 3, "--population", PEOPLE, "--out", "e.jsonl", "--json", cwd=tmp_path)
    assert result.code == 0, result.err
    assert result.json["users"] == 8
    assert {event.user for event in decoded(tmp_path / "e.jsonl")} == {f"u{number:04d}" for number in range(8)}


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("dies", "ended too early, with exit code 3"),
        ("complains", "says: the world has ended"),
        ("half", "ended too early"),
        ("vague", "docs/population.md has its form"),
    ],
)
def test_a_population_that_fails_is_one_sentence(mode: str, said: str, inside: Inside, tmp_path: Path) -> None:
    result = inside("simulate", "--users", 3, "--days", 2, "--population", f"{PEOPLE} {mode}", "--out", "e.jsonl", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert said in result.err
    assert len(result.err.splitlines()) == 1


def test_a_population_that_cannot_start_leaves_the_file_alone(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("kept")
    assert inside("simulate", "--population", "./nobody", "--out", "e.jsonl", cwd=tmp_path).code == 1
    assert (tmp_path / "e.jsonl").read_text() == "kept"
