"""After a deletion no table, record or file of the whole job holds the user's id or that of a visitor who was merged into them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.flows.deletion_story import EARLIER, STAYS, USER, VISITORS, story
from tests.support.job_runs import finish


def test_nothing_that_the_job_keeps_names_a_deleted_user_or_their_visitors(tmp_path: Path) -> None:
    source = tmp_path / "events.jsonl"
    source.write_bytes(story())
    left = finish(tmp_path / "data", source)
    tables = {name: "\n".join(rows) for name, rows in left.items() if name not in ("redis", "dead_letter_file")}
    for name in (USER, *VISITORS, *EARLIER):
        assert [table for table, rows in tables.items() if name in rows] == [], name
        # Only the key of a tombstone names them, for ten minutes.
        records = [json.loads(row) for row in left["redis"] if name in row]
        assert all(record == {"key": record["key"], "deleted": True, "version": record["version"]} for record in records)
    assert "no_such_type" not in tables["dead_letters"], "one of them names the user only behind what its row shows"
    assert STAYS in tables["events"]
    assert USER in "\n".join(left["dead_letter_file"]), "the operator's own file keeps rejected messages whole"
