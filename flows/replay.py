"""Runs the graph again on a part of the log, beside the job. It changes neither what apps and analysts read nor the job's position."""

from __future__ import annotations

import dataclasses
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec
from bytewax.run import cli_main

from flows.catalogs import load_plans, named
from flows.deleted_users import EFFECTS, REJECTED, DeletedUsers
from flows.inputs import COMMAND_SECONDS, kafka_cluster, registry_of
from flows.onboarding import FlowParts, SideChannels, build
from flows.settings import Settings
from local.data_dir import DataDir
from sinks.callback import CallbackSink
from sources.archive.archive import Archive
from sources.archive.source import ArchiveSource
from sources.batching import BatchPolicy
from sources.files.source import JsonlSource
from sources.kafka.source import KafkaSource
from sources.local_log.source import LocalLogSource
from sources.s3.location import Location
from sources.selected import SelectedSource
from state.catalog.by_tenant import Plans
from state.decode import decode, may_switch, peek, peek_person
from state.event import Event
from state.ids import Keys
from state.merge_patch import Change, changes
from state.messages import Message, Tick
from state.records.dead_letter import DeadLetter, encode_line
from state.records.facts import Fact, PersonFact, ProgressFact
from state.records.progress import PublishProgress, encode_progress
from state.records.recommendation import Erase, Publish
from state.times import YEAR_2000, rfc3339
from state.vocabulary import IDENTITY_MERGED
from system.wall_clock import wall_clock

LogSource = JsonlSource | KafkaSource | LocalLogSource | ArchiveSource
_PART: Final = ".jsonl.part"
_LONGEST_WAIT_S: Final = 1.0
_NOT_COMPARED: Final = frozenset({"version", "updatedAt"})
"""Fields of a progress record that alarms change too. Alarms depend on what was learned from all users, so these may differ."""


class ReplayError(Exception):
    """There is nothing to replay, or nowhere to put it. The text is one sentence for the user."""


@dataclass
class Rebuilt:
    """What the log says about one user: progress as the app would read it, and rows. ``deleted``: the user was deleted."""

    ids: frozenset[str]
    messages: int = 0
    progress: dict[str, Any] | None = None
    person: PersonFact | None = None
    steps: dict[str, ProgressFact] = field(default_factory=dict)
    deleted: bool = False
    rejected: int = 0


class Input(NamedTuple):
    """What to replay. ``file``: what a run on files read. ``archive``: the place of an archive, which is read before the log."""

    file: Path | None = None
    archive: Path | Location | None = None


def log_source(settings: Settings, given: Input, plans: Plans, side: SideChannels, *, since: int | None = None) -> LogSource:
    """Return a source that reads the job's log from its beginning to its present end. Raises ``ReplayError`` if the settings name none.

    An archive may leave out messages from before the day of ``since`` (ms). Raises ``ArchiveError``.
    """
    policy = side.batch_policy(plans.distinct, settings.batch_size)
    if given.file is not None:
        own = DataDir(settings.data_dir)
        return JsonlSource(given.file, peek, policy, now=wall_clock, peek_person=peek_person, switches=own.switches, sent=own.sent)
    if given.archive is not None:
        log = _live_log(settings, policy) if settings.live else None
        registry = registry_of(settings)
        return ArchiveSource(Archive(given.archive), policy, now=wall_clock, log=log, registry=registry, since=since)
    return _live_log(settings, policy)


def _live_log(settings: Settings, policy: BatchPolicy) -> KafkaSource | LocalLogSource:
    if settings.event_log is not None:
        return LocalLogSource(settings.event_log, policy, now=wall_clock, tail=False, in_order=True)
    if settings.kafka_brokers is not None:
        cluster = kafka_cluster(settings, timeout_s=COMMAND_SECONDS)
        alone = dataclasses.replace(cluster, group=f"{cluster.group}-replay-{uuid.uuid4().hex[:8]}")  # the job's own position stays
        return KafkaSource(alone, policy, now=wall_clock, tail=False, in_order=True, registry=registry_of(settings))
    raise ReplayError("a run on files keeps no log; name the file that it read with --input.")


def log_span(settings: Settings, given: Input) -> tuple[int, int] | None:
    """Return the log times (ms) of the first and the last message of the log; None if it has none. Reads it once, and blocks meanwhile.

    Messages of a file before its first event have no time and do not count. Raises ``ReplayError`` and ``SourceError``.
    """
    source = log_source(settings, given, load_plans(settings.catalog), SideChannels())
    first = last = None
    for message in _messages(source):
        if message.log_time > YEAR_2000:
            first = message.log_time if first is None else min(first, message.log_time)
            last = message.log_time if last is None else max(last, message.log_time)
    _raise_error_of(source)
    return None if first is None or last is None else (first, last)


def ids_connected_with(tenant: str, user: str, source: LogSource) -> frozenset[str]:
    """Return ``user`` and every id that merges in the log connect with it. Reads the log once. Raises what the source raises."""
    pairs: set[tuple[str, str]] = set()
    for message in _messages(source):
        if IDENTITY_MERGED.encode() in message.value:
            event = decode(message)
            if isinstance(event, Event) and event.type == IDENTITY_MERGED and event.tenant == tenant:
                pairs.add((event.user, str(event.payload["previousId"])))
    found = {user}
    while more := {each for pair in pairs if found & set(pair) for each in pair} - found:
        found |= more
    return frozenset(found)


def rebuild(settings: Settings, keys: Keys, tenant: str, user: str, given: Input) -> Rebuilt:
    """Run the whole log's messages of one user, and of the ids connected with them, through the graph.

    Raises ``SourceError``, and ``DataDirError`` if the data directory belongs to another catalog, by which the live record was made.
    """
    plans = load_plans(settings.catalog)
    DataDir(settings.data_dir).check_catalogs(plans.map(lambda plan: plan.catalog.id))
    named(plans, settings.catalog, tenant)
    first = log_source(settings, given, plans, SideChannels())
    found = Rebuilt(ids_connected_with(tenant, user, first))
    _raise_error_of(first)

    def wanted(message: Message) -> bool:
        sender = peek_person(message.value)
        mine = sender is not None and sender[0] == tenant and sender[1] in found.ids
        found.messages += mine
        return mine or may_switch(message.value)

    def take_effect(effect: Any) -> None:
        if getattr(effect, "user_id", None) != user:
            return
        if isinstance(effect, PublishProgress):
            found.progress = None if effect.progress is None else json.loads(encode_progress(effect.progress))
            found.deleted = False
        elif isinstance(effect, Erase):
            found.progress, found.deleted = None, True

    def take_row(row: Any) -> None:  # effects and rows go separate ways, so each has its own news of a deletion
        if isinstance(row, Erase) and row.user_id == user:
            found.person = None
            found.steps.clear()
        elif isinstance(row, PersonFact) and row.user_id == user:
            found.person = row
        elif isinstance(row, ProgressFact) and row.user_id == user:
            found.steps[row.step_id] = row

    def take_letter(_letter: DeadLetter) -> None:
        found.rejected += 1

    _run(settings, keys, plans, given, Taking(take_effect, take_row, take_letter), wanted)
    return found


def differences(found: Rebuilt, live: dict[str, Any] | None) -> list[Change]:
    """Return the differences between the rebuilt progress and the ``live`` record: path and both values of each field."""

    def compared(record: dict[str, Any] | None) -> dict[str, Any]:
        return {} if record is None else {name: value for name, value in record.items() if name not in _NOT_COMPARED}

    return changes(_by_step(compared(found.progress)), _by_step(compared(live)))


def rerun(settings: Settings, keys: Keys, since: int | None, until: int | None, into: Path, given: Input) -> dict[str, int]:
    """Run the messages of a range of log time through the graph, and write what comes out to files in the new directory ``into``.

    Times are in milliseconds, ``until`` exclusive. Every user starts with empty state. What a deletion erases is left out, also where the
    deletion is after the range: so the log is read twice. Returns file → lines. Raises ``SourceError``, and ``ReplayError`` for an ``into``
    that has files and for a range without a message.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise ReplayError(f"{into} exists already; name a new directory with --into.")
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    into.chmod(0o700)  # one that was there, too: the files hold data about people
    plans, written = load_plans(settings.catalog), dict[str, int]()
    source = log_source(settings, given, plans, SideChannels())
    deleted = DeletedUsers(_messages(source), until)
    _raise_error_of(source)
    files: dict[str, IO[bytes]] = {}
    with _whole_or_none(into, files):
        with ExitStack() as stack:
            taking = _into_files(into, files, written, deleted, stack)
            run_range(settings, keys, plans, given, taking, since, until)
        for name in files:
            written[name] -= deleted.leave_out(into / f"{name}{_PART}", name)
    return written


def _into_files(into: Path, files: dict[str, IO[bytes]], written: dict[str, int], deleted: DeletedUsers, stack: ExitStack) -> Taking:
    """Return what writes results to files of ``into``, opens them in ``stack`` and counts the lines."""

    def put(name: str, line: bytes) -> None:
        if name not in files:
            files[name] = stack.enter_context(_new(into / f"{name}{_PART}"))
        files[name].write(line)
        written[name] = written.get(name, 0) + 1

    def take_effect(effect: Any) -> None:
        if isinstance(effect, Erase):
            deleted.erased(effect, written, effects=True)
        kind = type(effect).__name__
        body = effect.recommendation if isinstance(effect, Publish) else effect
        put(EFFECTS, msgspec.json.encode({"effect": kind, **msgspec.to_builtins(body)}) + b"\n")

    def take_row(row: Any) -> None:
        if isinstance(row, Erase):
            deleted.erased(row, written, effects=False)
        elif isinstance(row, Fact):
            put(row.TABLE, msgspec.json.encode(msgspec.structs.asdict(row)) + b"\n")

    def take_letter(letter: DeadLetter) -> None:
        put(REJECTED, encode_line(letter))

    return Taking(take_effect, take_row, take_letter)


@contextmanager
def _whole_or_none(into: Path, names: Iterable[str]) -> Iterator[None]:
    """Give the files of these names their endings when the block has written all of them; remove them if it fails."""
    try:
        yield
    except BaseException:
        for name in names:
            (into / f"{name}{_PART}").unlink(missing_ok=True)
        raise
    for name in names:
        (into / f"{name}{_PART}").rename(into / f"{name}.jsonl")


def _new(path: Path) -> IO[bytes]:
    """A new file that only its owner may read."""
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


class Taking(NamedTuple):
    """What takes the results of a run: changes for apps, rows for analysts, rejected messages."""

    effect: Callable[[Any], object]
    row: Callable[[Any], object]
    letter: Callable[[DeadLetter], object]


def run_range(
    settings: Settings,
    keys: Keys,
    plans: Plans,
    given: Input,
    taking: Taking,
    since: int | None,
    until: int | None,
    *,
    tenant: str | None = None,
) -> None:
    """Run the messages of a range of log time (ms, ``until`` exclusive) through the graph with ``plans``.

    Every user starts with empty state. Raises ``SourceError``, and ``ReplayError`` if the range has no message (of ``tenant``, if given).
    """
    empty = True

    def wanted(message: Message) -> bool:
        nonlocal empty
        inside = since is None or message.log_time >= since
        if empty and inside:
            empty = tenant is not None and (peek_person(message.value) or ("",))[0] != tenant
        return inside

    _run(settings, keys, plans, given, taking, wanted, since, until)
    if empty:
        raise ReplayError(_nothing_in_range(settings, given, since, until, tenant))


def _nothing_in_range(settings: Settings, given: Input, since: int | None, until: int | None, tenant: str | None) -> str:
    """The sentence for a range without a message: which range it was, and from when to when the log goes."""
    span = log_span(settings, given)
    if span is None:
        return "the log is empty."
    asked = "".join(f" {word} {rfc3339(at)}" for word, at in (("from", since), ("to", until)) if at is not None)
    whose = "" if tenant is None else f" of the tenant {tenant}"
    return f"the log has no message{whose}{asked}; it goes from {rfc3339(span[0])} to {rfc3339(span[1])}."


def _run(
    settings: Settings,
    keys: Keys,
    plans: Plans,
    given: Input,
    taking: Taking,
    wanted: Callable[[Message], bool],
    since: int | None = None,
    until: int | None = None,
) -> None:
    side = SideChannels()
    source = log_source(settings, given, plans, side, since=since)
    parts = FlowParts(
        source=SelectedSource(source, wanted, until=until),
        recommendations=CallbackSink(taking.effect),
        facts=CallbackSink(taking.row),
        dead_letters=CallbackSink(taking.letter),
        plans=plans,
        keys=keys,
        side=side,
    )
    source.list_parts()  # raises our error for an unreachable log; inside the engine it would end in a panic
    cli_main(build(parts))  # type: ignore[no-untyped-call]
    _raise_error_of(source)


def _messages(source: LogSource) -> Iterator[Message]:
    """Yield all messages of the source, without the engine."""
    for name in source.list_parts():
        part: Any = source.build_part("replay", name, None)
        try:
            while True:
                try:
                    batch: list[Message | Tick] = part.next_batch()
                except StopIteration:
                    break
                yield from (each for each in batch if isinstance(each, Message))
                part.snapshot()
                if not batch:
                    _wait_until(part.next_awake())
        finally:
            part.close()


def _wait_until(awake: datetime | None) -> None:
    """Do what the engine does for a source that has nothing yet: call it again at the time that it names, and soon enough in any case."""
    if awake is not None:
        time.sleep(min(_LONGEST_WAIT_S, max(0.0, (awake - datetime.now(UTC)).total_seconds())))


def _raise_error_of(source: LogSource) -> None:
    if isinstance(source, JsonlSource) and source.progress.error is not None:
        raise source.progress.error


def _by_step(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its steps under their ids, so that a difference names the step."""
    return {**record, "steps": {step["id"]: step for step in record["steps"]}} if "steps" in record else record
