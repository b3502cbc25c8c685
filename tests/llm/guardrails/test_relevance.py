"""Texts that are about the prompt or about the product at large. The first ones were written by SmolLM2-135M and had passed every check."""

from __future__ import annotations

import pytest

from llm.guardrails.output_guardrails import OutputGuardrails
from llm.guardrails.relevance import Relevance
from llm.prompts import BUILT_IN, load_prompts
from tests.llm.guardrails.rails import RAILS
from tests.llm.wording_requests import PLAN, answer, request_for, saas

PARROTED = (
    "This is a message that is in use, to be improved, not repeated, no digits, no links or addresses, no names of people or companies,"
    " no emojis,!"
)
RAMBLED = (
    "Tideboard: Building a dashboard on the web, building on the idea of building a dashboard, building on the idea of building a"
    " dashboard, and a."
)


def reason(text: str, step: str = "connect_source", trigger: str = "stuck:errors") -> str:
    request = request_for(step, trigger)
    return RAILS.check(answer(request, text), request).checks[-1].reason


@pytest.mark.parametrize("step", PLAN.steps)
@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (PARROTED, {"prompt_talk"}),
        ("The message is correct, but you need to make it more interesting.", {"prompt_talk"}),
        ("The product is made by a team of people who work together to make the world a better place.", {"off_topic"}),
        ("Tideboard is a web-based platform for data integration.", {"off_topic"}),
        (RAMBLED, {"repeated", "off_topic"}),
    ],
)
def test_what_a_small_model_really_wrote_is_refused_at_every_step(step: str, text: str, reasons: set[str]) -> None:
    assert reason(text, step) in reasons


@pytest.mark.parametrize(
    "text",
    [
        "Speak to the person about the step above: {step}.",
        "Connect a source. It is a small bubble beside a control, read at a glance.",
        "Write a better message for the same moment and {step}.",
        "Connect a source with a message that is clear.",
        "You can improve the wording, then {step}.",
        "A friendly tone helps whoever wants to {step}.",
    ],
)
def test_a_text_about_the_prompt_is_refused(text: str) -> None:
    assert reason(text) == "prompt_talk"


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("Connecting takes a moment; the page remembers what you typed.", "signup"),
        ("A spreadsheet will do to begin with.", "signup"),
        ("Look at the host again, then try once more.", "stuck:inactive"),
        ("Open the page for this step and take it from the top.", "signup"),
        ("Whenever it suits you: {step}.", "signup"),
        ("This is where to begin: {step}.", "signup"),
        ("Read the error message from top to bottom, then {step}.", "signup"),
        ("Write a short message to a colleague once you {step}.", "signup"),
        ("To {step}, start from a template that is close to your data.", "signup"),
    ],
)
def test_a_text_with_one_word_of_the_step_is_on_its_topic(text: str, trigger: str) -> None:
    assert reason(text, trigger=trigger) == ""


def test_what_the_catalog_says_itself_is_no_prompt_talk_though_a_prompt_says_it_too() -> None:
    prompt = load_prompts(["nudge-1"], [BUILT_IN])["nudge-1"]
    template = PLAN.template("stuck:errors", "connect_source", "moderate_tooltip")
    quoting = {"nudge-1": prompt.model_copy(update={"system": f"{prompt.system} Like this: {template}"})}
    assert not Relevance(PLAN, quoting).repeats_prompt(template)
    assert Relevance(PLAN, quoting).repeats_prompt("You are given one step, a message")
    assert not Relevance(PLAN, {}).repeats_prompt("You are given one step, a message")


def test_a_text_in_another_language_is_not_held_against_the_words_of_the_catalog() -> None:
    text = "Sieh dir in Ruhe an, was hier noch fehlt, und versuche es noch einmal."
    bilingual = saas(languages=["en", "de"])
    request = request_for(locale="de")
    assert not Relevance(PLAN, {}).on_topic(text, "connect_source", "stuck:errors", "moderate_tooltip")
    assert OutputGuardrails(bilingual).check(answer(request, text), request).ok


def test_of_an_unknown_step_or_arm_nothing_raises() -> None:
    relevance = Relevance(PLAN, {})
    assert not relevance.on_topic("Connect a source.", "no_such_step", "signup", "moderate_tooltip")
    assert relevance.on_topic("Connect a source.", "connect_source", "signup", "no_such_arm")
