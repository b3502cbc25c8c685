"""The local event log, and the topics of Kafka, from which nothing can be erased."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from typing_extensions import override

from flows.places.ids_in_bytes import may_have
from flows.places.place import UNREAD_MERGES, Logged, Place
from sources.errors import BrokerError
from sources.kafka.backlog import topic_config
from sources.kafka.client import Cluster
from sources.local_log.erase import ERASED, erase, is_erased, remove_old_bytes
from sources.local_log.reader import LogReader, Stored
from sources.local_log.store import Record
from state.duration import DAY
from state.records.dead_letter import content_as_json
from state.records.subject import Subject, left_of, must_go

_AT_ONCE: Final = 1_000
_ENCODER: Final = msgspec.msgpack.Encoder()


class EventLogMessages(Place):
    """The messages of the user in the local log. The deletion itself stays until it is too old: every reader must read it."""

    name = "event_log"
    note = "the deletion itself: the id, and no content, until its age deletes it"

    def __init__(self, directory: Path) -> None:
        """Open nothing yet."""
        self.path: Path = directory

    def held(self, subject: Subject) -> list[Any]:
        """Return the messages."""
        return [_as_json(each.record) for each in self._stored() if _concerned(each, subject)]

    @override
    def note_for(self, held: Sequence[Any], subject: Subject) -> str:
        return UNREAD_MERGES if held and not self.held(subject._replace(merges_stay=True)) else super().note_for(held, subject)

    @override
    def messages(self, texts: Sequence[bytes]) -> Iterator[Logged]:
        return (Logged(each.time, each.record.value) for each in self._stored() if may_have(each.record.value, texts))

    def erase(self, subject: Subject) -> None:
        """Erase the messages. A job may read and others may append meanwhile."""
        until = None if subject.deleted is None else subject.deleted.logged
        erase(self.path, lambda record: _must_go(record, subject), lambda record: _left_of(record, subject), until=until)

    def maintain(self, subject: Subject) -> None:  # noqa: ARG002 - the bytes of all messages that were deleted or erased go
        """Remove the bytes of messages that are no longer in the log."""
        remove_old_bytes(self.path)

    @override
    def hits_that_stay(self, subject: Subject, pattern: re.Pattern[bytes]) -> int:
        return sum(len(pattern.findall(_ENCODER.encode(each.record))) for each in self._stored() if not _concerned(each, subject))

    def _stored(self) -> Iterator[Stored]:
        reader = LogReader(self.path)
        try:
            for partition in range(reader.identity.partitions):
                offset = reader.first_bounds(partition).low
                while rows := reader.read(partition, offset, _AT_ONCE):
                    offset = rows[-1].offset + 1
                    yield from rows
        finally:
            reader.close()


def retention_in_words(cluster: Cluster) -> str:
    """Say how long the topic keeps what it holds, as a part of a sentence. Blocks up to the time limit of the cluster; never raises."""
    try:
        config = topic_config(cluster)
        return in_words(config["cleanup.policy"], int(config["retention.ms"]))
    except (BrokerError, KeyError, ValueError):
        return "until its retention ends, which the broker does not tell"


def in_words(policy: str, kept: int) -> str:
    """How long a topic with this cleanup policy and ``retention.ms`` keeps a message, as a part of a sentence."""
    if "delete" not in policy.split(","):
        return f"for ever: its cleanup policy is {policy}"
    days = f"for {kept / DAY:.1f} d from when it was sent (retention.ms = {kept})"
    return "for ever: it has no retention" if kept < 0 else days


def _concerned(stored: Stored, subject: Subject) -> bool:
    return subject.is_before(stored.time) and _must_go(stored.record, subject)


def _must_go(record: Record, subject: Subject) -> bool:
    return not is_erased(record) and must_go(record.value, record.key, record.headers, subject)


def _left_of(record: Record, subject: Subject) -> Record:
    bare = left_of(record.value, record.headers, subject)
    return ERASED if bare is None else Record(record.key, *bare)


def _as_json(record: Record) -> Any:
    return content_as_json(record.value, record.key, record.headers)
