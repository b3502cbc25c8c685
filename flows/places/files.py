"""Files of the data directory: dead letters, messages that commands sent, rows on their way to ClickHouse, the recovery store."""

from __future__ import annotations

import os
import pickletools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
from typing_extensions import override

from flows.dead_letters import in_file
from flows.places.ids_in_bytes import LONGEST_CONTEXT, as_values, as_words, may_have, texts_of
from flows.places.place import FOR_MAINTENANCE, LOGGED_IN, UNREAD_MERGES, Logged, Place, erasures_of
from local.blank_lines import blank_lines
from local.data_dir import DataDir, DataDirError
from local.recovery_store import compact, newest_snapshots, remove_undurable_snapshots, snapshots_with
from sinks.clickhouse.erased_rows import erased_rows
from sinks.clickhouse.errors import SegmentDamaged
from sinks.clickhouse.rejected import Rejected
from sinks.clickhouse.segment import read_segment
from sources.files.sent_file import Sent, read_sent
from state.person import snapshot
from state.person.deduplication import remembered
from state.person.person import Person
from state.records.dead_letter import DeadLetter, content_as_json, content_of, decode_line
from state.records.fact_builders import dead_letter_fact
from state.records.subject import Subject, left_of, letter_is_about, must_go
from state.snapshot_codec import SnapshotError
from state.stuck.row import Row
from system.wall_clock import wall_clock

_UNREADABLE: Final = "unreadable"  # marks what is held in a file that cannot be read
_SHOWN: Final = 5  # unreadable files that the receipt names
_BLOCK = 8 * 1024 * 1024


class DeadLetterLines(Place):
    """The file of dead letters. An erased letter leaves a line of blanks, so that the job's position in the file stays right."""

    name = "dead_letters"

    def __init__(self, data_dir: DataDir) -> None:
        """Open nothing yet."""
        self.path: Path = data_dir.dead_letters

    def held(self, subject: Subject) -> list[Any]:
        """Return the letters that name the user."""
        return [letter_as_json(letter) for letter in in_file(self.path) if letter_is_about(letter, subject)]

    def erase(self, subject: Subject) -> None:
        """Blank the letters that name the user."""
        _blank(self.path, lambda line: _line_is_about(line, subject))

    @override
    def hits_that_stay(self, subject: Subject, pattern: re.Pattern[bytes]) -> int:
        return _hits_of_others(self.path, pattern, lambda line: _line_is_about(line, subject))


class SentLines(Place):
    """What commands sent to runs on files. A deletion stays, without content: the next run must read it."""

    name = "sent"
    note = "the deletion itself: the id, and no content"

    def __init__(self, data_dir: DataDir) -> None:
        """Open nothing yet."""
        self.path: Path = data_dir.sent

    def held(self, subject: Subject) -> list[Any]:
        """Return the messages about the user."""
        found = (each for each in read_sent(self.path) if each is not None)
        return [content_as_json(each.value, each.key, each.headers) for each in found if _sent_is_about(each, subject)]

    @override
    def note_for(self, held: Sequence[Any], subject: Subject) -> str:
        return UNREAD_MERGES if held and not self.held(subject._replace(merges_stay=True)) else super().note_for(held, subject)

    @override
    def messages(self, texts: Sequence[bytes]) -> Iterator[Logged]:
        """Yield the messages in which one of ``texts`` may be. They have no time: the next run reads them after all that it has read."""
        found = (each for each in read_sent(self.path) if each is not None)
        return (Logged(at, each.value) for at, each in enumerate(found, wall_clock()) if may_have(each.value, texts))

    def erase(self, subject: Subject) -> None:
        """Blank the messages about the user."""
        _blank(self.path, lambda line: _sent_line_is_about(line, subject), lambda line: _left_of_sent(line, subject))

    @override
    def hits_that_stay(self, subject: Subject, pattern: re.Pattern[bytes]) -> int:
        return _hits_of_others(self.path, pattern, lambda line: _sent_line_is_about(line, subject))


class SpoolFiles(Place):
    """Rows that are not in ClickHouse yet. A job that runs writes and delivers them itself, deletions too."""

    name = "spool"
    needs_lock = True

    def __init__(self, data_dir: DataDir) -> None:
        """Open nothing yet."""
        self._data_dir = data_dir

    def held(self, subject: Subject) -> list[Any]:
        """Return the rows, each with the name of its table. A file that is delivered meanwhile holds nothing any more.

        A damaged file counts as held, because nobody can say what is in it.
        """
        found: list[Any] = []
        for path in self._segments(self._data_dir.spool, Rejected(self._data_dir.spool).directory):
            try:
                segment = read_segment(path)
            except FileNotFoundError:
                continue
            except SegmentDamaged:
                found.append({"file": path.name, _UNREADABLE: True})
                continue
            for table, frames in segment.frames.items():
                for frame in frames:
                    about = erased_rows(frame, erasures_of(subject))
                    if subject.deleted is not None and table in LOGGED_IN:
                        about &= pl.col(LOGGED_IN[table]).dt.epoch("ms") <= subject.deleted.logged
                    found += [{"table": table, **row} for row in frame.filter(about).to_dicts()]
        return found

    def erase(self, subject: Subject) -> None:
        """Write the files again without the rows; those of a damaged file are left out once it can be read. Only while no job runs.

        Rows of a new life stay, and older ones beside them where a deletion is in the files too: the job delivers all in their order.
        """
        spool = self._data_dir.spool
        if not spool.is_dir() or (subject.deleted is not None and self._must_stay(subject)):
            return
        rejected = Rejected(spool)
        rejected.erase(erasures_of(subject))
        for path in self._segments(spool):
            rejected.erase_from(path, erasures_of(subject))

    @override
    def note_for(self, held: Sequence[Any], subject: Subject) -> str:
        unreadable = [row["file"] for row in held if _UNREADABLE in row]
        if unreadable:
            return f"cannot be read; look at it, then remove it: {', '.join(unreadable[:_SHOWN])}"
        return super().note_for(held, subject)

    def _must_stay(self, subject: Subject) -> bool:
        old, all_rows = len(self.held(subject)), len(self.held(subject._replace(deleted=None)))
        return not old or (old < all_rows and self._has_deletion(subject))

    def _has_deletion(self, subject: Subject) -> bool:
        for path in self._segments(self._data_dir.spool):
            with suppress(FileNotFoundError, SegmentDamaged):
                if any((each.tenant_id, each.user_id) == (subject.tenant, subject.ids[0]) for each in read_segment(path).erasures):
                    return True
        return False

    def _segments(self, *directories: Path) -> list[Path]:
        found = [path for at in directories if at.is_dir() for path in sorted(at.iterdir())]
        return [path for path in found if path.suffix in {".ready", ".pending"}]


class Recovery(Place):
    """The job's own state. The job forgets the user by itself; ``compact`` removes the bytes of old snapshots."""

    name = "recovery"

    def __init__(self, data_dir: DataDir) -> None:
        """Open nothing yet."""
        self._data_dir = data_dir

    def held(self, subject: Subject) -> list[Any]:
        """Return every snapshot that holds one of the ids: a person's with all fields, of other state, which is digests, only the size."""
        if not self._data_dir.state.is_dir():
            return []
        found: list[Any] = []
        for step, key, change in snapshots_with(self._data_dir.state, texts_of(subject.ids), as_values(subject.ids)):
            person = _person(change) if step.endswith(".track") else None
            if person is None or (person.tenant == subject.tenant and person.user in subject.ids and not _is_anew(person, subject)):
                found.append({"step": step, "key": key, "state": {"bytes": len(change)} if person is None else _named(person)})
        return found

    def people(self, keys: Collection[str]) -> dict[str, Person]:
        """Return what the job knew of the people under these stream keys at its last snapshot: key → person."""
        if not keys or not self._data_dir.state.is_dir():
            return {}
        found = {
            key: _person(change) for (step, key), change in newest_snapshots(self._data_dir.state, keys).items() if step.endswith(".track")
        }
        return {key: person for key, person in found.items() if person is not None}

    def has_of_others(self, subject: Subject) -> bool:
        """Whether another tenant has a user with one of the ids."""
        if not self._data_dir.state.is_dir():
            return False
        found = snapshots_with(self._data_dir.state, texts_of(subject.ids), as_values(subject.ids))
        people = (_person(change) for step, _, change in found if step.endswith(".track"))
        return any(each is not None and each.tenant != subject.tenant and each.user in subject.ids for each in people)

    @override
    def note_for(self, held: Sequence[Any], subject: Subject) -> str:
        return f"the job forgets when it reads the deletion; of old snapshots: {FOR_MAINTENANCE}" if held else ""

    def maintain(self, subject: Subject) -> None:  # noqa: ARG002 - all old snapshots go
        """Remove the bytes of old snapshots."""
        if self._data_dir.state.is_dir():
            remove_undurable_snapshots(self._data_dir.state)
            compact(self._data_dir.state)


def files_with(data_dir: DataDir, subject: Subject, stays: Callable[[str, re.Pattern[bytes]], int] = lambda *_: 0) -> list[str]:
    """Return the files of the data directory whose bytes hold one of the ids, by their names in it. Reads every byte.

    ``stays`` returns how often a pattern is in what stays of a file or directory, by its first name in the data directory.
    """
    texts, pattern = texts_of(subject.ids), as_words(subject.ids)
    found = dict[str, dict[str, int]]()
    for path in data_dir.path.rglob("*"):
        if path.is_file() and (hits := _hits(path, texts, pattern)):
            name = path.relative_to(data_dir.path)
            found.setdefault(name.parts[0], {})[str(name)] = hits
    return sorted(name for first, files in found.items() if sum(files.values()) > stays(first, pattern) for name in files)


def _hits_of_others(path: Path, pattern: re.Pattern[bytes], concerned: Callable[[bytes], bool]) -> int:
    """How often ``pattern`` is in the lines of a file that are not ``concerned``."""
    try:
        with path.open("rb") as file:
            return sum(len(found) for line in file if (found := pattern.findall(line)) and not concerned(line))
    except FileNotFoundError:
        return 0


def _hits(path: Path, texts: Sequence[bytes], pattern: re.Pattern[bytes]) -> int:
    """How often ``pattern``, which matches nothing but ``texts``, is in a file."""
    hits, data, at, longest = 0, b"", 0, max(map(len, texts))
    try:
        with path.open("rb") as file:
            while True:
                block = file.read(_BLOCK)
                data = data[max(0, at - LONGEST_CONTEXT) :] + block
                at = min(at, LONGEST_CONTEXT)
                sure = (
                    len(data) - longest - LONGEST_CONTEXT if block else len(data)
                )  # a match that begins later may go on in the next block
                maybe = any(text in data for text in texts)  # much faster than the pattern
                while maybe and (match := pattern.search(data, at)) is not None and match.start() < sure:
                    hits, at = hits + 1, match.end()
                if not block:
                    return hits
                at = max(at, sure)
    except FileNotFoundError:  # a store replaced it
        return 0


def letter_as_json(letter: DeadLetter) -> dict[str, Any]:
    """A letter as JSON. ``tenantIds`` is empty where nobody can tell whose it is."""
    row = dead_letter_fact(letter)
    return {
        "reason": letter.reason,
        "place": row.dead_letter_id,
        "tenantIds": list(row.tenant_ids),
        **content_as_json(letter.raw, letter.key, letter.headers),
    }


def _line_is_about(line: bytes, subject: Subject) -> bool:
    try:
        return letter_is_about(decode_line(line), subject)
    except ValueError:
        return False


def _sent_line_is_about(line: bytes, subject: Subject) -> bool:
    try:
        return _sent_is_about(Sent(*content_of(msgspec.json.decode(line))), subject)
    except ValueError:
        return False


def _sent_is_about(sent: Sent, subject: Subject) -> bool:
    return must_go(sent.value, sent.key, sent.headers, subject)


def _left_of_sent(line: bytes, subject: Subject) -> bytes:
    """What stays of the message of a line, without content; nothing of most."""
    value, key, headers = content_of(msgspec.json.decode(line))
    bare = left_of(value, headers, subject)
    return b"" if bare is None else msgspec.json.encode(content_as_json(bare[0], key, bare[1]))


def _blank(path: Path, concerned: Callable[[bytes], bool], left_of: Callable[[bytes], bytes] = lambda _line: b"") -> None:
    try:
        blank_lines(path, concerned, left_of)
    except OSError as error:
        raise DataDirError(
            f"{path} cannot be written: {error.strerror or os.strerror(error.errno or 0)}; "
            "check its rights and the disk, and repeat the command."
        ) from error


def _is_anew(person: Person, subject: Subject) -> bool:
    """Whether somebody has signed up again since the deletion."""
    return subject.deleted is not None and person.previous_deletion_at >= subject.deleted.at


def _person(change: bytes) -> Person | None:
    """The person of a snapshot, None where it cannot be read."""
    try:  # the engine wraps our bytes in a pickle, which is only read, and never run
        for _, data, _ in pickletools.genops(change):
            if isinstance(data, bytes):
                return snapshot.decode(data)
    except (SnapshotError, ValueError):
        pass
    return None


def _named(value: Any) -> Any:
    """A struct with the names of its fields, at every level: some are encoded as arrays, and what is packed is spelled out."""
    if isinstance(value, msgspec.Struct):
        found = {name: _named(getattr(value, name)) for name in value.__struct_fields__}
        if isinstance(value, Person):
            found["seen"] = [{"idHash": event_hash.hex(), "at": at} for event_hash, at in remembered(value)]
        elif isinstance(value, Row):
            found["features"] = list(value.features)
            del found["packed"]
        return found
    if isinstance(value, dict):
        return {str(name): _named(each) for name, each in value.items()}
    return [_named(each) for each in value] if isinstance(value, list | tuple) else value
