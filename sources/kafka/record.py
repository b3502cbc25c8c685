"""Reads the parts of a Kafka record. Whatever a producer wrote into it, nothing here raises.

The client library raises for contents that it cannot convert, such as the name of a header that is not UTF-8; which exception it is differs
with the content and with the version. An event is read without such a part, and ``complain`` is called. Without a value it is a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE
from confluent_kafka import Message as Record

from sources.headers import Header

Fault = tuple[str, str]
"""A reason code of ``state.event_contract.REJECTIONS``, and a sentence."""
Complain = Callable[[Record, str, Exception], None]
"""Called with the record, the name of the part that cannot be read, and the error."""

TOMBSTONE: Final[Fault] = ("not_json", "the message has no value (a tombstone); to delete a person send a user_deleted event")
DAMAGED: Final[Fault] = ("unreadable", "the client library cannot read the value of the message")


def time_of(record: Record, complain: Complain) -> int | None:
    """Return the timestamp in milliseconds, None without one."""
    try:
        kind, time = record.timestamp()
    except Exception as error:  # noqa: BLE001 - see the module
        complain(record, "timestamp", error)
        return None
    return None if kind == TIMESTAMP_NOT_AVAILABLE else time


def value_of(record: Record) -> tuple[bytes, Fault | None]:
    """Return the value, and the fault where there is none."""
    try:
        value: Any = record.value()
    except Exception:  # noqa: BLE001 - see the module
        return b"", DAMAGED
    return (b"", TOMBSTONE) if value is None else (value, None)


def key_of(record: Record, complain: Complain) -> bytes | None:
    """Return the key, None without one."""
    try:
        key: bytes | None = record.key()
    except Exception as error:  # noqa: BLE001 - see the module
        complain(record, "key", error)
        return None
    return key


def parts_of(record: Record, complain: Complain) -> tuple[int | None, bytes, Fault | None, bytes | None]:
    """Return what ``time_of``, ``value_of`` and ``key_of`` return."""
    value: Any
    try:
        (kind, time), value, key = record.timestamp(), record.value(), record.key()
    except Exception:  # noqa: BLE001 - see the module
        return time_of(record, complain), *value_of(record), key_of(record, complain)
    stamp = None if kind == TIMESTAMP_NOT_AVAILABLE else time
    return (stamp, value, None, key) if value is not None else (stamp, b"", TOMBSTONE, key)


def headers_of(records: Sequence[Record], complain: Complain) -> list[tuple[Header, ...]]:
    """Return the headers of each record, empty where they cannot be read. Call it once for each record.

    For a name that is not UTF-8 the library returns a list with holes and an error at once, and the list alone when it is asked again. A
    call from C finds that out. Python's own call no longer looks once it is specialised (PEP 659, after some calls), and the process ends
    when the list is read.
    """
    if not records:
        return []
    found: Iterator[Any] = map(type(records[0]).headers, records)
    headers: list[tuple[Header, ...]] = []
    for record in records:
        try:
            each = next(found)
            headers.append(tuple(each) if each else ())
        except Exception as error:  # noqa: BLE001 - see the module
            complain(record, "headers", error)
            headers.append(())
    return headers


def key_and_headers(record: Record, complain: Complain) -> tuple[bytes | None, tuple[Header, ...]]:
    """Return key and headers. Call it once for each record, as ``headers_of``."""
    return key_of(record, complain), headers_of((record,), complain)[0]
