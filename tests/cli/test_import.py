"""``onramp import``: looks first, writes whole files, and accounts for every row."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from tests.cli.command import ROOT, onramp
from tests.cli.conftest import Inside

CSV = "id,user,what,at\n2,ben,a,2026-03-02T09:00:00Z\n1,ana,a,2026-03-02T08:00:00Z\n3,,a,2026-03-02T08:00:00Z\n4,ana,z,now\n5,ana\n"
MAPPING = "eventId: id\nuserId: user\ntimestamp: at\nevent: {column: what, values: {a: {type: track}}, otherwise: skip}\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with a table and its mapping."""
    (tmp_path / "t.csv").write_text(CSV)
    (tmp_path / "m.yaml").write_text(MAPPING)
    return tmp_path


LOOK = ("import", "t.csv", "--mapping", "m.yaml")


def test_without_out_it_shows_and_writes_nothing(here: Path, inside: Inside) -> None:
    result = inside(*LOOK, cwd=here)
    assert (result.code, result.err) == (0, "")
    for part in (
        "5 rows of t.csv",
        "2 events, 1 left out by the mapping, 2 rejected",
        "missing_user: line 4:",
        "bad_row: line 6:",
        "Nothing",
    ):
        assert part in result.out
    assert result.out.index('"eventId":"1"') < result.out.index('"eventId":"2"')
    assert '"eventId"' not in inside(*LOOK, "--preview", 0, cwd=here).out
    assert {path.name for path in here.iterdir()} == {"t.csv", "m.yaml"}
    summary = inside(*LOOK, "--json", "--preview", 1, cwd=here).json
    assert [event["eventId"] for event in summary["preview"]] == ["1"]
    assert (summary["rows"], summary["events"], summary["leftOut"], summary["rejected"]) == (5, 2, 1, {"missing_user": 1, "bad_row": 1})


def test_events_by_time_and_rejected_rows_beside_them(here: Path, inside: Inside) -> None:
    result = inside(*LOOK, "--out", "e.jsonl.gz", cwd=here)
    assert (result.code, result.out) == (0, "")
    assert "e.jsonl.gz has them, sorted by time" in result.err
    assert "e.jsonl.gz.rejected.jsonl has the rejected rows" in result.err
    first = (here / "e.jsonl.gz").read_bytes()
    assert [json.loads(line)["eventId"] for line in gzip.decompress(first).splitlines()] == ["1", "2"]
    lost = [json.loads(line) for line in (here / "e.jsonl.gz.rejected.jsonl").read_text().splitlines()]
    assert [(row["line"], row["reason"]) for row in lost] == [(4, "missing_user"), (6, "bad_row")]
    assert lost[0]["row"] == {"id": "3", "user": None, "what": "a", "at": "2026-03-02T08:00:00Z"}
    assert lost[1]["text"] == "5,ana"
    (here / "t.csv").write_text("\n".join(CSV.splitlines()[:3]))
    summary = inside(*LOOK, "--out", "e.jsonl.gz", "--json", cwd=here).json
    assert (summary["out"], summary["rejectedTo"]) == ("e.jsonl.gz", None)
    assert (here / "e.jsonl.gz").read_bytes() == first
    assert {path.name for path in here.iterdir()} == {"t.csv", "m.yaml", "e.jsonl.gz"}, "rejected rows of an earlier run are gone"


def test_a_file_that_turns_out_damaged_leaves_the_old_events(here: Path, inside: Inside) -> None:
    (here / "t.csv").write_bytes(gzip.compress(CSV.encode() * 2000)[:-20])
    (here / "e.jsonl").write_text("kept")
    result = inside(*LOOK, "--out", "e.jsonl", cwd=here)
    assert result.code == 1
    assert "damaged or not complete, so nothing was written" in result.err
    assert (here / "e.jsonl").read_text() == "kept"
    assert {path.name for path in here.iterdir()} == {"t.csv", "m.yaml", "e.jsonl"}


def test_what_looks_like_a_mistake_in_the_mapping_is_said(here: Path, inside: Inside) -> None:
    (here / "m.yaml").write_text(MAPPING.replace("eventId: id", "eventId: {value: same}"))
    assert "choose the columns of eventId" not in inside(*LOOK, cwd=here).out, "the two events are of two users"
    (here / "t.jsonl").write_text('{"user": "ana", "what": "a", "at": "2026-03-02T08:00:00Z"}\n' * 2)
    said = inside("import", "t.jsonl", "--mapping", "m.yaml", cwd=here).out
    assert "1 event repeats the eventId of an earlier event" in said
    (here / "m.yaml").write_text(MAPPING.replace("eventId: id", "sessionId: sesion"))
    assert "No row has the column sesion" in " ".join(inside("import", "t.jsonl", "--mapping", "m.yaml", cwd=here).out.split())
    (here / "m.yaml").write_text(MAPPING.replace("a: {type", "b: {type"))
    result = inside(*LOOK, "--out", "e.jsonl", cwd=here)
    assert (result.code, "No row became an event." in result.err) == (1, True)


def test_faults_of_the_mapping_are_named(here: Path, inside: Inside) -> None:
    (here / "m.yaml").write_text("userId: user\nevent: {type: pageview}\n")
    result = inside(*LOOK, cwd=here)
    assert (result.code, result.out) == (1, "")
    assert "the mapping has 2 faults:" in result.err
    assert "m.yaml:2: event.type: it must be one of" in result.err


def test_from_a_pipe_into_a_pipe(here: Path) -> None:
    (here / "t.jsonl").write_text('{"id": 1, "user": "ana", "what": "a", "at": "2026-03-02T08:00:00Z"}\n{}')
    result = onramp("import", "/dev/stdin", "--mapping", "m.yaml", "--out", "-", cwd=here)
    assert (result.code, "standard" in result.err or "empty" in result.err) == (1, True)
    result = onramp("import", "t.jsonl", "--mapping", "m.yaml", "--out", "-", cwd=here)
    assert (result.code, [json.loads(line)["eventId"] for line in result.out.splitlines()]) == (0, ["1"])
    assert "2 rows of t.jsonl: 1 event" in result.err


@pytest.mark.parametrize(
    "more",
    [
        ["--out", "t.csv"],
        ["--out", "m.yaml"],
        ["--out", "nowhere/e.jsonl"],
        ["--out", "-", "--json"],
        ["--out", "e.jsonl", "--preview", "3"],
        ["--rejected", "r.jsonl"],
        ["--out", "e.jsonl", "--rejected", "t.csv"],
        ["--out", "e.jsonl", "--rejected", "./e.jsonl"],
        ["--out", "-", "--rejected", "-"],
    ],
)
def test_wrong_usage_changes_nothing(more: list[str], here: Path, inside: Inside) -> None:
    result = inside(*LOOK, *more, cwd=here)
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert (here / "t.csv").read_text() == CSV
    assert {path.name for path in here.iterdir()} == {"t.csv", "m.yaml"}


def test_a_posthog_export_with_its_properties_as_json_text(here: Path, inside: Inside) -> None:
    """Each line: what PostHog's events look like in CSV."""
    (here / "t.csv").write_text(
        "uuid,event,properties,timestamp,distinct_id\n"
        '1,$pageview,"{""$pathname"":""/welcome""}",2026-03-02 09:00:05.123000+00:00,ana\n'
        '2,signed up,"{""plan"":""free""}",2026-03-02 09:00:10.123000+00:00,ana\n'
        "3,$pageview,{broken,2026-03-02 09:00:11.123000+00:00,ana\n"
        "4,signed up,n/a,2026-03-02 09:00:12.123000+00:00,eva\n"
    )
    (here / "m.yaml").write_text(
        "eventId: uuid\nuserId: distinct_id\ntimestamp: timestamp\nevent:\n  column: event\n  values:\n"
        "    $pageview: {type: page_view, payload: {path: properties.$pathname}}\n"
        "    signed up: {type: signup, payload: {traits.tier: properties.plan}}\n"
    )
    found = inside(*LOOK, "--json", cwd=here).json
    assert [each["payload"] for each in found["preview"]] == [{"path": "/welcome"}, {"traits": {"tier": "free"}}, {}]
    assert found["rejected"] == {"bad_value": 1}


def sent(event_id: str, at: str, **more: object) -> str:
    return json.dumps(
        {"eventId": event_id, "userId": "ana", "eventType": "track", "name": "x", "timestamp": f"2026-03-{at}:00:00Z", **more}
    )


def test_files_of_events_become_one_sorted_by_time(tmp_path: Path, inside: Inside) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("\n".join([sent("e3", "03T08", schemaVersion=2, own="kept"), "{}"]).encode()))
    (tmp_path / "b.jsonl").write_text("\n".join([sent("e2", "02T08"), sent("e1", "01T08"), "oops", sent("e3", "03T08")]))
    result = inside("import", "a.jsonl.gz", "b.jsonl", "--out", "all.jsonl", cwd=tmp_path)
    assert result.code == 0
    assert "6 rows of 2 files: 4 events, 2 rejected" in result.err
    assert "1 event repeats the eventId" in result.err
    events = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [each["eventId"] for each in events] == ["e1", "e2", "e3", "e3"]
    assert events[2] == json.loads(sent("e3", "03T08", schemaVersion=2, own="kept"))
    lost = [json.loads(line) for line in (tmp_path / "all.jsonl.rejected.jsonl").read_text().splitlines()]
    assert [(each["file"], each["line"], each["reason"]) for each in lost] == [
        ("a.jsonl.gz", 2, "missing_event_id"),
        ("b.jsonl", 3, "bad_row"),
    ]
    looked = inside("import", "b.jsonl", "a.jsonl.gz", cwd=tmp_path).out
    for part in ("6 rows of 2 files", "1 bad_row: b.jsonl, line 3:", "1 missing_event_id: a.jsonl.gz, line 2:"):
        assert part in looked


def test_what_json_lines_hold_beyond_events_is_rejected(tmp_path: Path, inside: Inside) -> None:
    odd = [
        sent("e1", "01T08", payload={"n": 1}).replace("1}", f"{'9' * 40}}}"),
        sent("e2", "01T08", payload=[1]),
        "[1]",
        sent("e3", "01T08"),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(odd))
    found = inside("import", "a.jsonl", "--json", cwd=tmp_path).json
    assert (found["events"], found["rejected"]) == (1, {"bad_payload": 2, "bad_row": 1})


def test_several_tables_of_one_mapping(here: Path, inside: Inside) -> None:
    (here / "u.csv").write_text("id,user,what,at\n9,ben,a,2026-03-01T09:00:00Z\n")
    result = inside("import", "t.csv", "u.csv", "--mapping", "m.yaml", "--out", "e.jsonl", cwd=here)
    assert result.code == 0
    assert [json.loads(line)["eventId"] for line in (here / "e.jsonl").read_text().splitlines()] == ["9", "1", "2"]
    result = inside("import", "t.csv", "u.csv", "--mapping", "m.yaml", "--out", "u.csv", cwd=here)
    assert (result.code, "'u.csv' is a file that is read" in result.err) == (2, True)


def test_a_table_needs_a_mapping(here: Path, inside: Inside) -> None:
    result = inside("import", "t.csv", "--out", "e.jsonl", cwd=here)
    assert (result.code, result.out) == (1, "")
    assert "t.csv is a table; say with --mapping how its columns become events" in result.err
    assert not (here / "e.jsonl").exists()
    assert inside("import", "-", "-", cwd=here).code == 2


def test_users_that_would_count_twice_are_noted(tmp_path: Path, inside: Inside) -> None:
    """A warehouse knows visitors before they are users: some rows have both ids, others the visitor's only."""
    mapping = "eventId: id\nuserId: user\nanonymousId: visitor\ntimestamp: at\nevent: {type: track, name: x}\n"
    (tmp_path / "t.csv").write_text(
        "id,user,visitor,at\n" + "".join(f"{each},2026-03-02T09:00:00Z\n" for each in ("1,,v1", "2,ana,v1", "3,ana,"))
    )
    (tmp_path / "m.yaml").write_text(mapping)
    said = " ".join(inside(*LOOK, cwd=tmp_path).out.split())
    assert "1 event has userId and anonymousId, and 1 event has anonymousId only." in said
    (tmp_path / "t.csv").write_text("id,user,visitor,at\n2,ana,v1,2026-03-02T09:00:00Z\n3,ana,,2026-03-02T09:00:00Z\n")
    assert "anonymousId only" not in inside(*LOOK, cwd=tmp_path).out
    merge = {
        "eventId": "m",
        "userId": "ana",
        "eventType": "identity_merged",
        "timestamp": "2026-03-02T09:00:00Z",
        "payload": {"previousId": "v1"},
    }
    both, alone = json.loads(sent("e1", "01T08", anonymousId="v1")), json.loads(sent("e2", "01T08", userId=None, anonymousId="v1"))
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [both, alone])))
    assert "anonymousId only" in inside("import", "a.jsonl", cwd=tmp_path).out
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [both, alone, merge])))
    assert "anonymousId only" not in inside("import", "a.jsonl", cwd=tmp_path).out


def test_a_sign_up_date_that_stands_in_every_row_is_one_sign_up_for_each_user(tmp_path: Path, inside: Inside) -> None:
    """The recipe of docs/integrations.md."""
    (tmp_path / "t.csv").write_text(
        "Customer,Registered on,Plan,at\nana,01.03.2026,pro,02.03.2026\nana,01.03.2026,pro,03.03.2026\nben,02.03.2026,,02.03.2026\n"
    )
    guide = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```yaml\n(eventId: \[Customer\]\n.*?)```", guide, re.DOTALL)
    (tmp_path / "m.yaml").write_text(recipe)
    result = inside("import", "t.csv", "--mapping", "m.yaml", "--out", "e.jsonl", cwd=tmp_path)
    assert result.code == 0
    assert "like the date of the sign-up (docs/integrations.md#the-mapping has the recipe)" in " ".join(result.err.split())
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert [(each["userId"], each["eventType"], each["timestamp"]) for each in events] == [
        ("ana", "signup", "2026-02-28T23:00:00.000Z"),
        ("ana", "signup", "2026-02-28T23:00:00.000Z"),
        ("ben", "signup", "2026-03-01T23:00:00.000Z"),
    ]
    assert len({each["eventId"] for each in events}) == 2
    assert events[0]["payload"] == {"traits": {"plan": "pro"}}


def test_times_that_clocks_show_twice_are_counted(tmp_path: Path, inside: Inside) -> None:
    times = ("26 01:59:59", "26 02:00:00", "26 02:59:59", "26 03:00:00", "27 02:30:00")
    (tmp_path / "t.csv").write_text("id,user,at\n" + "".join(f"{number},ana,2025-10-{at}\n" for number, at in enumerate(times)))
    (tmp_path / "m.yaml").write_text("userId: user\ntimestamp: {column: at, zone: Europe/Berlin}\nevent: {type: track, name: x}\n")
    said = " ".join(inside(*LOOK, cwd=tmp_path).out.split())
    assert "2 rows have a local time of the hour that clocks show twice when they are put back; the first of the two is taken." in said
    assert inside(*LOOK, "--json", cwd=tmp_path).json["timesShownTwice"] == 2
    (tmp_path / "m.yaml").write_text("userId: user\ntimestamp: {column: at, zone: UTC}\nevent: {type: track, name: x}\n")
    assert "clocks" not in inside(*LOOK, cwd=tmp_path).out


SIGN_UP = MAPPING + "signup: {age: {column: age, type: integer}, plan: plan}\n"
ROWS = (
    "id,user,what,at,age,plan\n"
    "3,ben,a,2026-03-02T09:00:00Z,,\n"
    "2,ana,a,2026-03-02T08:30:00Z,99,pro\n"
    "1,ana,a,2026-03-02T08:00:00Z,30,\n"
    "4,ben,a,2026-03-02T10:00:00Z,40,free\n"
)


def test_a_sign_up_is_added_before_the_first_event_of_each_user(here: Path, inside: Inside) -> None:
    (here / "t.csv").write_text(ROWS)
    (here / "m.yaml").write_text(SIGN_UP)
    result = inside(*LOOK, "--out", "e.jsonl", cwd=here)
    assert (result.code, "4 events, 2 sign-ups added" in result.err) == (0, True)
    events = [json.loads(line) for line in (here / "e.jsonl").read_text().splitlines()]
    assert [event["eventId"] for event in events] == ["1-signup", "1", "2", "3-signup", "3", "4"]
    assert events[0] == {
        "eventId": "1-signup",
        "userId": "ana",
        "eventType": "signup",
        "timestamp": "2026-03-02T08:00:00.000Z",
        "payload": {"traits": {"age": 30}},
    }
    assert events[3]["payload"] == {"traits": {}}
    preview = inside(*LOOK, "--json", "--preview", 2, cwd=here).json
    assert [event["eventId"] for event in preview["preview"]] == ["1-signup", "1"]
    assert (preview["events"], preview["signUpsAdded"]) == (4, 2)


def test_no_sign_up_is_added_for_visitors_and_before_a_sign_up(here: Path, inside: Inside) -> None:
    rows = "id,user,cookie,what,at\n1,,c1,a,2026-03-02T08:00:00Z\n2,ana,c1,up,2026-03-02T08:10:00Z\n3,ana,c1,a,2026-03-02T08:20:00Z\n"
    (here / "t.csv").write_text(rows)
    mapping = MAPPING.replace("{a:", "{up: signup, a:").replace("userId: user", "userId: user\nanonymousId: cookie")
    (here / "m.yaml").write_text(mapping + "signup: {}\n")
    assert inside(*LOOK, "--out", "e.jsonl", "--json", cwd=here).json["signUpsAdded"] == 0
    assert [json.loads(line)["eventId"] for line in (here / "e.jsonl").read_text().splitlines()] == ["1", "2", "3"]


def test_a_row_whose_sign_up_cannot_be_made_is_rejected(here: Path, inside: Inside) -> None:
    (here / "t.csv").write_text(ROWS.replace("99", "old"))
    (here / "m.yaml").write_text(SIGN_UP)
    result = inside(*LOOK, "--out", "e.jsonl", "--json", cwd=here).json
    assert (result["events"], result["rejected"]) == (3, {"bad_value": 1})
