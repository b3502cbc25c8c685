"""The commands that read what a job has left."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from cli.support.demo_dir import for_reading
from flows.settings import load_settings
from tests.cli.conftest import HOSTILE, Inside, Ready


def test_report_prints_the_views(demo: Ready, inside: Inside) -> None:
    result = inside("report", cwd=demo.cwd)
    assert result.code == 0, result.err
    for section in (
        "Activation within 7 days",
        "Stuck users",
        "How long steps take",
        "Arms by trigger",
        "Arms upon signup",
        "nothing shown because",
        "Can this be believed?",
    ):
        assert section in result.out
    assert "true" not in result.out.split("Stuck users")[0]  # a live system has no truth
    views = inside("report", "--json", cwd=demo.cwd).json
    assert views["activation"][0]["people"] == 150
    assert {"funnel_by_step", "arm_share", "non_decisions_by_reason", "freshness"} <= set(views)
    assert all(row["signup_week"].startswith("20") for row in views["activation_by_cohort"])


def test_explain_as_json_tells_everything_in_words_too(demo: Ready, inside: Inside) -> None:
    users = inside("sql", "SELECT user_id FROM stuck_signals_final LIMIT 1", "--json", cwd=demo.cwd).json["rows"]
    story = inside("explain", users[0]["user_id"], "--json", cwd=demo.cwd).json
    kinds = {entry["kind"] for entry in story["timeline"]}
    assert {"event", "signal", "progress"} <= kinds
    assert all(entry["inWords"] for entry in story["timeline"])
    shortest = inside("explain", users[0]["user_id"], "--json", "--limit", 2, cwd=demo.cwd).json
    assert shortest["timeline"] == story["timeline"][-2:]
    steps = [entry["inWords"] for entry in story["timeline"] if entry["kind"] == "signal"]
    assert all("nine in ten of the last" in words or "expected to take" in words for words in steps)


def test_explain_tells_what_was_done_before_what_came_of_it(demo: Ready, inside: Inside) -> None:
    users = inside("sql", "SELECT user_id FROM stuck_signals_final LIMIT 1", "--json", cwd=demo.cwd).json["rows"]
    timeline = inside("explain", users[0]["user_id"], "--json", cwd=demo.cwd).json["timeline"]
    order = {"event": 0, "progress": 1}
    told = [(entry["at"], order.get(entry["kind"], 2)) for entry in timeline]
    assert told == sorted(told)
    assert len({at for at, _ in told}) < len(told)  # else no order within a moment was seen


def test_a_person_nobody_knows(demo: Ready, inside: Inside) -> None:
    result = inside("explain", "no\x1bbody", cwd=demo.cwd)
    assert (result.code, result.out) == (1, "")
    assert result.err == "onramp: no user no\\x1bbody in .onramp/demo, tenant default.\n"
    unknown = inside("recommend", "nobody", cwd=demo.cwd)
    assert (unknown.code, unknown.out, unknown.err) == (1, "", "onramp: no user nobody in .onramp/demo, tenant default.\n")
    assert inside("recommend", "nobody", "--json", cwd=demo.cwd).json == {"status": "none", "tenantId": "default", "userId": "nobody"}


def test_after_a_run_of_ones_own_the_demo_s_users_are_said_to_be_elsewhere(own: Ready, inside: Inside) -> None:
    demo = own.cwd / ".onramp" / "demo"
    demo.mkdir()
    (demo / "demo.json").write_text("{}")
    try:
        for command in ("explain", "recommend"):
            result = inside(command, "p000421", cwd=own.cwd)
            assert result.code == 1
            assert result.err == (
                "onramp: no user p000421 in .onramp, tenant default; the demo's users are in .onramp/demo: name it with --data-dir.\n"
            )
    finally:
        shutil.rmtree(demo)


def test_beside_a_demo_the_users_of_onramp_up_are_said_to_be_elsewhere(demo: Ready, inside: Inside) -> None:
    live = demo.cwd / ".onramp" / "live"
    (live / "log").mkdir(parents=True)
    try:
        result = inside("explain", "ada", cwd=demo.cwd)
    finally:
        shutil.rmtree(live)
    assert result.code == 1
    assert result.err == (
        "onramp: no user ada in .onramp/demo, tenant default; those of `onramp up` are in .onramp/live: name it with --data-dir.\n"
    )


def test_of_a_demo_and_onramp_up_commands_read_what_was_started_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    demo, live = Path(".onramp/demo/demo.json"), Path(".onramp/live/run.json")

    def read() -> str:
        return str(for_reading(load_settings()).data_dir)

    assert read() == ".onramp"
    (live.parent / "log").mkdir(parents=True)
    live.write_text("{}")
    assert read() == ".onramp/live"
    demo.parent.mkdir()
    demo.write_text("{}")
    for at, (file, other) in enumerate(((demo, live), (live, demo)), start=1):
        os.utime(other, (at, at))
        os.utime(file, (at + 1, at + 1))
        assert read() == str(file.parent)
    (tmp_path / "another" / "live" / "log").mkdir(parents=True)
    (tmp_path / "another" / "live" / "run.json").write_text("{}")
    assert for_reading(load_settings(data_dir=tmp_path / "another")).data_dir == tmp_path / "another", "it was named"
    elsewhere = load_settings(redis_url="redis://127.0.0.1:1")
    found = for_reading(elsewhere)
    assert (str(found.data_dir), found.redis_url) == (".onramp/live", elsewhere.redis_url), "a demo has no servers, and a live job may"
    Path(".onramp/state").mkdir()
    assert read() == ".onramp", "a job has run there"


def test_a_user_without_a_recommendation_is_sent_to_the_whole_command(demo: Ready, inside: Inside) -> None:
    held_out = "SELECT min(user_id) AS user FROM people_final WHERE experiment_group = 'holdout'"
    user = inside("sql", held_out, "--json", cwd=demo.cwd).json["rows"][0]["user"]
    result = inside("recommend", user, "--data-dir", ".onramp", cwd=demo.cwd)
    assert result.code == 0
    assert f"explain {user} --data-dir .onramp` says why." in " ".join(result.out.split())


def test_no_line_ends_in_blanks_where_nobody_sees_them(own: Ready, demo: Ready, inside: Inside) -> None:
    for arguments in (["explain", HOSTILE], ["report"], ["settings"], ["sql", "SHOW TABLES"]):
        assert not re.search("[ \t]\n", inside(*arguments, cwd=own.cwd).out)
    assert not re.search("[ \t]\n", demo.result.out)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("SELEC 1", "Only reads are allowed: start with DESC, DESCRIBE, EXISTS, EXPLAIN, SELECT, SHOW, WITH, not with 'SELEC'."),
        ("SELECT * FROM funnel", "there is no table 'funnel'; did you mean funnel_by_step? `onramp sql \"SHOW TABLES\"` lists all."),
        ("SELECT 1 FROM onramp.evnts", "there is no table 'evnts'; did you mean events? `onramp sql \"SHOW TABLES\"` lists all."),
        ("DESCRIBE nothing_like_it", "there is no table 'nothing_like_it'; `onramp sql \"SHOW TABLES\"` lists all."),
        ("SELECT nope FROM people", "there is no column 'nope'; `onramp sql \"DESCRIBE TABLE …\"` lists the columns of a table or view."),
    ],
)
def test_a_query_that_cannot_run_is_answered_with_what_there_is(own: Ready, inside: Inside, statement: str, sentence: str) -> None:
    result = inside("sql", statement, cwd=own.cwd)
    assert (result.code, result.out, result.err) == (1, "", f"onramp: {sentence}\n")


@pytest.mark.parametrize("statement", ["DROP TABLE events", "SELECT 1; SELECT 2", "INSERT INTO events VALUES (1)"])
def test_sql_only_reads(demo: Ready, inside: Inside, statement: str) -> None:
    result = inside("sql", statement, cwd=demo.cwd)
    assert (result.code, result.out) == (1, "")
    assert len(result.err.splitlines()) == 1


def test_sql_prints_csv_and_names_a_mistake(demo: Ready, inside: Inside) -> None:
    assert inside("sql", "SELECT 1 AS a, 'x,y' AS b", "--csv", cwd=demo.cwd).out == 'a,b\n1,"x,y"\n'
    mistake = inside("sql", "SELECT nope", cwd=demo.cwd)
    assert mistake.code == 1
    assert "nope" in mistake.err
    assert "Traceback" not in mistake.err


def test_sql_shows_times_as_times_and_no_row_as_none(demo: Ready, inside: Inside) -> None:
    hour = "SELECT toStartOfHour(min(timestamp)) AS h, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS id, 1 > 0 AS b FROM events"
    shown = inside("sql", hour, cwd=demo.cwd).out.split()
    day, time = shown[3], shown[4]
    assert (day[:4], time[2:]) == ("2026", ":00:00")
    assert "61f0c404-5cb3-11e7-907b-a6006ad3dba0" in shown
    assert inside("sql", hour, "--csv", cwd=demo.cwd).out.splitlines()[1].startswith(f"{day}T{time}.000Z,61f0c404-")
    assert inside("sql", hour, "--json", cwd=demo.cwd).json["rows"][0]["h"] == f"{day}T{time}.000Z"
    assert inside("sql", "SELECT 1 AS a WHERE 0", "--json", cwd=demo.cwd).json == {"columns": ["a"], "rows": []}
    assert "0 rows" in inside("sql", "SELECT 1 AS a WHERE 0", cwd=demo.cwd).out
    assert "1 row" in inside("sql", "SELECT 1 AS a", cwd=demo.cwd).out.split("\n")[-2]


def test_where_no_job_has_run_it_says_what_to_do(tmp_path: Path, inside: Inside) -> None:
    result = inside("recommend", "somebody", cwd=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "onramp demo" in result.err
    assert not list(tmp_path.iterdir())


def test_report_judges_without_a_truth_and_draws(demo: Ready, inside: Inside) -> None:
    said = inside("report", "--json", "--plots", "pictures", cwd=demo.cwd)
    assert said.code == 0, said.err
    verdict = said.json["verdict"]
    assert verdict["sampleRatio"]["ok"]
    assert verdict["shownRates"]["ok"]
    assert verdict["liftInterval"][0] < verdict["lift"] < verdict["liftInterval"][1]
    assert set(verdict["holdoutStuck"]) >= {"precision", "recall", "recoveredAlone", "bestTimeout"}
    assert "trueLift" not in verdict
    assert {Path(path).stem for path in said.json["plots"]} >= {"lift", "posteriors", "survival", "reasons"}
    assert all((demo.cwd / path).read_text().startswith("<?xml") for path in said.json["plots"])


def test_the_same_alarms_have_the_same_precision_and_recall_in_report_and_views(demo: Ready, inside: Inside) -> None:
    verdict = inside("report", "--json", cwd=demo.cwd).json["verdict"]
    sums = "sum(episodes) AS episodes, sum(stuck_people) AS stuck, sum(alarms) AS alarms, sum(matched_alarms) AS matched"
    (view,) = inside("sql", f"SELECT {sums} FROM stuck_scorecard_by_step", "--json", cwd=demo.cwd).json["rows"]
    by_trigger = "SELECT sum(alarms) AS alarms, sum(matched_alarms) AS matched FROM stuck_scorecard_by_trigger"
    (triggers,) = inside("sql", by_trigger, "--json", cwd=demo.cwd).json["rows"]
    frontier, held_out = verdict["frontier"], verdict["holdoutStuck"]
    assert min(view.values()) > 0
    assert [view["episodes"], view["stuck"], view["alarms"], view["matched"]] == [
        frontier[key] for key in ("episodes", "stuck", "alarms", "right")
    ]
    assert triggers == {"alarms": view["alarms"], "matched": view["matched"]}
    assert [held_out[key] for key in ("episodes", "positives", "alarms", "precision", "recall")] == [
        view["episodes"], view["stuck"], view["alarms"], frontier["precision"], frontier["recall"]
    ]  # fmt: skip
    said = inside("report", cwd=demo.cwd).out
    assert (
        f"{view['episodes']:,} times a user was at a step, {100 * view['stuck'] / view['episodes']:.1f} % stuck, by held-out users" in said
    )
    found = f"{100 * frontier['precision']:.0f} % of the alarms are right; {100 * frontier['recall']:.0f} % of the times a user was stuck"
    assert found in " ".join(said.split())


def test_tables_of_arms_show_what_the_bandit_chose_and_the_rules_apart(demo: Ready, inside: Inside) -> None:
    def decided(group: str, of: str = "") -> int:
        sql = f"SELECT count() AS n FROM decisions_final WHERE outcome = 'decided' AND experiment_group = '{group}' {of}"
        return int(inside("sql", sql, "--json", cwd=demo.cwd).json["rows"][0]["n"])

    said = inside("report", cwd=demo.cwd).out
    by_rule, at_signup = decided("rules"), decided("adaptive", "AND trigger = 'signup'")
    assert by_rule
    assert f"Arms upon signup  {at_signup} decisions" in said
    assert f"Arms of the group rules  {by_rule} decisions" in said
    assert f"Arms over all triggers  {decided('adaptive')} decisions" in said
