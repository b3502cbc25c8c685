"""Old snapshots are removed while a job writes the recovery store, and a resume finds the same states as before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from bytewax.recovery import init_db_dir
from hypothesis import given
from hypothesis import strategies as st

from local import old_snapshots
from local.durable_epoch import part_files
from local.old_snapshots import OldSnapshots
from local.recovery_store import remove_undurable_snapshots
from tests.support.recovery_files import RecoveryFiles
from tests.support.waiting import ends_within


def never(_seconds: float) -> bool:
    return False


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecoveryFiles]:
    with closing(RecoveryFiles(tmp_path / "state")) as made:
        yield made


def test_the_newest_durable_snapshot_of_each_key_stays(store: RecoveryFiles) -> None:
    store.write(1, ["a", "b", "c"])
    store.write(2, ["a", "b"])
    store.write(3, ["a"])
    store.close_epoch(3)
    with closing(OldSnapshots(store.directory, never)) as old:
        assert old.remove() == 2
        assert store.epochs() == {"a": [2, 3], "b": [2], "c": [1]}, "epoch 3 is not durable, so a resume may need what it replaces"
        assert old.remove() == 0
        store.close_epoch(4)
        assert old.remove() == 1
    assert store.epochs() == {"a": [3], "b": [2], "c": [1]}


def test_a_later_look_finds_what_came_since(store: RecoveryFiles) -> None:
    store.write(1, ["a", "b"])
    store.close_epoch(2)
    with closing(OldSnapshots(store.directory, never)) as old:
        assert old.remove() == 0
        for epoch in range(2, 6):
            store.write(epoch, ["b"])
            store.close_epoch(epoch + 1)
            assert old.remove() == 1, epoch
        store.write(6, ["a"])
        store.write(7, ["a", "b"])  # two epochs between two looks, and one that is not durable
        store.write(8, ["a"])
        store.close_epoch(8)
        assert old.remove() == 3
    assert store.epochs() == {"a": [7, 8], "b": [7]}


def test_keys_of_different_steps_are_different(store: RecoveryFiles) -> None:
    store.write(1, ["a"], step="flow.fold")
    store.write(2, ["a"], step="flow.link")
    store.close_epoch(3)
    with closing(OldSnapshots(store.directory, never)) as old:
        assert old.remove() == 0
        store.write(3, ["a"], step="flow.link")
        store.close_epoch(4)
        assert old.remove() == 1
    assert set(store.resumed_at(4)) == {("flow.fold", "a"), ("flow.link", "a")}


def test_it_notes_which_epoch_a_resume_may_not_come_before(store: RecoveryFiles) -> None:
    store.write(1, ["a", "b"])
    store.write(2, ["a", "b"])
    store.close_epoch(3)
    with closing(OldSnapshots(store.directory, never)) as old:
        old.remove()
        assert store.committed() == {2}, "a resume from epoch 3 or later is possible"
        for part in store.parts:
            part.execute("UPDATE commits SET commit_epoch = 9")
        store.write(3, ["a", "b"])
        store.close_epoch(4)
        assert old.remove() == 2
    assert store.committed() == {9}, "what was noted is never taken back"


def test_an_early_end_leaves_a_store_from_which_the_next_process_goes_on(store: RecoveryFiles) -> None:
    keys = [f"key-{number}" for number in range(1000)]
    for epoch in (1, 2, 3):
        store.write(epoch, keys)
    store.close_epoch(4)
    before = store.resumed_at(4)
    pauses: list[float] = []

    def end_after_three(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 3

    with closing(OldSnapshots(store.directory, end_after_three)) as old:
        some = old.remove()
    assert 0 < some < 2000
    assert len(pauses) == 3
    assert all(seconds > 0 for seconds in pauses)
    assert store.resumed_at(4) == before
    with closing(OldSnapshots(store.directory, never)) as old:
        assert old.remove() == 2000 - some
    assert store.resumed_at(4) == before
    assert set(map(len, store.epochs().values())) == {1}


def test_only_the_first_look_is_at_all_keys(store: RecoveryFiles) -> None:
    """What was missing at the first look on purpose is not found by the others: they look at rows that came since."""
    store.write(2, ["a", "b"])
    store.write(3, ["a", "b"])
    store.close_epoch(4)
    with closing(OldSnapshots(store.directory, never)) as old:
        assert old.remove() == 2
        part = store.file_of("a")
        (first,) = part.execute("SELECT min(rowid) FROM snaps").fetchone()
        part.execute("INSERT INTO snaps (rowid, step_id, state_key, snap_epoch) VALUES (?, 'flow.fold', 'a', 1)", [first - 1])
        store.write(4, ["b"])
        store.close_epoch(5)
        assert old.remove() == 1
        assert store.epochs() == {"a": [1, 3], "b": [4]}
        store.write(5, ["a"])
        store.close_epoch(6)
        assert old.remove() == 2
    assert store.epochs() == {"a": [5], "b": [4]}


def test_a_look_without_a_newer_durable_epoch_reads_no_snapshots(store: RecoveryFiles) -> None:
    store.write(1, ["a"])
    store.write(2, ["a"])
    store.close_epoch(3)
    with closing(OldSnapshots(store.directory, never)) as old:
        assert old.remove() == 1
        asked: list[str] = []
        for part in old._parts:
            part.set_trace_callback(asked.append)
        assert old.remove() == 0
        assert asked
        assert not [statement for statement in asked if "snaps" in statement]


def test_more_than_is_found_at_once_is_removed_in_several_looks(store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_snapshots, "_MOST", 7)
    keys = [f"key-{number}" for number in range(20)]
    for epoch in range(1, 5):
        store.write(epoch, keys)
    store.close_epoch(5)
    with closing(OldSnapshots(store.directory, never)) as old:
        assert old.remove() == 60
        for epoch in range(5, 8):
            store.write(epoch, keys)
        store.close_epoch(8)
        assert old.remove() == 60
    assert set(map(tuple, store.epochs().values())) == {(7,)}


def files_of(store: RecoveryFiles) -> list[bytes]:
    """The bytes of the databases without their write-ahead logs."""
    return [file.read_bytes() for file in part_files(store.directory)]


def filled(store: RecoveryFiles) -> int:
    """Fill the store with old snapshots, some 2,000 pages that are in the write-ahead logs only. Return how many."""
    keys = [f"key-{number}" for number in range(2000)]
    for part in store.parts:
        part.execute("PRAGMA wal_autocheckpoint = 0")
    for epoch in (1, 2):
        store.write(epoch, keys)
    store.close_epoch(3)
    return len(keys)


def test_a_file_is_checkpointed_once_and_after_its_last_transaction(store: RecoveryFiles) -> None:
    """Two processes that checkpoint at the same time can meet SQLite's WAL-reset bug."""
    old_ones, before = filled(store), files_of(store)
    seen: list[list[bytes]] = []

    def note(_seconds: float) -> bool:
        seen.append(files_of(store))
        return False

    with closing(OldSnapshots(store.directory, note)) as old:
        assert old.remove() == old_ones
    half = len(seen) // 2
    assert all(files == before for files in seen[:half]), "nothing but the write-ahead log changes"
    assert all(files == [files_of(store)[0], before[1]] for files in seen[half:])
    assert files_of(store)[1] != before[1]


def test_the_statements_of_a_look_keep_the_job_waiting_for_as_little_as_possible(store: RecoveryFiles) -> None:
    """The disk is read before the transaction begins. The checkpoint comes after it."""
    store.write(1, ["a"])
    store.write(2, ["a"])
    store.close_epoch(3)
    asked: list[str] = []
    with closing(OldSnapshots(store.directory, never)) as old:
        for part in old._parts:
            part.set_trace_callback(asked.append)
        assert old.remove() == 1
    places = [
        asked.index(next(each for each in asked if each.startswith(begins))) for begins in ("SELECT max(ser_change)", "BEGIN I", "DELETE")
    ]
    assert places == sorted(places)
    after = asked[places[-1] + 1 :]
    assert after.index("COMMIT") < after.index("PRAGMA wal_checkpoint(PASSIVE)")


def test_nobody_writes_a_file_during_its_checkpoint(store: RecoveryFiles) -> None:
    store.write(1, ["a"])
    store.write(2, ["a"])
    store.close_epoch(3)
    refused: list[str] = []

    def write(statement: str) -> None:
        if "checkpoint" in statement:
            for part in store.parts:
                try:
                    part.execute("UPDATE commits SET commit_epoch = 3")
                except sqlite3.OperationalError as error:
                    refused.append(str(error))

    for part in store.parts:
        part.execute("PRAGMA busy_timeout = 0")
    with closing(OldSnapshots(store.directory, never)) as old:
        for opened in old._parts:
            opened.set_trace_callback(write)
        assert old.remove() == 1
    assert refused == ["database is locked"], "the other file is free"
    store.write(3, ["a", "b"])


def test_a_backup_that_reads_the_store_for_long_keeps_nobody_waiting(store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds all files as they were. The job may not write during a checkpoint, and ends if that takes five seconds."""
    monkeypatch.setattr(old_snapshots, "_LOCK_SECONDS", 60.0)
    old_ones = filled(store)
    with ExitStack() as stack:
        for file in part_files(store.directory):
            backup = stack.enter_context(closing(sqlite3.connect(file, isolation_level=None)))
            backup.execute("BEGIN")
            backup.execute("SELECT count(*) FROM snaps").fetchone()
        old = stack.enter_context(closing(OldSnapshots(store.directory, never)))
        with ends_within(30, "a look beside a backup"):
            assert old.remove() == old_ones


def test_a_file_without_old_snapshots_is_not_checkpointed(store: RecoveryFiles) -> None:
    for part in store.parts:
        part.execute("PRAGMA wal_autocheckpoint = 0")
    store.write(1, [f"key-{number}" for number in range(2000)])
    store.close_epoch(2)
    before = files_of(store)
    with closing(OldSnapshots(store.directory, never)) as old:
        assert old.remove() == 0
    assert files_of(store) == before


def test_the_process_waits_between_two_looks(store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def wait(read: list[object], _write: object, _other: object, seconds: float) -> tuple[list[object], list[object], list[object]]:
        waits.append(seconds)
        return (read if len(waits) == 3 else []), [], []

    monkeypatch.setattr(old_snapshots, "select", SimpleNamespace(select=wait))
    monkeypatch.setattr(old_snapshots, "signal", SimpleNamespace(signal=lambda *_: None, SIGTERM=1, SIGINT=2, SIGHUP=3, SIG_IGN=0))
    old_snapshots.main(store.directory, 12.5)
    assert waits == [12.5, 12.5, 12.5]


def test_a_slow_disk_is_left_to_the_job(store: RecoveryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_snapshots, "_SLOW_SECONDS", 0.0)
    old_ones, before = filled(store), files_of(store)
    with closing(OldSnapshots(store.directory, never)) as old:
        assert old.remove() == old_ones
    assert files_of(store)[0] != before[0]
    assert files_of(store)[1] == before[1], "the first checkpoint was slow, so there is no second"


def test_a_store_without_all_of_its_files_is_left_alone(store: RecoveryFiles) -> None:
    store.write(1, ["a", "b"])
    store.write(2, ["a", "b"])
    store.close_epoch(3)
    (store.directory / "part-0.sqlite3").rename(store.directory / "elsewhere.sqlite3")
    with closing(OldSnapshots(store.directory, never)) as old:
        assert not old.whole
        assert old.remove() == 0


def test_a_store_on_which_no_job_has_begun_is_left_alone(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 3)  # type: ignore[no-untyped-call]
    with closing(OldSnapshots(tmp_path, never)) as old:
        assert old.whole
        assert old.remove() == 0


def test_the_job_writes_while_old_snapshots_are_looked_for(store: RecoveryFiles) -> None:
    """No lock is held between two transactions: a writer that does not wait finds the files free."""
    keys = [f"key-{number}" for number in range(600)]
    for epoch in (1, 2):
        store.write(epoch, keys)
    store.close_epoch(3)
    for part in store.parts:
        part.execute("PRAGMA busy_timeout = 0")

    def write(_seconds: float) -> bool:
        store.write(3, keys[:5])
        return False

    with closing(OldSnapshots(store.directory, write)) as old:
        assert old.remove() == 600
        store.close_epoch(4)
        assert old.remove() == 5


KEYS = st.sets(st.sampled_from("abcdef"))


class Epoch(NamedTuple):
    """What happens in an epoch: the keys that change, in two writes, and those that are discarded; then the rest."""

    changed: set[str]
    again: set[str]
    discarded: set[str]
    lag: int
    """How many epochs later it is durable."""
    ahead: int
    ends: bool
    """The process that removes old snapshots ends after its first transaction, and another begins."""
    looks: bool
    crash: int
    """The job is killed and resumes with so many workers; not, if it is 0. The process of before looks once more."""


EPOCHS = st.builds(
    Epoch, KEYS, KEYS, KEYS, st.integers(0, 3), st.integers(0, 2), st.booleans(), st.booleans(), st.sampled_from([0, 0, 0, 1, 2, 3])
)


@given(history=st.lists(EPOCHS, min_size=1, max_size=15), parts=st.integers(1, 3))
def test_every_resume_finds_the_same_states(tmp_path_factory: pytest.TempPathFactory, history: list[Epoch], parts: int) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(closing(RecoveryFiles(tmp_path_factory.mktemp("random") / "state", parts)))
        ends: list[bool] = []

        def pause(_seconds: float) -> bool:
            return bool(ends)

        def process() -> OldSnapshots:
            return stack.enter_context(closing(OldSnapshots(store.directory, pause)))

        def look(old: OldSnapshots, durable: int, epoch: int) -> None:
            before = [store.resumed_at(resume) for resume in range(durable, epoch + 2)]
            old.remove()
            assert [store.resumed_at(resume) for resume in range(durable, epoch + 2)] == before

        old, epoch, durable = process(), 0, 1
        for each in history:
            epoch += 1
            store.write(epoch, each.changed)
            store.write(epoch, each.discarded, state=False)
            store.write(epoch, each.again)
            durable = max(durable, epoch + 1 - each.lag)
            store.close_epoch(durable, ahead=each.ahead)
            if each.ends:
                ends.append(True)
                look(old, durable, epoch)
                ends.clear()
                old = process()
            if each.looks:
                look(old, durable, epoch)
                newest = {key: max(e for e in epochs if e < durable) for key, epochs in store.epochs().items() if epochs[0] < durable}
                assert all(e >= newest.get(key, 0) for key, epochs in store.epochs().items() for e in epochs)
            if each.crash:
                remove_undurable_snapshots(store.directory)
                store.begin(workers=each.crash, at=durable)
                epoch = durable - 1
                look(old, durable, epoch)
                old = process()
