"""``onramp dlq`` and ``onramp audit`` on a data directory whose job reads a local event log, or files."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.catalogs import BUILT_IN
from local.data_dir import DataDir
from sources.local_log.log import EventLog, Record
from sources.local_log.reader import LogReader
from state.decode import decode
from state.duration import MINUTE
from state.messages import Message
from state.records.dead_letter import DeadLetter, encode_line
from tests.cli.conftest import Inside

NOW = 1_767_600_000_000
HOSTILE = "\x1b]0;title\x07\u202e"


def line(number: int, **more: Any) -> bytes:
    fields = {
        "eventId": f"e{number}",
        "userId": "ann",
        "eventType": "viewed",
        "timestamp": "2026-01-05T08:00:00Z",
        "payload": {"path": "/"},
    }
    return json.dumps({**fields, **more}).encode()


def letter(number: int, raw: bytes) -> DeadLetter:
    found = decode(Message(raw, b"ann", "event-log", 2, number, NOW + number * 3_600_000, NOW, 1))
    assert isinstance(found, DeadLetter)
    return found


LETTERS = [letter(1, line(1)), letter(2, line(2, name=HOSTILE)), letter(3, b"{" + HOSTILE.encode()), letter(4, line(4, eventType=7))]


@pytest.fixture(params=["log", "files"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> DataDir:
    """A data directory with four dead letters."""
    made = DataDir.create(tmp_path / ".onramp")
    made.dead_letters.write_bytes(b"".join(map(encode_line, LETTERS)) + b"   \n")
    if request.param == "log":
        with EventLog(made.event_log, partitions=6) as log:
            log.append([Record(b"ann", b"{}")])
    return made


def sent(directory: DataDir) -> list[dict[str, Any]]:
    """The events that the job would read."""
    if not directory.event_log.exists():
        return [json.loads(json.loads(each)["raw"]) for each in directory.sent.read_bytes().splitlines()]
    reader = LogReader(directory.event_log)
    try:
        rows = [row for partition in range(6) for row in reader.read(partition, 0, 100) or []]
        return [json.loads(row.record.value) for row in rows if row.record.headers]
    finally:
        reader.close()


def test_letters_are_listed_counted_and_shown(directory: DataDir, inside: Inside) -> None:
    cwd = directory.path.parent
    listed = inside("dlq", "list", "--json", cwd=cwd).json
    assert [each["id"] for each in listed["letters"]] == [each.id for each in reversed(LETTERS)]
    assert (listed["total"], listed["letters"][3]["attempts"], listed["letters"][3]["replayedAt"]) == (4, 1, None)
    assert inside("dlq", "list", "--reason", "not_json", "--json", cwd=cwd).json["total"] == 1
    assert inside("dlq", "list", "--since", "2026-01-05T11:00:00Z", "--json", cwd=cwd).json["total"] == 2
    assert inside("dlq", "list", "--since", "30s", cwd=cwd).out.startswith("No rejected message in ")
    counted = {each["reason"]: each["letters"] for each in inside("dlq", "stats", "--json", cwd=cwd).json["reasons"]}
    assert counted == {"unknown_event_type": 3, "not_json": 1}
    shown = inside("dlq", "show", LETTERS[0].id, "--json", cwd=cwd).json
    assert (shown["raw"], shown["key"], shown["offset"]) == (line(1).decode(), "ann", 1)
    for arguments in (("list",), ("list", "--limit", "1"), ("stats",), ("show", LETTERS[2].id)):
        printed = inside("dlq", *arguments, cwd=cwd)
        assert printed.code == 0, printed.err
        assert not set(printed.out) & {"\x1b", "\x07", "\u202e"}, arguments


def test_a_patch_is_shown_then_sent_and_recorded(directory: DataDir, inside: Inside) -> None:
    cwd, patch = directory.path.parent, '{"eventType": "page_view", "name": null}'
    edit = ("dlq", "replay", "--reason", "unknown_event_type", "--edit", patch)
    dry = inside(*edit, "--dry-run", cwd=cwd)
    assert dry.code == 0, dry.err
    assert '- eventType: "viewed"' in dry.out
    assert '+ eventType: "page_view"' in dry.out
    assert "3 messages would be sent" in dry.out
    assert not set(dry.out) & {"\x1b", "\x07", "\u202e"}
    asked = inside(*edit, cwd=cwd)
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert not directory.audit.exists()
    done = inside(*edit, "--yes", "--by", "eva", "--json", cwd=cwd).json
    assert (done["sent"], done["live"], [each["wouldBe"] for each in done["letters"]]) == (
        3,
        directory.event_log.exists(),
        ["accepted"] * 3,
    )
    assert sorted((each["eventId"], each["eventType"]) for each in sent(directory)) == [(f"e{n}", "page_view") for n in (1, 2, 4)]
    again = inside(*edit, "--yes", cwd=cwd)
    assert "3 letters are not sent: replayed before" in " ".join(again.out.split())
    assert len(sent(directory)) == 3
    assert inside("dlq", "stats", "--json", cwd=cwd).json["reasons"][0]["replayed"] == 3
    audited = inside("audit", "--json", cwd=cwd).json
    assert [(each["by"], each["action"], each["outcome"]) for each in audited["entries"]] == [
        ("eva", "dlq.replay", "begun"), ("eva", "dlq.replay", "done"),
    ]  # fmt: skip
    assert audited["faults"] == []


def test_a_message_nested_however_deep_is_mended_or_refused(tmp_path: Path, inside: Inside) -> None:
    made, depths = DataDir.create(tmp_path / ".onramp"), (600, *range(820, 1_010, 10))
    raws = [line(depth)[:-15] + b"[" * depth + b"]" * depth + b"}" for depth in depths] + [line(2_000)[:-15] + b"1e999}"]
    raws += [line(3_000)[:-15] + b'{"a":' * depth + b"1" + b"}" * depth + b"}" for depth in (300, 950)]
    letters = [letter(number, raw) for number, raw in enumerate(raws)]
    made.dead_letters.write_bytes(b"".join(map(encode_line, letters)))
    for patch in ('{"payload": null}', '{"eventType": "page_view"}'):
        done = inside("dlq", "replay", "--edit", patch, "--dry-run", "--json", cwd=tmp_path)
        assert done.code == 0, done.err
        changed = {each["id"]: each["changes"][0] for each in done.json["letters"]}
        assert len(changed) + len(done.json["skipped"]) == len(letters)
        assert letters[0].id in changed
        assert inside("dlq", "replay", "--edit", patch, "--dry-run", cwd=tmp_path).code == 0
        if "payload" in patch:
            assert str(changed[letters[0].id]["before"]).count("[") == 600
            assert changed[letters[-3].id] == {"path": "payload", "before": None}
    assert inside("dlq", "replay", "--edit", '{"a":' * 1_000 + "1" + "}" * 1_000, cwd=tmp_path).code == 2


def test_commands_that_read_do_not_hold_all_letters_in_memory(tmp_path: Path, inside: Inside) -> None:
    made, size, number = DataDir.create(tmp_path / ".onramp"), 100_000, 60
    letters = [letter(at % 7 * 100 + at, b"x" * size + str(at).encode()) for at in range(number)]
    made.dead_letters.write_bytes(b"".join(map(encode_line, letters)) + encode_line(letters[0]))
    newest = max(letters, key=lambda each: each.log_time)
    commands = (("list", "--limit", "2"), ("stats",), ("show", newest.id))
    for command in commands:
        inside("dlq", *command, "--json", cwd=tmp_path)  # imports take memory too
    found = []
    tracemalloc.start()
    try:
        for command in commands:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            found.append(inside("dlq", *command, "--json", cwd=tmp_path).json)
            assert tracemalloc.get_traced_memory()[1] - before < 25 * size, command
    finally:
        tracemalloc.stop()
    assert (found[0]["total"], found[0]["letters"][0]["id"], len(found[0]["letters"])) == (number, newest.id, 2)
    assert [(each["letters"], each["example"]) for each in found[1]["reasons"]] == [(number, newest.id)]
    assert found[1]["reasons"][0]["first"] < found[1]["reasons"][0]["last"]


def test_a_reason_in_a_file_that_others_may_write_is_shown_harmless(tmp_path: Path, inside: Inside) -> None:
    made = DataDir.create(tmp_path / ".onramp")
    made.dead_letters.write_bytes(encode_line(msgspec.structs.replace(LETTERS[0], reason=HOSTILE, detail=HOSTILE, topic=HOSTILE)))
    for arguments in (
        ("replay", "--dry-run"),
        ("list",),
        ("stats",),
        ("show", json.loads(inside("dlq", "list", "--json", cwd=tmp_path).out)["letters"][0]["id"]),
    ):
        printed = inside("dlq", *arguments, cwd=tmp_path)
        assert printed.code == 0, printed.err
        assert not set(printed.out) & {"\x1b", "\x07", "\u202e"}, arguments


def test_letters_are_sent_as_they_are_by_id(directory: DataDir, inside: Inside) -> None:
    cwd = directory.path.parent
    result = inside("dlq", "replay", LETTERS[1].id, LETTERS[0].id, "--limit", "1", "--yes", cwd=cwd)
    assert result.code == 0, result.err
    assert "would be rejected again: unknown_event_type" in result.out
    assert [each["eventId"] for each in sent(directory)] == ["e1"]
    assert inside("audit", cwd=cwd).out.count("dlq.replay") == 2


def test_letters_of_one_tenant_are_listed_counted_and_sent(tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    made = DataDir.create(tmp_path / ".onramp")
    of = {"acme": [1, 2], "beta": [3], "default": [4]}
    raws = {
        number: line(number, eventType="page_view", **({} if tenant == "default" else {"tenantId": tenant}))
        for tenant, numbers in of.items()
        for number in numbers
    }
    found = [DeadLetter("unknown_tenant", "", raw, "event-log", 2, number, NOW) for number, raw in raws.items()]
    made.dead_letters.write_bytes(b"".join(map(encode_line, [*found, letter(5, b"{")])))
    (tmp_path / "acme.yaml").write_text((BUILT_IN / "saas.yaml").read_text(encoding="utf-8") + "tenants: [acme]\n", encoding="utf-8")
    monkeypatch.setenv("ONRAMP_CATALOG", "acme.yaml")
    for tenant, numbers in of.items():
        listed = inside("dlq", "list", "--tenant", tenant, "--json", cwd=tmp_path).json
        assert {each["offset"] for each in listed["letters"]} == set(numbers)
        assert inside("dlq", "stats", "--tenant", tenant, "--json", cwd=tmp_path).json["total"] == len(numbers)
    assert inside("dlq", "list", "--json", cwd=tmp_path).json["total"] == 5
    replay = ("dlq", "replay", "--reason", "unknown_tenant", "--yes", "--json")
    assert inside(*replay, "--tenant", "beta", cwd=tmp_path).json["sent"] == 0
    everything = inside(*replay, cwd=tmp_path).json
    assert (everything["sent"], len(everything["skipped"])) == (2, 2)
    assert "no catalog is for the tenant" in everything["skipped"][0]["because"]
    by_id = inside("dlq", "replay", found[2].id, "--yes", "--json", cwd=tmp_path).json
    assert by_id["sent"] == 1


def test_the_oldest_go_first_and_a_limit_goes_on_where_it_stopped(tmp_path: Path, inside: Inside) -> None:
    made = DataDir.create(tmp_path / ".onramp")
    made.dead_letters.write_bytes(b"".join(map(encode_line, reversed(LETTERS))))
    some = ("dlq", "replay", "--reason", "unknown_event_type", "--yes", "--limit")
    assert inside(*some, "2", "--json", cwd=tmp_path).json["sent"] == 2
    assert inside(*some, "1", "--json", cwd=tmp_path).json["sent"] == 1
    assert [each["eventId"] for each in sent(made)] == ["e1", "e2", "e4"]
    replayed = {each["id"]: each["replayedAt"] is not None for each in inside("dlq", "list", "--json", cwd=tmp_path).json["letters"]}
    assert replayed == {each.id: each.reason == "unknown_event_type" for each in LETTERS}
    entries = inside("audit", "--action", "dlq.replay", "--json", cwd=tmp_path).json["entries"]
    assert [each.get("count", each.get("reasons")) for each in entries] == [2, ["unknown_event_type"], 1, ["unknown_event_type"]]
    assert inside("audit", "--limit", "1", "--json", cwd=tmp_path).json["entries"] == entries[-1:]
    assert inside("audit", "--action", "forget", "--json", cwd=tmp_path).json["entries"] == []


def test_what_was_replayed_is_sent_again_only_with_again(tmp_path: Path, inside: Inside) -> None:
    made = DataDir.create(tmp_path / ".onramp")
    made.dead_letters.write_bytes(encode_line(LETTERS[0]))
    (tmp_path / "patch.json").write_text('{"eventType": "page_view"}')
    for more, number in (((), 1), ((), 1), (("--again", "--edit", "@patch.json"), 2)):
        assert inside("dlq", "replay", "--yes", *more, cwd=tmp_path).code == 0
        assert len(sent(made)) == number
    assert sent(made)[1]["eventType"] == "page_view"


def test_an_id_that_there_is_not_sends_nothing(tmp_path: Path, inside: Inside) -> None:
    made = DataDir.create(tmp_path / ".onramp")
    made.dead_letters.write_bytes(encode_line(LETTERS[0]))
    result = inside("dlq", "replay", LETTERS[0].id, "0123456789ab", "--yes", cwd=tmp_path)
    assert (result.code, "0123456789ab" in result.err, made.sent.exists()) == (2, True, False)


def test_a_duration_is_counted_back_from_now(tmp_path: Path, inside: Inside) -> None:
    made, now = DataDir.create(tmp_path / ".onramp"), time.time_ns() // 1_000_000
    made.dead_letters.write_bytes(encode_line(msgspec.structs.replace(LETTERS[0], log_time=now - 30 * MINUTE)))
    assert [inside("dlq", "list", "--since", since, "--json", cwd=tmp_path).json["total"] for since in ("1h", "10m")] == [1, 0]


def test_letters_of_a_shared_topic(tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    first = msgspec.structs.replace(LETTERS[0], topic="orders", attempts=3, whole_bytes=9_000_000)
    letters = [first, msgspec.structs.replace(LETTERS[1], topic="mine", attempts=2)]
    monkeypatch.setattr("flows.dead_letters.read_dead_letters", lambda _settings: iter(letters))
    monkeypatch.setenv("ONRAMP_KAFKA_BROKERS", "localhost:1")
    monkeypatch.setenv("ONRAMP_KAFKA_TOPIC", "mine")
    found = inside("dlq", "replay", "--dry-run", "--json", cwd=tmp_path).json
    assert [each["id"] for each in found["letters"]] == [letters[1].id]
    assert [(each["id"], "from the topic orders" in each["because"]) for each in found["skipped"]] == [(first.id, True)]
    (counted,) = inside("dlq", "stats", "--json", cwd=tmp_path).json["reasons"]
    assert (counted["letters"], counted["mostAttempts"]) == (2, 3)
    listed = inside("dlq", "list", "--json", cwd=tmp_path).json["letters"]
    assert [each["bytes"] for each in listed] == [len(letters[1].raw), 9_000_000], "the size of the whole message"


def test_a_replay_into_files_is_recorded(tmp_path: Path, inside: Inside) -> None:
    made = DataDir.create(tmp_path / ".onramp")
    source = tmp_path / "events.jsonl"
    source.write_bytes(line(1, eventType="page_view") + b"\n")
    done = inside("replay", "--from", "2026-01-05T00:00:00Z", "--into", "out", "--input", source, "--by", "eva", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    (entry,) = [json.loads(each) for each in made.audit.read_bytes().splitlines()]
    assert (entry["action"], entry["by"], entry["from"], entry["to"]) == ("replay", "eva", "2026-01-05T00:00:00.000Z", None)
    assert entry["lines"] == done.json["lines"]
    assert entry["lines"]["events"] == 1


def test_a_log_that_was_changed_is_said(directory: DataDir, inside: Inside) -> None:
    cwd = directory.path.parent
    inside("dlq", "replay", LETTERS[0].id, "--yes", cwd=cwd)
    directory.audit.write_bytes(directory.audit.read_bytes().replace(b'"begun"', b'"ended"'))
    result = inside("audit", cwd=cwd)
    assert (result.code, "was changed or taken out" in result.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("list", "--since", "yesterday"), "yesterday"),
        (("show", "nothing"), "nothing"),
        (("replay", "--edit", "[1]"), "JSON object"),
        (("replay", "--edit", "{"), "cannot be read"),
        (("replay", "--edit", "@missing"), "cannot be read"),
        (("replay", "--yes", "--by", " "), "--by"),
    ],
)
def test_wrong_usage_is_one_sentence(tmp_path: Path, inside: Inside, arguments: tuple[str, ...], complaint: str) -> None:
    DataDir.create(tmp_path / ".onramp")
    result = inside("dlq", *arguments, cwd=tmp_path)
    assert result.code == 2
    assert complaint in result.err


def test_a_pause_and_a_key_are_recorded(tmp_path: Path, inside: Inside) -> None:
    DataDir.create(tmp_path / ".onramp")
    inside("guidance", "pause", "--by", "eva", "--because", "wrong text", cwd=tmp_path)
    inside("guidance", "ramp", "0.5", "--by", "undefined", cwd=tmp_path)
    key = inside("keys", "create", "server", "--by", "eva", "--json", cwd=tmp_path).json
    inside("keys", "revoke", key["id"], "--by", "ben", cwd=tmp_path)
    entries = inside("audit", "--json", cwd=tmp_path).json["entries"]
    assert [(each["by"], each["action"], each["outcome"]) for each in entries] == [
        ("eva", "guidance.pause", "done"), ("undefined", "guidance.ramp", "failed"),
        ("eva", "keys.create", "done"), ("ben", "keys.revoke", "done"),
    ]  # fmt: skip
    assert entries[2]["id"] == key["id"]
    assert key["key"] not in (tmp_path / ".onramp" / "audit.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "--user"),
        (("--user", "ann", "--into", "d"), "--user"),
        (("--user", "ann", "--from", "1h"), "whole log"),
        (("--into", "d", "--from", "noon"), "noon"),
    ],
)
def test_a_replay_is_of_a_user_or_of_a_range(tmp_path: Path, inside: Inside, arguments: tuple[str, ...], complaint: str) -> None:
    result = inside("replay", *arguments, cwd=tmp_path)
    assert (result.code, complaint in result.err) == (2, True)


def test_times_are_shown_as_everywhere_else(directory: DataDir, inside: Inside) -> None:
    cwd = directory.path.parent
    assert inside("dlq", "replay", LETTERS[0].id, "--yes", cwd=cwd).code == 0
    for shown in (inside("dlq", "list", cwd=cwd).out, inside("audit", cwd=cwd).out):
        assert len(re.findall(r"\b\d{4}-\d\d-\d\d \d\d:\d\d", shown)) >= 2, shown
        assert not re.search(r"\dT\d\d:", shown), shown
