"""The last line of a log says why a process ended, also where there is no log."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.last_log_line import last_log_line


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (b"first\nonramp: the port is in use.\n\n  \n", "the port is in use"),
        (b"x" * 5_000 + b"\nlast \xff", "last \N{REPLACEMENT CHARACTER}"),
        (b'{"level": "info", "message": "listening"}\n{"level": "critical", "message": "the port is in use."}\n', "the port is in use"),
        (b'{"level": "critical"}', '{"level": "critical"}'),
        (b"[" * 4_000, "[" * 4_000),
        (b"\n \n", "it said nothing"),
        (None, "it said nothing"),
    ],
)
def test_the_last_line_with_text_is_found_and_a_missing_log_is_no_error(tmp_path: Path, log: bytes | None, said: str) -> None:
    path = tmp_path / "process.log"
    if log is not None:
        path.write_bytes(log)
    assert last_log_line(path) == said
