"""A range of the log is decided twice, and only the catalog makes a difference."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.replay import replay
from evaluation.what_if import compare, decisions_frame
from flows.catalogs import load_catalog
from flows.replay import Input, ReplayError
from flows.settings import load_settings
from flows.what_if import decide_twice
from local.audit_log import AuditLog
from local.data_dir import DataDir, DataDirError
from sources.local_log.log import EventLog, Record
from state.catalog.by_tenant import ByTenant
from state.duration import HOUR
from state.ids import Keys
from state.messages import Message
from tests.support.stories import MONDAY, Log

KEYS = Keys(b"a secret for tests")
SAAS = Path(__file__).resolve().parents[2] / "catalog" / "saas.yaml"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    log = Log()
    for number in range(12):
        log.send(number * HOUR, f"user-{number}", "signup", traits={"persona": "analyst"})
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(item.value for item in log.items if isinstance(item, Message)) + b"\n")
    return path


def edited(tmp_path: Path, old: str, new: str) -> str:
    text = SAAS.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "other.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return str(path)


def decide(tmp_path: Path, source: Path, other: str, **more: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    settings = load_settings(data_dir=tmp_path / "d")
    span = {"tenant": "default", "since": None, "until": None, **more}
    return decide_twice(settings, KEYS, other, Input(source), **span)


def test_the_same_catalog_changes_nothing(tmp_path: Path, source: Path) -> None:
    before, after = decide(tmp_path, source, str(SAAS))
    assert before == after
    found = compare(decisions_frame(before), decisions_frame(after))
    assert found.users() == 0
    assert found.count("same") == found.before > 3
    assert all(row["text"] for row in before if row["outcome"] == "decided")
    assert {same for row in before for same in row["same_text"]} == {True}
    assert not (tmp_path / "d").exists()


def decide_log(tmp_path: Path, *, partitions: int, until: int | None = None) -> list[dict[str, Any]]:
    """Decide a log in which sign-ins are in other partitions than what the visitors did before, twice with one catalog."""
    clock = [0]
    place = tmp_path / f"log-{partitions}"
    with EventLog(place, partitions=partitions, retention=None, now=lambda: clock[0]) as log:

        def send(at: int, sender: dict[str, str], kind: str, **payload: Any) -> None:
            clock[0] = MONDAY + at
            time = datetime.fromtimestamp(clock[0] / 1_000, UTC).isoformat()
            event = {"eventId": f"e{at}", **sender, "eventType": kind, "timestamp": time, "payload": payload}
            (key,) = sender.values()
            log.append([Record(key.encode(), json.dumps(event).encode())])

        for number in range(40):
            visitor, user, at = {"anonymousId": f"anon-{number}"}, {"userId": f"user-{number}"}, number * 5 * HOUR
            send(at, visitor, "page_view", path="/sample/overview")
            send(at + 600_001, user, "identity_merged", previousId=f"anon-{number}")
            send(at + 600_002, user, "signup", traits={"persona": "analyst"})
            send(at + 3 * HOUR + 1, user, "page_view", path="/data/new")
    settings = load_settings(data_dir=tmp_path / "d", event_log=place)
    before, after = decide_twice(settings, KEYS, str(SAAS), Input(), tenant="default", since=None, until=until)
    assert before == after
    return before


def test_the_same_catalog_changes_nothing_for_a_log_of_several_partitions(tmp_path: Path) -> None:
    def what(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return sorted((row["user_id"], row["trigger"], row["outcome"], row["reason"]) for row in rows)

    several = what(decide_log(tmp_path, partitions=4))
    assert len(several) > 40
    assert several == what(decide_log(tmp_path, partitions=1))


def test_a_range_of_a_log_of_several_partitions_ends(tmp_path: Path) -> None:
    """Each partition is ended at its first message beyond, and the others do not wait for it."""
    end = MONDAY + 50 * HOUR
    found = decide_log(tmp_path, partitions=4, until=end)
    assert found
    assert all(row["decided_at"] < end for row in found)


def test_without_guidance_everything_is_dropped_and_says_why(tmp_path: Path, source: Path) -> None:
    holdout = next(line for line in SAAS.read_text(encoding="utf-8").splitlines() if line.strip().startswith("holdout:"))
    before, after = decide(tmp_path, source, edited(tmp_path, holdout, f"{holdout.partition(':')[0]}: 0.8"))
    found = compare(decisions_frame(before), decisions_frame(after))
    assert found.count("dropped") > 0
    assert {reason for change, reason, _, _ in found.reasons() if change == "dropped"} == {"holdout"}


def arms_with_another_text(rows: list[dict[str, Any]]) -> set[str]:
    """Arms whose text differs between the two catalogs, chosen or not."""
    decided = [row for row in rows if row["outcome"] == "decided"]
    assert decided
    return {arm for row in decided for arm, same in zip(row["arms"], row["same_text"], strict=True) if not same}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Whenever you like to begin", "Begin when you like"),
        ("title: look around the sample dashboard", "title: look at the sample dashboard"),
        ("link: /sample/overview", "link: /sample/start"),
        ("product: Tideboard", "product: Ebbboard"),
        ("default: there", "default: you"),
        ("passive, component: tooltip", "passive, component: modal"),
        ("version: nudge-1", "version: nudge-2"),
        ("longest: 240", "longest: 60"),
        ("template_share: 0.1", "template_share: 1"),
        ("wording:", "wording:\n  cold_events: 0"),
        ("languages: [en]", "languages: [de]"),
        ("emoji: []", "emoji: ['🎉']"),
        ("Team analytics on the web", "Team reports on the web"),
        ("title: Everyone else", "title: Everybody else"),
    ],
)
def test_every_arm_that_would_say_something_else_is_known(tmp_path: Path, source: Path, old: str, new: str) -> None:
    for rows in decide(tmp_path, source, edited(tmp_path, old, new)):
        assert arms_with_another_text(rows)


def test_what_no_user_reads_may_differ(tmp_path: Path, source: Path) -> None:
    other_paths = ("title: Engineers put", "title: Developers put")
    default = ("wording:", "wording:\n  cold_events: 3")
    for old, new in (("attribution_window: 24h", "attribution_window: 12h"), other_paths, default):
        for rows in decide(tmp_path, source, edited(tmp_path, old, new)):
            assert arms_with_another_text(rows) == set(), new


def test_only_the_range_and_the_tenant_count(tmp_path: Path, source: Path) -> None:
    before, _ = decide(tmp_path, source, str(SAAS), since=MONDAY + 3 * HOUR, until=MONDAY + 6 * HOUR)
    assert {row["user_id"] for row in before} == {"user-3", "user-4", "user-5"}
    with pytest.raises(ReplayError, match="no message of the tenant other"):
        decide(tmp_path, source, str(SAAS), tenant="other")


def test_each_tenant_is_decided_with_its_own_catalog_and_tried_with_any(tmp_path: Path, source: Path) -> None:
    lines = source.read_bytes().replace(b'{"eventId"', b'{"tenantId": "acme", "eventId"')
    source.write_bytes(source.read_bytes() + lines)
    text = SAAS.read_text(encoding="utf-8")
    (tmp_path / "catalogs").mkdir()
    (tmp_path / "catalogs" / "all.yaml").write_text(text, encoding="utf-8")
    fewer = text.replace("holdout: 0.1", "holdout: 0.9").replace("rules: 0.1", "rules: 0")
    (tmp_path / "catalogs" / "acme.yaml").write_text(f"{fewer}tenants: [acme]\n", encoding="utf-8")
    settings = load_settings(data_dir=tmp_path / "d", catalog=str(tmp_path / "catalogs"))
    span: dict[str, Any] = {"since": None, "until": None}

    def kept(rows: list[dict[str, Any]]) -> int:
        return sum(row["outcome"] == "decided" for row in rows)

    before, after = decide_twice(settings, KEYS, str(SAAS), Input(source), tenant="acme", **span)
    assert {row["reason"] for row in before} >= {"holdout"}
    assert kept(before) < kept(after)
    before, after = decide_twice(settings, KEYS, str(tmp_path / "catalogs" / "acme.yaml"), Input(source), tenant="default", **span)
    assert kept(before) > kept(after)
    before, after = decide_twice(settings, KEYS, str(tmp_path / "catalogs"), Input(source), tenant="acme", **span)
    assert before == after


def test_the_catalog_in_force_is_that_of_the_data_directory(tmp_path: Path, source: Path) -> None:
    DataDir.create(tmp_path / "d").bind_catalogs(ByTenant("another"))
    with pytest.raises(DataDirError, match="another"):
        decide(tmp_path, source, str(SAAS))


def test_the_command_prints_it_and_the_audit_log_has_it(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_catalog("saas").id == load_catalog(str(SAAS)).id
    options: dict[str, Any] = {"catalog": str(SAAS), "input_path": source, "data_dir": DataDir.create(tmp_path / "d").path, "by": "eva"}
    replay(**options, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["usersTreatedDifferently"] == 0
    assert found["treated"] == []
    assert found["recommendations"]["before"] == found["recommendations"]["after"] == found["changes"]["same"]["decisions"]
    assert (found["value"], "No job has written" in found["valueUnknown"]) == (None, True)
    replay(**options)
    said = capsys.readouterr().out
    assert "0 users treated differently" in said
    assert "Expected reward: not known" in said
    (entry, *_) = AuditLog(tmp_path / "d" / "audit.jsonl", lambda: 0).entries()
    assert entry["catalog"] == str(SAAS)
    with pytest.raises(typer.BadParameter, match="belongs to --catalog"):
        replay(user="u", against="saas")
    with pytest.raises(typer.BadParameter, match="give --user"):
        replay()
