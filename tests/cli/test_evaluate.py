"""What another policy would have earned, on what the demo has left."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from evaluation.off_policy import Value
from reports.policy_value import show
from tests.cli.conftest import Inside, Ready


def test_the_value_of_a_policy_comes_with_its_interval(demo: Ready, inside: Inside) -> None:
    found = inside("evaluate", "--policy", "uniform", "--json", cwd=demo.cwd).json
    low, high = found["interval"]
    assert 0 <= low <= found["value"] <= high <= 1
    assert found["alwaysInterval"][0] <= low
    assert found["alwaysInterval"][1] >= high
    assert low - 0.05 <= 0.83 <= high + 0.05  # by design, over the arms; the window of a day holds three more visits
    assert 100 <= found["effective"] <= found["decisions"]
    assert set(found["estimators"]) == {"dr", "snips", "ips", "stabilised"}
    assert found["refused"] is None


def test_estimators_stand_side_by_side(demo: Ready, inside: Inside) -> None:
    result = inside("evaluate", "--policy", "uniform", cwd=demo.cwd)
    assert result.code == 0, result.err
    for name in ("dr", "snips", "ips", "stabilised"):
        assert f"\n  {name} " in result.out
    assert "of the policy's own" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


def test_what_segments_get_that_a_table_does_not_name_is_said(demo: Ready, inside: Inside) -> None:
    said = "Segments that the table does not name get the uniform choice."
    table = inside("evaluate", "--policy", "table:engineer=passive_sidebar", cwd=demo.cwd)
    assert (table.code, said in table.out) == (0, True), table.err
    assert said not in inside("evaluate", "--policy", "uniform", cwd=demo.cwd).out
    assert "does not name gets the uniform choice" in " ".join(inside("evaluate", "--help", cwd=demo.cwd).out.split())


def test_a_segment_is_refused_only_if_no_decision_is_of_it(demo: Ready, inside: Inside) -> None:
    segments = inside("sql", "SELECT DISTINCT segment FROM decisions_final WHERE segment != ''", "--json", cwd=demo.cwd).json["rows"]
    table = ",".join(f"{row['segment']}=passive_sidebar" for row in segments)
    whole = inside("evaluate", "--policy", f"table:{table}", "--json", cwd=demo.cwd).json
    assert (whole["notes"], whole["decisions"] > 0) == ([], True)
    unknown = inside("evaluate", "--policy", f"table:{table},nobody=passive_sidebar", cwd=demo.cwd)
    assert unknown.code == 1
    assert "no decision of the log is of the segment nobody" in unknown.err


def test_too_little_evidence_is_a_sentence_and_no_number(own: Ready, inside: Inside) -> None:
    result = inside("evaluate", "--policy", "uniform", cwd=own.cwd)
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "onramp: nothing to evaluate yet: no recommendation was both shown and followed for its full attribution window (24.0 h); your app "
        "reports what it shows with recommendation_shown.\n"
    )
    refused = inside("evaluate", "--policy", "uniform", "--json", cwd=own.cwd)
    assert refused.code == 1
    assert refused.json["value"] is None
    assert refused.json["refused"]


def test_a_value_says_of_which_tenant_it_is_and_that_a_tenant_has_no_users(own: Ready, inside: Inside) -> None:
    assert inside("evaluate", "--policy", "uniform", "--json", cwd=own.cwd).json["tenantId"] == "default"
    nobody = inside("evaluate", "--policy", "uniform", "--tenant", "nosuch", cwd=own.cwd)
    assert (nobody.code, nobody.out) == (1, "")
    assert nobody.err == "onramp: nothing to evaluate yet: no user is known in tenant nosuch.\n"
    refused = inside("evaluate", "--policy", "uniform", "--trigger", "signup", "--tenant", "nosuch", "--json", cwd=own.cwd)
    assert refused.code == 1
    assert (refused.json["tenantId"], refused.json["value"]) == ("nosuch", None)
    assert refused.json["refused"] == "no user is known in tenant nosuch"
    assert "table:SEGMENT=ARM" in inside("evaluate", "--policy", "maybe", "--tenant", "nosuch", cwd=own.cwd).err


def test_the_table_names_the_tenant_where_there_are_several() -> None:
    value = Value("dr", 0.5, 0.4, 0.6, 0.3, 0.7, 0.05, 100, 50.0)
    for tenant, title in (("acme", "What uniform would have earned upon signup, tenant acme  "), ("", "earned upon signup  ")):
        console = Console(file=io.StringIO(), width=100)
        show(console, "uniform", "signup", {"dr": value}, 0.5, [], tenant)
        assert isinstance(console.file, io.StringIO)
        assert title in console.file.getvalue()


def test_what_cannot_be_read_is_named(demo: Ready, inside: Inside) -> None:
    unknown = inside("evaluate", "--policy", "arm:nonsense", cwd=demo.cwd)
    assert unknown.code == 1
    assert "passive_sidebar" in unknown.err
    wrong = inside("evaluate", "--policy", "maybe", cwd=demo.cwd)
    assert wrong.code == 1
    assert "table:SEGMENT=ARM" in wrong.err
    nowhere = inside("evaluate", "--policy", "uniform", "--trigger", "never", cwd=demo.cwd)
    assert nowhere.code == 2
    assert "signup" in nowhere.err
    for result in (unknown, wrong, nowhere):
        assert len(result.err.splitlines()) == 1


def test_where_no_job_has_run_it_says_what_to_do(tmp_path: Path, inside: Inside) -> None:
    result = inside("evaluate", "--policy", "uniform", cwd=tmp_path)
    assert result.code == 1
    assert "onramp demo" in result.err
