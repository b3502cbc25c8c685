"""What ``onramp replay --user`` says of a user whose live progress is, or is not, what the log gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.replay import Rebuilt
from tests.cli.conftest import Inside

PROGRESS = {"version": 3, "updatedAt": "2026-01-05T08:00:00Z", "nextStep": "a", "steps": []}


@pytest.mark.parametrize(
    ("rebuilt", "live", "same", "paths"),
    [
        ({"progress": PROGRESS}, {**PROGRESS, "version": 4}, True, []),
        ({"progress": PROGRESS}, {**PROGRESS, "nextStep": "b"}, False, ["nextStep"]),
        ({"progress": PROGRESS}, None, False, ["nextStep", "steps"]),
        ({"deleted": True}, None, True, []),
        ({"deleted": True}, {"version": 3, "updatedAt": ""}, False, []),
    ],
)
def test_a_difference_is_told_and_fails(
    tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch, rebuilt: dict[str, Any], live: Any, same: bool, paths: list[str]
) -> None:
    found = Rebuilt(frozenset({"ann", "cookie"}), messages=2, **rebuilt)
    monkeypatch.setattr("flows.replay.rebuild", lambda *_: found)
    monkeypatch.setattr("cli.replay._live", lambda *_: (live, live is None))
    told = inside("replay", "--user", "ann", "--json", cwd=tmp_path)
    assert (told.code, told.json["same"], told.json["ids"]) == (int(not same), same, ["ann", "cookie"])
    assert [each["path"] for each in told.json["differences"]] == paths
    read = inside("replay", "--user", "ann", cwd=tmp_path)
    assert (read.code, "The live progress is the same." in read.out) == (int(not same), same)
    assert all(f"live     {path}: " in read.out for path in paths)


def test_a_user_has_the_whole_log(tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.replay.rebuild", lambda *_: Rebuilt(frozenset({"ann"})))
    monkeypatch.setattr("cli.replay._live", lambda *_: (None, False))
    assert [inside("replay", "--user", "ann", *more, cwd=tmp_path).code for more in ((), ("--from", "1h"), ("--to", "1h"))] == [0, 2, 2]
