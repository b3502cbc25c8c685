"""Backs up a data directory while its job runs, and restores one.

The job's position is that of an epoch, E, and everything else must fit it when a job goes on from E elsewhere. So the order matters:

1. Delivery from the spool pauses. From here on ClickHouse gets no rows, and has none of an epoch that is not durable.
2. The segments that are ready now belong to durable epochs: they are all before E.
3. The recovery store is held at E (``local/recovery_copy.py``).
4. Of the spool, the segments of step 2 and those that the store names at E are copied. Later segments come again from the log.
5. ClickHouse is copied. It is not ahead of E, and each row that it lacks is in the spool. Then delivery goes on.
6. Valkey is copied. It may be ahead: a job that goes on writes the same records again, as after a kill, and an older record replaces no
   newer one. It must not be behind, because what was published before E is not published again.
7. Dead letters are copied up to their length at E, and all other files of the directory, to which commands only append.
8. The event log is the last, so it has every message that led to anything above.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from flows.archive import archive_dir
from flows.bound_input import EVENT_LOG, input_fault, own_log, topic_of_job
from flows.catalogs import built_in, catalog_files, is_directory
from flows.clickhouse_store import open_store
from flows.settings import Settings
from flows.version import onramp_version
from local.backup_file import NO_SECRET, BackupError, BackupWriter, Manifest, SignatureCheck, check, unpack, unpack_from, writing
from local.clickhouse import EmbeddedClickHouse
from local.clickhouse_files import FrozenTables, frozen_tables
from local.data_dir import DataDir
from local.recovery_copy import FrozenStore, copy_database, frozen_store, keys_by_step, open_to_read
from local.recovery_fault import check_store
from local.recovery_positions import saved_positions
from local.secret import DEVELOPMENT_SECRET, agrees
from local.valkey_files import open_append_only_files
from sinks.clickhouse.spool import Spool, StoredSegment
from sources.local_log.reader import LogReader
from sources.local_log.source import NAME as LOCAL_LOG
from sources.s3.location import Location
from sources.s3.transfer import downloading, uploading
from state.times import rfc3339
from system.file_lock import FileLock
from system.wall_clock import wall_clock

DELIVERY_SECONDS: Final = 120.0
"""How long to wait for a delivery to ClickHouse that runs: as long as it may take (``sinks.clickhouse.client.ANSWER_SECONDS``)."""
_WHOLE: Final = (".gitignore", "FORMAT", "run.json", "secret.key", "secret.check", "keys.json", "demo.key")
_APPENDED: Final = ("guidance.jsonl", "sent.jsonl", "audit.jsonl")
CATALOG: Final = "catalog.yaml"
CATALOGS: Final = "catalogs"
"""The catalog in a backup, or the directory of the catalogs."""


@dataclass(frozen=True)
class Watch:
    """Callbacks for progress: they get the names of the stages, and the sizes of what was copied."""

    on_stage: Callable[[str], object] = lambda _name: None
    on_bytes: Callable[[int], object] = lambda _size: None


def back_up(settings: Settings, target: Path, watch: Watch) -> Manifest:
    """Write a backup of the data directory and the event log of ``settings`` to the new file ``target``; return its manifest.

    A job may run, and others may append to the log. Servers are not part of it: the manifest names them. Raises ``BackupError`` and the
    errors of the stores, each a sentence; then there is no ``target``.
    """
    data_dir = DataDir.open(settings.data_dir)
    with _the_one_backup(data_dir):
        return _back_up(settings, data_dir, target, watch)


def back_up_to_s3(settings: Settings, target: Location, watch: Watch) -> tuple[Manifest, int]:
    """Like ``back_up``, for an object in S3; return its size, too. The backup is a file of the data directory until it is sent.

    The file is read again and compared with its manifest before anything is sent, and the object is there once all of it is. Raises
    ``ObjectStoreError`` as well, for the bucket and the credentials before the backup begins.
    """
    data_dir = DataDir.open(settings.data_dir)
    unsent = data_dir.unsent_backup
    with uploading(target) as upload, _the_one_backup(data_dir):
        shutil.rmtree(unsent, ignore_errors=True)  # of one that was killed
        unsent.mkdir(mode=0o700)
        try:
            file = unsent / PurePosixPath(target.key).name
            manifest = _back_up(settings, data_dir, file, watch)
            watch.on_stage("reading the backup again")
            _check_written(file, watch)
            size = file.stat().st_size
            watch.on_stage(f"sending {size / 1e6:,.0f} MB to {target}")
            upload.send(file, watch.on_bytes)
        finally:
            shutil.rmtree(unsent, ignore_errors=True)
    return manifest, size


def _check_written(file: Path, watch: Watch) -> None:
    try:
        check(file, watch.on_bytes)
    except BackupError as error:
        raise BackupError(
            f"The backup was damaged while it was written; check the disk of {file.parent}, and repeat the command. Nothing was sent."
        ) from error


def restore_from_s3(backup: Location, into: Path, watch: Watch, signature: SignatureCheck = NO_SECRET) -> Manifest:
    """Like ``restore``, for an object in S3, which is unpacked as it comes. Raises ``ObjectStoreError`` as well."""
    watch.on_stage(f"files from {backup}")
    with downloading(backup) as file:
        manifest = unpack_from(file, backup, into, watch.on_bytes, signature)
    DataDir.create(into).forget_log()
    return manifest


def restore(backup: Path, into: Path, watch: Watch, signature: SignatureCheck = NO_SECRET) -> Manifest:
    """Write the data directory of ``backup`` to ``into``, which is new or empty, and return the manifest.

    Blocks also for the tables of ClickHouse, which are made anew: some seconds. Raises ``BackupError`` and ``StoreError``.
    """
    watch.on_stage("files")
    manifest = unpack(backup, into, watch.on_bytes, signature)
    DataDir.create(into).forget_log()
    return manifest


@contextmanager
def _the_one_backup(data_dir: DataDir) -> Iterator[None]:
    lock = FileLock(data_dir.path / "backup.lock")
    if not lock.acquire("", 0):
        raise BackupError(f"Another backup of {data_dir.path} is being made; wait for it.")
    try:
        yield
    finally:
        lock.release()


def _back_up(settings: Settings, data_dir: DataDir, target: Path, watch: Watch) -> Manifest:
    log = event_log_of(settings)
    _refuse_without_its_log(settings, data_dir, log)
    _require_secret(settings, data_dir)
    if not data_dir.state.exists() and log is None:
        raise BackupError(f"There is nothing to back up in {data_dir.path} yet: no job has run on it.")
    if settings.processes().keeps:
        check_store(data_dir)
    about: Manifest = {"onramp": onramp_version(), "takenAt": rfc3339(wall_clock())}
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".staging", dir=target.parent))
    try:
        with writing(target, about, wall_clock(), watch.on_bytes) as backup:
            about |= {"running": data_dir.is_running(), **data_dir.read_run()}
            about |= _job(settings, data_dir, backup, staging, watch)
            watch.on_stage("files")
            _add_files(settings, data_dir, backup)
            if log is not None:
                watch.on_stage("event log")
                about["messages"] = add_event_log(log, staging, backup, about["positions"])
            return backup.finish({**about, "notIncluded": _not_included(settings)}, _signing_secret(settings, data_dir))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _signing_secret(settings: Settings, data_dir: DataDir) -> bytes | None:
    """ONRAMP_SECRET; None where a backup would have it itself, so that whoever reads one could sign another."""
    if settings.secret is None or data_dir.secret_key.exists():
        return None
    return settings.secret.get_secret_value().encode()


def _require_secret(settings: Settings, data_dir: DataDir) -> None:
    """Raise ``BackupError`` where the secret of the job is neither set nor in its directory: a restore would refuse the unsigned backup."""
    if data_dir.secret_key.exists() or not data_dir.secret_check.exists():
        return
    given = settings.secret_text()
    key = given.encode() if given is not None else DEVELOPMENT_SECRET if settings.embedded else None
    if key is None or agrees(data_dir, key) is False:
        fault = "ONRAMP_SECRET is not set here" if given is None else "ONRAMP_SECRET has another value here"
        raise BackupError(
            f"The data directory {data_dir.path} was created with a secret, and {fault}, so the backup could not be signed with it. Set "
            "ONRAMP_SECRET to the value that the job has."
        )


def _refuse_without_its_log(settings: Settings, data_dir: DataDir, log: Path | None) -> None:
    """Raise ``BackupError`` where the job reads an event log that was not found, or the settings name an input that is not the job's.

    Without the log, the job would not go on after a restore. Kafka is no part of a backup anyway.
    """
    fault = input_fault(settings if settings.live or log is None else settings.model_copy(update={"event_log": log}))
    if fault is not None and (settings.live or data_dir.input_name == EVENT_LOG):
        raise BackupError(f"{fault.says}, so the backup would not fit the job. {fault.advice}.")


def event_log_of(settings: Settings) -> Path | None:
    """The event log that belongs to the data directory: that of the settings, or the one in it; None for runs on Kafka or files."""
    return settings.event_log or own_log(DataDir(settings.data_dir))


def _job(settings: Settings, data_dir: DataDir, backup: BackupWriter, staging: Path, watch: Watch) -> Manifest:
    """Add what the job keeps: steps 1 to 6, and the dead letters."""
    with ExitStack() as held:
        spool = Spool(data_dir.spool)
        embedded = settings.clickhouse_url is None
        pause = ExitStack()
        held.enter_context(pause)
        if embedded:
            watch.on_stage("waiting for a delivery to ClickHouse")
            pause.enter_context(spool.delivery_paused([str(each) for each in range(settings.sink_partitions)], DELIVERY_SECONDS))
        ready = spool.segments("ready")
        store = held.enter_context(frozen_store(data_dir.state))
        watch.on_stage("rows on their way to ClickHouse")
        segments = add_spool(spool, ready, store, backup)
        tables = FrozenTables()
        if embedded:
            watch.on_stage("ClickHouse")
            tables = held.enter_context(_tables(settings, data_dir))
            pause.close()  # what is delivered from now on comes into files that are not held
            for name, path in tables.files.items():
                backup.add(f"clickhouse/{name}", path)
        if settings.redis_url is None:
            watch.on_stage("Valkey")
            for name, (file, size) in held.enter_context(open_append_only_files(data_dir.valkey)).items():
                backup.add_open(f"valkey/{name}", file, size)
        watch.on_stage("recovery store")
        letters = add_dead_letters(data_dir, store, backup)
        users: dict[str, int] = {}
        positions: dict[str, int] = {}
        if data_dir.state.exists():
            copy = staging / "state"
            store.copy_to(copy, watch.on_bytes)
            users, positions = keys_by_step(copy), _positions(settings, copy)
            for path in sorted(copy.glob("*.sqlite3")):
                backup.add(f"state/{path.name}", path)
                path.unlink()
        return {
            "epoch": store.epoch,
            "positions": positions,
            "keys": users,
            "segments": segments,
            "deadLetterBytes": letters,
            "rows": tables.rows,
            "clickhouse": tables.version,
        }


@contextmanager
def _tables(settings: Settings, data_dir: DataDir) -> Iterator[FrozenTables]:
    store = open_store(settings, EmbeddedClickHouse(data_dir.clickhouse))
    try:
        with frozen_tables(store, data_dir.clickhouse) as tables:
            yield tables
    finally:
        store.close()


def add_spool(spool: Spool, ready: list[StoredSegment], store: FrozenStore, backup: BackupWriter) -> int:
    """Add the segments of durable epochs, all of them as ready ones, and return how many. Also add those that ClickHouse refused."""
    last = store.last_segments()
    taken = {segment.name for segment in ready}
    for segment in (*spool.segments("pending"), *spool.segments("ready")):
        generation, _, number = last.get(segment.name.partition, "").partition(".")
        if segment.name.generation == generation and segment.name.number <= int(number):
            taken.add(segment.name)
    added = 0
    for name in sorted(taken):
        with suppress(FileNotFoundError), _opened(spool.path(name, "pending"), spool.path(name, "ready")) as file:
            backup.add_open(f"spool/{name.stem}.ready", file)  # a server may have taken it meanwhile
            added += 1
    for path in sorted(spool.rejected.iterdir()):
        with suppress(FileNotFoundError):  # the drain is taking a deleted user out of it, or an operator has moved it back
            backup.add(f"spool/rejected/{path.name}", path)
    return added


@contextmanager
def _opened(pending: Path, ready: Path) -> Iterator[IO[bytes]]:
    """Open a segment, which may become ready just now."""
    try:
        file = pending.open("rb")
    except FileNotFoundError:
        file = ready.open("rb")
    with file:
        yield file


def add_dead_letters(data_dir: DataDir, store: FrozenStore, backup: BackupWriter) -> int:
    """Add the dead letters up to the epoch of ``store``; return how many bytes."""
    length = store.dead_letter_bytes()
    if length is None or not data_dir.dead_letters.exists():
        return 0
    size = min(length, data_dir.dead_letters.stat().st_size)
    backup.add(data_dir.dead_letters.name, data_dir.dead_letters, size)
    return size


def _add_files(settings: Settings, data_dir: DataDir, backup: BackupWriter) -> None:
    for name in _WHOLE:
        with suppress(FileNotFoundError):
            backup.add_bytes(name, (data_dir.path / name).read_bytes())
    for name in _APPENDED:
        with suppress(FileNotFoundError):
            content = (data_dir.path / name).read_bytes()
            backup.add_bytes(name, content[: content.rfind(b"\n") + 1])  # a line may be half written
    if settings.catalog not in built_in():
        if is_directory(settings.catalog):
            for file in catalog_files(settings.catalog):
                backup.add_bytes(f"{CATALOGS}/{Path(file).name}", Path(file).read_bytes())
        else:
            backup.add_bytes(CATALOG, Path(settings.catalog).read_bytes())


def add_event_log(log: Path, staging: Path, backup: BackupWriter, positions: dict[str, int]) -> int:
    """Add a copy of the log; return how many messages it has. Raises ``BackupError`` if the job is ahead of it."""
    copy = staging / "log"
    copy.mkdir(mode=0o700)
    try:
        with closing(open_to_read(log / "events.db")) as database:
            database.execute("BEGIN")
            copy_database(database, copy / "events.db", lambda _size: None)
    except sqlite3.Error as error:
        raise BackupError(f"The event log {log} cannot be copied ({error}); check the disk and its rights.") from error
    reader = LogReader(copy)
    messages = 0
    try:
        for partition in range(reader.identity.partitions):
            bounds = reader.first_bounds(partition)
            messages += bounds.end - bounds.low
            position = positions.get(f"{LOCAL_LOG}:{partition}")
            if position is not None and position > bounds.end:
                raise BackupError(f"The event log {log} is older than the position of the job in it; mend that first (`onramp lag`).")
    finally:
        reader.close()
    backup.add("log/events.db", copy / "events.db")
    return messages


def _positions(settings: Settings, state: Path) -> dict[str, int]:
    """Partition of the input → the next offset to read."""
    found: dict[str, int] = {}
    for source in (LOCAL_LOG, topic_of_job(settings) or settings.kafka_topic):
        found |= {f"{source}:{partition}": position.offset for partition, position in saved_positions(state, source).items()}
    return found


def _not_included(settings: Settings) -> list[str]:
    """A sentence for everything that belongs to the job and is not in the backup."""
    found = []
    archive = archive_dir(settings)
    if isinstance(archive, Location):
        found.append(f"The archive {archive}: it stays where it is.")
    elif archive.exists():
        found.append(f"The archive {archive}: copy the directory while `onramp archive` does not run.")
    topic = settings.kafka_topic if settings.kafka_brokers is not None else topic_of_job(settings)
    if topic is not None:
        found.append(f"The topic {topic}: it must keep the messages from the positions on.")
    if settings.redis_url is not None:
        found.append("The Redis server: back it up by its own means, after this backup.")
    if settings.clickhouse_url is not None:
        found.append(
            "The ClickHouse server: back it up by its own means. Rows that it gets after this backup come again after a restore. "
            "They replace themselves, except the counts by minute (step_metrics), which are then doubled for that time."
        )
    if topic is not None and settings.kafka_brokers is None:
        found.append(
            "Servers of Redis and ClickHouse, and ONRAMP_SECRET, if the job has them: ONRAMP_KAFKA_BROKERS and other settings of the job "
            "are not set here."
        )
    if settings.secret is not None:
        found.append("ONRAMP_SECRET: the restored job needs the same.")
    return found
