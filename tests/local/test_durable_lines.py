"""Lines that commands append or blank: all of them on a disk that takes little at a time, and an error where the disk keeps nothing."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from local.audit_log import AuditError, AuditLog
from local.blank_lines import blank_lines
from sources.errors import InputError
from sources.files.sent_file import Sent, append_sent, read_sent
from sources.files.switch_file import append_switch, read_switches

Write = Callable[[Path], object]


def audit(path: Path) -> None:
    AuditLog(path, lambda: 1_767_600_000_000).append("export", by="eva", text="x" * 100)


def sent(path: Path) -> None:
    append_sent(path, [Sent(b"x" * 100), Sent(b"y")])


def switch(path: Path) -> None:
    append_switch(path, b'{"text": "xxxxxxxxxxxxxxxxxxx"}')


def blank(path: Path) -> None:
    path.write_bytes(b"hers: much longer than what is written at once\nhis\nhers\nhers, and not yet whole")
    assert blank_lines(path, lambda line: line.startswith(b"hers")) == 2


WRITERS = [audit, sent, switch, blank]
APPENDERS = [audit, sent, switch]


@pytest.mark.parametrize("write", WRITERS)
def test_a_disk_that_takes_little_at_a_time_gets_everything(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, little, to, at = tmp_path / "usual", tmp_path / "little", os.write, os.pwrite
    for path in (usual, little):
        with monkeypatch.context() as patched:
            if path == little:
                patched.setattr(os, "write", lambda descriptor, data: to(descriptor, data[:7]))
                patched.setattr(os, "pwrite", lambda descriptor, data, offset: at(descriptor, data[:7], offset))
            write(path)
            write(path)
    assert little.read_bytes() == usual.read_bytes()


@pytest.mark.parametrize("write", WRITERS)
def test_what_the_disk_does_not_keep_is_an_error(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((AuditError, InputError, OSError), match="Input/output error"):
        write(tmp_path / "lines")


@pytest.mark.parametrize("write", APPENDERS)
def test_nobody_else_writes_between_two_parts_of_a_line(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, to, parts = tmp_path / "lines", os.write, list[int]()
    write(path)
    with path.open("rb") as other:

        def part(descriptor: int, data: memoryview) -> int:
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            parts.append(to(descriptor, data[:20]))
            return parts[-1]

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", part)
            write(path)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert len(parts) > 1


@pytest.mark.parametrize("write", APPENDERS)
def test_only_the_owner_may_read_what_commands_append(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "lines")
    assert (tmp_path / "lines").stat().st_mode & 0o077 == 0


def test_half_a_line_of_a_power_cut_costs_no_later_message(tmp_path: Path) -> None:
    messages, switches = tmp_path / "sent.jsonl", tmp_path / "guidance.jsonl"
    for path in (messages, switches):
        path.write_bytes(b'{"raw": "ha')
    append_sent(messages, [Sent(b"y")])
    append_switch(switches, b"{}")
    assert (read_sent(messages), read_switches(switches)) == ([None, Sent(b"y")], [b'{"raw": "ha', b"{}"])
    with messages.open("ab") as file:
        file.write(b'{"raw": "z"}')
    assert len(read_sent(messages)) == 2, "a line that is not whole may still be written"


def test_a_line_that_is_not_whole_is_never_blanked(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    blank(path)
    assert path.read_bytes().splitlines()[1:] == [b"his", b"    ", b"hers, and not yet whole"]
