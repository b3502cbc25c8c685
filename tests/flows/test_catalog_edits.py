"""Every kind of edit of a catalog in the middle of a run, against the run that had it from the start.

The whole flow runs with memory sinks: it stops in order, the catalog is edited, and it resumes on the same recovery store. The table
"Change a running catalog" of ``docs/catalog.md`` says what each edit means for what happened before it; the cases here are its rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bytewax.testing import TestingSource

from evaluation.balance import people_balance
from evaluation.evidence import Evidence
from evaluation.integrity import check
from evaluation.offline_runner import OfflineRunner
from state.catalog.parse import parse
from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE
from state.messages import Message
from state.records.facts import CatalogFact, DecisionFact, Fact, OutcomeFact, PersonFact, ProgressFact, RecommendationFact
from state.times import rfc3339
from tests.state.lives import SMALL
from tests.support.memory_job import KEYS, Job
from tests.support.stories import MONDAY, Log

BEFORE = SMALL.replace("HOLDOUT", "0").replace("COOLDOWN", "10m").replace("CAP", "50").replace("version: 1\n", "version: first\n")
TABLES: dict[type[Fact], str] = {
    PersonFact: "people",
    DecisionFact: "decisions",
    OutcomeFact: "outcomes",
    ProgressFact: "progress",
    RecommendationFact: "recommendations",
    CatalogFact: "catalogs",
}
DOC = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")

Edit = Callable[[str], str]
Progress = dict[tuple[str, str], int]
"""(user, step) → when it was completed, in milliseconds after the beginning."""


@lru_cache
def story() -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What came before the edit, and after it."""
    log = Log()
    # What happened before.
    for user, persona in (("ana", "analyst"), ("bea", "analyst"), ("cyd", "builder"), ("dan", "analyst"), ("eve", "analyst")):
        log.send(HOUR, user, "signup", traits={"persona": persona, "firstName": user.title()})
    log.send(2 * HOUR, "ana", "track", name="connected")
    log.send(2 * HOUR + MINUTE, "ana", "track", name="explored")
    log.send(2 * HOUR + 3 * MINUTE, "ana", "track", name="explored")
    log.send(2 * HOUR + 4 * MINUTE, "ana", "track", name="toured")
    log.send(3 * HOUR, "bea", "form_submit", form="connect")
    log.send(3 * HOUR + MINUTE, "bea", "track", name="imported")
    log.send(3 * HOUR + 2 * MINUTE, "bea", "track", name="imported")
    log.send(4 * HOUR, "cyd", "form_submit", form="invite")
    log.send(4 * HOUR + 5 * MINUTE, "cyd", "recommendation_shown")
    for number in range(3):
        log.send(5 * HOUR + number * MINUTE, "eve", "track", name="explored")
    log.send(5 * HOUR + 9 * MINUTE, "eve", "form_submit", form="connect")
    log.send(11 * HOUR, "dan", "page_view", path="/")
    cut = len(log.items)
    # What happens after.
    log.send(13 * HOUR, "ana", "track", name="explored")
    log.send(13 * HOUR + MINUTE, "ana", "page_view", path="/connect")
    log.send(14 * HOUR, "bea", "track", name="explored")
    log.send(14 * HOUR + MINUTE, "bea", "track", name="imported")
    log.send(15 * HOUR, "dan", "track", name="connected")
    log.send(15 * HOUR + MINUTE, "dan", "recommendation_shown")
    log.send(20 * HOUR, "cyd", "form_submit", form="connect")
    for number, user in enumerate(("fay", "gus", "hal", "ida", "jon", "kim", "leo", "mia")):
        log.send(21 * HOUR + number * MINUTE, user, "signup", traits={"persona": "analyst"})
        log.send(22 * HOUR + number * MINUTE, user, "track", name="connected")
        log.send(22 * HOUR + number * MINUTE + 5000, user, "recommendation_shown")
    log.send(23 * HOUR, "eve", "form_submit", form="invite")
    log.send(3 * DAY, "ana", "page_view", path="/")
    log.send(5 * DAY, "leo", "page_view", path="/")
    return tuple(log.items[:cut]), tuple(log.items[cut:])


def compiled(edit: Edit) -> Plan:
    text = edit(BEFORE)
    return Plan(parse(text if text == BEFORE else text.replace("version: first", "version: second"), "small.yaml"))


class Outcome:
    """What a run left, under its last catalog."""

    def __init__(self, facts: list[Any], plan: Plan) -> None:
        self.rows: dict[type[Fact], list[Any]] = {}
        for kind in TABLES:
            newest: dict[tuple[Any, ...], Any] = {}
            for row in facts:
                if isinstance(row, kind):
                    key = tuple(getattr(row, name) for name in kind.KEY)
                    if key not in newest or newest[key].version <= row.version:  # type: ignore[attr-defined]
                        newest[key] = row
            self.rows[kind] = list(newest.values())
        self.plan = plan
        self.people: dict[str, PersonFact] = {row.user_id: row for row in self.rows[PersonFact]}

    def progress(self) -> Progress:
        """Completed steps of everybody's present path."""
        return {
            (row.user_id, row.step_id): row.completed_at - MONDAY
            for row in self.rows[ProgressFact]
            if row.completed_at and self.people[row.user_id].path_id == row.path_id and (row.path_id, row.step_id) in self.plan.places
        }

    def activated(self) -> dict[str, int]:
        return {user: row.activated_at - MONDAY for user, row in self.people.items() if row.activated_at}

    def current(self) -> dict[str, str]:
        """The current step of those who are not activated."""
        done = self.progress()
        found = {}
        for user, row in self.people.items():
            if row.path_id in self.plan.paths and not row.activated_at:
                steps = [step for step, needs in self.plan.routes[row.path_id] if all((user, need) in done for need in needs)]
                found[user] = next((step for step in steps if (user, step) not in done), "")
        return found

    def groups(self) -> dict[str, str]:
        return {user: row.experiment_group for user, row in self.people.items()}

    def decisions(self, version: str) -> list[DecisionFact]:
        return [row for row in self.rows[DecisionFact] if row.catalog_version == f"small@{version}" and row.outcome == "decided"]

    def ends(self, user: str) -> list[tuple[str, str]]:
        return [(row.step_id, row.kind) for row in self.rows[OutcomeFact] if row.user_id == user]

    def evidence(self) -> Evidence:
        return Evidence.of(
            until=MONDAY + 6 * DAY,
            **{table: [msgspec.structs.asdict(row) for row in self.rows[kind]] for kind, table in TABLES.items()},
        )


def with_plan(job: Job, plan: Plan) -> None:
    job.plan = plan
    job.run(epoch=timedelta(hours=1))


def edited(edit: Edit, directory: Path) -> Outcome:
    """The run in whose middle the catalog is edited."""
    before, after = story()
    job = Job([*before, TestingSource.EOF(), *after], directory / "edited")
    with_plan(job, compiled(str))
    with_plan(job, compiled(edit))
    assert len([item for item in (*before, *after) if isinstance(item, Message)]) == job.counters.total["messages_read"]
    return Outcome(job.facts.items, job.plan)


def from_the_start(edit: Edit) -> Outcome:
    """The run that had the edited catalog all along. It needs no engine: ``test_offline_runner.py`` proves that results are the same."""
    before, after = story()
    plan = compiled(edit)
    job = OfflineRunner(plan, KEYS)
    for item in (*before, *after):
        if isinstance(item, Message):
            job.message(item)
        else:
            job.tick(item.at, item.seq)
    return Outcome([fact for kind in TABLES for fact in job.facts(kind)], plan)


def replaced(*pairs: tuple[str, str]) -> Edit:
    def edit(text: str) -> str:
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new)
        return text

    return edit


def explore(completions: str) -> Edit:
    """Other completions of ``explore``."""
    return replaced(("      - {type: track, name: explored, times: 3}\n", completions))


BY_THREE = "      - {type: track, name: explored, times: 3}\n"
BY_IMPORT = "      - {type: track, name: imported, times: 2}\n"


@dataclass(frozen=True)
class Case:
    """``missing`` and ``extra``: completions that the edited run lacks or has besides, compared with the run that had the edited catalog
    from the start. Everything else must be the same, the times too.
    """

    row: str
    edit: Edit
    missing: frozenset[tuple[str, str]] = frozenset()
    extra: frozenset[tuple[str, str]] = frozenset()


STARTS = f"{{when: signup, after: {rfc3339(MONDAY + 12 * HOUR)}}}"
"""Who signed up before the edit does not begin."""


def pairs(*found: str) -> frozenset[tuple[str, str]]:
    return frozenset((user, step) for each in found for user, _, step in [each.partition(" ")])


CASES = {
    "nothing": Case("", str),
    "a step added": Case(
        "step added",
        replaced(
            ("  - id: invite\n", "  - {id: tour, title: tour, link: /tour, complete: [{type: track, name: toured}]}\n  - id: invite\n"),
            ("steps: [connect, explore, invite, share]", "steps: [connect, tour, explore, invite, share]"),
        ),
        missing=pairs("ana tour"),
    ),
    "a step removed": Case(
        "step removed",
        lambda text: re.sub(r"  - id: share\n.*?(?=paths:)", "", text, flags=re.DOTALL).replace(", share]", "]"),
    ),
    "a step that others require removed": Case(
        "step removed",
        lambda text: (
            re.sub(r"  - id: connect\n.*?(?=  - id: explore)", "", text, flags=re.DOTALL)
            .replace("requires: [connect]", "requires: []")
            .replace("connect, ", "")
            .replace(", connect]", "]")
        ),
    ),
    "a step renamed": Case(
        "step renamed",
        lambda text: (
            re.sub(r"\binvite\b(?=[,\]\n])", "ask", text).replace("form: ask", "form: invite").replace("target: ask", "target: invite")
        ),
        missing=pairs("cyd ask"),
    ),
    "steps reordered": Case("steps reordered", replaced(("[connect, explore, invite, share]", "[invite, connect, explore, share]"))),
    "a completion inserted before another": Case("completion added", explore(BY_IMPORT + BY_THREE), missing=pairs("bea explore")),
    "a completion appended": Case("completion added", explore(BY_THREE + BY_IMPORT), missing=pairs("bea explore")),
    "a completion removed": Case(
        "completion removed",
        replaced(("      - {type: track, name: connected}\n", "")),
        extra=pairs("ana connect", "ana explore"),
    ),
    "completions reordered": Case(
        "completions reordered",
        replaced(
            (
                "      - {type: form_submit, where: {form: connect}}\n      - {type: track, name: connected}\n",
                "      - {type: track, name: connected}\n      - {type: form_submit, where: {form: connect}}\n",
            )
        ),
    ),
    "a completion that needs fewer events": Case("`times` changed", explore("      - {type: track, name: explored, times: 2}\n")),
    "a completion that needs more events": Case(
        "`times` changed",
        explore("      - {type: track, name: explored, times: 4}\n"),
        extra=pairs("eve explore"),
    ),
    "a completion that matches something else": Case(
        "completion changed",
        explore("      - {type: track, name: imported, times: 3}\n"),
        missing=pairs("bea explore"),
        extra=pairs("eve explore"),
    ),
    "a requirement dropped": Case("`requires` changed", replaced(("    requires: [connect]\n", ""))),
    "a requirement added": Case(
        "`requires` changed",
        replaced(
            ("    title: invite a colleague\n", "    title: invite a colleague\n    requires: [connect]\n"),
            ("steps: [invite, connect]", "steps: [connect, invite]"),
            ("steps: [invite, connect, explore, share]", "steps: [connect, invite, explore, share]"),
        ),
    ),
    "activity changed": Case("`activity` changed", replaced(("{type: page_view, where: {path: /connect}}", "{type: page_view}"))),
    "activation sooner": Case("`activated_by` changed", replaced(("activated_by: [connect, explore]", "activated_by: [connect]"))),
    "activation later": Case("`activated_by` changed", replaced(("activated_by: [connect, explore]", "activated_by: [connect, invite]"))),
    "a path added": Case(
        "path added, removed, renamed or reordered; `match` changed",
        replaced(("paths:\n", "paths:\n  - {id: quick, title: Quick, match: {firstName: Ana}, steps: [connect, invite]}\n")),
    ),
    "a path removed": Case(
        "path added, removed, renamed or reordered; `match` changed",
        lambda text: re.sub(r"  - \{id: builders.*\n", "", text),
    ),
    "a path renamed": Case("path added, removed, renamed or reordered; `match` changed", replaced(("id: analysts", "id: thinkers"))),
    "a match changed": Case(
        "path added, removed, renamed or reordered; `match` changed",
        replaced(("match: {persona: analyst}", "match: {persona: [analyst, builder]}")),
    ),
    "no alarms at a step": Case("`alarms` changed", replaced(("  - id: connect\n", "  - id: connect\n    alarms: false\n"))),
    "usual times changed": Case(
        "`typical`, `usual` or a trigger changed", replaced(("usual: 48h", "usual: 6h"), ("typical: 5m", "typical: 1h"))
    ),
    "triggers changed": Case(
        "`typical`, `usual` or a trigger changed",
        replaced(("stuck:errors: {count: 3", "stuck:errors: {count: 1"), ("{after: 24h}", "{enabled: false}")),
    ),
    "an arm added": Case("arm added", replaced(("  - {id: quiet,", "  - {id: shy, tone: passive, component: tooltip}\n  - {id: quiet,"))),
    "an arm removed": Case("arm removed", replaced(("  - {id: plain, tone: moderate, component: tooltip}\n", ""))),
    "an arm renamed": Case("arm renamed", replaced(("id: plain", "id: simple"))),
    "a template changed": Case("text changed", replaced(("Hi {firstName}, next: {step}.", "Dear {firstName}, do this next: {step}."))),
    "a shorter window": Case("`limits` changed", replaced(("attribution_window: 24h", "attribution_window: 1h"))),
    "another cap and cooldown": Case("`limits` changed", replaced(("cooldown: 10m", "cooldown: 48h"), ("daily_cap: 50", "daily_cap: 1"))),
    "a longer lateness": Case("`limits` changed", replaced(("lateness: 24h", "lateness: 48h"), ("session_gap: 30m", "session_gap: 2h"))),
    "people held out": Case("`holdout` or `rules` changed", replaced(("holdout: 0", "holdout: 0.5"))),
    "people guided by rule": Case("`holdout` or `rules` changed", replaced(("holdout: 0", "holdout: 0\nrules: 0.5"))),
    "more exploration": Case("`exploration_floor` changed", replaced(("links:", "learning: {exploration_floor: 0.2}\nlinks:"))),
    "other segments": Case("`segment_by` changed", replaced(("segment_by: [persona]", "segment_by: [tier]"))),
    "who begins": Case("`starts` changed", replaced(("holdout: 0", f"holdout: 0\nstarts: {STARTS}"))),
    "automatic events": Case("`automatic` or `bot_detection` changed", replaced(("links:", "automatic: [{type: track}]\nlinks:"))),
    "no detection of bots": Case("`automatic` or `bot_detection` changed", replaced(("links:", "bot_detection: false\nlinks:"))),
}


@pytest.mark.parametrize("name", list(CASES))
def test_an_edit_in_the_middle_of_a_run_means_what_the_documentation_says(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    assert not case.row or f"| {case.row} |" in DOC
    ours, always = edited(case.edit, tmp_path), from_the_start(case.edit)
    expected = {key: at for key, at in always.progress().items() if key not in case.missing}
    found = {key: at for key, at in ours.progress().items() if key not in case.extra}
    assert set(ours.progress()) - set(always.progress()) == case.extra
    assert found == expected
    if not (case.missing or case.extra):
        assert ours.activated() == always.activated()
        assert ours.current() == always.current()
    failed = [finding for finding in check(ours.evidence()) if not finding.ok]
    assert failed == []


def test_an_edit_of_the_shares_applies_to_those_who_come_later(tmp_path: Path) -> None:
    old = ("ana", "bea", "cyd", "dan", "eve")
    ours = edited(CASES["people held out"].edit, tmp_path)
    groups = ours.groups()
    assert {groups[user] for user in old} == {"adaptive"}
    assert {group for user, group in groups.items() if user not in old} == {"adaptive", "holdout"}
    always = from_the_start(CASES["people held out"].edit).groups()
    assert "holdout" in {always[user] for user in old}


def test_who_began_before_an_edit_of_starts_stays_counted_and_is_not_guided(tmp_path: Path) -> None:
    ours = edited(CASES["who begins"].edit, tmp_path)
    old = {user for user, row in ours.people.items() if row.entered_under == "small@first"}
    assert old == {"ana", "bea", "cyd", "dan", "eve"}
    assert set(ours.groups().values()) == {"adaptive"}
    assert {row.user_id for row in ours.decisions("second")} == ours.people.keys() - old
    declined = [row for row in ours.rows[DecisionFact] if row.user_id in old and row.catalog_version == "small@second"]
    assert {row.reason for row in declined} <= {"existing_person", "activated"}
    assert set(from_the_start(CASES["who begins"].edit).groups().values()) == {"adaptive", "existing"}


def test_nobody_leaves_a_group_when_its_share_becomes_0_or_the_catalog_only_observes(tmp_path: Path) -> None:
    before, after = story()
    edits: tuple[Edit, ...] = (str, replaced(("holdout: 0", "holdout: 0.5\nobserve: true")))
    for number, edit in enumerate(edits):
        job = Job([*before, TestingSource.EOF(), *after], tmp_path / str(number))
        with_plan(job, compiled(CASES["people held out"].edit))
        entered = Outcome(job.facts.items, job.plan).groups()
        assert set(entered.values()) == {"holdout", "adaptive"}
        with_plan(job, compiled(edit))
        groups = Outcome(job.facts.items, job.plan).groups()
        assert {user: groups[user] for user in entered} == entered
        assert {groups[user] for user in groups.keys() - entered.keys()} == {"adaptive" if edit is str else "holdout"}


OBSERVING = ("holdout: 0", "holdout: 0\nobserve: true")


def test_a_catalog_that_observes_is_on_record_once_and_everybody_bears_the_one_they_entered_under(tmp_path: Path) -> None:
    """Who entered while it observed may come back under the next one. Their group is drawn then, and their sign-up was before."""
    before, after = story()
    job = Job([*before, TestingSource.EOF(), *after], tmp_path / "observed")
    with_plan(job, compiled(replaced(OBSERVING, ("version: first", "version: zeroth"))))
    with_plan(job, compiled(replaced(("holdout: 0", "holdout: 0.5"))))
    rows = [(row.catalog_version, row.holdout) for row in job.facts.items if isinstance(row, CatalogFact)]
    assert rows.count(("small@zeroth", 1.0)) == 1
    assert set(rows) == {("small@zeroth", 1.0), ("small@second", 0.5)}
    people = Outcome(job.facts.items, job.plan).people
    under = {user: row.entered_under for user, row in people.items()}
    assert {user for user, version in under.items() if version == "small@zeroth"} == {"ana", "bea", "cyd", "dan", "eve"}
    assert {version for user, version in under.items()} == {"small@zeroth", "small@second"}
    assert "adaptive" in {people[user].experiment_group for user, version in under.items() if version == "small@zeroth"}


def test_a_decision_keeps_the_window_of_the_catalog_that_made_it(tmp_path: Path) -> None:
    ours = edited(CASES["a shorter window"].edit, tmp_path)
    assert ("connect", "success") in ours.ends("cyd"), "shown at 4:05, completed at 20:00"
    always = from_the_start(CASES["a shorter window"].edit)
    assert ("connect", "failure") in always.ends("cyd")
    assert {row.attribution_window_ms for row in ours.rows[CatalogFact]} == {HOUR, DAY}


def test_decisions_about_a_step_that_is_gone_end_without_a_lesson(tmp_path: Path) -> None:
    ours = edited(CASES["a step that others require removed"].edit, tmp_path)
    ends = [kind for user in ("cyd", "dan") for step, kind in ours.ends(user) if step == "connect" and kind != "shown"]
    assert ends
    assert set(ends) <= {"withdrawn", "superseded"}


@pytest.mark.parametrize("name", ["an arm removed", "an arm renamed"])
def test_an_arm_that_is_gone_is_chosen_no_more_and_keeps_its_name_in_what_was(name: str, tmp_path: Path) -> None:
    ours = edited(CASES[name].edit, tmp_path)
    arms = set(ours.plan.component)
    assert ours.decisions("second")
    assert {arm for row in ours.decisions("second") for arm in row.arms} <= arms
    assert {arm for row in ours.decisions("first") for arm in row.arms} == {"loud", "plain", "quiet"}


def test_only_shares_that_were_promised_are_tested(tmp_path: Path) -> None:
    """Everybody adaptive before the edit, half of them held out after it: no fault, though neither catalog promised the mixture."""
    ours = edited(CASES["people held out"].edit, tmp_path)
    found = people_balance(ours.evidence())
    assert found is not None
    assert found.ok
    assert (sum(found.counts.values()), found.observing, found.unknown) == (13, 0, 0)
    assert found.shares == {"holdout": 0.5, "rules": 0.0, "adaptive": 0.5}
