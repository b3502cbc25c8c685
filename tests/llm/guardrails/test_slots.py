"""Slots: which are known, how long a text may become, and what may fill them."""

from __future__ import annotations

import pytest

from llm.guardrails import slots
from state.catalog.slot_value import is_displayable
from tests.llm.wording_requests import PLAN

CATALOG = PLAN.catalog


@pytest.mark.parametrize("text", ["{step}", "Hi {firstName}, {product} and {companyName}'s {step}.", "plain", "({step})", "“{step}”"])
def test_known_slots_alone_are_fine(text: str) -> None:
    assert not slots.unknown(text, CATALOG)


@pytest.mark.parametrize(
    "text",
    [
        "{name}",
        "{}",
        "{ step }",
        "{{step}}",
        "{step",
        "step}",
        "{step!r}",
        "{step}s",
        "x{step}",
        "{product}Pro",
        "{step}{step}",
        "{product}-Pro",
        "｛step｝",
        "{firstName.x}",
        "{" + "a" * 70 + "}",
    ],
)
def test_others_stray_braces_and_glued_words_are_not(text: str) -> None:
    assert slots.unknown(text, CATALOG)


def test_lengths_count_every_slot_at_its_longest_and_shortest() -> None:
    text = "{firstName}: {step} in {product}"
    assert slots.longest(text, CATALOG, "go") == 40 + len(": go in Tideboard")
    assert slots.shortest(text, CATALOG, "go") == 1 + len(": go in Tideboard")


def test_what_is_filled_is_never_filled_again() -> None:
    filled = slots.fill(
        "{firstName} {companyName} {step}", CATALOG, "{product}", {"firstName": "Ada", "companyName": "{step}"}, lambda _: False
    )
    assert filled == "Ada your team {product}"


def test_a_value_that_is_refused_gives_way_to_the_default() -> None:
    refused = {"firstName": "all is free"}
    assert slots.fill("Hi {firstName}", CATALOG, "", refused, lambda value: "free" in value) == "Hi there"


def test_the_full_stop_of_a_name_gives_way_to_that_of_the_sentence() -> None:
    assert slots.fill("For {companyName}. Go on, {companyName}", CATALOG, "", {"companyName": "Acme Inc."}, lambda _: False) == (
        "For Acme Inc. Go on, Acme Inc."
    )


@pytest.mark.parametrize(
    "value", ["Ana 🎉", "100%", "Anna b at gmail punkt com", "Ana\u0430", "Ma\u02b0ria", "Anaʼ\u0430", "P\u02bca\u0443pal"]
)
def test_a_text_of_a_model_takes_no_value_that_templates_refuse_and_some_fewer(value: str) -> None:
    assert not slots.showable(value)


ELSEWHERE = (
    "ကျော်", "བསྟན་འཛིན", "ג׳ורג׳", "डॉ॰ शर्मा", "علی\u200cرضا", "ශ්\u200dරී", "น้ำฝน", "ນ້ຳ", "株式会社トヨタ", "山田のりこ", "(주)카카오",
    "Anne\u2011Marie", "A.P. Møller – Mærsk", "ООО «Ромашка»", "K.Raju",
    "佐々木", "佐々木 健", "奈々", "野々村", "Марʼяна", "Лукʼяненко", "Hawaiʻi", "Kaʻiulani", "ʻOkina",
)  # fmt: skip


@pytest.mark.parametrize("value", ["अनुष्का", "Nguyễn Thị Ánh", "山田 太郎", "O'Brien", "Kim & Co", "Acme Inc.", *ELSEWHERE])
def test_names_of_all_scripts_are_shown_by_both(value: str) -> None:
    assert is_displayable(value)
    assert slots.showable(value)
