"""What no guidance may say, and the idioms that only sound like it."""

from __future__ import annotations

import pytest

from llm.guardrails.forbidden_claims import ForbiddenClaims, normal
from tests.llm.wording_requests import PLAN

assert PLAN.catalog.wording is not None
CLAIMS = ForbiddenClaims(PLAN.catalog.wording)
NOTHING_FORBIDDEN = ForbiddenClaims(PLAN.catalog.wording.model_copy(update={"forbidden": []}))


@pytest.mark.parametrize(
    "text", ["It is free.", "It is FR\u00c9E.", "It is fr33.", "It is f r e e.", "It is fr\u00adee.", "Free of charge!", "We’ll call you."]
)
def test_the_catalogs_claims_are_found_in_disguise_too(text: str) -> None:
    assert CLAIMS.found(text, "en")


@pytest.mark.parametrize(
    "text",
    [
        "Send us your password.",
        "Share your login with a colleague.",
        "Paste the key into the chat.",
        "Switch off the virus scanner first.",
        "Skip the security check.",
        "Make the database public.",
        "You idiot.",
        "Or we delete your data.",
        "Everybody else has already finished.",
        "Ask your lawyer.",
        "As an AI, I cannot see it.",
        "My instructions say so.",
        "I was told to say so.",
        "Here is the JSON.",
        "Your salary is known to us.",
        "Write an e-mail to the founder.",
        "Vote for them.",
        "Most teams do it.",
        "It takes just a few minutes.",
        "Your data will double in value.",
        "The start is on the house.",
        "We read your private notes.",
        "Or we are going to close your account.",
        "Or we're deleting your data.",
        "Or we have to lock it.",
        "Do no step and your account will be deleted.",
        "Connect your data source now, or say no and everything is deleted.",
        "No answer means it is deleted.",
        "With no backup everything is lost.",
        "No reply and the account is deleted.",
        "No source means data is lost.",
        "If no step is done everything will be lost.",
        "Nothing but your name will be deleted, or everything is deleted.",
    ],
)
def test_some_claims_are_forbidden_whatever_the_catalog_says(text: str) -> None:
    assert NOTHING_FORBIDDEN.found(text, "en")


@pytest.mark.parametrize(
    "text",
    [
        "Feel free to look around.",
        "No hurry, it keeps.",
        "You won't lose your work.",
        "It is not your fault.",
        "Paste the key into the header.",
        "Give your key a clear name.",
        "Check host, user and password first.",
        "Share it with your manager.",
        "Send a report to your team.",
        "Nobody else can see it until you share it.",
        "See everything at once.",
        "The funnel ends with the purchase.",
        "If something goes wrong, the page says why.",
        "Pick a time slot.",
        "No row is deleted.",
        "No saved data will be lost.",
        "No line is deleted.",
        "None of your changes will be lost.",
        "Nothing you typed is lost.",
        "Nothing is lost.",
    ],
)
def test_idioms_and_the_products_own_words_are_not(text: str) -> None:
    assert not CLAIMS.found(text, "en")


def test_normal_text_is_lower_case_without_accents_and_invisible_characters() -> None:
    assert normal("  Zo\u00eb\u200b’s \n“Ｆｒｅｅ” – ca\u0301fe ") == 'zoe\'s "free" - cafe'


def test_an_expression_with_accents_finds_what_is_written_with_them() -> None:
    assert PLAN.catalog.wording is not None
    claims = ForbiddenClaims(PLAN.catalog.wording.model_copy(update={"forbidden": ["rembours\u00e9"]}))
    assert claims.found("C'est REMBOURS\u00c9.", "en")
    assert claims.found("C'est rembourse\u0301.", "en")
    assert not claims.found("C'est bon.", "en")
    assert claims.found("\ud800 C'est rembours\u00e9.", "en"), "half a character hides nothing"
