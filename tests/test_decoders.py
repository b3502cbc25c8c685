"""Whoever handles what a decoder of msgspec raises also handles bytes that are not UTF-8: for these it raises ``UnicodeDecodeError``."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.records import _read as read_stored
from llm.review_queue import _readable
from sinks.redis.record import CorruptRecordError, decode_record
from state.decision.bandit import LEARNER_CODEC
from state.decision.switches import HISTORY_CODEC
from state.person import snapshot
from state.person.chains import CHAINS_CODEC
from state.person.identity import IDENTITY_CODEC
from state.person.link import LINK_CODEC
from state.person.person import Person
from state.person.visitor import VISITOR_CODEC
from state.snapshot_codec import SnapshotCodec, SnapshotError
from state.stuck.estimator import EstimatorError, restore_estimator

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("cli", "evaluation", "flows", "gateway", "llm", "local", "operators", "reports", "sinks", "sources", "state", "system")
NARROW, WIDE = {"DecodeError", "MsgspecError", "ValidationError"}, {"ValueError", "UnicodeError", "UnicodeDecodeError", "Exception"}
EXCEPTIONS = {
    "gateway/split_json.py": "it decodes to raw bytes, which are not looked into",
    "state/event_diagnosis.py": "it has looked at the encoding before",
    "local/backup_file.py": "it converts values that are decoded already",
    "state/lenient_json.py": "its callers diagnose bytes that are not UTF-8 by themselves",
}
BAD_TEXT = b"\xa1\xff"
"""A text of MessagePack that is not UTF-8."""


def _named(handler: ast.ExceptHandler) -> set[str]:
    found = ast.walk(handler.type) if handler.type is not None else ()
    return {each.attr if isinstance(each, ast.Attribute) else each.id for each in found if isinstance(each, ast.Attribute | ast.Name)}


def _too_narrow(source: str) -> list[int]:
    """Lines of ``try`` that handle what msgspec raises, and not what it raises for bytes that are not UTF-8."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Try):
            named = set[str]().union(*map(_named, node.handlers))
            if "msgspec" in named and named & NARROW and not named & WIDE:
                lines.append(node.lineno)
    return lines


def test_no_handler_forgets_bytes_that_are_not_utf_8() -> None:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix(): _too_narrow(path.read_text(encoding="utf-8")) for path in files}
    assert {name: lines for name, lines in found.items() if lines}.keys() == EXCEPTIONS.keys()


def test_the_check_sees_what_it_looks_for() -> None:
    handler = "try:\n    x()\nexcept {}:\n    pass\n"
    assert _too_narrow(handler.format("msgspec.DecodeError")) == [1]
    assert _too_narrow(handler.format("(msgspec.MsgspecError, TypeError)")) == [1]
    assert _too_narrow(handler.format("(msgspec.DecodeError, ValueError)")) == []


@pytest.mark.parametrize(
    ("codec", "fields"),
    [
        (LINK_CODEC, b"\x93"),
        (IDENTITY_CODEC, b"\x91"),
        (CHAINS_CODEC, b"\x91"),
        (VISITOR_CODEC, b"\x91"),
        (LEARNER_CODEC, b"\x91"),
        (HISTORY_CODEC, b"\x91"),
    ],
)
def test_a_snapshot_that_is_not_utf_8_is_damaged(codec: SnapshotCodec[Any], fields: bytes) -> None:
    with pytest.raises(SnapshotError):
        codec.decode(bytes([codec.version]) + fields + BAD_TEXT)


def test_the_snapshot_of_a_person_or_an_estimator_that_is_not_utf_8_is_damaged() -> None:
    whole = snapshot.encode(Person("tenant", "user"))
    with pytest.raises(SnapshotError):
        snapshot.decode(whole.replace(b"tenant", b"tena\xfft"))
    with pytest.raises(EstimatorError):
        restore_estimator(lambda _: pytest.fail("it is not read"), b"\x92\x03" + BAD_TEXT)


def test_a_record_of_redis_that_is_not_utf_8_cannot_be_read() -> None:
    with pytest.raises(CorruptRecordError):
        decode_record(b'{"userId": "\xff", "version": 1}')
    assert read_stored(b'{"version": 1, "source": "\xff"}', "recommendation") is None
    assert list(_readable([b'{"id": "\xff"}', None])) == []


def test_msgspec_still_raises_something_else_for_them() -> None:
    """Otherwise these tests are needless."""
    with pytest.raises(UnicodeDecodeError) as caught:
        msgspec.json.decode(b'"\xff"')
    assert not isinstance(caught.value, msgspec.MsgspecError)
