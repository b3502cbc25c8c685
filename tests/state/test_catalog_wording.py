"""What a catalog may forbid, allow and name: expressions that work pass, those that would fail at run time are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from state.catalog.wording_schema import Emoji, Expression, Language, Trait, compile_expression


def _taken(kind: Any, text: str) -> bool:
    try:
        return TypeAdapter[str](kind).validate_python(text) == text
    except ValidationError:
        return False


@pytest.mark.parametrize(
    "text",
    [
        r"\bfree\b", r"(?:\w+ )?free", r"(?:very )*free", r"(?:\w{1,9} ){0,3}free", r"(?:ha|ho)+ now", r"pay\w*", "[[a]", "rembours\u00e9",
        "(?:^|\\PL)gratuit\u00e9(?:\\PL|$)", "\\\\b\u00e9", "(?i:free)", "(?P<name>free)",
    ],
)  # fmt: skip
def test_an_expression_that_finds_some_texts_is_taken(text: str) -> None:
    assert _taken(Expression, text)


@pytest.mark.parametrize(
    "text",
    ["(a+)+!", "(a*)*!", "(?:a+?a)+?!", "((?:a{2,})a)*!", "(?:a|aa)+!", r"(?:\w{1,9} ?)*!", "(a{1,20}){1,20}!", r"(?:.*a){20}!"],
)
def test_an_expression_that_could_take_for_ever_elsewhere_ends_at_once(text: str) -> None:
    """With backtracking each of these takes longer than the test may run."""
    assert _taken(Expression, text)
    assert compile_expression(text).search("a" * 20_000) is None
    assert compile_expression(text).search("A" * 20_000 + "!") is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(?=(a+)+$)b", "uses (?=, which looks ahead or behind"),
        ("(?<!a)b", "uses (?<!, which looks ahead or behind"),
        (r"(a)\1", r"refers back to a group with \1"),
        ("(?>a)b", "uses (?>, which is not supported"),
        ("(?P<a>x)(?P=a)", "uses (?P, which is not supported"),
        (r"a\Z", r"uses \Z, which is not supported"),
        ("a++", "repeats a repetition with ++"),
        ("a{2,1}", "cannot repeat with {2,1}"),
        ("(a{1,50}){1,50}", "cannot repeat with {1,50}"),
        (r"\pL{900}x\pL{900}", "is too large"),
        ("(", "is not a regular expression: missing ) in '('"),
        ("[", "is not a regular expression: missing ] in '['"),
        ("*", "is not a regular expression: no argument for repetition operator in '*'"),
        ("(?P<a>x", "missing ) in '(?P<a>x'"),
        ("\\", "is not a regular expression: trailing \\"),
        (r"\w\u00e9", "uses \\w, which knows only English letters"),
        (r"\\\b\u00e9", "uses \\b, which knows only English letters"),
    ],
)  # fmt: skip
def test_an_expression_that_is_not_supported_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter[str](Expression).validate_python(text.replace(r"\u00e9", "\u00e9"))
    assert words in caught.value.errors()[0]["msg"]


def test_letters_beyond_english_are_found_in_either_case_and_at_the_edge_of_a_word() -> None:
    found = compile_expression("(?:^|\\PL)gratuit\u00e9(?:\\PL|$)").search
    assert found("La GRATUIT\u00c9!") is not None
    assert found("gratuit\u00e9s") is None


@pytest.mark.parametrize("text", ["", " ", ".*", "a*", "x?", r"\b", "^", "$", ".", r"\w", "[a-z]", "a|", "(?:)"])
def test_an_expression_that_matches_every_text_is_refused(text: str) -> None:
    assert not _taken(Expression, text)


@pytest.mark.parametrize(("text", "taken"), [("en", True), ("fil", True), ("EN", False), ("e", False), ("", False), ("de-AT", False)])
def test_languages_are_codes(text: str, taken: bool) -> None:
    assert _taken(Language, text) is taken


@pytest.mark.parametrize(("text", "taken"), [("persona", True), ("companyName", True), ("e-mail", False), ("user_id", False), (" ", False)])
def test_a_trait_that_identifies_a_person_is_refused(text: str, taken: bool) -> None:
    assert _taken(Trait, text) is taken


@pytest.mark.parametrize("text", ["🎉", "👍🏽", "👨\u200d👩\u200d👧\u200d👦", "🇩🇪", "1\ufe0f\u20e3", "❤\ufe0f", "✅"])
def test_emoji_are_taken_whole(text: str) -> None:
    assert _taken(Emoji, text)


@pytest.mark.parametrize("text", ["abc", "", "!", "7", "\u200d", "🎉 now", "🎉" * 11, "\ufffd"])
def test_what_is_no_emoji_is_refused(text: str) -> None:
    assert not _taken(Emoji, text)
