"""The files of a Valkey that runs: a copy holds every record that was written before, whatever the server does to its files meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

from local.valkey import EmbeddedValkey
from local.valkey_files import open_append_only_files
from sinks.redis.client import connect
from tests.local.valkey_files import keys_in, rewrite


def copied(directory: Path, target: Path, *, meanwhile: EmbeddedValkey | None = None) -> Path:
    with open_append_only_files(directory) as files:
        if meanwhile is not None:
            rewrite(meanwhile)
        for name, (file, size) in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(file.read(size))
    return target


def test_a_copy_has_what_was_written_before_it_and_nothing_that_came_later(tmp_path: Path) -> None:
    directory = tmp_path / "valkey"
    directory.mkdir()
    assert copied(directory, tmp_path / "none") == tmp_path / "none"
    assert not (tmp_path / "none").exists()
    server = EmbeddedValkey(directory)
    server.start(publish=True)
    try:
        client = connect(server.url)
        before = {f"key-{number}": str(number) for number in range(200)}
        for key, value in before.items():
            client.set(key, value)
        client.close()
        copied(directory, tmp_path / "first", meanwhile=server)
        copied(directory, tmp_path / "second")
    finally:
        server.stop()
    assert keys_in(tmp_path / "first") == before
    assert keys_in(tmp_path / "second") == {**before, "written": "after the copy began"}
    shutil.copytree(directory, tmp_path / "all")
    assert copied(directory, tmp_path / "stopped").is_dir(), "without a server too"
    assert keys_in(tmp_path / "stopped") == keys_in(tmp_path / "all")
