"""The compiled catalog: every condition, every type of value, and a memory that never confuses them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from state.catalog.conditions import compile_test, find
from state.catalog.model import Condition
from state.catalog.plan import Plan, Rule, RuleBook
from state.decision.bandit_policy import BanditPolicy
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.vocabulary import TRIGGERS
from tests.state.lives import catalog, plan

HOLDS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    # condition, values for which it holds, values for which it does not
    ({"eq": "a"}, ["a"], ["A", "", "aa", None, ["a"], {"a": 1}, 1]),
    ({"eq": 1}, [1, 1.0], [True, "1", 0, None, [1]]),
    ({"eq": True}, [True], [1, 1.0, "true", "True", False, None]),
    ({"eq": False}, [False], [0, None, "", []]),
    ({"eq": 0}, [0, 0.0], [False, None, ""]),
    ({"eq": 1.5}, [1.5], [1, "1.5", True]),
    ({"in": ["a", 1]}, ["a", 1, 1.0], [True, "1", None, ["a"]]),
    ({"in": [True]}, [True], [1, "true", None]),
    ({"not_in": ["a", 1]}, ["b", True, None, ["a"], "1", 2], ["a", 1, 1.0]),
    ({"not_in": [False]}, [0, None, True, ""], [False]),
    ({"prefix": "/a"}, ["/a", "/ab"], ["a", "/A", "", None, 1, ["/a"]]),
    ({"suffix": "z"}, ["z", "az"], ["za", "", None, 1, ["z"]]),
    ({"contains": "oau"}, ["oauth", "x oau", ["oau"]], ["oa", ["oauth"], "", None, 1, {"oau": 1}]),
    ({"gt": 1}, [2, 1.5, 10**30], [1, 0, True, "2", None, [2]]),
    ({"gte": 1}, [1, 1.0, 2], [0.9, True, "1", None]),
    ({"lt": 1}, [0, -1, 0.5], [1, False, "0", None]),
    ({"lte": 1}, [1, 1.0, 0], [1.1, True, None]),
    ({"gt": 1.5}, [2, 1.6], [1.5, 1]),
    ({"exists": True}, [0, "", False, [], {}], [None]),
    ({"exists": False}, [None], [0, "", False, [], {}]),
    ({"gte": 200, "lt": 300}, [200, 299.9], [300, 199, "200", None]),
    ({"prefix": "a", "suffix": "z", "contains": "m"}, ["amz"], ["az", "am", "mz"]),
]


@pytest.mark.parametrize(("condition", "holds", "fails"), HOLDS, ids=[str(row[0]) for row in HOLDS])
def test_a_condition_holds_for_these_values_and_not_for_those(condition: dict[str, Any], holds: list[Any], fails: list[Any]) -> None:
    test = compile_test(Condition.model_validate(condition))
    assert [value for value in holds if not test(value)] == []
    assert [value for value in fails if test(value)] == []


def test_every_condition_is_in_the_table() -> None:
    assert {name for row in HOLDS for name in row[0]} == {info.alias or name for name, info in Condition.model_fields.items()}


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        ({"a": {"b": {"c": 1}}}, 1),
        ({"a": {"b": 1}}, None),
        ({"a": [{"b": 1}]}, None),
        ({}, None),
        ({"a": None}, None),
        ({"a.b.c": 1}, None),
    ],
)
def test_dots_go_into_objects_and_nowhere_else(payload: dict[str, Any], wanted: object) -> None:
    assert find(payload, ("a", "b", "c")) == wanted


def _rule(step: str, **condition: Any) -> Rule:
    return Rule(step, 0, 1, None, ((("v",), compile_test(Condition.model_validate(condition))),))


SCALARS: list[Any] = [1, True, 1.0, "1", "True", "true", 0, False, "", None, "None", [1], {"v": 1}, 1.5]


@given(st.lists(st.sampled_from(SCALARS), max_size=40), st.booleans())
def test_the_memory_of_a_rule_book_gives_what_looking_gives(values: list[Any], nested: bool) -> None:
    rules = [_rule(f"{name} {wanted!r}", **{name: wanted}) for wanted in SCALARS[:9] for name in ("eq",)]
    rules += [_rule("exists", exists=True), _rule("missing", exists=False)]
    if nested:
        rules.append(Rule("deep", 0, 1, "n", ((("d", "e"), compile_test(Condition(eq="x"))),)))
    book = RuleBook(rules)
    for value in values:
        for payload in ({"v": value}, {"v": value, "d": {"e": "x"}}, {"v": value, "d": "x"}, {}):
            for name in ("n", ""):
                assert book.matching(name, payload) == tuple(rule for rule in rules if rule.matches(name, payload))


def test_a_missing_field_and_a_null_are_the_same() -> None:
    book = RuleBook([_rule("missing", exists=False)])
    assert book.matching("", {}) == book.matching("", {"v": None}) != ()


def test_the_memory_is_bounded() -> None:
    book = RuleBook([_rule("a", prefix="1")])
    for number in range(RuleBook.MAX_CACHED + 2):
        assert bool(book.matching("", {"v": str(number)})) == str(number).startswith("1")
    assert len(book._cache) == 2


def test_a_book_without_rules_matches_nothing() -> None:
    assert RuleBook([]).matching("", {}) == ()
    assert plan().rules("tooltip_dismiss", "", {}) == ()


def test_rules_come_in_the_order_of_the_catalog_and_know_their_completion() -> None:
    rules = plan().rules("track", "shared", {"public": True})
    assert [(rule.step, rule.times) for rule in rules] == [("share", 1), ("share", 2)]
    assert len({rule.completion for rule in rules} - {0}) == 2
    assert [(rule.step, rule.completion) for rule in plan().rules("error", "", {"code": "source_gone"})] == [("connect", 0)]


def test_a_completion_is_known_by_what_it_matches_and_not_by_its_place_or_number() -> None:
    def digests(completions: str) -> list[tuple[int, int]]:
        text = catalog(change=lambda text: text.replace("      - {type: track, name: explored, times: 3}\n", completions))
        return [(rule.completion, rule.times) for rule in Plan(text).rules("track", "explored", {"n": 1})]

    [(usual, _)] = digests("      - {type: track, name: explored, times: 3}\n")
    assert digests("      - {type: track, name: other}\n      - {name: explored, type: track, times: 9}\n") == [(usual, 9)]
    assert digests("      - {type: track, name: explored, where: {n: 1}}\n") != [(usual, 1)]
    assert digests("      - {type: track, name: explored, times: 5}\n      - {type: track, name: explored, times: 2}\n") == [(usual, 2)]
    assert plan().rules("track", "Shared", {"public": True}) == ()


@pytest.mark.parametrize(
    ("traits", "path"),
    [
        ({"persona": "analyst"}, "analysts"),
        ({"persona": "analyst", "pro": True}, "analysts"),
        ({"persona": "maker"}, "builders"),
        ({"persona": "maker", "pro": True}, "pros"),
        ({"persona": "maker", "pro": 1}, "builders"),
        ({"pro": 1}, ""),
        ({"pro": "true"}, ""),
        ({}, ""),
        ({"persona": "Analyst"}, ""),
    ],
)
def test_the_first_path_that_matches_is_the_persons_path(traits: dict[str, Any], path: str) -> None:
    assert plan().path_for(traits) == path


def test_the_segment_is_the_named_traits_and_a_dash_for_a_missing_one() -> None:
    assert plan().segment({"persona": "analyst", "tier": "x"}) == "analyst"
    assert plan().segment({}) == "-"
    assert Plan(catalog(change=lambda text: text.replace("segment_by: [persona]", "segment_by: []"))).segment({"persona": "x"}) == "*"


def test_the_policy_of_the_bandit_is_what_the_catalog_sets_and_constants_for_the_rest() -> None:
    def learns(text: str) -> str:
        return text.replace(
            "version: 1", "version: 1\nlearning: {prior_rate: 0.2, prior_weight: 3, half_life: 5d, exploration_floor: 0.1}", 1
        )

    constants = BanditPolicy().model_dump()
    mine = Plan(catalog(change=learns)).policy
    assert mine.model_dump() == constants | {"prior_rate": 0.2, "prior_weight": 3, "half_life": 5 * DAY, "exploration_floor": 0.1}
    assert len(constants) == 13
    with pytest.raises(ValidationError):
        mine.curiosity = 1.0  # type: ignore[misc]


def test_a_step_is_slow_after_its_factor_or_the_least_there_is() -> None:
    assert plan().lookahead == HOUR
    assert plan().slow_after == {"connect": 20 * MINUTE, "explore": 20 * MINUTE, "invite": 20 * MINUTE, "share": 20 * MINUTE}


def test_the_arms_of_one_decision_share_a_surface() -> None:
    def mixed(text: str) -> str:
        text = text.replace("links: [/*]", "links: [/*]\ndelivers: [in_app, email]")
        return text.replace("{id: plain, tone: moderate, component: tooltip}", "{id: plain, tone: moderate, component: email_trigger}")

    assert Plan(catalog(change=mixed)).arms("signup", "connect", 0) == ("loud", "quiet")


def test_an_email_arm_takes_no_part_where_nothing_sends_email() -> None:
    def posted(text: str) -> str:
        return text.replace("component: modal", "component: email_trigger")

    assert Plan(catalog(change=posted)).arms("signup", "connect", 0) == ("plain", "quiet")


def test_an_unknown_step_has_no_arms() -> None:
    assert plan().arms("signup", "", 0) == ()


def test_other_words_are_another_arm_version_for_their_trigger_only() -> None:
    other = Plan(
        catalog(
            change=lambda text: text.replace(
                "step_completed: *words", 'step_completed: {aggressive: "Go!", moderate: "Go.", passive: "Go"}'
            )
        )
    )
    for trigger in TRIGGERS:
        same = other.arm_version(trigger, "plain") == plan().arm_version(trigger, "plain")
        assert same == (trigger != "step_completed")


def test_a_steps_own_words_win() -> None:
    own = Plan(
        catalog(
            change=lambda text: text.replace(
                "    link: /connect\n", '    link: /connect\n    templates: {signup: {moderate: "Connect!"}}\n'
            )
        )
    )
    assert own.template("signup", "connect", "plain") == "Connect!"
    assert own.template("signup", "explore", "plain") == plan().template("signup", "explore", "plain")
    assert own.template("signup", "connect", "loud") == plan().template("signup", "connect", "loud")


def test_an_arm_is_eligible_from_its_time_on() -> None:
    later = Plan(catalog(change=lambda text: text.replace("id: quiet,", "id: quiet, from: 2026-01-10T00:00:00Z,")))
    at = 1_768_003_200_000
    assert later.arms("signup", "connect", at - 1) == ("loud", "plain")
    assert later.arms("signup", "connect", at) == ("loud", "plain", "quiet")


@pytest.mark.parametrize(("usual", "lookahead"), [("30m", 75 * SECOND), ("12h", 30 * MINUTE), ("40h", HOUR)])
def test_sources_look_ahead_as_far_as_no_timer_matters(usual: str, lookahead: int) -> None:
    made = Plan(catalog(change=lambda text: text.replace("usual: 48h", f"usual: {usual}", 1)))
    assert made.lookahead == lookahead
