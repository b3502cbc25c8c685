"""Log lines as JSON: one object a line, with the trace id, without passwords."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from flows.failures import without_passwords
from flows.logs import JsonFormatter
from llm.trace_id import TRACE_ID


def line(message: str, *arguments: object, failed: bool = False) -> str:
    info = sys.exc_info() if failed else None
    return JsonFormatter().format(logging.LogRecord("sinks.redis.writer", logging.WARNING, "", 0, message, arguments, info))


def test_a_line_is_one_object_with_the_trace_id_of_the_event_that_it_is_about() -> None:
    assert "traceId" not in json.loads(line("hello"))
    token = TRACE_ID.set("0af7651916cd43dd8448eb211c80319c")
    try:
        written = line("two\nlines, %d and %s", 2, "ünïcode")
    finally:
        TRACE_ID.reset(token)
    assert written.count("\n") == 0
    found = json.loads(written)
    assert found["traceId"] == "0af7651916cd43dd8448eb211c80319c"
    assert (found["level"], found["logger"], found["message"]) == ("warning", "sinks.redis.writer", "two\nlines, 2 and ünïcode")


def test_passwords_in_addresses_are_masked_also_in_exceptions() -> None:
    address = "redis://app:hunter2@cache:6379/0"
    try:
        raise OSError(f"cannot reach {address} and http://:hunter2/x@y:8123")
    except OSError:
        written = line("no answer from %s", address, failed=True)
    assert "hunter2" not in written
    assert "redis://app:***@cache:6379/0" in json.loads(written)["message"]


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("redis://app:hunter2@cache:6379/0", "redis://app:***@cache:6379/0"),
        ("redis://:hunter2@ss-word@host:6379", "redis://:***@host:6379"),
        ("redis://:hunter2/with/slashes@host:6379", "redis://:***@host:6379"),
        ("http://app:hunter2:with@all/of@them@host:8123/path", "http://app:***@host:8123/path"),
        ("https://hunter2@host/path", "https://***@host/path"),
        ("http://ann@corp:hunter2@host:8123", "http://***@host:8123"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("mail to ann@example.com", "mail to ann@example.com"),
    ],
)
def test_a_password_is_masked_whatever_is_in_it(address: str, masked: str) -> None:
    assert without_passwords(f"cannot reach {address}, nor '{address}'") == f"cannot reach {masked}, nor '{masked}'"
