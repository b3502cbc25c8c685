"""Dead letters are sent again once, as they were or mended, and what is rejected again comes back with one attempt more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from flows.catalogs import load_catalog
from flows.dead_letters import in_file
from flows.replay_letters import plan_replay, replayed, send_letters
from local.audit_log import AuditLog
from sources.batching import BatchPolicy
from sources.errors import UnreachableError
from sources.files.input_positions import dump, load
from sources.files.sent_file import Sent, append_sent, read_sent
from sources.files.source import JsonlSource
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decode import decode, peek
from state.duration import HOUR
from state.event import Event
from state.messages import Message
from state.records.dead_letter import DeadLetter, encode_line

NOW = 1_767_600_000_000


class Target:
    """An input that keeps what is sent. ``fails_after``: sends that succeed before one fails, after it stored what it was given."""

    def __init__(self, topic: str = "onboarding.events", fails_after: int = 1_000) -> None:
        self.topic, self.sent, self.left = topic, list[Sent](), fails_after

    def send(self, messages: Sequence[Sent]) -> None:
        self.sent += messages
        if not self.left:
            raise UnreachableError("the broker went away")
        self.left -= 1


def event(number: int, kind: str = "page_view", **more: object) -> bytes:
    fields = {"eventId": f"e{number}", "userId": "ann", "eventType": kind, "timestamp": "2026-01-05T08:00:00Z", "payload": {"path": "/"}}
    return json.dumps({**fields, **more}).encode()


def letter(number: int, raw: bytes | None = None, **more: object) -> DeadLetter:
    found = decode(Message(event(number, "viewed") if raw is None else raw, b"ann", "onboarding.events", 2, number, NOW, NOW, 1))
    assert isinstance(found, DeadLetter)
    return DeadLetter(**{**{name: getattr(found, name) for name in found.__struct_fields__}, **more})


def log_in(directory: Path) -> AuditLog:
    return AuditLog(directory / "audit.jsonl", lambda: NOW)


def test_a_letter_is_sent_once_and_again_only_when_asked(tmp_path: Path) -> None:
    log, target, letters = log_in(tmp_path), Target(), [letter(1), letter(2)]
    for again, sent in ((False, 2), (False, 0), (True, 2)):
        planned = plan_replay(letters, replayed(log), NOW, again=again)
        assert send_letters(planned, target, log, "eva") == sent
    assert len(target.sent) == 4
    assert target.sent[0] == Sent(letters[0].raw, b"ann", (("onramp-attempts", b"1"),), partition=2), "it goes where it came from"
    assert [(entry["by"], entry["outcome"]) for entry in log.entries()] == [("eva", "begun"), ("eva", "done")] * 2
    assert set(replayed(log)) == {each.id for each in letters}


def test_a_replay_that_breaks_off_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    log, letters = log_in(tmp_path), [letter(number) for number in range(1_200)]
    target = Target(fails_after=1)
    with pytest.raises(UnreachableError):
        send_letters(plan_replay(letters, replayed(log), NOW), target, log, "eva")
    assert len(replayed(log)) == 500, "what was stored and not recorded is sent again"
    assert [entry["outcome"] for entry in log.entries()] == ["begun", "done", "failed"]
    send_letters(plan_replay(letters, replayed(log), NOW), rest := Target(), log, "eva")
    assert {each.value for each in target.sent[:500] + rest.sent} == {each.raw for each in letters}
    assert len(rest.sent) == 700


def test_a_letter_of_a_tenant_without_a_catalog_is_sent_only_if_it_is_named_or_a_deletion() -> None:
    sent = {"eventId": "e", "userId": "u", "tenantId": "acme", "timestamp": "2026-01-05T00:00:00Z", "payload": {"path": "/"}}
    values = [json.dumps({**sent, "eventType": kind}).encode() for kind in ("page_view", "user_deleted")]
    letters = [DeadLetter("unknown_tenant", "", value, "t", 0, place, 0) for place, value in enumerate(values)]
    plan = Plan(load_catalog("saas"))
    for own, verdicts in (({"beta": plan}, ["unknown_tenant", ""]), ({"acme": plan}, ["", ""])):
        found = plan_replay(letters, {}, NOW, plans=ByTenant(None, own), named=True)
        assert [(each.verdict, each.skipped) for each in found] == [(verdict, "") for verdict in verdicts]
        skipped = [bool(each.skipped) for each in plan_replay(letters, {}, NOW, plans=ByTenant(None, own))]
        assert skipped == [bool(verdict) for verdict in verdicts], "it would only come back with one attempt more"
    (elsewhere,) = plan_replay(letters[:1], {}, NOW, {"tenantId": "beta"}, plans=ByTenant(None, {"beta": plan}))
    assert (elsewhere.skipped, elsewhere.verdict) == ("", "")


def test_mended_letters_are_judged_before_they_are_sent(tmp_path: Path) -> None:
    letters = [letter(1), letter(2, b"{"), letter(3, event(3, "page_view", payload={})), letter(4, whole_bytes=9_000_000), letter(5, b"")]
    planned = plan_replay(letters, {}, NOW, {"eventType": "page_view"})
    assert [(each.skipped, each.verdict) for each in planned] == [
        ("", ""),
        ("it cannot be edited: it is not JSON that can be written again", ""),
        ("the patch changes nothing", ""),
        (f"only {len(letters[3].raw)} of its 9,000,000 bytes are kept", ""),
        ("it has no content", ""),
    ]
    log = log_in(tmp_path)
    send_letters(planned, target := Target(), log, "eva", {"eventType": "page_view"})
    assert [json.loads(each.value)["eventType"] for each in target.sent] == ["page_view"]
    (begun, done) = log.entries()
    assert (done["fields"], done["reasons"], len(done["patch"])) == (["eventType"], ["unknown_event_type"], 16)
    assert begun["patch"] == done["patch"], "a digest, which tells whether two replays had one patch"
    assert "page_view" not in (tmp_path / "audit.jsonl").read_text(), "what a message says is nobody's business here"


def test_a_letter_of_another_topic_does_not_go_to_the_topic_of_this_job() -> None:
    mine, other = plan_replay([letter(1), letter(2, topic="orders")], {}, NOW, topic="onboarding.events")
    assert (mine.skipped, "from the topic orders" in other.skipped) == ("", True)
    assert [each.skipped for each in plan_replay([letter(1), letter(2, topic="events.jsonl")], {}, NOW)] == ["", ""]


def test_a_message_for_another_user_does_not_go_to_the_old_partition(tmp_path: Path) -> None:
    mended = plan_replay([letter(1, event(1, userId="undefined"), key=b"undefined")], {}, NOW, {"userId": "ann"})
    send_letters(mended, target := Target(), log_in(tmp_path), "eva", {"userId": "ann"})
    assert (target.sent[0].key, target.sent[0].partition) == (b"ann", None)


def test_a_partition_of_another_topic_means_nothing(tmp_path: Path) -> None:
    send_letters(plan_replay([letter(1)], {}, NOW), target := Target("event-log"), log_in(tmp_path), "eva")
    assert (target.sent[0].key, target.sent[0].partition) == (b"ann", None)


def test_a_run_on_a_file_takes_what_was_sent_once_and_first(tmp_path: Path) -> None:
    source, sent, letters = tmp_path / "events.jsonl", tmp_path / "sent.jsonl", tmp_path / "dead_letters.jsonl"
    source.write_bytes(event(1) + b"\n")
    resume = None
    read: list[list[tuple[str, str, int]]] = []
    for attempt in range(3):
        part = JsonlSource(source, peek, BatchPolicy(None, lambda _at: HOUR), now=lambda: NOW, sent=sent).build_part("in", "input", resume)
        found = []
        for _ in range(1_000):
            try:
                batch = part.next_batch()
            except StopIteration:
                break
            for message in batch:
                if isinstance(message, Message):
                    decoded = decode(message)
                    if isinstance(decoded, Event):
                        found.append(("event", decoded.id, message.offset))
                    else:
                        found.append(("letter", decoded.topic, decoded.attempts))
                        with letters.open("ab") as file:
                            file.write(encode_line(decoded))
        resume = dump(load(part.snapshot(), 0))
        read.append(found)
        if attempt == 0:
            append_sent(sent, [Sent(event(2), b"ann"), Sent(b"{", None, (("onramp-attempts", b"1"),))])
            with sent.open("ab") as file:
                file.write(b"      \n")  # a message that was erased with its user
    assert read == [[("event", "e1", 1)], [("event", "e2", 1), ("letter", "sent.jsonl", 2)], []]
    assert [each.attempts for each in in_file(letters)] == [2]
    assert read_sent(sent)[2] is None
