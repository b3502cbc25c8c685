"""One demo and one run, made once, for all commands that read."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from cli.app import invoke
from tests.cli.command import ROOT, Result, onramp

PEOPLE = shlex.join([sys.executable, str(ROOT / "tests" / "cli" / "people.py")])
"""A small population, as ``--population`` takes it; a mode may follow."""

DEMO = ("demo", "--users", 150, "--days", 12, "--population", PEOPLE)

HOSTILE = "[bold]red\u200devil[/bold]"
"""A user id with markup and an invisible joiner. One with control characters or a turn of the writing direction is no user id."""


class Ready(NamedTuple):
    """A directory to work in, and what the command that filled it said."""

    cwd: Path
    result: Result


class Inside(Protocol):
    """Runs a command in this process, which is quicker."""

    def __call__(self, *arguments: object, cwd: Path) -> Result:
        """Run it to its end."""


@pytest.fixture
def inside(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Commands that only read, without a process of their own."""
    for name in [name for name in os.environ if name.startswith("ONRAMP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object, cwd: Path) -> Result:
        monkeypatch.chdir(cwd)
        code = invoke([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A small demo in ``.onramp`` of its working directory."""
    cwd = tmp_path_factory.mktemp("demo")
    return Ready(cwd, onramp(*DEMO, cwd=cwd))


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A run on a file of one's own: one person with a hostile name, one who was deleted, one bad line."""
    cwd = tmp_path_factory.mktemp("own")
    events = [
        _event(1, HOSTILE, "signup", {"traits": {"persona": "analyst", "firstName": "A"}}),
        _event(2, HOSTILE, "page_view", {"path": "/a\x1b]0;title\x07[red]\u202e"}),
        _event(3, "gone", "signup", {"traits": {"persona": "analyst"}}),
        _event(4, "gone", "user_deleted", {}),
        "not JSON",
    ]
    (cwd / "events.jsonl").write_text("\n".join(events) + "\n")
    return Ready(cwd, onramp("run", "--input", "events.jsonl", "--json", cwd=cwd))


def _event(number: int, user: str, kind: str, payload: dict[str, object]) -> str:
    return json.dumps(
        {
            "eventId": f"e{number}",
            "userId": user,
            "eventType": kind,
            "payload": payload,
            "timestamp": f"2026-01-05T10:00:0{number}Z",
            "schemaVersion": 1,
        }
    )
