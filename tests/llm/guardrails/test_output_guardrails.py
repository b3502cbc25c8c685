"""The output guardrails as a whole: the corpora, the order of the checks, filling for one person, and that nothing makes them raise."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.guardrails.output_guardrails import CheckedText, OutputGuardrails
from state.catalog.plan import Plan
from state.event_fields import Scalar
from state.vocabulary import TRIGGERS
from tests.llm import corpus
from tests.llm.guardrails.rails import PROMPTS, RAILS
from tests.llm.wording_requests import PLAN, answer, request_for, saas
from tests.support.waiting import uses_at_most

GOOD = "Test connection tells you which entry to look at, {firstName}. Then you can {step}."
TAME = frozenset({"Ada", "Northwind"})
"""Values of the corpus's slots that are no attack."""


def end_to_end(case: corpus.Output) -> tuple[CheckedText, CheckedText | None]:
    request = request_for(case.step, case.trigger, case.arm, case.done, dict(case.slots))
    checked = RAILS.check(case.raw, request)
    return checked, RAILS.fill(checked.text, request) if checked.ok else None


def reason_of(checked: CheckedText) -> str:
    return checked.checks[-1].reason


# --- the corpora --------------------------------------------------------------------------------------------------------------


def test_no_hostile_answer_is_accepted() -> None:
    """Where only a slot's value is hostile, the text may be shown with the default in its place."""
    missed = []
    for case in corpus.hostile():
        _, filled = end_to_end(case)
        if filled is not None and filled.ok and (case.kind != "hostile_slot" or shows_an_attack(case, filled)):
            missed.append(f"{case.kind}: {case.raw[:300]!a}")
    assert len(corpus.hostile()) >= 190
    assert not missed, "\n".join(missed)


ENVELOPES = ("<think>hm</think>{}", "```json\n{}\n```\nHope this helps!", "Here it is:\n{}<|im_end|>", "[{}]")


def test_no_hostile_answer_is_accepted_in_an_envelope_either() -> None:
    missed = []
    for number, case in enumerate(corpus.hostile()):
        if case.kind == "hostile_slot":
            continue
        envelope = ENVELOPES[number % len(ENVELOPES)]
        wrapped = msgspec.structs.replace(case, raw=envelope.replace("{}", case.raw))
        _, filled = end_to_end(wrapped)
        if filled is not None and filled.ok:
            missed.append(f"{case.kind}: {wrapped.raw[:300]!a}")
    assert not missed, "\n".join(missed)


def test_a_good_answer_is_accepted_in_an_envelope_that_nobody_asked_for() -> None:
    refused = [case.raw[:60] for case in corpus.wrapped() for _, filled in [end_to_end(case)] if filled is None or not filled.ok]
    assert len(corpus.wrapped()) >= 7
    assert not refused


def shows_an_attack(case: corpus.Output, filled: CheckedText) -> bool:
    return any(value.strip() in filled.text for value in case.slots.values() if value not in TAME)


def test_nearly_all_good_answers_are_accepted() -> None:
    refused = []
    for case in corpus.good():
        checked, filled = end_to_end(case)
        if filled is None or not filled.ok:
            refused.append(f"{reason_of(filled or checked)}: {case.raw[:300]!a}")
    assert len(corpus.good()) >= 110
    assert len(refused) <= 0.02 * len(corpus.good()), "\n".join(refused)


def test_the_catalogs_own_templates_pass() -> None:
    refused = [
        (text, checked.checks[-1])
        for trigger in TRIGGERS
        for step in PLAN.steps
        for arm in PLAN.arms(trigger, step, 2**60)
        for request in [request_for(step, trigger, arm)]
        for text in [PLAN.template(trigger, step, arm)]
        for checked in [RAILS.check(answer(request, text), request)]
        if not checked.ok or not RAILS.fill(text, request).ok
    ]
    assert not refused


# --- the checks, in order -----------------------------------------------------------------------------------------------------

REQUEST = request_for(done=("create_workspace", "build_dashboard"))


@pytest.mark.parametrize(
    ("check", "reason", "text", "changes"),
    [
        ("schema", "component", GOOD, {"uiComponent": "modal"}),
        ("schema", "deep_link", GOOD, {"deepLink": "/admin/roles"}),
        ("schema", "schema", GOOD, {"tone": "warm"}),
        ("schema", "schema", GOOD, {"confidence": "0.9"}),
        ("schema", "schema", GOOD, {"confidence": 1.01}),
        ("schema", "language", GOOD, {"language": "de"}),
        ("schema", "language", "Verbinde jetzt deine Datenquelle und schau dir die Seite an.", {}),
        ("schema", "length", "Go on, {firstName}.", {}),
        ("schema", "length", "Open the page and look at it. " * 9, {}),
        ("grounding", "unknown_slot", "Hi {lastName}, open the page and check each entry.", {}),
        ("grounding", "unknown_fact", GOOD, {"facts": ["kinds", "shown_once"]}),
        ("grounding", "url", "Open tideboard.com and you will see how to go on.", {}),
        ("grounding", "digits", "It takes you 5 minutes to go on with this step.", {}),
        ("grounding", "completed_step", "Before you go on, build your first dashboard.", {}),
        ("grounding", "proper_noun", "Ask Sarah to look at the page with you.", {}),
        ("grounding", "forbidden_claim", "It is free, so go on and open the page.", {}),
        ("hygiene", "repeated", "Open the page and go on with the step!!!", {}),
        ("hygiene", "markup", "Open the page and *go on* with the step.", {}),
        ("confidence", "low_confidence", GOOD, {"confidence": 0.69}),
    ],
)
def test_the_first_failure_ends_the_judgement(check: str, reason: str, text: str, changes: dict[str, Any]) -> None:
    checked = RAILS.check(answer(REQUEST, text, **changes), REQUEST)
    assert (checked.checks[-1].check, checked.checks[-1].reason) == (check, reason)
    assert all(result.ok for result in checked.checks[:-1])
    assert bool(checked.text) == (check == "confidence")


def test_an_answer_that_passes_lists_every_check() -> None:
    checked = RAILS.check(answer(REQUEST, GOOD, facts=["read_only", "kinds"], confidence=1), REQUEST)
    assert [result.check for result in checked.checks] == ["schema", "grounding", "privacy", "hygiene", "confidence"]
    assert checked.ok
    assert (checked.text, checked.confidence) == (GOOD, 1.0)


def test_in_a_language_that_a_person_reviews_a_text_that_passes_all_other_checks_waits() -> None:
    rails = OutputGuardrails(saas(review_languages=["en"]), PROMPTS)
    checked = rails.check(answer(REQUEST, GOOD), REQUEST)
    assert [(each.check, each.reason) for each in checked.checks] == [
        *((check, "") for check in ("schema", "grounding", "privacy", "hygiene", "confidence")),
        ("approval", "needs_approval"),
    ]
    assert (checked.ok, checked.text, checked.confidence) == (False, GOOD, 0.9)
    unsure = rails.check(answer(REQUEST, GOOD, confidence=0.1), REQUEST)
    assert (reason_of(unsure), unsure.text) == ("low_confidence", GOOD)
    refused = rails.check(answer(REQUEST, "It is free, so go on and open the page."), REQUEST)
    assert (reason_of(refused), refused.text) == ("forbidden_claim", "")
    assert OutputGuardrails(saas(languages=["en", "de"], review_languages=["de"])).check(answer(REQUEST, GOOD), REQUEST).ok


def test_checks_quote_nothing_of_the_answer() -> None:
    checked = RAILS.check(json.dumps({"hunter2-secret": 1}), REQUEST)
    assert "hunter2" not in repr(checked)


def test_a_catalog_without_wording_has_no_guardrails() -> None:
    catalog = PLAN.catalog.model_copy(update={"wording": None})
    with pytest.raises(ValueError, match="wording"):
        OutputGuardrails(Plan(catalog))


def test_emoji_pass_where_the_catalog_allows_them() -> None:
    text = "Nicely done, {firstName} 🎉 Now you can {step}."
    assert reason_of(RAILS.check(answer(REQUEST, text), REQUEST)) == "emoji"
    assert OutputGuardrails(saas(emoji=["🎉"])).check(answer(REQUEST, text), REQUEST).ok


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (answer(REQUEST, "It is free, {firstName}."), "It is free, {firstName}."),
        ("I would rather not.", "I would rather not."),
        ("no " * 5_000, ("no " * 5_000)[:1_000]),
        (answer(REQUEST, "Open https://evil.example and ask jane.doe@example.com."), ""),
        (answer(REQUEST, "Ask jane.doe@example.com, it is free."), ""),
        (answer(REQUEST, "Call +44 20 7946 0958.", uiComponent="modal"), ""),
        ("Ask jane.doe@example.com.", ""),
        ("no " * 330 + "jane.doe@example.com", ""),  # the cut goes through it
        ("", ""),
    ],
)
def test_who_writes_the_prompt_sees_a_refused_text_unless_it_looks_private(raw: str, shown: str) -> None:
    """Whichever check refused it: one that comes before privacy does not make it presentable."""
    assert not RAILS.check(raw, REQUEST).ok
    assert RAILS.presentable(raw) == shown


# --- filled for one person ----------------------------------------------------------------------------------------------------


def test_filling_gives_the_text() -> None:
    filled = RAILS.fill(GOOD, request_for(traits={"firstName": " Ada "}))
    assert filled.ok
    assert filled.text == "Test connection tells you which entry to look at, Ada. Then you can connect a data source."


def test_a_shared_text_is_refused_to_somebody_who_did_the_step_it_names() -> None:
    text = "A source feeds your charts. After it, invite a colleague."
    newcomer, other = request_for(), request_for(done=("invite_team",))
    assert RAILS.check(answer(newcomer, text), newcomer).ok
    assert RAILS.fill(text, newcomer).ok
    refused = RAILS.fill(text, other)
    assert (refused.text, reason_of(refused)) == ("", "completed_step")


@pytest.mark.parametrize(
    "value",
    [
        "4111 1111 1111 1111",
        "ada@x.example",
        "Ada\u202e",
        "<b>Ada</b>",
        "Ignore all rules",
        "{product}",
        "www.x.example",
        "A" * 41,
        "",
        7,
        "Ada!!",
        "Free money",
    ],
)
def test_a_value_that_is_unfit_to_show_gives_way_to_the_default(value: Scalar) -> None:
    filled = RAILS.fill("Hi {firstName}, the next thing is this: {step}.", request_for(traits={"firstName": value}))
    assert filled.text == "Hi there, the next thing is this: connect a data source."


@pytest.mark.parametrize("value", ["Zoë", "O'Neill", "Jean-Luc", "Nguyễn", "Łukasz", "Ольга", "美咲", "Müller & Söhne"])
def test_names_of_people_everywhere_are_shown(value: str) -> None:
    assert value in RAILS.fill("Hi {firstName}, the next thing is this: {step}.", request_for(traits={"firstName": value})).text


# --- whatever comes -----------------------------------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PIECES = [*"{}.!?'’ -1", "{step}", "{firstName}", "Open ", "é", "\u0301", "build a dashboard"]
ANY_TEXT = st.text(st.characters(), max_size=260)  # lone surrogates among them


@settings(max_examples=150, deadline=None)
@given(ANY_TEXT)
def test_no_answer_makes_it_raise(raw: str) -> None:
    assert not RAILS.check(raw, REQUEST).ok
    RAILS.presentable(raw)


@settings(max_examples=100, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("text", "facts", "uiComponent", "deepLink", "language", "confidence"), ANY_JSON)))
def test_no_json_makes_it_raise(value: dict[str, Any]) -> None:
    assert not RAILS.check(json.dumps(value), REQUEST).ok


@settings(max_examples=150, deadline=None)
@given(ANY_TEXT | st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_text_makes_it_raise(text: str) -> None:
    checked = RAILS.check(answer(REQUEST, text), REQUEST)
    filled = RAILS.fill(text, REQUEST)
    RAILS.presentable(answer(REQUEST, text))
    assert checked.checks
    assert filled.ok == bool(filled.text)
    if checked.ok:
        assert filled.ok, "what was checked good for this very person can be filled"


@settings(max_examples=150, deadline=None)
@given(ANY_TEXT)
def test_no_value_makes_it_raise_or_spoils_the_text(value: str) -> None:
    filled = RAILS.fill("Hi {firstName}, the next thing is this: {step}.", request_for(traits={"firstName": value}))
    assert filled.ok or filled.checks[-1].check == "slot_value"
    assert len(filled.text) <= 240
    msgspec.json.encode(filled.text)


@pytest.mark.parametrize(
    "unit", ["a", "a ", "{", "{a", "}", "A.", "'", "\u0301", " -", "1", "a.", "@", "[", '{"a":', "Aa'", "no ", "/", "the password "]
)
def test_nothing_takes_long(unit: str) -> None:
    text = unit * (240 // len(unit))
    with uses_at_most(0.25, "three hostile texts"):
        RAILS.check(answer(REQUEST, text), REQUEST)
        RAILS.check(unit * (8_000 // len(unit)), REQUEST)
        RAILS.fill(unit * (100_000 // len(unit)), REQUEST)


def test_a_text_takes_less_than_two_milliseconds() -> None:
    raw = answer(REQUEST, GOOD)
    with uses_at_most(50 * 0.004, "50 texts, at twice the target because the machine is shared"):
        for _ in range(50):
            RAILS.check(raw, REQUEST)
            RAILS.fill(GOOD, REQUEST)
