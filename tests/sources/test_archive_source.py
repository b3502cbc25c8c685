"""A replay reads the archive as it would have read the log, goes on in the log where the archive ends, and misses nothing in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.archive import Archiver, RollRules
from sources.archive.archive import Archive
from sources.archive.names import ArchiveFile
from sources.archive.source import ArchiveSource
from sources.batching import BatchPolicy
from sources.errors import ArchiveError, OffsetGapError, SourceError
from sources.kafka.record import TOMBSTONE
from sources.kafka.schema_registry import SchemaRegistry
from sources.local_log.log import EventLog, Record
from sources.local_log.raw import LocalRawLog
from sources.local_log.source import LocalLogSource
from sources.raw_log import UNREADABLE_HEADER, RawRow
from state.messages import Message, Tick
from tests.sources.harness import LOOKAHEAD, Consumer, Part, drain
from tests.support.log_retention import delete_old
from tests.support.raw_logs import START, row
from tests.support.schema_registry import framed
from tests.support.waiting import wait_until

NOW = START + 400 * 86_400_000
STEP = LOOKAHEAD // 3


def fill(path: Path, first: int, stop: int) -> None:
    now = [0]
    with EventLog(path, partitions=2, retention=None, now=lambda: now[0]) as log:
        for number in range(first, stop):
            now[0] = START + number * STEP
            log.append([Record(b"k%d" % (number % 5), b'{"n": %d}' % number, (("traceparent", b"00-1"),))])


def archive(tmp_path: Path, file_bytes: int = 2_000) -> Archive:
    log = LocalRawLog(tmp_path / "log", accept_gap=False, accept="X")
    found = Archive(tmp_path / "archive")
    Archiver(found, log, RollRules(file_bytes, 10**9), stopping=lambda: False).run(once=True)
    log.close()
    return found


def read(make: Callable[[BatchPolicy], Any]) -> dict[str, Consumer]:
    """Each partition by itself, with a consumer that has timers."""
    found: dict[str, Consumer] = {}
    for name in make(BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 7)).list_parts():
        consumer = Consumer()
        source = make(BatchPolicy(consumer.wheel.next_due, lambda _: LOOKAHEAD, 7))
        source.list_parts()
        part = source.build_part("x", name, None)
        assert drain(part, consumer.take)
        part.close()
        found[name] = consumer
    return found


def seen(found: dict[str, Consumer]) -> dict[str, tuple[list[Message], list[tuple[Any, ...]]]]:
    """The messages of each partition, and in which order they and the timers came. Where a batch ends does not matter."""
    return {name: (each.messages, each.log) for name, each in found.items()}


def from_log(tmp_path: Path) -> Callable[[BatchPolicy], LocalLogSource]:
    return lambda policy: LocalLogSource(tmp_path / "log", policy, now=lambda: NOW, tail=False)


def from_both(tmp_path: Path, **more: Any) -> Callable[[BatchPolicy], ArchiveSource]:
    found = Archive(tmp_path / "archive")
    return lambda policy: ArchiveSource(found, policy, now=lambda: NOW, log=from_log(tmp_path)(policy), **more)


def test_archive_and_log_give_what_the_whole_log_gave(tmp_path: Path) -> None:
    fill(tmp_path / "log", 0, 60)
    archive(tmp_path)
    fill(tmp_path / "log", 60, 90)
    whole = seen(read(from_log(tmp_path)))
    assert sum(len(messages) for messages, _ in whole.values()) == 90
    assert any(entry[0] == "timer" for _, log in whole.values() for entry in log)
    delete_old(tmp_path / "log", START + 30 * STEP)
    assert seen(read(from_log(tmp_path))) != whole, "the log has lost a part"
    assert seen(read(from_both(tmp_path))) == whole
    archive(tmp_path)
    alone = Archive(tmp_path / "archive")
    assert seen(read(lambda policy: ArchiveSource(alone, policy, now=lambda: NOW))) == whole, "and the archive alone has all of it"


@pytest.mark.parametrize("archived", [40, 90], ids=["archive and log", "archive alone"])
def test_the_messages_of_all_partitions_come_in_the_order_of_log_time(tmp_path: Path, archived: int) -> None:
    fill(tmp_path / "log", 0, archived)
    found = archive(tmp_path, file_bytes=500)
    fill(tmp_path / "log", archived, 90)
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 7)
    log = LocalLogSource(tmp_path / "log", policy, now=lambda: NOW, tail=False, in_order=True)
    source = ArchiveSource(found, policy, now=lambda: NOW, log=log if archived < 90 else None)
    parts: list[Part] = [source.build_part("x", name, None) for name in source.list_parts()]
    read_in_turn, ended = list[tuple[int, int]](), set[int]()

    def poll() -> bool:
        for index, part in enumerate(parts):
            if index in ended:
                continue
            try:
                read_in_turn.extend((item.log_time, item.partition) for item in part.next_batch() if isinstance(item, Message))
            except StopIteration:
                ended.add(index)
        return len(ended) == len(parts)

    wait_until(poll, "the end of all partitions", every=0.001)
    assert len(read_in_turn) == 90
    assert read_in_turn == sorted(read_in_turn)


def test_what_is_in_neither_ends_it_with_a_sentence(tmp_path: Path) -> None:
    fill(tmp_path / "log", 0, 30)
    archive(tmp_path)
    fill(tmp_path / "log", 30, 90)
    delete_old(tmp_path / "log", START + 60 * STEP)
    with pytest.raises(OffsetGapError, match="not in"):
        read(from_both(tmp_path))


def test_a_partition_that_only_the_log_has_is_read_too(tmp_path: Path) -> None:
    fill(tmp_path / "log", 0, 20)
    found = archive(tmp_path)
    whole = seen(read(from_log(tmp_path)))
    for file in found.files():
        if file.partition == 0:
            (Path(found.place) / file.name).unlink()
    assert seen(read(from_both(tmp_path))) == whole


def test_days_before_the_range_are_not_read(tmp_path: Path) -> None:
    found = Archive(tmp_path / "archive")
    found.bind("topic", "")
    for day, first in (("2026-01-05", 0), ("2026-01-06", 3), ("2026-01-07", 6)):
        rows = [row(each, at=START + first // 3 * 86_400_000) for each in range(first, first + 3)]
        found.write(ArchiveFile(day, 0, first, first + 2), rows)
    (Path(found.place) / ArchiveFile("2026-01-05", 0, 0, 2).name).write_bytes(b"not read")
    (consumer,) = read(lambda policy: ArchiveSource(found, policy, now=lambda: NOW, since=START + 86_400_000)).values()
    assert [each.offset for each in consumer.messages] == [3, 4, 5, 6, 7, 8]


def test_odd_rows_are_what_kafka_s_source_makes_of_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = Archive(tmp_path / "archive")
    found.bind("topic", "")
    rows = [
        RawRow(0, START, b"ann", None),
        RawRow(1, None, b"ann", b"no time"),
        RawRow(2, START, b"", b"", (("onramp-erased", b""),)),
        RawRow(3, START + 1, None, None, ((UNREADABLE_HEADER, b"why"),)),
        RawRow(4, NOW + 10**9, None, b"ahead"),
    ]
    found.write(ArchiveFile("2026-01-05", 0, 0, 4), rows)
    found.write(ArchiveFile("2026-01-05", 0, 8, 8), [RawRow(8, START + 2, None, b"after a gap")])
    (consumer,) = read(lambda policy: ArchiveSource(found, policy, now=lambda: NOW)).values()
    assert [(each.offset, each.key, each.value, each.fault, each.log_time - START) for each in consumer.messages] == [
        (0, b"ann", b"", TOMBSTONE, 0),
        (1, b"ann", b"no time", None, 0),
        (3, None, b"", ("unreadable", "why"), 1),
        (4, None, b"ahead", None, 1),
        (8, None, b"after a gap", None, 2),
    ]
    assert "no message of topic:0 from offset 5 to 7" in caplog.text


def test_messages_with_a_schema_wait_for_the_registry_and_end_with_a_sentence_without_it(tmp_path: Path) -> None:
    found = Archive(tmp_path / "archive")
    found.bind("topic", "")
    found.write(ArchiveFile("2026-01-05", 0, 0, 1), [RawRow(0, START, b"ann", b"plain"), RawRow(1, START, b"ann", framed(7, b"{}"))])
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 1)
    away = SchemaRegistry("http://127.0.0.1:1", patience_s=0.0)
    part = ArchiveSource(found, policy, now=lambda: NOW, registry=away).build_part("x", "topic:0", None)
    with pytest.raises(SourceError, match="ONRAMP_SCHEMA_REGISTRY_URL"):
        drain(part, lambda _items: None)


def test_an_archive_of_another_log_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "log", 0, 3)
    Archive(tmp_path / "archive").bind("topic", "")
    with pytest.raises(ArchiveError, match="is of topic, not of the log of the settings"):
        from_both(tmp_path)(BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 7)).list_parts()


def test_a_file_that_is_joined_while_it_reads_is_found_again(tmp_path: Path) -> None:
    found = Archive(tmp_path / "archive")
    found.bind("topic", "")
    for first in (0, 2, 4):
        found.write(ArchiveFile("2026-01-05", 0, first, first + 1), [row(first), row(first + 1)])
    source = ArchiveSource(found, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 1), now=lambda: NOW)
    source.list_parts()
    part = source.build_part("x", "topic:0", None)
    items: list[Message | Tick] = list(wait_until(part.next_batch, "the first file is read"))
    found.compact(0, "2026-01-06", 10**9)
    assert drain(part, items.extend)
    assert [each.offset for each in items if isinstance(each, Message)] == [0, 1, 2, 3, 4, 5]


def test_a_link_to_a_file_that_is_gone_is_an_error_and_not_tried_for_ever(tmp_path: Path) -> None:
    found = Archive(tmp_path / "archive")
    found.bind("topic", "")
    found.write(ArchiveFile("2026-01-05", 0, 0, 0), [row(0)])
    path = Path(found.place) / found.files()[0].name
    path.unlink()
    path.symlink_to("moved away")
    part = ArchiveSource(found, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 1), now=lambda: NOW).build_part("x", "topic:0", None)
    with pytest.raises(ArchiveError, match="listed and cannot be found"):
        drain(part, lambda _items: None)
