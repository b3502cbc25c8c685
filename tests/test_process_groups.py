"""Tests that share something are run by one process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process_groups import group_of

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/flows/test_resume.py::test_gzip[a::b/c]", "tests/flows/test_resume.py"),
        ("tests/sinks/test_recommendations.py::TestWriting::test_x", "tests/sinks/test_recommendations.py"),
        ("tests/cli/test_demo.py::test_help", "tests/cli"),
        ("tests/test_waiting.py::test_x", "tests/test_waiting.py"),
    ],
)
def test_a_file_is_a_group_and_so_is_a_directory_that_shares(nodeid: str, group: str) -> None:
    assert group_of(nodeid) == group


@pytest.mark.slow
def test_two_processes_do_not_share_a_group() -> None:
    """The plugins themselves, on files of this repository: once a new version ignored the groups, and everything was made twice."""
    files = ["tests/state/test_ids.py", "tests/state/test_plan.py", "tests/docs/test_pages.py", "tests/docs/test_stores_doc.py"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-n",
        "2",
        "--dist",
        "loadscope",
        "--no-loadscope-reorder",
        "-v",
        *files,
    ]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert said.returncode == 0, said.stdout[-3000:]
    placed = set(re.findall(r"^\[(gw\d)\] .*? (tests/\S+?)::", said.stdout, re.MULTILINE))
    assert {file for _, file in placed} == set(files)
    assert len(placed) == len(files), placed
