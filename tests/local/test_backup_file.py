"""The file of a backup: what was written comes back exactly, and nothing else ever becomes a data directory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import stat
import sys
import tarfile
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from local.backup_file import FORMAT, BackupError, SignatureCheck, unpack, writing
from local.data_dir import FORMAT as LAYOUT

FILES = {
    "FORMAT": b"onramp-data 1\n",
    "spool/rejected/odd": b"\x00\xff" * 50_000,
    "catalogs/mine.yaml": b"version: 1",
    "run.json": b"{}",
}
NOW = 1_772_000_000_000


SHOWN: dict[str, object] = {"onramp": "1.2", "takenAt": "2026-02-25", "epoch": 7, "keys": {}, "rows": {}, "notIncluded": []}


def nothing(_size: int) -> None:
    """Nobody watches."""


def write(target: Path, files: dict[str, bytes] = FILES) -> Path:
    with writing(target, {"onramp": "1.2"}, NOW, nothing) as backup:
        for name, content in files.items():
            backup.add_bytes(name, content)
        backup.finish(SHOWN)
    return target


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def crafted(target: Path, entries: Iterable[tuple[tarfile.TarInfo, bytes]], first: dict[str, object] | None = None) -> Path:
    """An archive that no ``BackupWriter`` would write."""
    about = {"format": FORMAT, "layout": LAYOUT, "onramp": "9.9"} if first is None else first
    with tarfile.open(target, "w") as archive:
        for info, data in ((tarfile.TarInfo("onramp-backup.json"), json.dumps(about).encode()), *entries):
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz", "b.tgz"])
def test_what_was_written_comes_back_and_is_private(tmp_path: Path, name: str) -> None:
    backup = write(tmp_path / name)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert (backup.read_bytes()[:2] == b"\x1f\x8b") == (name != "b.tar")
    into = tmp_path / "new" / "data"
    manifest = unpack(backup, into, nothing)
    assert tree(into) == FILES
    assert (manifest["epoch"], set(manifest["files"])) == (7, set(FILES))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (into, *into.rglob("*"))}
    assert modes == {0o700, 0o600}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_part_of_a_growing_file_is_taken_and_a_shrunken_one_is_an_error(tmp_path: Path) -> None:
    growing = tmp_path / "growing"
    growing.write_bytes(b"one\ntwo\n")
    with writing(tmp_path / "b.tar", {}, NOW, nothing) as backup:
        backup.add_bytes("FORMAT", FILES["FORMAT"])
        backup.add("audit.jsonl", growing, 4)
        backup.finish(SHOWN)
    unpack(tmp_path / "b.tar", tmp_path / "data", nothing)
    assert (tmp_path / "data" / "audit.jsonl").read_bytes() == b"one\n"
    with pytest.raises(OSError, match="unexpected end of data"), writing(tmp_path / "c.tar", {}, NOW, nothing) as backup:
        backup.add("audit.jsonl", growing, 9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "data", "growing"]


def test_a_backup_that_fails_leaves_nothing_and_none_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing(tmp_path / "b.tar", {}, NOW, nothing) as backup:
        backup.add("FORMAT", tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []
    before = write(tmp_path / "b.tar").read_bytes()
    with pytest.raises(BackupError, match="exists already; name another file"):
        write(tmp_path / "b.tar", {"FORMAT": b"other"})
    assert (tmp_path / "b.tar").read_bytes() == before


def test_a_directory_with_anything_in_it_is_refused_and_stays(tmp_path: Path) -> None:
    backup, into = write(tmp_path / "b.tar"), tmp_path / "data"
    (into / "lost+found").mkdir(parents=True)
    (into / ".restoring").mkdir()
    (into / ".restoring" / "old").write_bytes(b"of a restore that was killed")
    into.chmod(0o755)
    unpack(backup, into, nothing)
    assert tree(into) == FILES
    assert stat.S_IMODE(into.stat().st_mode) == 0o700, "a backup is private"
    with pytest.raises(BackupError, match=r"is not empty \(it has FORMAT\); name a new directory with --into"):
        unpack(backup, into, nothing)
    assert tree(into) == FILES
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(BackupError, match="is not a directory"):
        unpack(backup, file, nothing)


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz"])
def test_any_cut_is_noticed_and_restores_nothing(tmp_path: Path, name: str) -> None:
    whole = write(tmp_path / name, {**FILES, "spool/rejected/odd": bytes(range(256)) * 40}).read_bytes()
    last = len(whole) - (10_240 if name == "b.tar" else 200)  # the end of an archive is padding
    for cut in (0, 1, 100, 513, 1024, *range(2000, last, 1999), last):
        cutting = tmp_path / "cut"
        cutting.write_bytes(whole[:cut])
        with pytest.raises(BackupError, match=r"[Nn]othing was restored"):
            unpack(cutting, tmp_path / "data", nothing)
        assert not list((tmp_path / "data").iterdir()), cut


def test_a_changed_byte_is_noticed_and_named(tmp_path: Path) -> None:
    backup = write(tmp_path / "b.tar")
    data = bytearray(backup.read_bytes())
    data[data.index(b"version: 1")] ^= 1
    backup.write_bytes(data)
    with pytest.raises(BackupError, match=r"is damaged: catalogs/mine.yaml is not what was written"):
        unpack(backup, tmp_path / "data", nothing)
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("first", [{"format": FORMAT + 1, "layout": LAYOUT}, {"format": FORMAT, "layout": LAYOUT + 1}, {}])
def test_a_backup_of_a_newer_version_says_to_upgrade(tmp_path: Path, first: dict[str, object]) -> None:
    backup = crafted(tmp_path / "b.tar", [], {**first, "onramp": "9.9"})
    with pytest.raises(BackupError, match=r"made by a newer version of onramp \(9\.9; .*upgrade, then restore it"):
        unpack(backup, tmp_path / "data", nothing)


def of_kind(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (tarfile.TarInfo("../outside"), "does not belong there"),
        (tarfile.TarInfo("state/../../outside"), "does not belong there"),
        (tarfile.TarInfo("/tmp/outside"), "does not belong there"),
        (tarfile.TarInfo("state//doubled"), "does not belong there"),
        (tarfile.TarInfo("./state/x"), "does not belong there"),
        (tarfile.TarInfo(".ssh/authorized_keys"), "does not belong there"),
        (tarfile.TarInfo("."), "does not belong there"),
        (tarfile.TarInfo("FORMAT"), "twice"),
        (tarfile.TarInfo("FORMAT/below"), "does not belong there"),
        (tarfile.TarInfo("valkey/valkey.conf"), "does not belong there"),
        (tarfile.TarInfo("clickhouse/config.xml"), "does not belong there"),
        (of_kind("state/link", tarfile.SYMTYPE, "/etc"), "is no file of it"),
        (of_kind("state/link", tarfile.LNKTYPE, "FORMAT"), "is no file of it"),
        (of_kind("state/pipe", tarfile.FIFOTYPE), "is no file of it"),
        (of_kind("state", tarfile.DIRTYPE), "is no file of it"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_no_entry_gets_out_of_the_directory_or_becomes_anything_but_a_file(tmp_path: Path, entry: tarfile.TarInfo, said: str) -> None:
    backup = crafted(tmp_path / "b.tar", [(tarfile.TarInfo("FORMAT"), b"x"), (entry, b"")])
    with pytest.raises(BackupError, match=said):
        unpack(backup, tmp_path / "in" / "data", nothing)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b.tar", "data", "in"]


@pytest.mark.parametrize(
    "change",
    [lambda files: {**files, "state/more": {"size": 1, "sha256": "0"}}, lambda _files: {}, lambda _files: None],
    ids=["a file is missing", "a file is too many", "there is no list"],
)
def test_the_manifest_must_name_exactly_what_is_there(tmp_path: Path, change: Callable[[dict[str, object]], object]) -> None:
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    manifest = {"files": change({"FORMAT": {"size": 1, "sha256": digest}})}
    entries = [(tarfile.TarInfo("FORMAT"), b"x"), (tarfile.TarInfo("manifest.json"), json.dumps(manifest).encode())]
    with pytest.raises(BackupError, match="is damaged"):
        unpack(crafted(tmp_path / "b.tar", entries), tmp_path / "data", nothing)


def test_nothing_may_follow_the_manifest(tmp_path: Path) -> None:
    entries = [(tarfile.TarInfo("manifest.json"), b'{"files": {}}'), (tarfile.TarInfo("run.json"), b"{}")]
    with pytest.raises(BackupError, match="is no file of it"):
        unpack(crafted(tmp_path / "b.tar", entries), tmp_path / "data", nothing)


@pytest.mark.parametrize("content", [b"", b"text", gzip.compress(b"text"), b"\x1f\x8b", b"\0" * 2048])
def test_other_files_are_no_backup(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.tar").write_bytes(content)
    with pytest.raises(BackupError, match="is no backup of onramp"):
        unpack(tmp_path / "b.tar", tmp_path / "data", nothing)
    with pytest.raises(BackupError, match="cannot be read"):
        unpack(tmp_path / "gone.tar", tmp_path / "data", nothing)


def with_pax(name: str, **headers: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.pax_headers = {key.replace("_", "."): value for key, value in headers.items()}
    return info


LONG = (of_kind("././@LongLink", tarfile.GNUTYPE_LONGNAME), b"a\0")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([(tarfile.TarInfo("clickhouse/store/" + "a/" * 1900 + "b"), b"")], "damaged"),
        ([(tarfile.TarInfo("manifest.json"), b"[" * 200_000)], "manifest.json cannot be read"),
        ([LONG] * 2000, "damaged"),
        ([(with_pax("run.json", GNU_sparse_size="10", GNU_sparse_map="x,y"), b"")], "damaged"),
        ([(with_pax("run.json", GNU_sparse_size=str(10**15), GNU_sparse_map="0,0"), b"")], "is no file of it"),
        ([(with_pax("run.json", path="state/\0x"), b"")], "does not belong there"),
    ],
    ids=["deep", "nested", "names of names", "map of holes", "holes", "null"],
)
def test_headers_that_nobody_writes_are_refused_in_a_sentence(
    tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], said: str
) -> None:
    with pytest.raises(BackupError, match=said):
        unpack(crafted(tmp_path / "b.tar", entries), tmp_path / "data", nothing)
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize(
    "manifest",
    [{}, {**SHOWN, "takenAt": 1}, {**SHOWN, "rows": {"events": 10**5000}}, {**SHOWN, "rows": [1]}, {**SHOWN, "notIncluded": "x"}],
    ids=["empty", "a time that is a number", "a number of 5,000 digits", "a list of rows", "a text"],
)
def test_a_manifest_that_cannot_be_shown_restores_nothing(tmp_path: Path, manifest: dict[str, object]) -> None:
    sys.set_int_max_str_digits(0)
    try:
        with writing(tmp_path / "b.tar", {}, NOW, nothing) as backup:
            backup.add_bytes("FORMAT", FILES["FORMAT"])
            backup.finish(manifest)
    finally:
        sys.set_int_max_str_digits(4300)
    with pytest.raises(BackupError, match=r"is damaged.*[Nn]othing was restored"):
        unpack(tmp_path / "b.tar", tmp_path / "data", nothing)
    assert not list((tmp_path / "data").iterdir())


def test_a_backup_without_the_mark_of_a_data_directory_restores_nothing(tmp_path: Path) -> None:
    backup = write(tmp_path / "b.tar", {"run.json": b"{}"})
    with pytest.raises(BackupError, match="has no file FORMAT"):
        unpack(backup, tmp_path / "data", nothing)
    assert not list((tmp_path / "data").iterdir())


def test_two_restores_into_one_directory_do_not_mix(tmp_path: Path) -> None:
    backup, into = write(tmp_path / "b.tar"), tmp_path / "data"
    refused: list[str] = []

    def another(_size: int) -> None:
        with pytest.raises(BackupError) as error:
            unpack(backup, into, nothing)
        refused.append(str(error.value))

    unpack(backup, into, another)
    assert "Another process restores a backup into" in refused[0]
    assert tree(into) == FILES


HUGE = 48 * 1024 * 1024


def header(kind: bytes, size: int, name: str = "run.json") -> bytes:
    info = of_kind(name, kind)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 512)


def record(keyword: bytes, value: bytes) -> bytes:
    """A record of a pax header; its length has seven digits."""
    return b"%07d %s=%s\n" % (len(keyword) + len(value) + 10, keyword, value)


def pax(kind: bytes, *records: bytes) -> bytes:
    content = b"".join(records)
    return header(kind, len(content)) + padded(content)


SPARSE = pax(tarfile.XHDTYPE, record(b"GNU.sparse.major", b"1"), record(b"GNU.sparse.minor", b"0"), record(b"GNU.sparse.name", b"run.json"))
NOTE = record(b"comment", b"x" * 50_000)
FATTENING: dict[str, Callable[[], tuple[bytes, ...]]] = {
    "a long name": lambda: (header(tarfile.GNUTYPE_LONGNAME, HUGE), b"a" * HUGE),
    "a long target": lambda: (header(tarfile.GNUTYPE_LONGLINK, HUGE), b"a" * HUGE),
    "a long comment": lambda: (header(tarfile.XHDTYPE, HUGE), b"a" * HUGE),
    "a long comment on all": lambda: (header(tarfile.XGLTYPE, HUGE), b"a" * HUGE),
    "a long comment of Solaris": lambda: (header(tarfile.SOLARIS_XHDTYPE, HUGE), b"a" * HUGE),
    "a long map of holes": lambda: (SPARSE, header(tarfile.REGTYPE, HUGE), b"9999999\n", b"1\n" * (HUGE // 8)),
    "a manifest of lists": lambda: (header(tarfile.REGTYPE, HUGE, "manifest.json"), b"[]," * (HUGE // 3)),
    "a comment for each file": lambda: (
        *(part for n in range(600) for part in (pax(tarfile.XHDTYPE, NOTE), header(tarfile.REGTYPE, 0, f"log/{n}"))),
    ),
    "a comment on all for each file": lambda: (
        *(
            part
            for n in range(600)
            for part in (pax(tarfile.XGLTYPE, record(b"c%d" % n, b"x" * 50_000)), header(tarfile.REGTYPE, 0, f"log/{n}"))
        ),
    ),
}


@pytest.mark.parametrize("kind", FATTENING)
def test_a_small_file_never_fills_the_memory(tmp_path: Path, kind: str) -> None:
    first = crafted(tmp_path / "first.tar", []).read_bytes().rstrip(b"\0")
    with gzip.open(tmp_path / "b.tar.gz", "wb", compresslevel=1) as file:
        file.write(padded(first))
        for part in FATTENING[kind]():
            file.write(part)
    assert (tmp_path / "b.tar.gz").stat().st_size < 2_000_000
    tracemalloc.start()
    try:
        with pytest.raises(BackupError, match=r"[Nn]othing was restored"):
            unpack(tmp_path / "b.tar.gz", tmp_path / "data", nothing)
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


SECRET = b"the secret of the job"


def signed(target: Path, secret: bytes | None = SECRET) -> Path:
    with writing(target, {"onramp": "1.2"}, NOW, nothing) as backup:
        for name, content in {**FILES, "keys.json": b"[]"}.items():
            backup.add_bytes(name, content)
        backup.finish({**SHOWN, "positions": {"log:é": 7}, "load": 0.1}, secret)
    return target


def rewritten(backup: Path, change: Callable[[dict[str, bytes], dict[str, object]], object]) -> None:
    """Change a backup as somebody does who knows its format: the checksums are right."""
    with tarfile.open(backup) as archive:
        files = {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry)) is not None}
    first, manifest = files.pop("onramp-backup.json"), json.loads(files.pop("manifest.json"))
    change(files, manifest)
    manifest["files"] = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    files["manifest.json"] = json.dumps(manifest).encode()
    crafted(backup, [(tarfile.TarInfo(name), data) for name, data in files.items()], json.loads(first))


CHANGES: dict[str, Callable[[dict[str, bytes], dict[str, object]], object]] = {
    "a file": lambda files, _manifest: files.update({"keys.json": b"[1]"}),
    "one more file": lambda files, _manifest: files.update({"demo.key": b"x"}),
    "what is shown": lambda _files, manifest: manifest.update(takenAt="2027"),
    "no signature": lambda _files, manifest: manifest.pop("signature"),
    "a signature that is no text": lambda _files, manifest: manifest.update(signature=1),
    "a signature of other letters": lambda _files, manifest: manifest.update(signature="é"),
}


def test_a_signed_backup_is_restored_with_its_secret_only(tmp_path: Path) -> None:
    backup = signed(tmp_path / "b.tar")
    assert unpack(backup, tmp_path / "a", nothing, SignatureCheck(SECRET))["epoch"] == 7
    with pytest.raises(BackupError, match=r"not signed with this ONRAMP_SECRET.*Nothing was restored"):
        unpack(backup, tmp_path / "b", nothing, SignatureCheck(b"another"))
    with pytest.raises(BackupError, match=r"ONRAMP_SECRET is not set here: set it.*--unsigned"):
        unpack(backup, tmp_path / "c", nothing)
    assert not list((tmp_path / "b").iterdir())
    unpack(backup, tmp_path / "d", nothing, SignatureCheck(skipped=True))
    unpack(signed(tmp_path / "old.tar", None), tmp_path / "e", nothing)
    with pytest.raises(BackupError, match=r"is not signed: .*Add --unsigned if nobody else can write"):
        unpack(tmp_path / "old.tar", tmp_path / "f", nothing, SignatureCheck(SECRET))
    unpack(tmp_path / "old.tar", tmp_path / "f", nothing, SignatureCheck(SECRET, skipped=True))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_backup_with_right_checksums_is_refused(tmp_path: Path, change: str) -> None:
    backup = signed(tmp_path / "b.tar")
    rewritten(backup, CHANGES[change])
    with pytest.raises(BackupError, match=r"is not signed"):
        unpack(backup, tmp_path / "data", nothing, SignatureCheck(SECRET))
    assert not list((tmp_path / "data").iterdir())
    unpack(backup, tmp_path / "data", nothing, SignatureCheck(SECRET, skipped=True))


def test_a_backup_that_is_written_again_without_a_change_stays_signed(tmp_path: Path) -> None:
    backup = signed(tmp_path / "b.tar")
    rewritten(backup, lambda _files, _manifest: None)
    unpack(backup, tmp_path / "data", nothing, SignatureCheck(SECRET))
