"""Bad input of every kind through the whole job: it ends normally, tells of every bad line, and goes on as if it had not been there."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from state.person.deduplication import MOST_SEEN
from tests.support.bad_input import BAD, MOMENT, ODD
from tests.support.job_runs import finish
from tests.support.job_state import PLACES, State, differences, rows
from tests.support.populations import simulated


def tally(state: State) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in (line.split(": ", 1) for line in state["summary"])}


def letters(state: State) -> list[dict[str, Any]]:
    return [json.loads(line) for line in state["dead_letter_file"]]


def event(number: int, user: str, timestamp: str = "2026-01-06T12:00:00Z", **more: Any) -> bytes:
    return json.dumps(
        {"eventId": f"e{number}", "userId": user, "eventType": "page_view", "timestamp": timestamp, "payload": {"path": "/"}, **more}
    ).encode()


@pytest.mark.parametrize(
    ("users", "days", "good", "bad"), [(70, 10, 3_000, 300), pytest.param(2300, 14, 100_000, 10_000, marks=pytest.mark.slow)]
)
def test_every_bad_line_is_told_with_reason_and_line_and_changes_nothing(
    tmp_path: Path, users: int, days: int, good: int, bad: int
) -> None:
    rng = Random(17)
    sound = simulated(users, days, seed=4)[:good]
    assert len(sound) == good
    # The largest kinds are few, so that the file stays small; every kind is there.
    kinds = list(BAD.values()) + rng.choices([each for each in BAD.values() if len(each[0]) < 10_000], k=bad - len(BAD))
    rng.shuffle(kinds)
    places = set(rng.sample(range(1, good + bad + 1), bad))
    lines, expected = [], {}
    rest, moment = iter(sound), json.loads(sound[0])["timestamp"].encode()
    for number in range(1, good + bad + 1):
        if number in places:
            raw, expected[number] = kinds.pop()
            lines.append(raw.replace(MOMENT.encode(), moment))  # a bad line with a sound time lets time pass like any other
        else:
            lines.append(next(rest))
            moment = json.loads(lines[-1])["timestamp"].encode()
    (tmp_path / "mixed.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "sound.jsonl").write_bytes(b"\n".join(sound) + b"\n")

    mixed = finish(tmp_path / "mixed", tmp_path / "mixed.jsonl")

    found = {letter["offset"]: letter["reason"] for letter in letters(mixed)}
    wrong = {line: (lines[line - 1][:80], reason, found.get(line)) for line, reason in expected.items() if found.get(line) != reason}
    assert not wrong
    assert found.keys() == expected.keys()
    assert all(letter["raw"].encode() == lines[letter["offset"] - 1] for letter in letters(mixed) if "raw" in letter)
    told = {(row["source_offset"], row["reason"]) for row in rows(mixed, "dead_letters")}
    assert told == set(expected.items())
    counted = tally(mixed)
    assert counted["eventsRead"] == good + bad
    assert counted["eventsAccepted"] + counted["duplicates"] + sum(counted["ignored"].values()) == good
    assert sum(counted["deadLetters"].values()) == bad

    alone = finish(tmp_path / "sound", tmp_path / "sound.jsonl")
    for state in (mixed, alone):  # apart from the bad lines themselves and the numbers of lines nothing may differ
        state["summary"] = [line for line in state["summary"] if not line.startswith(("deadLetters", "eventsRead"))]
        state["dead_letters"] = state["dead_letter_file"] = []
    assert not differences(alone, mixed, without={**PLACES, "events": ("source_offset",)})


def test_odd_but_good_events_arrive_as_they_were_sent(tmp_path: Path) -> None:
    source = tmp_path / "odd.jsonl"
    source.write_bytes(b"\n".join(ODD.values()) + b"\n")
    state = finish(tmp_path / "data", source)
    assert letters(state) == []
    assert tally(state)["eventsAccepted"] == len(ODD)
    stored = {row["event_id"]: row for row in rows(state, "events")}
    for line in ODD.values():
        sent = json.loads(line)
        row = stored[sent["eventId"]]
        assert row["user_id"] == (sent["userId"] or sent["anonymousId"])
        assert row["tenant_id"] == sent.get("tenantId", "default")
        assert json.loads(row["payload"]) == json.loads(json.dumps(sent["payload"]).replace("\\ud83d", "\\ufffd"))


def test_an_empty_file_is_a_run_of_nothing(tmp_path: Path) -> None:
    source = tmp_path / "empty.jsonl"
    source.touch()
    counted = tally(finish(tmp_path / "data", source))
    assert counted["eventsRead"] == counted["users"] == counted["decisions"] == 0


def test_only_bad_lines_and_none_ended_by_a_newline(tmp_path: Path) -> None:
    source = tmp_path / "bad.jsonl"
    source.write_bytes(b"\n\n".join(raw for raw, _ in BAD.values()))
    state = finish(tmp_path / "data", source)
    assert [(letter["offset"], letter["reason"]) for letter in sorted(letters(state), key=lambda letter: letter["offset"])] == [
        (2 * index + 1, reason) for index, (_, reason) in enumerate(BAD.values())
    ]
    assert tally(state)["users"] == 0
    assert state["redis"] == []


def test_the_last_line_counts_without_a_newline_and_once_when_the_file_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "growing.jsonl"
    source.write_bytes(event(1, "ana") + b"\n" + event(2, "ben"))
    first = tally(finish(tmp_path / "data", source))
    assert (first["eventsRead"], first["eventsAccepted"]) == (2, 2)
    with source.open("ab") as more:
        more.write(b"\n" + event(3, "cyd"))
    second = tally(finish(tmp_path / "data", source))
    assert (second["eventsRead"], second["eventsAccepted"], second["duplicates"], second["deadLetters"]) == (3, 3, 0, {})


def test_the_same_ids_again_count_once_for_each_person(tmp_path: Path) -> None:
    source = tmp_path / "twice.jsonl"
    lines = [event(number % 50, f"u{number % 2}") for number in range(300)]
    source.write_bytes(b"\n".join(lines) + b"\n")
    counted = tally(finish(tmp_path / "data", source, batch_size=11))
    assert counted["eventsAccepted"] == len(set(lines))
    assert counted["duplicates"] == len(lines) - len(set(lines))


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_one_person_with_very_many_events(tmp_path: Path, count: int) -> None:
    """One has them all at the same time, and after them another one over a day.

    No more than ``MOST_SEEN`` of one time can be told apart from repetitions. Further ones are late rather than counted twice.
    """
    source = tmp_path / "busy.jsonl"
    when = [f"2026-01-06T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z" for second in range(86_400)]
    with source.open("wb") as file:
        file.writelines(event(number, "at once", when[0]) + b"\n" for number in range(count))
        file.writelines(event(number, "over time", when[number * 86_399 // count]) + b"\n" for number in range(count))
    state = finish(tmp_path / "data", source)
    counted = tally(state)
    late = max(0, count - MOST_SEEN)
    assert (counted["eventsAccepted"], counted["users"], counted["duplicates"]) == (2 * count - late, 2, 0)
    assert counted["ignored"] == ({"late": late} if late else {})
    assert Counter(row["user_id"] for row in rows(state, "events")) == {"at once": count, "over time": count}
    assert len(state["people"]) == 2
