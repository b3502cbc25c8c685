"""The commands of the README can be copied in order: their files are there, and they leave guidance as it was."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.shown_commands import in_markdown

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = in_markdown((ROOT / "README.md").read_text(encoding="utf-8"))


def test_the_files_that_the_commands_read_are_in_the_project() -> None:
    named = {file for command in COMMANDS for file in re.findall(r"(?<!\S)[\w./-]+\.(?:yaml|jsonl)\b", command)}
    assert named
    assert [file for file in sorted(named) if not (ROOT / file).is_file()] == []


def test_after_the_switches_everybody_may_be_guided_again() -> None:
    """A switch on a data directory holds for its next run on a file, too."""
    switches = [command.split()[2:4] for command in COMMANDS if command.startswith("onramp guidance ")]
    assert switches[-1] == ["ramp", "1"]
    actions = [action for action, *_ in switches]
    assert "pause" not in actions[actions.index("resume") :]
