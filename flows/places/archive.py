"""The archive of the log: a forgotten message keeps its offset, and loses its key, value and headers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
import polars as pl
from typing_extensions import override

from flows.places.place import Logged, Place
from sources.archive.archive import SKEW_MS, Archive, Forgotten, concerns, left_of
from sources.archive.names import ArchiveFile
from sources.archive.rows import is_forgotten, rows_of
from sources.kafka.schema_registry import FramingError, SchemaRegistry
from sources.raw_log import RawRow
from state.records.dead_letter import content_as_json
from state.records.subject import Subject

_WAIT_S: Final = 15.0
"""How long to wait for a process that archives: it looks once a second, and writes what it has read."""
_PAUSE_S: Final = 0.1
_NOT_ARCHIVED: Final = (
    "the log still has messages that are not archived; `onramp archive`, also with --once, leaves them out when it has read the log to its "
    "end, and keeps the ids until then"
)
_ENCODER: Final = msgspec.msgpack.Encoder()


class ArchiveFiles(Place):
    """The messages of the user in the archive. The deletion itself stays: a replay must read it."""

    name = "archive"
    note = "the deletion itself: the id, and no content, for as long as the file is kept"

    def __init__(
        self, archive: Archive, now: Callable[[], int], *, log_keeps: bool, registry: SchemaRegistry | None = None, wait_s: float = _WAIT_S
    ) -> None:
        """``log_keeps``: nothing can be erased from the log itself, so what is not archived yet must be left out when it is."""
        self.path = archive.directory
        self._archive = archive
        self._now = now
        self._log_keeps = log_keeps
        self._registry = registry
        self._wait_s = wait_s

    def held(self, subject: Subject) -> list[Any]:
        """Return the messages, and the wait for those that are not archived yet. Reads every file."""
        found = [
            {"partition": file.partition, "offset": row.offset, **content_as_json(row.value or b"", row.key, row.headers)}
            for file, row in self._rows(subject)
        ]
        return [*found, *({"waitsFor": "messages that are not archived yet"} for _ in range(self.waits(subject)))]

    @override
    def messages(self, texts: Sequence[bytes]) -> Iterator[Logged]:
        """Yield the messages in which one of ``texts`` may be, file by file. Of two files with the same messages both are read."""
        for file in self._files():
            with suppress(FileNotFoundError):
                for row in rows_of(self._archive.read(file).filter(_may_have(texts).fill_null(value=False))):
                    yield Logged(self._now() if row.time is None else row.time, self._plain(row.value or b""))

    def waits(self, subject: Subject) -> bool:
        """Whether the archive still keeps the ids, to leave out messages that it has not read yet."""
        return any(each.tenant == subject.tenant and not set(each.ids).isdisjoint(subject.ids) for each in self._archive.waiting())

    def erase(self, subject: Subject) -> None:
        """Erase the messages. A process may archive meanwhile; it leaves out what it has read and not written yet.

        Merges go too: the job does not read the archive.
        """
        subject = subject._replace(merges_stay=False)
        at = self._now() if subject.deleted is None else subject.deleted.logged
        person = Forgotten(subject.tenant, subject.ids, at if self._log_keeps or subject.deleted is None else at - SKEW_MS)
        self._archive.wait_for(person)
        self._archive.erase(_maybe(subject), lambda row: concerns(subject, row, self._plain), lambda row: left_of(row, self._plain))
        deadline = time.monotonic() + self._wait_s
        while self._archive.is_appended_to() and person in self._archive.waiting() and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
        if not self._log_keeps and not self._archive.is_appended_to():
            self._archive.done([person])  # nobody has read a message that is not in a file, and the log has none any more

    @override
    def note_for(self, held: Sequence[Any], subject: Subject) -> str:
        return _NOT_ARCHIVED if held and self.waits(subject) else super().note_for(held, subject)

    @override
    def hits_that_stay(self, subject: Subject, pattern: re.Pattern[bytes]) -> int:
        hits = 0
        for file in self._files():
            with suppress(FileNotFoundError):
                for row in rows_of(self._archive.read(file).filter(_maybe(subject))):
                    hits += 0 if concerns(subject, row, self._plain) else len(pattern.findall(_ENCODER.encode(row)))
        return hits

    def _rows(self, subject: Subject) -> Iterator[tuple[ArchiveFile, RawRow]]:
        for file in self._files():
            with suppress(FileNotFoundError):  # it was joined with others, whose rows are the same
                for row in rows_of(self._archive.read(file).filter(_maybe(subject))):
                    if not is_forgotten(row) and concerns(subject, row, self._plain):
                        yield file, row

    def _files(self) -> list[ArchiveFile]:
        return self._archive.files()

    def _plain(self, value: bytes) -> bytes:
        if self._registry is None or value[:1] != b"\x00":
            return value
        try:
            return self._registry.decode_patiently(value)
        except FramingError:
            return value


def _maybe(subject: Subject) -> pl.Expr:
    """A quick look at a message that may be about the user: it has an id as it is, or an escape with which an id may be written."""
    texts = [each.encode("utf-8", "surrogatepass") for each in subject.ids]
    if any("\ufffd" in each for each in subject.ids):  # stands for bytes that are not UTF-8
        return pl.lit(value=True)
    key = pl.col("key")
    found = _may_have(texts)
    in_key = pl.lit(value=False)
    for text in texts:
        in_key |= key == text
    return found.fill_null(value=False) | in_key.fill_null(value=False)


def _may_have(texts: Sequence[bytes]) -> pl.Expr:
    """A quick look at the value: it has one of ``texts`` as it is, or an escape with which one may be written, or is not JSON."""
    value = pl.col("value")
    found = value.bin.contains(b"\\") | value.bin.starts_with(b"\x00")
    for text in texts:
        found |= value.bin.contains(text)
    return found
