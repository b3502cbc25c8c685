"""Decides whether a trait may fill a slot: it is a name, not a sentence, an address, a number of a person, or an order.

Whoever has the publishable key of a page can set a trait of another user (``docs/threat-model.md``). The rules hold for the catalog's
templates and for the texts of a model.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from state.placeholders import names_nobody

LONGEST: Final = 40
"""Maximum characters of a slot's value: names are shorter, and sentences do not belong in a slot."""

MOST_DIGITS: Final = 4
"""A year or the number of a house; telephone numbers and accounts have more digits."""

MOST_MARKS: Final = 3
"""Marks on one letter, as some scripts of Asia have them."""

HEAPED: Final = re.compile(
    r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3}|[\u20d0-\u20ff\u0488\u0489]"
)
"""Three marks on a letter of Latin, Greek or Cyrillic script (no language has more than two), or one around it. In decomposed text."""

_BEGINS: Final = re.compile(r"\s*['’]?[^\W_]")
_PUNCTUATION: Final = frozenset(" .,'’&()+-·%・־")
"""No ``?``, ``!``, ``:`` or ``;``: they make sentences of names. So "Yahoo!" gives way to the default too."""

_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | {
    chr(each) for each in range(0xFE00, 0xFE0F)
}
_SENTENCE_SIGNS: Final = frozenset("❓❔❕❗❢❣")
_ENDS: Final = "com|net|org|io|info|biz|xyz"
_ADDRESS: Final = re.compile(
    rf"\w\.\w\w|\.\s*(?:{_ENDS})\b|,(?:{_ENDS})\b"  # what a client would make a link, bare domains included
    rf"|\b(?:dot|punkt|point|punto|ponto|punt)\W{{0,3}}(?:{_ENDS}|app|dev|ai|co|me|link|de|fr|es|it|pt|nl|eu|uk)\b",
    re.IGNORECASE,
)
_ORDER: Final = re.compile(
    r"\b(?:ignore|disregard|forget|override|system|prompt|instruct\w*|assistant|click|visit|https?|www|sudo|admin\w*"
    r"|drop table|select|script|jailbreak|yours?|expired|suspended|verify"
    r"|passwor[dt]\w*|pass(?:code|phrase)s?|kennwort|mot de passe|contrase[nñ]a|senha|wachtwoord\w*"
    r")\b|\b(?:call|ring|dial|phone|text|sms)\W+\d",
    re.IGNORECASE,
)
"""Orders to a person or a model, and news that make a person follow one."""


def is_displayable(text: str) -> bool:
    """Whether a value that a user may have typed can be shown in guidance. Blanks around it do not matter. CPU work of microseconds."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return (
        0 < len(text.strip()) <= LONGEST >= len(plain.strip())
        and not names_nobody(text)
        and all(_fits(character) for character in plain)
        and sum(character.isnumeric() for character in plain) <= MOST_DIGITS
        and not any(pattern.search(plain) is not None for pattern in (_ADDRESS, _ORDER))
        and _BEGINS.match(plain) is not None
        and not _is_heaped(text)
    )


def _fits(character: str) -> bool:
    """Letters, digits, marks, emoji and the punctuation of names."""
    if character.isascii():
        return character.isalnum() or character in _PUNCTUATION
    category = unicodedata.category(character)
    if character in _INVISIBLE or character in _SENTENCE_SIGNS:
        return False
    return category[0] in "LN" or category in {"Mn", "Mc", "Zs", "So"} or character in _PUNCTUATION


def _is_heaped(text: str) -> bool:
    """Whether letters have more marks than any language writes."""
    if text.isascii():
        return False
    apart, marks = unicodedata.normalize("NFD", text), 0
    for character in apart:
        marks = marks + 1 if unicodedata.category(character)[0] == "M" else 0
        if marks > MOST_MARKS:
            return True
    return HEAPED.search(apart) is not None
