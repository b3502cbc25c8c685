"""Files of Valkey from elsewhere: what the job writes passes, and nothing that could open the server or run code."""

from __future__ import annotations

import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from local.backup_file import BackupError, unpack, writing
from local.plain_records import what_is_no_record
from local.valkey import EmbeddedValkey
from sinks.redis.client import connect
from tests.local.test_valkey_files import keys_in
from tests.support.waiting import wait_until

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
        (lambda client: client.hset("h", "a", "b"), 16),
        (lambda client: client.rpush("l", "a"), 18),
        (lambda client: client.zadd("z", {"a": 1}), 17),
    ],
    ids=["function", "hash", "list", "sorted set"],
)
def test_a_snapshot_with_anything_but_texts_is_refused(tmp_path: Path, fill: Callable[[Any], object], kind: int) -> None:
    found = what_is_no_record(rewritten(tmp_path / "valkey", fill))
    assert str(found).endswith(f".base.rdb has something of kind {kind}, which is no text under a key")


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
