"""Runs the snippet's unit tests in Node, against the build that is committed: queue, tokens, stream, identity, outcomes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parent / "unit"
OLDEST = (20, 11)  # the first whose test runner can move the clock
NODE = shutil.which("node")


def node_version() -> tuple[int, int]:
    """Version of the Node on PATH; (0, 0) without one."""
    if NODE is None:
        return 0, 0
    said = subprocess.run([NODE, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@pytest.mark.skipif(node_version() < OLDEST, reason="the snippet's unit tests need Node 20.11 or newer on PATH")
@pytest.mark.parametrize("file", sorted(UNIT.glob("*.test.mjs")), ids=lambda path: path.name)
def test_the_unit_tests_pass(file: Path) -> None:
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--test", "--test-reporter=tap", str(file)], capture_output=True, text=True, timeout=300, check=False, cwd=UNIT
    )
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert passed is not None
    assert int(passed[1]) > 0
