"""Files of Valkey from elsewhere: what the job writes passes, and nothing that could open the server or run code."""

from __future__ import annotations

import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.records import Records
from llm.cache.answer_cache import AnswerCache, CachedText, CachePolicy, text_hash
from llm.limits.daily_budget import Allowance, Budget, BudgetSettings, Reservation
from llm.review_queue import ReviewPolicy, ReviewQueue
from local.backup_file import BackupError, unpack, writing
from local.plain_records import what_is_no_record
from local.valkey import EmbeddedValkey, EmbeddedValkeyError
from sinks.redis.async_client import connect_async
from sinks.redis.client import connect
from tests.llm.review_entries import entry
from tests.local.valkey_files import keys_in, rewrite
from tests.support.waiting import run_async, wait_until

GENUINE: Final = Path(__file__).parents[1] / "fixtures" / "formats" / "2" / "backup.tar.gz"
INCREMENT, BASE, LIST = "appendonly.aof.1.incr.aof", "appendonly.aof.1.base.rdb", "appendonly.aof.manifest"
MANIFEST: Final = {"onramp": "1.2", "takenAt": "2026-02-25", "epoch": 7, "keys": {}, "rows": {}, "notIncluded": []}


@pytest.fixture
def valkey(tmp_path: Path) -> Path:
    """The files of a genuine backup."""
    files = tmp_path / "valkey" / "appendonlydir"
    files.mkdir(parents=True)
    with tarfile.open(GENUINE) as archive:
        for name in (INCREMENT, BASE, LIST):
            found = archive.extractfile(f"valkey/appendonlydir/{name}")
            assert found is not None
            (files / name).write_bytes(found.read())
    return tmp_path / "valkey"


def contents(valkey: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (valkey / "appendonlydir").iterdir()}


def append(valkey: Path, data: bytes) -> None:
    with (valkey / "appendonlydir" / INCREMENT).open("ab") as file:
        file.write(data)


def command(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(word.encode())}\r\n{word}\r\n".encode() for word in words)


def test_the_files_of_a_backup_pass_and_are_not_changed(valkey: Path) -> None:
    before = contents(valkey)
    assert what_is_no_record(valkey) is None
    assert contents(valkey) == before
    assert what_is_no_record(valkey / "gone") is None


COMMANDS = [
    ("ACL", "SETUSER", "evil", "on", "nopass", "~*", "&*", "+@all"),
    ("CONFIG", "SET", "bind", "0.0.0.0"),
    ("config", "set", "dir", "/tmp"),
    ("SAVE",),
    ("EVAL", "return 1", "0"),
    ("FUNCTION", "LOAD", "#!lua name=x\n"),
    ("MODULE", "LOAD", "/tmp/x.so"),
    ("REPLICAOF", "example.com", "6379"),
    ("RESTORE", "k", "0", "x"),
    ("SHUTDOWN",),
    ("",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]) or "nothing")
def test_a_command_that_does_more_than_write_a_record_is_named(valkey: Path, words: tuple[str, ...]) -> None:
    append(valkey, command("SET", "a", "b") + command(*words) + command("SET", "a", "c"))
    assert what_is_no_record(valkey) == f"{INCREMENT} has the command {words[0].upper()!r}, which writes no record"


@pytest.mark.parametrize(
    "data",
    [
        b"CONFIG SET bind *\r\n",
        b"*01\r\n$4\r\nSAVE\r\n",
        b"*-1\r\n" * 5,
        b"*1\n$4\nSAVE\n" * 2,
        b"*1\r\n$+4\r\nSAVE\r\n" * 2,
        b"*1\r\n$4\r\nEXECSAVE\r\n" * 2,
        b"#TS:1\r\n" * 3,
        b"\0" * 40,
        b"*99999999999999999999\r\n",
        b"VALKEY080",
    ],
)
def test_what_servers_may_read_in_different_ways_is_refused(valkey: Path, data: bytes) -> None:
    append(valkey, data + command("SET", "a", "b"))
    assert str(what_is_no_record(valkey)).startswith(f"{INCREMENT} has no command at byte ")


@pytest.mark.parametrize(
    "rest", [b"*", b"*3\r\n", b"*3\r\n$3\r\nSET\r\n$1", b"*3\r\n$3\r\nSET\r\n$10\r\nabc", b"*3\r\n$3\r\nSET\r\n$1\r\na\r"]
)
def test_a_command_that_is_cut_off_is_taken_away(valkey: Path, rest: bytes) -> None:
    append(valkey, command("SET", "last", "one"))
    before = contents(valkey)
    append(valkey, rest)
    assert what_is_no_record(valkey) is None
    assert contents(valkey) == before
    assert keys_in(valkey)["last"] == "one"


@pytest.mark.parametrize(
    "lines",
    [
        b"file ../valkey.conf seq 1 type i\n",
        b'file "appendonly.aof.1.incr.aof" seq 1 type i\n',
        b"file appendonly.aof.2.incr.aof seq 2 type i\n",
        b"file appendonly.aof.1.incr.aof seq 1 type i",
        b"",
    ],
)
def test_a_list_that_names_other_files_is_refused(valkey: Path, lines: bytes) -> None:
    (valkey / "appendonlydir" / LIST).write_bytes(b"file appendonly.aof.1.base.rdb seq 1 type b\n" + lines)
    assert what_is_no_record(valkey) == f"{LIST} does not list the files that are there"
    (valkey / "appendonlydir" / LIST).unlink()
    assert what_is_no_record(valkey) == f"{LIST} is missing"


def rewritten(directory: Path, fill: Callable[[Any], object]) -> Path:
    """The files of a server that has written a snapshot of what ``fill`` gave to it."""
    directory.mkdir()
    server = EmbeddedValkey(directory)
    server.start(publish=False)
    try:
        client = connect(server.url)
        fill(client)
        client.bgrewriteaof()
        wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, "the end of the rewrite")
        client.close()
    finally:
        server.stop()
    return directory


VALUES: Final = {
    "short": "x",
    "none": "",
    "byte": "-7",
    "two": "-3000",
    "four": "2000000000",
    "long": "é" * 9_000,
    "packed": "ab" * 40_000,
    "64 bits": "9" * 18,
    "k" * 100: "x" * 70,
}


def fill_with_texts(client: Any) -> None:
    for key, value in VALUES.items():
        client.set(key, value)
        client.set(f"{key} for a day", value, ex=86_400)
    client.incrby("counter", 300)
    client.expire("counter", 1000)


def test_a_snapshot_of_texts_passes_and_is_loaded(tmp_path: Path) -> None:
    valkey = rewritten(tmp_path / "valkey", fill_with_texts)
    (tmp_path / "copy").mkdir()
    shutil.copytree(valkey / "appendonlydir", tmp_path / "copy" / "appendonlydir")
    before = contents(tmp_path / "copy")
    assert max(len(data) for data in before.values()) > 1_000
    assert what_is_no_record(tmp_path / "copy") is None
    assert contents(tmp_path / "copy") == before
    found = keys_in(tmp_path / "copy")
    assert VALUES.items() <= found.items()
    assert len(found) == 2 * len(VALUES) + 1


@pytest.mark.parametrize(
    ("fill", "kind"),
    [
        (lambda client: client.function_load("#!lua name=evil\nredis.register_function('f', function() return 1 end)"), 245),
        (lambda client: client.rpush("l", "a"), 18),
        (lambda client: client.xadd("x", {"a": "b"}), 21),
        (lambda client: client.hset("h", "a", "b") and client.execute_command("HEXPIRE", "h", "1000", "FIELDS", "1", "a"), 22),
    ],
    ids=["function", "list", "stream", "hash whose fields end"],
)
def test_a_snapshot_with_a_kind_that_no_record_has_is_refused(tmp_path: Path, fill: Callable[[Any], object], kind: int) -> None:
    found = what_is_no_record(rewritten(tmp_path / "valkey", fill))
    assert str(found).endswith(f".base.rdb has something of kind {kind}, which no record has")


def cached(number: int) -> CachedText:
    return CachedText("Take {step} next.", 0.9, "small", "nudge-1", text_hash(str(number)), 1_000)


async def use_every_store(url: str, each: int) -> None:
    """Write what the job, its model service and the gateway keep: ``each`` texts of one person, waiting texts and rejected ones."""
    client = connect_async(url, 10.0)
    cache, queue = AnswerCache(client, CachePolicy(wait_seconds=10.0)), ReviewQueue(client, ReviewPolicy(most=each, wait_seconds=10.0))
    for number in range(each):
        for user in ("", "jane", "gone"):
            await cache.put("acme", f"{user}-{number:032x}", cached(number), user=user)
    await cache.forget("acme", "gone")
    for number in range(each):
        for personal in (False, True):
            await queue.put("acme", entry(f"Text {number}", f"{number:032x}", owner="jane" if personal else ""))
            await queue.put("acme", entry(f"Other {number}", f"{number:032x}", owner="jane" if personal else ""))  # drops older ones
    waiting = (await queue.waiting("acme")).entries
    await queue.approve("acme", waiting[0].id, "ann")
    await queue.reject("acme", waiting[1].id, "ann")
    await queue.forget("acme", "jane")
    await client.hset("onramp:llm:{acme}:rejected", mapping={text_hash(str(number)): "ann" for number in range(each)})
    allowance = Allowance(tokens=1_000, micros=1_000)
    budget = Budget(client, BudgetSettings(shared=allowance, personal=allowance, alert_share=0.5, answer_seconds=10))
    reservation = await budget.reserve("acme", "shared", tokens=900, micros=10, day="2026-03-01")
    assert isinstance(reservation, Reservation)
    await budget.settle(reservation, tokens=1, micros=1)
    await client.aclose()
    records = Records(lambda: url)
    await records.add("onramp:{acme}:quota", 5, keep_seconds=1_000)
    await records.close()


@pytest.mark.parametrize("each", [2, 700], ids=["few", "more than fit into compact values"])
def test_what_a_job_with_a_model_writes_passes_and_is_loaded(tmp_path: Path, each: int) -> None:
    valkey = tmp_path / "valkey"
    valkey.mkdir()
    keys = 0
    for rewrites in (False, True, False):
        server = EmbeddedValkey(valkey)
        server.start(publish=False)
        try:
            with connect(server.url) as client:
                assert client.dbsize() == keys
                run_async(use_every_store(server.url, each))
                if rewrites:
                    rewrite(server)
                keys = client.dbsize()
        finally:
            server.stop()
        before = contents(valkey)
        assert what_is_no_record(valkey) is None
        assert contents(valkey) == before
    assert keys > 2 * each


@pytest.mark.parametrize("large", [False, True], ids=["compact", "large"])
def test_sets_hashes_and_sorted_sets_pass_in_all_their_forms(tmp_path: Path, large: bool) -> None:
    long = "x" * 9_000 if large else "x"

    def fill(client: Any) -> None:
        client.sadd("set", "a", "b", long)
        client.sadd("numbers", *range(700 if large else 2))
        client.hset("hash", mapping={"a": "b", long: "c"})
        client.zadd("order", {"a": -1.5, "b": float("inf"), long: 1e300})
        client.set("text", "last")

    valkey = rewritten(tmp_path / "valkey", fill)
    assert what_is_no_record(valkey) is None
    base = next((valkey / "appendonlydir").glob("*.base.rdb"))
    base.write_bytes(base.read_bytes()[:-1])
    assert "has a snapshot that is cut off" in str(what_is_no_record(valkey))


def test_the_server_refuses_a_compact_value_that_is_broken_inside(tmp_path: Path) -> None:
    """Their insides are not looked at here; the server does it when it loads them."""
    valkey = rewritten(tmp_path / "valkey", lambda client: client.hset("hash", "field", "value"))
    base = next((valkey / "appendonlydir").glob("*.base.rdb"))
    broken = base.read_bytes().replace(b"\x85field", b"\xbffield")  # a longer text than there is
    assert broken != base.read_bytes()
    base.write_bytes(broken[:-8] + bytes(8))  # without a checksum
    assert what_is_no_record(valkey) is None
    with pytest.raises(EmbeddedValkeyError):
        EmbeddedValkey(valkey).start(publish=False)
    assert "integrity check failed" in (valkey / "valkey.log").read_text()


def test_a_snapshot_in_any_file_is_read_as_one(valkey: Path) -> None:
    """The server looks at the beginning of a file, and not at its name."""
    files = valkey / "appendonlydir"
    snapshot = (files / BASE).read_bytes()
    (files / INCREMENT).write_bytes(snapshot + command("SET", "a", "b"))
    assert what_is_no_record(valkey) is None
    (files / INCREMENT).write_bytes(snapshot + command("SAVE"))
    assert "has the command 'SAVE'" in str(what_is_no_record(valkey))
    (files / INCREMENT).write_bytes(snapshot[:9] + b"\xfa\x03lua\x08return 1" + snapshot[9:])
    assert "has the field 'lua'" in str(what_is_no_record(valkey))
    (files / INCREMENT).write_bytes(snapshot[:-1])
    assert "has a snapshot that is cut off" in str(what_is_no_record(valkey))


def test_whatever_else_stands_there_is_answered_without_an_error(tmp_path: Path) -> None:
    rng = random.Random(7)
    files = rewritten(tmp_path / "valkey", fill_with_texts) / "appendonlydir"
    base = next(files.glob("*.base.rdb"))
    whole = base.read_bytes()
    for _ in range(2_000):
        damaged = bytearray(whole[: rng.randrange(1, len(whole))] if rng.random() < 0.3 else whole)
        for _change in range(rng.randrange(1, 4)):
            damaged[rng.randrange(min(len(damaged), 400))] = rng.randrange(256)
        base.write_bytes(damaged)
        what_is_no_record(tmp_path / "valkey")


def test_a_backup_with_right_checksums_whose_records_open_the_server_is_not_restored(valkey: Path, tmp_path: Path) -> None:
    append(valkey, command(*COMMANDS[0]))
    with writing(tmp_path / "b.tar", {}, 0, lambda _size: None) as backup:
        backup.add_bytes("FORMAT", b"onramp-data 1\n")
        for name, data in contents(valkey).items():
            backup.add_bytes(f"valkey/appendonlydir/{name}", data)
        backup.finish(MANIFEST)
    with pytest.raises(BackupError, match=r"in valkey/, appendonly.aof.1.incr.aof has the command 'ACL'.*nothing was restored"):
        unpack(tmp_path / "b.tar", tmp_path / "data", lambda _size: None)
    assert not list((tmp_path / "data").iterdir())
