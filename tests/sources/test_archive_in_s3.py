"""What an archive in a bucket does beyond one in a directory: claims that end by themselves, lost answers, stores that fall short."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import polars as pl
import pytest

from flows.archive import Archiver, RollRules
from flows.places.archive import ArchiveFiles
from sources.archive.archive import Archive, Forgotten
from sources.archive.names import ArchiveFile
from sources.archive.rows import is_forgotten, rows_of
from sources.errors import ArchiveError, ObjectStoreError
from sources.raw_log import RawRow
from sources.s3.bucket import Bucket
from sources.s3.lease import Lease, look
from sources.s3.location import Location
from state.records.subject import Subject
from tests.support.raw_logs import START, MemoryLog, row
from tests.support.s3 import Fault, S3Server, point_to, s3_server
from tests.support.waiting import wait_until

ANN = Subject("default", ("ann",))
HOUR = 3_600_000
DAY = "2026-01-05"
BIG = RollRules(10**9, 10**9)


@pytest.fixture(scope="module")
def running_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def server(running_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    point_to(running_server, monkeypatch)
    yield running_server
    running_server.faults.clear()


@pytest.fixture
def bucket(server: S3Server, request: pytest.FixtureRequest) -> Iterator[Bucket]:
    bucket = server.bucket(f"a-{abs(hash(request.node.name))}")
    yield bucket
    bucket.close()


@pytest.fixture
def place(bucket: Bucket) -> Location:
    return Location(bucket.name, "kept/here")


@pytest.fixture
def archive(place: Location) -> Archive:
    found = Archive(place)
    found.bind("topic", "")
    return found


def file(first: int, last: int) -> ArchiveFile:
    return ArchiveFile(DAY, 0, first, last)


def contents(archive: Archive) -> dict[int, list[RawRow]]:
    found: dict[int, list[RawRow]] = {}
    for partition, chain in archive.chains().items():
        found[partition] = [each for span in chain.spans for each in rows_of(archive.read(span.file)) if each.offset >= span.start]
    return found


def archiver(place: Location, log: MemoryLog, rules: RollRules = BIG) -> Archiver:
    return Archiver(Archive(place), log, rules, stopping=lambda: False, now=lambda: START + 400 * 24 * HOUR)


# ------------------------------------------------------------------------------------------------------------------------ claims


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def claim_of_the_dead(bucket: Bucket, key: str, seconds: float) -> None:
    """What a process that was killed leaves: a claim that nobody renews."""
    bucket.put(key, msgspec.json.encode({"owner": "dead", "seconds": seconds, "renewal": "1"}))


def test_a_claim_has_one_holder_until_it_is_given_back(bucket: Bucket) -> None:
    first, second = Lease(bucket, "c", seconds=60), Lease(bucket, "c", seconds=60)
    assert first.take()
    assert (first.holds(), second.take(), second.holds()) == (True, False, False)
    first.give_back()
    assert not first.holds()
    assert second.take()
    second.give_back()


def test_a_claim_that_nobody_renews_ends(bucket: Bucket) -> None:
    claim_of_the_dead(bucket, "c", 60)
    lease = Lease(bucket, "c", seconds=60)
    assert not lease.take()
    claim_of_the_dead(bucket, "c", -60)  # 60 seconds ago
    assert lease.take()
    lease.give_back()


def test_a_claim_that_was_renewed_since_it_was_looked_at_is_not_taken(bucket: Bucket) -> None:
    """Its content must differ, or else the condition of the write would hold."""
    first, second = Lease(bucket, "c", seconds=60), Lease(bucket, "c", seconds=60)
    assert first.take()
    seen = look(bucket, "c")
    assert seen is not None
    assert first._write(seen)
    assert not second._write(seen._replace(ended=True))
    assert first.holds()
    first.give_back()


def test_a_holder_that_cannot_renew_its_claim_stops_believing_in_it(bucket: Bucket) -> None:
    clock = Clock()
    lease = Lease(bucket, "c", seconds=60, clock=clock)
    assert lease.take()
    clock.now = 59.9
    assert lease.holds()
    clock.now = 60.0
    assert not lease.holds()
    lease.give_back()
    found = look(bucket, "c")
    assert found is not None
    assert found.owner, "what is not ours any more is not given back"


def test_a_holder_notices_that_another_one_took_its_claim(bucket: Bucket) -> None:
    lease = Lease(bucket, "c", seconds=0.4, clock=Clock())  # by time alone it would not end
    assert lease.take()
    claim_of_the_dead(bucket, "c", 60)
    wait_until(lambda: not lease.holds(), "it notices")
    lease.give_back()
    found = look(bucket, "c")
    assert found is not None
    assert found.owner == "dead"


def test_a_claim_whose_answer_is_lost_is_held_all_the_same(server: S3Server, bucket: Bucket) -> None:
    lease = Lease(bucket, "c", seconds=60)
    server.faults.append(Fault(lambda method, where: method == "PUT" and where.endswith("/c"), "lose", times=1))
    assert lease.take()
    server.faults.append(Fault(lambda method, where: method == "PUT" and where.endswith("/c"), "lose", times=1))
    seen = look(bucket, "c")
    assert seen is not None
    assert lease._write(seen)
    lease.give_back()
    assert all(fault.times == 0 for fault in server.faults)


def test_an_appender_that_lost_its_claim_writes_nothing_more(
    bucket: Bucket, archive: Archive, place: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.archive.bucket.SECONDS", 3.0)  # a busy machine may stand still for a second
    with archive.appending():
        archive.write(file(0, 2), [row(each) for each in range(3)])
        claim_of_the_dead(bucket, "kept/here/append.lock", 60)  # of one that took its place while it was frozen
        wait_until(lambda: not archive._store._leases[0].holds(), "it notices")  # type: ignore[attr-defined]
        with pytest.raises(ArchiveError, match=r"could not renew its claim .*start it again"):
            archive.write(file(3, 5), [row(each) for each in range(3, 6)])
    assert archive.files() == [file(0, 2)]


# ------------------------------------------------------------------------------------------------------------------- exactly once


def test_every_message_is_there_once_though_answers_are_lost(server: S3Server, place: Location, bucket: Bucket) -> None:
    log = MemoryLog({0: [row(each, at=START + each * HOUR) for each in range(40)], 1: [row(each) for each in range(9)]}, at_once=6)
    server.faults.append(Fault(lambda method, where: method == "PUT" and "offsets-" in where, "lose", times=3))
    archiver(place, log, RollRules(1_500, 10**9)).run(once=True)
    assert all(fault.times == 0 for fault in server.faults)
    assert contents(Archive(place)) == log.partitions


def test_a_join_that_dies_before_the_small_files_are_removed_changes_nothing(server: S3Server, archive: Archive, place: Location) -> None:
    for first in (0, 3, 6):
        archive.write(file(first, first + 2), [row(each) for each in range(first, first + 3)])
    before = contents(archive)
    server.faults.append(Fault(lambda method, _where: method == "DELETE", "refuse", "AccessDenied", "403 Forbidden"))
    with pytest.raises(ObjectStoreError, match="do not allow"):
        archive.compact(0, "2026-01-06", 10**9)
    assert len(archive.files()) == 4
    assert contents(archive) == before
    server.faults[:] = [Fault(lambda method, _where: method == "DELETE", "lose")]
    with Archive(place).appending():
        assert archive.files() == [file(0, 8)]
    assert contents(archive) == before
    assert server.faults[0].times == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_anywhere_and_started_again_it_has_every_message_once(
    bucket: Bucket, place: Location, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    class DiesError(BaseException):
        pass

    rng = random.Random(seed)
    log = MemoryLog({part: [row(each, at=START + each * 2 * HOUR) for each in range(rng.randrange(30))] for part in range(2)}, at_once=5)
    left, deaths = 0, 0

    def dying(wrapped: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and rng.random() < 0.5:
                left = -1
                raise DiesError
            found = wrapped(*arguments, **named)
            if left == 0:
                raise DiesError
            return found

        return call

    monkeypatch.setattr(Bucket, "put", dying(Bucket.put))
    monkeypatch.setattr(Bucket, "remove", dying(Bucket.remove))
    for _ in range(100):
        for lock in ("append.lock", "change.lock"):
            bucket.request("delete_object", f"kept/here/{lock}")  # a minute later
        left = rng.randrange(1, 25)
        try:
            archiver(place, log, RollRules(rng.randrange(400, 3_000), 10**9)).run(once=True)
        except DiesError:
            deaths += 1
        else:
            break
    left = -1
    assert deaths, "it was never killed"
    assert contents(Archive(place)) == {partition: rows for partition, rows in log.partitions.items() if rows}


# ----------------------------------------------------------------------------------------------------------------------- forgetting


def test_who_is_forgotten_while_it_archives_is_left_out_of_what_it_writes_later(archive: Archive, place: Location) -> None:
    log = MemoryLog({0: [row(each) for each in range(6)]}, at_once=3)
    job = archiver(place, log)
    job.archive.bind("topic", "")
    forgets = ArchiveFiles(archive, lambda: START + HOUR, log_keeps=False, wait_s=0.0)
    with job.archive.appending():
        job._resume()
        job.step()
        job._write(0)
        job.step()  # three are in a file, and three in memory
        forgets.erase(ANN)
        assert forgets.waits(ANN), "it may have read what it has not written"
        assert [is_forgotten(each) for each in contents(archive)[0]] == [True] * 3
        job._look_at = 0.0
        job.step()
        job.step()
    assert [(each.offset, is_forgotten(each)) for each in contents(archive)[0]] == [(each, True) for each in range(6)]
    assert not forgets.waits(ANN)


def test_after_an_appender_was_killed_the_ids_wait_until_the_next_one_has_read_the_log(
    bucket: Bucket, archive: Archive, place: Location
) -> None:
    claim_of_the_dead(bucket, "kept/here/append.lock", -60)
    forgets = ArchiveFiles(archive, lambda: START + HOUR, log_keeps=False, wait_s=0.0)
    forgets.erase(ANN)
    assert forgets.waits(ANN), "a request of it may still arrive"
    archiver(place, MemoryLog({0: [row(each) for each in range(6)]})).run(once=True)
    assert not forgets.waits(ANN)
    assert all(is_forgotten(each) for each in contents(archive)[0])
    forgets.erase(ANN)
    assert not forgets.waits(ANN), "it ended in order"


def test_an_erased_file_is_replaced_under_its_name(archive: Archive) -> None:
    archive.write(file(0, 5), [row(each, user="ann" if each % 2 else "ben") for each in range(6)])
    assert archive.erase(pl.col("key") == b"ann", lambda each: each.key == b"ann") == 1
    assert [each.offset for each in contents(archive)[0] if is_forgotten(each)] == [1, 3, 5]
    archive.write(file(0, 5), [row(each) for each in range(6)])  # of one that was frozen since before
    assert [each.offset for each in contents(archive)[0] if is_forgotten(each)] == [1, 3, 5], "what is there stays"


# ---------------------------------------------------------------------------------------------------------------------------- places


def test_a_bucket_that_keeps_old_versions_is_refused(bucket: Bucket, archive: Archive) -> None:
    bucket.request("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    with pytest.raises(ArchiveError, match=r"keeps old versions .*without versioning"):
        archive.bind("topic", "")
    with pytest.raises(ArchiveError, match="keeps old versions"):
        archive.erase(pl.lit(value=True), lambda _row: True)


def test_a_store_that_ignores_conditions_is_refused(server: S3Server, place: Location) -> None:
    for ignored in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"):
        server.faults[:] = [Fault(lambda method, where: method == "PUT" and "probe" in where, "unconditional", code=ignored, times=99)]
        with pytest.raises(ArchiveError, match="ignores conditions"):
            Archive(place).bind("topic", "")


def test_a_place_with_other_objects_is_refused_and_one_without_an_archive_is_named(bucket: Bucket, place: Location) -> None:
    bucket.put("kept/hereafter", b"")
    assert not Archive(place).exists
    with pytest.raises(ArchiveError, match=f"There is no archive in s3://{bucket.name}/kept/here"):
        _ = Archive(place).log
    bucket.put("kept/here/letters.txt", b"")
    with pytest.raises(ArchiveError, match=r"contains other files \(letters\.txt\)"):
        Archive(place).bind("topic", "")


def test_a_damaged_object_is_named_by_its_address(bucket: Bucket, archive: Archive) -> None:
    archive.write(file(0, 0), [row(0)])
    bucket.put(f"kept/here/{file(0, 0).name}", b"PAR1")
    with pytest.raises(ArchiveError, match=rf"s3://{bucket.name}/kept/here/day=.*restore it from a copy"):
        archive.read(file(0, 0))


def test_it_is_counted(archive: Archive) -> None:
    for first in (0, 3):
        archive.write(file(first, first + 2), [row(each) for each in range(first, first + 3)])
    number, size = archive.size()
    assert number == 2
    assert archive.bytes_of(archive.chains().values()) == [size]
    assert Forgotten("default", ("ann",), START) not in archive.waiting()
