"""A log that is not sorted by time is told of, with the command that sorts it; what it says is not written into a catalog."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Inside

CATALOG = """\
id: mine
version: 1
product: Mine
observe: true
steps:
  - {id: one, title: one, usual: 2h, complete: [{type: track, name: one}]}
paths:
  - {id: all, title: all, steps: [one]}
"""


def _line(user: int, day: int, name: str) -> str:
    kind = {"eventType": "track", "name": name} if name else {"eventType": "signup", "payload": {"traits": {}}}
    return json.dumps({"eventId": f"e{user}-{name}", "userId": f"u{user}", "timestamp": f"2026-01-{day:02}T10:{user:02}:00Z", **kind})


def test_draft_and_fit_tell_of_a_log_that_is_not_sorted(tmp_path: Path, inside: Inside) -> None:
    files = {"signups.jsonl": [_line(each, 3 + each % 20, "") for each in range(60)]}
    files["ones.jsonl"] = [_line(each, 4 + each % 20, "one") for each in range(60)]
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(sorted(lines, key=lambda line: str(json.loads(line)["timestamp"]))) + "\n")
    (tmp_path / "joined.jsonl").write_text("".join((tmp_path / name).read_text() for name in files))
    (tmp_path / "mine.yaml").write_text(CATALOG)
    fit = ("catalog", "fit", "--catalog", "mine.yaml", "--write", "--events")
    told = "onramp import joined.jsonl --out sorted.jsonl"
    drafted = inside("catalog", "draft", "--events", "joined.jsonl", cwd=tmp_path)
    assert (drafted.code, "WARNING: the log is not sorted by time (" in drafted.err, told in drafted.err) == (0, True, True)
    fitted = inside(*fit, "joined.jsonl", cwd=tmp_path)
    assert (fitted.code, fitted.out, told in fitted.err) == (1, "", True)
    assert "the catalog was not changed, because the log is not sorted by time" in fitted.err
    assert (tmp_path / "mine.yaml").read_text() == CATALOG

    assert inside("import", *files, "--out", "sorted.jsonl", cwd=tmp_path).code == 0
    fitted = inside(*fit, "sorted.jsonl", cwd=tmp_path)
    assert (fitted.code, "sorted by time" in fitted.err) == (0, False)
    assert (tmp_path / "mine.yaml").read_text() != CATALOG
