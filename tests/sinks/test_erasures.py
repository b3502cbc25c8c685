"""A deletion is never lost on its way to ClickHouse: not by rows that are refused, by damaged files, by a full disk or by a kill."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.drain import Drain
from sinks.clickhouse.erased_rows import erased_rows
from sinks.clickhouse.fake import FakeInserter, is_erased
from sinks.clickhouse.rejected import Rejected
from sinks.clickhouse.segment import read_segment
from sinks.clickhouse.sink import Batch, FactPartition
from sinks.clickhouse.spool import Spool
from state.records.facts import DeadLetterFact, EventFact, OutcomeFact
from state.records.recommendation import Erase
from tests.sinks.spools import drain, put
from tests.support.facts import make
from tests.support.waiting import join

POISON = frozenset({"bad", "bad of ann", "bad of ben"})


def event(event_id: str, user: str, version: int = 1) -> EventFact:
    return make(EventFact, event_id=event_id, user_id=user, version=version)


def naming(ident: str, *users: str) -> DeadLetterFact:
    return make(DeadLetterFact, dead_letter_id=ident, user_ids=users, tenant_ids=("t",))


def events(inserter: FakeInserter) -> set[str]:
    return inserter.left("events", "event_id")


def poisoned() -> FakeInserter:
    return FakeInserter(poison=POISON)


def move_back(spool: Spool) -> None:
    """What the runbook tells an operator to do."""
    for path in spool.rejected.glob("*.ready"):
        path.rename(spool.directory / path.name)


def rejected_events(spool: Spool) -> list[str]:
    (path,) = spool.rejected.glob("*.ready")
    return [str(ident) for ident in read_segment(path).frames["events"][0]["event_id"]]


def change(path: Path, place: int) -> None:
    """Damage one byte."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def newer(path: Path) -> None:
    """Make a segment one of a newer release; once more undoes it, as an upgrade would."""
    change(path, len("ONRAMP"))


# ------------------------------------------------------------------------------------------------------- rows that are refused


@pytest.mark.parametrize("after", [[], ["after"]])
def test_rows_that_are_refused_hold_back_neither_a_deletion_nor_the_rows_of_other_tables(tmp_path: Path, after: list[str]) -> None:
    """Whether their segment is delivered alone or with others."""
    spool, inserter = Spool(tmp_path), poisoned()
    outcome = make(OutcomeFact, decision_id="o", user_id="ben")
    rows: Batch = [event("bad of ann", "ann"), event("bad of ben", "ben"), outcome, naming("names ann", "ann"), Erase("t", "ann", 5)]
    behind: list[Batch] = [[event(name, "cat")] for name in after]
    put(spool, [event("before", "ann")], rows, *behind)
    drain(spool, inserter)
    assert set(inserter.erased) == {Erase("t", "ann", 5)}
    assert events(inserter) == {*after}
    assert (inserter.left("outcomes", "decision_id"), inserter.left("dead_letters", "dead_letter_id")) == ({"o"}, set())
    (path,) = spool.rejected.glob("*.ready")
    kept = read_segment(path)
    assert (list(kept.frames), kept.erasures) == (["events"], []), "what was not inserted, and nothing else"
    assert rejected_events(spool) == ["bad of ben"], "of nobody who was deleted"
    assert "refuses this row" in path.with_suffix(".error.txt").read_text()
    inserter.poison = frozenset()
    move_back(spool)
    drain(spool, inserter)
    assert events(inserter) == {*after, "bad of ben"}
    assert not list(spool.rejected.iterdir()), "the reason goes with the file"


def test_nothing_is_set_aside_where_all_refused_rows_are_of_people_who_are_deleted(tmp_path: Path) -> None:
    spool, inserter = Spool(tmp_path), poisoned()
    put(spool, [event("bad of ann", "ann"), Erase("t", "ann", 5)])
    drain(spool, inserter)
    assert (inserter.erased, spool.segments_rejected, spool.segments_ready) == ([Erase("t", "ann", 5)], 0, 0)


def test_a_deletion_that_fails_for_a_while_is_run_before_its_segment_is_set_aside(tmp_path: Path) -> None:
    spool, inserter = Spool(tmp_path), poisoned()
    put(spool, [event("bad of ben", "ben"), Erase("t", "ann", 5)])
    inserter.refused_erasures = 3
    seen: list[int] = []
    Drain(spool, inserter, pause=lambda _: seen.append(len(list(spool.rejected.iterdir())))).drain_once()
    assert seen == [0, 0, 0]
    assert (inserter.erased, spool.segments_rejected) == ([Erase("t", "ann", 5)], 1)


# ----------------------------------------------------------------------------------------- files that an operator moves back


def test_a_person_who_was_deleted_meanwhile_does_not_come_back_with_a_file_that_is_moved_back(tmp_path: Path) -> None:
    spool, inserter = Spool(tmp_path), poisoned()
    put(spool, [event("bad", "cat"), event("bad of ann", "ann"), event("bad of ben", "ben", 7)])
    drain(spool, inserter)
    put(spool, [Erase("t", "ann", 5), Erase("t", "ben", 5), Erase("another", "cat", 5)])
    drain(spool, inserter)
    assert rejected_events(spool) == ["bad", "bad of ben"], "the row of ann is nowhere any more"
    inserter.poison = frozenset()
    move_back(spool)
    drain(spool, inserter)
    assert events(inserter) == {"bad", "bad of ben"}


def test_a_file_goes_with_the_last_person_in_it(tmp_path: Path) -> None:
    spool, inserter = Spool(tmp_path), poisoned()
    put(spool, [event("bad of ann", "ann")])
    drain(spool, inserter)
    put(spool, [Erase("t", "ann", 5)])
    drain(spool, inserter)
    assert not list(spool.rejected.iterdir())
    assert spool.segments_rejected == 0


def test_a_file_that_is_moved_back_while_a_deletion_runs_brings_nobody_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path)

    class Hurried(FakeInserter):
        def erase(self, erasures: Sequence[Erase]) -> None:
            self.poison = frozenset()
            move_back(spool)
            super().erase(erasures)

    inserter = Hurried(poison=POISON)
    put(spool, [event("bad of ann", "ann"), event("bad", "cat")])
    drain(spool, inserter)
    put(spool, [Erase("t", "ann", 5)])
    drain(spool, inserter)
    drain(spool, inserter)
    assert events(inserter) == {"bad"}
    assert not spool.segments("ready")


def test_what_is_written_after_a_clock_that_jumped_back_sorts_behind_a_rejected_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is moved back is known by its place before the deletions that ran since."""
    spool, now = Spool(tmp_path), [10**18]
    monkeypatch.setattr("sinks.clickhouse.sink.time.time_ns", lambda: now[0])
    put(spool, [event("bad", "cat")])
    drain(spool, poisoned())
    now[0] -= 3_600 * 10**9
    put(spool, [event("later", "cat")])
    move_back(spool)
    assert [read_segment(each.path).frames["events"][0]["event_id"][0] for each in spool.segments("ready")] == ["bad", "later"]


def test_two_processes_that_delete_different_people_do_not_undo_each_others_work(tmp_path: Path) -> None:
    """Both write the same rejected file again. At the same time each would put back what the other took out."""
    spool = Spool(tmp_path)
    people = [f"p{number}" for number in range(40)]
    put(spool, [event("bad", "cat"), *(event(f"of {user}", user) for user in people)])
    drain(spool, poisoned())

    def erase(users: list[str]) -> None:
        for user in users:
            Rejected(spool.directory).erase([Erase("t", user, 5)])

    threads = [threading.Thread(target=erase, args=(people[half::2],), daemon=True) for half in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        join(thread, "a process that deletes")
    assert rejected_events(spool) == ["bad"]


# ---------------------------------------------------------------------------------------------------- files that are damaged


def test_a_segment_with_damaged_rows_still_deletes_people(tmp_path: Path) -> None:
    spool, inserter = Spool(tmp_path), FakeInserter()
    put(spool, [event("e", "ann")], [event("lost", "cat"), Erase("t", "ann", 5)])
    change(spool.segments("ready")[-1].path, 100)
    drain(spool, inserter)
    assert (inserter.erased, events(inserter)) == ([Erase("t", "ann", 5)], set())
    assert (spool.segments_rejected, spool.segments_unreadable) == (1, 0)


def test_a_segment_whose_deletions_nobody_can_read_is_said_and_counted_until_it_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path)
    put(spool, [event("lost", "cat"), Erase("t", "ann", 5)], [event("e", "ben")])
    change(spool.segments("ready")[0].path, -30)
    with caplog.at_level(logging.ERROR):
        drain(spool, FakeInserter())
    assert "Nobody knows what people it deletes" in caplog.text
    assert "runbook" in caplog.text
    (path,) = spool.rejected.glob("*.ready")
    assert "damaged end" in path.with_suffix(".unreadable.txt").read_text()
    assert (spool.segments_rejected, spool.segments_unreadable) == (1, 1)
    assert Spool(tmp_path).segments_unreadable == 1, "also after a restart"
    path.unlink()
    spool.refresh()
    assert (spool.segments_rejected, spool.segments_unreadable) == (0, 0)


def test_a_segment_of_a_newer_release_brings_nobody_back_who_was_deleted_before_the_upgrade(tmp_path: Path) -> None:
    spool, inserter = Spool(tmp_path), FakeInserter()
    put(spool, [event("d", "dan")])
    put(spool, [event("of ann", "ann"), event("of ben", "ben"), Erase("t", "dan", 5)])
    newer(spool.segments("ready")[-1].path)
    drain(spool, inserter)
    put(spool, [Erase("t", "ann", 5)])
    drain(spool, inserter)
    put(spool, [Erase("t", "ben", 1)])
    drain(spool, inserter)
    (path,) = spool.rejected.glob("*.ready")
    newer(path)
    move_back(spool)
    drain(spool, inserter)
    assert events(inserter) == {"of ben"}, "nor is anybody deleted whose row is newer than the deletion"
    assert inserter.erased[-1] == Erase("t", "dan", 5)
    assert not list(spool.rejected.iterdir())


def test_a_segment_that_is_refused_after_an_upgrade_is_no_longer_one_that_nobody_can_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, [event("bad", "cat")])
    newer(spool.segments("ready")[0].path)
    drain(spool, poisoned())
    assert (spool.segments_rejected, spool.segments_unreadable) == (1, 1)
    newer(next(spool.rejected.glob("*.ready")))
    move_back(spool)
    drain(spool, poisoned())
    assert (spool.segments_rejected, spool.segments_unreadable) == (1, 0)


def test_the_ids_of_deleted_people_are_kept_no_longer_than_the_file_that_they_are_kept_for(tmp_path: Path) -> None:
    spool, inserter = Spool(tmp_path), FakeInserter()
    put(spool, [event("of ann", "ann")])
    newer(spool.segments("ready")[-1].path)
    for user in ("ann", "ben"):
        put(spool, [Erase("t", user, 5)])
        drain(spool, inserter)
    assert {path.suffix for path in spool.rejected.iterdir()} == {".ready", ".txt", ".deleted"}
    next(spool.rejected.glob("*.ready")).unlink()
    put(spool, [Erase("t", "cat", 5)])
    drain(spool, inserter)
    assert not list(spool.rejected.iterdir())


# ----------------------------------------------------------------------------------------------- what is and is not erased


_NAMES, _TENANTS, _VERSIONS = st.sampled_from(["ann", "ben"]), st.sampled_from(["t", "s"]), st.integers(1, 4)
_EVENTS = st.builds(lambda user, tenant, at: make(EventFact, user_id=user, tenant_id=tenant, version=at), _NAMES, _TENANTS, _VERSIONS)
_LETTERS = st.builds(
    lambda users, tenants: make(DeadLetterFact, user_ids=tuple(users), tenant_ids=tuple(tenants)),
    st.lists(_NAMES, max_size=2),
    st.lists(_TENANTS, max_size=2),
)


@given(st.lists(_EVENTS), st.lists(_LETTERS), st.lists(st.builds(Erase, _TENANTS, _NAMES, _VERSIONS)))
def test_the_rows_that_are_taken_out_of_a_file_are_those_that_clickhouse_would_delete(
    rows: list[EventFact], letters: list[DeadLetterFact], erasures: list[Erase]
) -> None:
    for frame in (to_frame(EventFact, rows), to_frame(DeadLetterFact, letters)):
        kept = [row for row in frame.to_dicts() if not any(is_erased(row, each) for each in erasures)]
        assert frame.filter(~erased_rows(frame, erasures)).to_dicts() == kept


# ------------------------------------------------------------------------------------- kills and full disks, at every step


def test_a_disk_that_stays_full_holds_back_neither_deletions_nor_rows_that_can_be_inserted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, inserter = Spool(tmp_path), poisoned()
    put(spool, [event("with", "cat"), event("a", "ann")], [event("bad of ben", "ben"), Erase("t", "ann", 5)], [event("after", "cat")])

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        patched.setattr(Path, "write_text", full)
        drain(spool, inserter)
    assert events(inserter) == {"with", "after"}
    assert (spool.segments_ready, spool.segments_rejected) == (0, 1)
    inserter.poison = frozenset()
    move_back(spool)
    drain(spool, inserter)
    assert events(inserter) == {"with", "after", "bad of ben"}


class Killed(BaseException):
    """The process is gone. It is no ``Exception``, so no handler of ours runs on it but ``finally``."""


class Fate:
    """Counts steps, and raises at one of them."""

    def __init__(self, at: int, error: Callable[[], BaseException]) -> None:
        self.at, self.error, self.steps, self.struck = at, error, 0, False

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            self.struck = True
            raise self.error()


class Store(FakeInserter):
    """ClickHouse, which outlives the process: it may have done what it was asked to when the process dies."""

    fate = Fate(0, Killed)

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        self.fate.step()
        super().insert(table, frame)
        self.fate.step()

    def erase(self, erasures: Sequence[Erase]) -> None:
        self.fate.step()
        super().erase(erasures)
        self.fate.step()


def story(directory: Path) -> None:
    """Segments of every kind. Of ann, dan and eve no row may stay, of cat only the one after she came back."""
    spool = Spool(directory)
    partition = FactPartition(spool, "p", None)

    def write(*rows: Any) -> Path:
        partition.write_batch([[*rows]])
        partition.snapshot()
        partition.flush()
        return spool.segments("ready")[-1].path

    people = [event(f"{user} 1", user) for user in ("ann", "ben", "cat", "dan", "eve")]
    write(*people, naming("names ann", "ann"))
    outcome = make(OutcomeFact, decision_id="o")
    write(event("ann 2", "ann"), event("bad of ben", "ben"), event("bad of ann", "ann"), outcome, Erase("t", "ann", 5))
    newer(write(event("cat 2", "cat", 2), event("ben 2", "ben"), Erase("t", "dan", 5)))
    change(write(event("lost", "cat"), Erase("t", "eve", 5)), 100)
    write(event("cat 9", "cat", 9), event("bad", "cat"), Erase("t", "cat", 8))


def end(directory: Path, store: Store) -> None:
    """An operator mends everything and moves the files back. Then check what is in the store."""
    spool = Spool(directory)
    store.poison = frozenset()
    for path in spool.rejected.glob("*.ready"):
        if not path.read_bytes().startswith(b"ONRAMP1"):
            newer(path)
    move_back(spool)
    drain(spool, store)
    assert events(store) == {"ben 1", "ben 2", "bad of ben", "cat 9"}
    assert store.left("outcomes", "decision_id") == {"o"}
    assert store.left("dead_letters", "dead_letter_id") == set()
    assert {each.user_id for each in store.erased} == {"ann", "cat", "dan", "eve"}
    assert spool.segments("ready") == []
    assert spool.segments_rejected == 1, "the damaged one"


def run(directory: Path, store: Store) -> None:
    """Drain, with a new process after each death, until nothing is left. It strikes once, so that takes two at most."""
    for _ in range(3):
        with suppress(Killed, OSError):
            drain(Spool(directory), store)
    assert not Spool(directory).segments("ready")


def on_every_change(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Let each change of a file be a step of the fate of the store."""

    def watched(original: Any) -> Any:
        def called(*arguments: Any, **options: Any) -> Any:
            store.fate.step()
            return original(*arguments, **options)

        return called

    for name in ("rename", "unlink", "write_text", "write_bytes"):
        monkeypatch.setattr(Path, name, watched(getattr(Path, name)))
    monkeypatch.setattr(os, "fsync", watched(lambda _: None))


@pytest.mark.parametrize("error", [Killed, lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))], ids=["killed", "disk full"])
def test_a_kill_or_a_full_disk_at_any_step_loses_no_deletion_and_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Callable[[], BaseException]
) -> None:
    step, struck = 0, True
    while struck:
        step += 1
        directory, store = tmp_path / str(step), Store(poison=POISON)
        story(directory)
        with monkeypatch.context() as patched:
            store.fate = Fate(step, error)
            on_every_change(patched, store)
            run(directory, store)
            struck, store.fate = store.fate.struck, Fate(0, Killed)
        assert not {"ann 1", "ann 2", "cat 1", "eve 1"} & events(store), "before anybody mends anything"
        end(directory, store)
    assert step > 40, "it struck at every step of the story"
