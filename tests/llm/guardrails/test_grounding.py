"""What a text may name: decided by the catalog, word by word."""

from __future__ import annotations

import pytest

from llm.guardrails.grounding import Grounds
from tests.llm.wording_requests import PLAN

GROUNDS = Grounds(PLAN.catalog)


@pytest.mark.parametrize(
    "text",
    [
        "Tideboard reads the CSV, then press Test connection.",
        "The API's answer tells you. URLs and IDs are listed.",
        "Don't worry: It's all there. “Open” it – You'll see.",
        "I think it works, and I'm sure you will see.",
        "Well-known names are listed. Drag-and-drop works too.",
        "{firstName}, {product} is ready for {step}.",
    ],
)
def test_ordinary_words_and_the_catalogs_names_are_no_invention(text: str) -> None:
    assert not GROUNDS.name(text, "en")


@pytest.mark.parametrize(
    "text",
    [
        "Salesforce connects by itself.",
        "Connect salesforce first.",
        "Acmely knows the way.",
        "Slack tells you more.",
        "Ask Sarah about it.",
        "Use the Smart Wizard.",
        "It is AMAZING.",
        "The iFlow page helps.",
        "{product} Pro helps.",
        "Tideboard-Plus helps.",
        "TIDEBOARD helps.",
        "Test Connection helps.",
        "On monday, Tuesday is near.",
    ],
)
def test_a_name_that_the_catalog_does_not_write_is_an_invention(text: str) -> None:
    assert GROUNDS.name(text, "en")


def test_in_german_only_odd_capitals_and_firms_are_names() -> None:
    assert not GROUNDS.name("Verbinde jetzt deine Datenquelle.", "de")
    assert GROUNDS.name("Verbinde jetzt Salesforce.", "de")
    assert GROUNDS.name("Der SmartWizard hilft.", "de")


@pytest.mark.parametrize(
    "text", ["5 minutes", "٣", "½ done", "②", "x² grows", "twenty minutes", "forty-two", "a dozen ways", "80 percent", "A%", "Two ways"]
)
def test_quantities_are_found(text: str) -> None:
    assert GROUNDS.digits(text, "connect_source", "en")


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("one thing at once", "comment"),
        ("add three charts", "add_charts"),
        ("two campaigns", "tag_campaigns"),
        ("someone often weighs a tent", "comment"),
        ("first things first", "comment"),
    ],
)
def test_words_that_are_no_quantity_and_the_steps_own_numbers_are_not(text: str, step: str) -> None:
    assert not GROUNDS.digits(text, step, "en")


def test_a_number_of_the_glossary_may_stand() -> None:
    policy = PLAN.catalog.wording
    assert policy is not None
    glossary = policy.model_copy(update={"glossary": ["OAuth 2.0"]})
    grounds = Grounds(PLAN.catalog.model_copy(update={"wording": glossary}))
    assert not grounds.digits("Choose OAuth 2.0 there.", "comment", "en")
    assert not grounds.name("Choose OAuth 2.0 there.", "en")


@pytest.mark.parametrize(
    "text",
    [
        "see tideboard.com",
        "see https://x",
        "www dot x",
        "example dot com",
        "x [dot] io",
        "hxxp it",
        "me@home",
        "ｔｉｄｅ．ｃｏｍ",
        "tide。com",
        "a/b/c",
        "open /settings",
        "tide . com",
        "javascript: it",
        "{product}.com",
        "c:\\x",
    ],
)
def test_addresses_are_found_in_disguise_too(text: str) -> None:
    assert GROUNDS.address(text)


@pytest.mark.parametrize(
    "text", ["Open it. Then go on.", "Check this and/or that.", "First: open it…", "Connect the dots, then come back."]
)
def test_plain_sentences_hold_no_address(text: str) -> None:
    assert not GROUNDS.address(text)


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("Build your first dashboard now.", "build_dashboard"),
        ("Start by creating a dashboard.", "build_dashboard"),
        ("INVITE A COLLEAGUE.", "invite_team"),
        ("Your colleagues are waiting to be let in: invite them, colleague by colleague.", "invite_team"),
        ("Enable single sign-on.", "enable_sso"),
        ("Try naming the workspace.", "create_workspace"),
    ],
)
def test_a_completed_step_is_known_by_its_title_or_its_words(text: str, done: str) -> None:
    assert GROUNDS.completed(text, "connect_source", ("tour_sample", done))
    assert not GROUNDS.completed(text, "connect_source", ())
    assert not GROUNDS.completed(text, done, (done,)), "the step itself may be named"


@pytest.mark.parametrize(
    ("text", "step", "done"),
    [
        ("Your dashboard looks good. Share it.", "share_dashboard", "build_dashboard"),
        ("Ask the colleague you invited about a chart.", "comment", "invite_team"),
        ("Add a chart to your dashboard.", "add_charts", "build_dashboard"),
        ("Your workspace has a good name.", "invite_team", "set_roles"),
        ("Anything goes.", "invite_team", "a step of an earlier catalog"),
    ],
)
def test_to_build_on_what_is_done_is_no_call_to_do_it(text: str, step: str, done: str) -> None:
    assert not GROUNDS.completed(text, step, (done,))
