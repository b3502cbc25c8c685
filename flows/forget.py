"""Erases a user from every store, and reads every store again to show that nothing is left. Also collects what is held about a user."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from flows.archive import open_archive
from flows.bound_input import require_input
from flows.catalogs import CatalogFileError, without_catalog
from flows.clickhouse_store import open_store
from flows.dead_letters import read_dead_letters
from flows.inputs import kafka_cluster, registry_of
from flows.job_input import JobInput
from flows.places.archive import ArchiveFiles
from flows.places.clickhouse import Merges, Tables, Traces
from flows.places.event_log import EventLogMessages, retention_in_words
from flows.places.files import DeadLetterLines, Recovery, SentLines, SpoolFiles, files_with
from flows.places.place import Place
from flows.places.redis import ModelTexts, UserRecords
from flows.places.visitors import Visitors
from flows.settings import Settings
from local.clickhouse import EmbeddedClickHouse
from local.data_dir import DataDir, DataDirInUseError
from local.redis_access import redis_for_reader
from local.secret import secret_of_job
from sinks.redis.reader import RecommendationReader
from sinks.redis.record import Deleted
from sources.files.sent_file import Sent
from state.catalog.parse import CatalogError
from state.decode import decode
from state.ids import Keys
from state.messages import Message
from state.quantity import count
from state.records.dead_letter import DeadLetter
from state.records.fact_builders import dead_letter_fact
from state.records.subject import Deletion, Subject, letter_is_about
from state.times import rfc3339
from state.vocabulary import USER_DELETED
from system.wall_clock import wall_clock

_PAUSE_S: Final = 0.5
_KAFKA_SECONDS: Final = 5.0
_SHOWN: Final = 5


class ForgetError(Exception):
    """The deletion cannot be asked for. The text is one sentence for the user."""


@dataclass(frozen=True)
class Stores:
    """The open stores of a job. ``kept``: log from which nothing can be erased → how long it keeps messages, as a part of a sentence."""

    settings: Settings
    data_dir: DataDir
    keys: Keys
    places: tuple[Place, ...]
    redis_url: str
    tables: Tables | None
    kept: dict[str, str] = field(default_factory=dict)
    ids: Callable[[str, str], tuple[str, ...]] = lambda _tenant, user: (user,)
    """Returns all ids of a user of a tenant: the user's own first. Ask again when the job has read more."""
    user_of: Callable[[str, str], str] = lambda _tenant, _visitor: ""
    """Returns whose visitor an id of a tenant is, empty where it is nobody's."""
    deletion_of: Callable[[str, str], Deletion | None] = lambda _tenant, _user: None
    """Returns the newest deletion of an id of a tenant that logs have."""


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """Open every store of the settings for reading and erasing, with or without a running job. Call it from the main thread.

    Raises ``DataDirError``, what ``require_input`` raises, and the errors of the stores.
    """
    require_input(settings)
    data_dir = DataDir.open(settings.data_dir) if not settings.live else DataDir.create(settings.data_dir)
    keys = Keys(secret_of_job(data_dir, given=settings.secret_text(), embedded=settings.embedded))
    with ExitStack() as stack:
        store = None
        if settings.clickhouse_url is not None or data_dir.state.exists():
            embedded = EmbeddedClickHouse(data_dir.clickhouse) if settings.clickhouse_url is None else None
            store = open_store(settings, embedded)
            stack.callback(store.close)
        redis_url = stack.enter_context(redis_for_reader(settings.redis_address(), data_dir))
        places: list[Place] = [UserRecords(redis_url, embedded=settings.redis_url is None), ModelTexts(redis_url)]
        tables = Tables(store, lambda subject: _letters_about(settings, subject)) if store is not None else None
        if tables is not None and store is not None:
            places += [tables, Traces(store, data_dir.clickhouse if settings.clickhouse_url is None else None)]
        places += [SpoolFiles(data_dir), DeadLetterLines(data_dir), SentLines(data_dir), Recovery(data_dir)]
        kept: dict[str, str] = {}
        if settings.event_log is not None:
            places.append(EventLogMessages(settings.event_log))
        if (archive := open_archive(settings)) is not None:  # after the log: what is erased there is not archived any more
            places.append(ArchiveFiles(archive, wall_clock, log_keeps=settings.kafka_brokers is not None, registry=registry_of(settings)))
        if settings.kafka_brokers is not None:
            for topic in (settings.kafka_topic, settings.kafka_dead_letter_topic):
                kept[f"topic {topic}"] = retention_in_words(kafka_cluster(settings, topic, timeout_s=_KAFKA_SECONDS))
            kept[f"topic {settings.kafka_topic}"] += "; sign-ins that only the topic has were not looked for"
        merges = Merges(store) if store is not None else None
        visitors = Visitors(keys, Recovery(data_dir), merges, places)
        yield Stores(
            settings, data_dir, keys, tuple(places), redis_url, tables, kept, visitors.ids_of, visitors.user_of, visitors.deletion_of
        )


def _letters_about(settings: Settings, subject: Subject) -> set[str]:
    """The ids of the rejected messages that are about the user. Reads all of them."""
    return {dead_letter_fact(each).dead_letter_id for each in read_dead_letters(settings) if letter_is_about(each, subject)}


class Asked(NamedTuple):
    """A deletion that is asked for ``at`` (ms), when the tombstone of the user had the version ``tombstone``; 0 for none."""

    at: int
    tombstone: int


def subject_of(stores: Stores, tenant: str, user: str, also: Iterable[str] = ()) -> Subject:
    """Return a user with all ids that are theirs, as far as stores and logs tell now, and with those of ``also``."""
    return Subject(tenant, tuple(dict.fromkeys((*stores.ids(tenant, user), *also))))


def before_deletion(stores: Stores, subject: Subject, asked: Asked | None = None) -> Subject:
    """Return the user as they were before their newest deletion that the log has, or that was just ``asked`` for.

    What comes later is of a new life. In runs on files, whose times may be any, and without a deletion everything is meant.
    """
    if not stores.settings.live:
        return subject
    found = stores.deletion_of(subject.tenant, subject.ids[0])
    if asked is not None and (found is None or found.at < asked.at):  # the log is a topic, whose messages are not read here
        found = Deletion(asked.at, asked.at)
    return subject._replace(deleted=found)


def collect(stores: Stores, subject: Subject) -> dict[str, Any]:
    """Return everything that is held about a user: place → what is there. Raises the errors of the stores.

    A message in which somebody else names a visitor of the user is left out: it has that one's id.
    """
    subject = subject._replace(own_only=True)
    return {place.name: place.held(subject) for place in stores.places}


def before_asking(stores: Stores, subject: Subject) -> Asked:
    """Look at the tombstone, and at the clock. Call it before ``ask_to_forget``."""
    return Asked(wall_clock(), _tombstone(stores, subject) if stores.settings.live else 0)


def ask_to_forget(stores: Stores, subject: Subject, *, visitor: bool = False, at: int | None = None) -> str:
    """Send ``user_deleted`` to the input of the job. Return its name. ``visitor``: the id is an ``anonymousId``.

    ``at`` is its time (ms), by default now. Raises ``ForgetError`` for what the job would reject, and what ``JobInput.send`` raises.
    """
    now, user = wall_clock() if at is None else at, subject.ids[0]
    event = {
        "eventId": uuid.uuid4().hex,
        "tenantId": subject.tenant,
        "anonymousId" if visitor else "userId": user,
        "eventType": USER_DELETED,
        "timestamp": rfc3339(now),
        "payload": {},
    }
    value = json.dumps(event).encode()
    found = decode(Message(value, None, "", 0, 0, now, now, 0))
    if isinstance(found, DeadLetter):
        raise ForgetError(f"the job would reject the deletion: {found.detail}.")
    job_input = JobInput(stores.settings)
    job_input.send([Sent(value)])
    return job_input.where


def refuse_unknown_tenant(stores: Stores, subject: Subject, *, known: bool) -> None:
    """Raise ``ForgetError`` if no catalog is for the tenant and no store holds anything about the user: then another tenant is meant.

    The job takes a deletion of any tenant, and finds nobody. Where something is held, as in dead letters of a tenant that has no catalog
    yet, or catalogs cannot be read, nobody has to wait for a catalog.
    """
    with suppress(CatalogError, CatalogFileError):
        if not known and (missing := without_catalog(stores.settings.catalog, subject.tenant)):
            raise ForgetError(f"{missing}, and no store holds anything about this user there. Name the tenant with --tenant.")


def refuse_visitor_of_another(stores: Stores, subject: Subject) -> None:
    """Raise ``ForgetError`` if the id is a visitor of somebody: the job would erase that user, whom nobody has named."""
    if whose := stores.user_of(subject.tenant, subject.ids[0]):
        raise ForgetError(
            f"{subject.ids[0]} is an earlier id of {whose}, and goes when {whose} is forgotten; nothing was erased. Forget {whose} instead."
        )


def is_known(stores: Stores, subject: Subject) -> bool:
    """Whether a store holds something about the user, other than traces of deletions. Ask before the deletion is asked for."""
    return any(place.held(subject) for place in stores.places if not place.is_trace)


def has_come_back(stores: Stores, subject: Subject) -> bool:
    """Whether a store holds something of the user from after the newest deletion in the log. In runs on files nothing tells."""
    subject = subject if subject.deleted is not None else before_deletion(stores, subject)
    anew = subject._replace(deleted=None)
    return subject.deleted is not None and any(
        len(place.held(anew)) > len(place.held(subject)) for place in stores.places if not place.is_trace
    )


def wait_for_job(stores: Stores, subject: Subject, seconds: float, *, known: bool, asked: Asked | None = None) -> bool:
    """Wait until the job has processed the deletion, and its rows are gone. Return whether it has. Arguments are as of ``has_taken``."""
    deadline = time.monotonic() + seconds
    while True:
        if has_taken(stores, subject, known=known, asked=asked) and not (stores.tables is not None and stores.tables.held(subject)):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_S)


def has_taken(stores: Stores, subject: Subject, *, known: bool, asked: Asked | None = None) -> bool:
    """Whether the job has processed the deletion: there is then a newer tombstone of the user in Redis than when it was ``asked`` for.

    A user who has signed up again since may have none, but the recovery store has the time of the deletion. A job writes no tombstone for a
    user without anything to delete. Such a user counts as deleted if the recovery store does not hold them; so does any user of runs on
    files. A live job may know more than its last snapshot: for a user who was ``known`` only the tombstone or the time counts.
    """
    states = [place for place in stores.places if isinstance(place, Recovery)]
    if not (stores.settings.live and known) and stores.data_dir.state.is_dir() and not any(place.held(subject) for place in states):
        return True
    if _tombstone(stores, subject) > (asked.tombstone if asked is not None else 0):
        return True
    key = stores.keys.stream_key(subject.tenant, subject.ids[0])
    people = (place.people({key}).get(key) for place in states)
    at = asked.at if asked is not None else subject.deleted.at if subject.deleted is not None else None
    return at is not None and any(person is not None and max(person.deleted_at, person.previous_deletion_at) >= at for person in people)


def needs_merges(stores: Stores, subject: Subject) -> bool:
    """Whether a job that has not taken the deletion needs the user's merges to find what it has of a visitor.

    If none runs, it goes on from the recovery store, and what is not in there it will never meet: its messages are erased.
    """
    keys = set(subject.hashes(stores.keys))
    states = [place.people(keys).values() for place in stores.places if isinstance(place, Recovery)]
    return stores.data_dir.is_running() or any(person.user for people in states for person in people)


def _tombstone(stores: Stores, subject: Subject) -> int:
    """The version of the tombstone of the user, 0 where there is none."""
    reader = RecommendationReader(stores.redis_url)
    try:
        found = reader.read(subject.tenant, subject.ids[0])
    finally:
        reader.close()
    return found.version if isinstance(found, Deleted) else 0


def erase(stores: Stores, subject: Subject) -> None:
    """Erase from every place what the job has not erased. What a running job writes is erased only if none runs."""
    for place in stores.places:
        if not place.needs_lock:
            place.erase(subject)
    with suppress(DataDirInUseError), stores.data_dir.lock("onramp forget"):
        for place in stores.places:
            if place.needs_lock:
                place.erase(subject)


def refuse_while_running(stores: Stores) -> None:
    """Raise ``ForgetError`` if a job runs: ``maintain`` cannot work beside one. Call it before anything is sent or erased."""
    if stores.data_dir.is_running():
        raise ForgetError(f"{stores.data_dir.describe_owner()}; stop it first, or leave out --maintain.")


def maintain(stores: Stores, subject: Subject) -> list[dict[str, Any]]:
    """Erase the bytes that stay in files, and search every file of the data directory. Returns a line of the receipt.

    Bytes in a store do not say of which tenant they are, or from when. If another tenant has the id, or the user is back, the line says
    that nothing can be told of them, and they do not count as held: the other lines say what each store holds.

    Blocks for some seconds, and up to a minute and a half more for a ClickHouse server. Raises ``DataDirInUseError`` while a job runs.
    """
    with stores.data_dir.lock("onramp forget"):
        for place in stores.places:
            place.maintain(subject)

    def stays(first: str, pattern: re.Pattern[bytes]) -> int:
        at = (stores.data_dir.path / first).resolve()
        return sum(
            place.hits_that_stay(subject, pattern) for place in stores.places if place.path is not None and place.path.resolve() == at
        )

    found, notes = files_with(stores.data_dir, subject, stays), list[str]()
    shared = {each.name for each in (stores.data_dir.state, stores.data_dir.clickhouse, stores.data_dir.valkey, stores.data_dir.spool)}
    unclear = [name for name in found if Path(name).parts[0] in shared]
    others = "another tenant has a user with this id" if any(place.has_of_others(subject) for place in stores.places) else ""
    if not others and has_come_back(stores, subject):
        others = "the user has come back since the deletion"
    if unclear and others:
        found = [name for name in found if name not in unclear]
        notes = [f"cannot be told of {count(len(unclear), 'file')} of the stores: {others}"]
    if found:
        notes.insert(0, f"{', '.join(found[:_SHOWN])}; repeat `--maintain` in some minutes")
    held = len(found) if found or not notes else None
    line: dict[str, Any] = {"store": "every byte of the data directory", "held": held, "verifiedAt": rfc3339(wall_clock())}
    return [{**line, "note": "; ".join(notes)} if notes else line]


def verify(stores: Stores, subject: Subject, now: Callable[[], int] = wall_clock) -> list[dict[str, Any]]:
    """Read every store again. Return one line of the receipt for each: what is still held there, and when that was read."""
    found: list[dict[str, Any]] = []
    for place in stores.places:
        held = place.held(subject)
        line: dict[str, Any] = {"store": place.name, "held": len(held), "verifiedAt": rfc3339(now())}
        if note := place.note_for(held, subject):
            line["note"] = note
        found.append(line)
    found += [{"store": name, "held": None, "verifiedAt": None, "note": f"kept {how}"} for name, how in stores.kept.items()]
    return found


def receipt(
    stores: Stores, subject: Subject, lines: Sequence[dict[str, Any]], *, by: str, sent_to: str, asked_at: str, taken: bool, known: bool
) -> dict[str, Any]:
    """Return the receipt: hashes instead of ids. ``known``: whether a store held something before.

    ``complete``: nothing is held any more, except what a log keeps until its retention ends, and no deletion waits for the job.
    """
    return {
        "user": stores.keys.stream_key(subject.tenant, subject.ids[0]),
        "visitors": subject.hashes(stores.keys)[1:],
        "tenant": subject.tenant,
        "by": by,
        "askedAt": asked_at,
        "sentTo": sent_to,
        "known": known,
        "jobHasTakenIt": taken,
        "complete": (taken or not sent_to) and all(not line["held"] for line in lines),
        "stores": list(lines),
    }
