"""Files for their owner alone, in a directory that others can write: what is planted there is neither followed nor used."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.support.new_files import whole_file
from sources.archive.directory import Directory
from system.private_files import replace_directory, write_private


def of_command(path: Path, data: bytes) -> None:
    with whole_file(str(path), keep_empty=True) as file:
        file.write(data)


def of_archive(path: Path, data: bytes) -> None:
    Directory(path.parent).replace(path.name, data)


WRITERS = pytest.mark.parametrize("write", [write_private, of_archive, of_command], ids=["private", "archive", "command"])


@WRITERS
def test_a_planted_link_is_not_written_through(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"before")
    for ending in ("tmp", "part"):
        (tmp_path / f".out.{os.getpid()}.{ending}").symlink_to(victim)
    write(tmp_path / "out", b"data")
    assert victim.read_bytes() == b"before"
    assert not (tmp_path / "out").is_symlink()
    assert (tmp_path / "out").read_bytes() == b"data"


@pytest.mark.parametrize("write", [write_private, of_archive], ids=["private", "archive"])
def test_a_planted_file_that_others_can_read_gets_nothing(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    planted = tmp_path / f".out.{os.getpid()}.tmp"
    planted.write_bytes(b"")
    planted.chmod(0o666)
    with planted.open("rb") as watched:
        write(tmp_path / "out", b"data")
        assert watched.read() == b""
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


@WRITERS
def test_a_write_that_fails_leaves_nothing(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    (tmp_path / "out" / "in it").mkdir(parents=True)
    with pytest.raises(Exception, match=r"directory|cannot be"):
        write(tmp_path / "out", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_that_cannot_be_replaced_is_named_and_not_a_file_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "invoices.yaml")

    monkeypatch.setattr(shutil, "rmtree", fails)
    with pytest.raises(OSError, match="Read-only file system") as raised:
        replace_directory(tmp_path, {"invoices.yaml": b""})
    assert raised.value.filename == str(tmp_path)
