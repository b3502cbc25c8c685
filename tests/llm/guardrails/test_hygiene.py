"""Clean text: what stands in a tooltip as it is."""

from __future__ import annotations

import pytest

from llm.guardrails.hygiene import rambling, unclean


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\x07b", "control"),
        ("a\ud800b", "control"),
        ("a\ue000b", "control"),
        ("a\u200bb", "invisible"),
        ("a\u202eb", "invisible"),
        ("a\u2066b", "invisible"),
        ("a\u3164b", "invisible"),
        ("a\U000e0041b", "invisible"),
        ("a\nb", "newline"),
        ("a\u2028b", "newline"),
        ("e\u0301\u0301\u0301", "combining"),
        ("ok 👍", "emoji"),
        ("ok ☺\ufe0f", "emoji"),
        ("p\u0430ge", "homoglyphs"),
        ("ｐage", "homoglyphs"),
        ("𝐩age", "homoglyphs"),
        ("ﬁne", "homoglyphs"),
        ("<b>a</b>", "markup"),
        ("a &amp; b", "markup"),
        ("a **b**", "markup"),
        ("# a", "markup"),
        ("[a](b)", "markup"),
        ("- a", "markup"),
        ("a  b", "whitespace"),
        ("a\u2003b", "whitespace"),
        ("a!!", "repeated"),
        ("a ,, b", "repeated"),
        ("sooo", "repeated"),
        ("ОООО", "repeated"),
        ("ooo", "repeated"),
        ("Марʼjana", "homoglyphs"),
        ("go\u02bc", "homoglyphs"),
        ("g\u02b0o", "homoglyphs"),
        ("a\u200cb", "invisible"),
        ("\u200cع", "invisible"),
        ("aロ", "homoglyphs"),
        ("go go go", "repeated"),
        ("p a g e", "spaced_out"),
        ("p.a.g.e", "spaced_out"),
    ],
)
def test_what_is_unclean_is_named(text: str, reason: str) -> None:
    assert unclean(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "It's “here” – go on…",
        "Zoë & Søren",
        "A (short) one; and/or 'this'.",
        "It's Ольга",
        "你好",
        "What? Yes!",
        "नमस्ते",
        "株式会社トヨタ",
        "佐々木さん",
        "Кажи: Марʼяна",
        "Hawaiʻi",
        "น้ำ",
        "علی\u200cرضا",
        "ООО",
    ],
)
def test_plain_text_is_clean(text: str) -> None:
    assert unclean(text) == ""


def test_allowed_emoji_are_clean_and_others_are_not() -> None:
    assert unclean("ok 👍🏽 ❤️", ["👍🏽", "❤️"]) == ""
    assert unclean("ok 👍🏽 🎉", ["👍🏽"]) == "emoji"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Build on the idea of a page, on the idea of another.", "repeated"),
        ("To {step}, open the page; to {step}, open the list.", "repeated"),
        ("Now {step}\u0301.", "combining"),
        ("Open the page, and a.", "unfinished"),
        ("Open the page,!", "unfinished"),
        ("Open the page and look at your", "unfinished"),
        ("Open the page and then", "unfinished"),
        ("Open the page (", "unfinished"),
    ],
)
def test_a_text_that_says_a_phrase_twice_or_breaks_off_rambles(text: str, reason: str) -> None:
    assert rambling(text, "en") == reason


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Take it one at a time. One field, then the next.", "en"),
        ("Here is the page you came from.", "en"),
        ("Next: {step}.", "en"),
        ("What does “Check” say? “Nothing.”", "en"),
        ("Go on with {step}. 👍", "en"),
        ("Hier fängst du am besten an.", "de"),
        ("次へ進みましょう。", "ja"),
    ],
)
def test_a_whole_text_does_not(text: str, language: str) -> None:
    assert rambling(text, language, ["👍"]) == ""
