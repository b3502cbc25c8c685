"""The lists of claims by language, how a text of a model is checked against them, and names that sound like a claim."""

from __future__ import annotations

import re

import pytest

from llm.guardrails.claims_by_language import CLAIMS, HARMLESS, NEGATED
from llm.guardrails.forbidden_claims import ForbiddenClaims, normal
from llm.guardrails.language import COMMON
from llm.guardrails.output_guardrails import OutputGuardrails
from state.catalog.wording_schema import CLAIMS_LANGUAGES
from tests.llm.guardrails.several_languages import LANGUAGES, SEVERAL
from tests.llm.wording_requests import PLAN, answer, request_for

RAILS = OutputGuardrails(SEVERAL)


def test_each_recognised_language_has_the_same_kinds_of_claims() -> None:
    assert {"en", *CLAIMS} == set(COMMON) == CLAIMS_LANGUAGES
    assert set(HARMLESS) == set(NEGATED) == set(CLAIMS)
    assert {tuple(kinds) for kinds in CLAIMS.values()} == {tuple(CLAIMS["de"])}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_expression_can_match_normalised_text(language: str) -> None:
    """One with a capital or an accent matches nothing."""
    for expressions in CLAIMS[language].values():
        for expression in expressions:
            written = re.sub(r"\\\w", "", expression)
            assert normal(f"x{written}x") == f"x{written}x".lower() == f"x{written}x", expression


def test_a_language_that_the_catalog_does_not_have_costs_nothing_and_finds_nothing() -> None:
    assert PLAN.catalog.wording is not None
    assert not ForbiddenClaims(PLAN.catalog.wording).found("Du bist zu dumm dafür.", "de")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Mach jetzt weiter mit {step}. Das ist für dich kostenlos und wird garantiert klappen.", "forbidden_claim"),
        ("Mach jetzt weiter mit {step}. Sonst wird dein Konto in fünfzehn Tagen gelöscht.", "digits"),
        ("Mach jetzt weiter mit {step}. Sonst wird dein Konto in einigen Tagen gelöscht.", "forbidden_claim"),
        ("Schick uns dein Passwort und mach dann weiter mit {step}, wir richten es ein.", "forbidden_claim"),
        ("Das kostet nur fünfzig Euro im Monat, also mach jetzt weiter mit {step} hier.", "digits"),
        ("Gib deine Kreditkarte ein und mach dann weiter mit {step} in deinem Konto.", "forbidden_claim"),
        ("Mach jetzt weiter mit {step}, denn das ist besser als bei der Konkurrenz.", "forbidden_claim"),
        ("Mach jetzt weiter mit {step}, dann siehst du deine Zahlen an einem Ort.", ""),
    ],
)
def test_a_text_of_a_model_is_checked_in_its_own_language(text: str, reason: str) -> None:
    request = request_for(locale="de")
    assert RAILS.check(answer(request, text), request).reason == reason


def test_a_slot_takes_no_claim_in_the_language_of_the_text() -> None:
    request = request_for(locale="de", traits={"firstName": "alles kostenfrei"})
    filled = RAILS.fill("Hallo {firstName}, mach jetzt weiter mit {step}.", request)
    assert "kostenfrei" not in filled.text
    assert filled.text.startswith("Hallo there")


NAMES = (
    "Günther", "Gunnar", "Güneş", "Nazım", "Nazire", "Sue", "Costa", "Franken", "Faul", "Koop", "Dom", "Lui", "sue", "Sue Miller",
    "Maria Costa", "Maria da Costa", "Jean-Luc Costa", "Franken Bräu", "Lui van den Berg", "Nazım Hikmet",
    "Jean-Luc Costa-Gomes", "Costa-Gomes", "O'Sue", "Sue's Shop", "D’Costa", "Dom Al-Sayed",
)  # fmt: skip


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_a_name_with_a_word_that_sounds_like_a_claim_is_shown(language: str) -> None:
    for name in NAMES:
        filled = RAILS.fill("{firstName}, {step}: {product}.", request_for(locale=language, traits={"firstName": name}))
        assert filled.text.startswith(name), name


CHAINS = (
    "Dein-Konto-wird-gelöscht", "Pay-now-or-lose-everything", "Buy-crypto-at-bitcoin", "alles-kostenlos-bei-paypal", "Fuck-you-idiot",
    "Dein‐Konto‐wird‐gelöscht", "Buy'Crypto'At", "Pay-Now", "pay-costa", "Fuck You", "Kill Yourself", "Stupid-You", "Konto.wird.gelöscht",
    "Wir-löschen-dein-Konto", "Wir·löschen·dein·Konto",
)  # fmt: skip
"""A claim as one word is still a claim."""


@pytest.mark.parametrize("value", ["Call Us", "Buy Bitcoin", "buy now", "Buy It Now", "It Is Free", "alles kostenlos", *CHAINS])
def test_two_words_of_a_claim_and_whole_sentences_are_not(value: str) -> None:
    filled = RAILS.fill("{firstName}, {step}: {product}.", request_for(locale="de", traits={"firstName": value}))
    assert filled.text.startswith("there")
