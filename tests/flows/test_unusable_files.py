"""A file that cannot be read or written is one sentence, which says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.support.streams import OutputError, writing
from flows.catalogs import CatalogFileError, load_catalog
from flows.dead_letters import in_file
from gateway.keys import KeyStore, KeyStoreError
from local.audit_log import AuditError, AuditLog
from local.backup_file import BackupError, check
from local.data_dir import DataDir, DataDirError
from local.secret import secret_of_job
from sources.errors import InputError
from sources.files.appended_lines import append_lines
from sources.files.sent_file import read_sent
from sources.files.switch_file import read_switches


def _stored_secret(path: Path) -> None:
    data_dir = DataDir.create(path / "data")
    data_dir.secret_key.mkdir()
    secret_of_job(data_dir, given=None, embedded=False)


def _new_key(path: Path) -> None:
    (path / "keys.lock").mkdir()
    KeyStore(path / "keys.json").create("server", tenant="default", by="eva")


def _output(path: Path) -> None:
    with writing(path):
        path.write_bytes(b"")


def _no_text(path: Path) -> None:
    (path / "c.yaml").write_bytes(b"\xff")
    load_catalog(str(path / "c.yaml"))


@pytest.mark.parametrize(
    ("use", "error", "advice"),
    [
        (lambda path: append_lines(path, b"1\n"), InputError, "check its rights and the disk, and repeat the command"),
        (read_sent, InputError, "check its rights and the disk, and repeat the command"),
        (read_switches, InputError, "check its rights and the disk, and repeat the command"),
        (lambda path: list(in_file(path)), InputError, "check its rights and the disk, and repeat the command"),
        (lambda path: AuditLog(path, lambda: 0).entries(), AuditError, "check its rights and the disk, and repeat the command"),
        (lambda path: AuditLog(path, lambda: 0).of("export", by="eva").__enter__(), AuditError, "nothing was done; check its rights"),
        (lambda path: check(path / "none.tar", lambda _size: None), BackupError, "check the name of the file and its rights"),
        (_stored_secret, DataDirError, "check its rights and the disk, and repeat the command"),
        (_new_key, KeyStoreError, "check its rights and the disk, and repeat the command"),
        (_output, OutputError, "check its name, its rights and the disk"),
        (_no_text, CatalogFileError, "save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_to_do(
    tmp_path: Path, use: Callable[[Path], object], error: type[Exception], advice: str
) -> None:
    with pytest.raises(error, match=advice):
        use(tmp_path)
