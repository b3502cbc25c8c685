"""What a catalog may forbid, allow and tell: sound expressions pass, those that would fail or explode at work do not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from state.catalog.wording_schema import Emoji, Expression, Language, Trait


def _taken(kind: Any, text: str) -> bool:
    try:
        return TypeAdapter[str](kind).validate_python(text) == text
    except ValidationError:
        return False


@pytest.mark.parametrize(
    "text",
    [r"\bfree\b", r"(?:\w+ )?free", r"(?:very )*free", r"(?:\w{1,9} ){0,3}free", r"(?:ha|ho)+ now", r"pay\w*", "[[a]", r"(a)\1"],
)
def test_an_expression_that_ends_soon_is_taken(text: str) -> None:
    assert _taken(Expression, text)


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+$", "(a*)*b", "(?:a+?b)+?", "((?:a{2,})b)*", "(?:x+){2}", "(?:(?:y|z+))+q", "(?:a|aa)+$", r"(?:\w{1,9} )*free",
        "(a{1,50}){1,50}", "(?=(a+)+$)b", "(?>(a+)+)b",
    ],
)  # fmt: skip
def test_an_expression_that_can_take_for_ever_is_refused(text: str) -> None:
    assert not _taken(Expression, text)


@pytest.mark.parametrize("text", ["", " ", ".*", "a*", "x?", r"\b", "^", "$", ".", r"\w", "[a-z]", "a|", "(?!q)"])
def test_an_expression_that_matches_every_text_is_refused(text: str) -> None:
    assert not _taken(Expression, text)


@pytest.mark.parametrize("text", ["(", "[", "*", "a{2,1}", "(?P<a>x", "\\", "a{99999999999}", "(" * 3000 + ")" * 3000])
def test_what_is_no_expression_is_refused(text: str) -> None:
    assert not _taken(Expression, text)


@pytest.mark.parametrize(("text", "taken"), [("en", True), ("fil", True), ("EN", False), ("e", False), ("", False), ("de-AT", False)])
def test_languages_are_codes(text: str, taken: bool) -> None:
    assert _taken(Language, text) is taken


@pytest.mark.parametrize(("text", "taken"), [("persona", True), ("companyName", True), ("e-mail", False), ("user_id", False), (" ", False)])
def test_a_trait_that_tells_who_somebody_is_is_refused(text: str, taken: bool) -> None:
    assert _taken(Trait, text) is taken


@pytest.mark.parametrize("text", ["🎉", "👍🏽", "👨\u200d👩\u200d👧\u200d👦", "🇩🇪", "1\ufe0f\u20e3", "❤\ufe0f", "✅"])
def test_emoji_are_taken_whole(text: str) -> None:
    assert _taken(Emoji, text)


@pytest.mark.parametrize("text", ["abc", "", "!", "7", "\u200d", "🎉 now", "🎉" * 11, "\ufffd"])
def test_what_is_no_emoji_is_refused(text: str) -> None:
    assert not _taken(Emoji, text)
