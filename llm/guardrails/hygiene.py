"""Checks that a text is clean: no invisible characters, no markup, no look-alike letters, no repetitions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from state.catalog.slot_value import HEAPED, JOINED

_MARKUP: Final = re.compile(
    r"[<>`*_~^|\\\[\]#=]"  # tags, emphasis, code, links, headings, tables
    r"|&(?:\w{1,12}|\#\w{1,8});"  # entities
    r"|^\s*(?:[-+•]|\d+[.)])\s"  # lists
    r"|\$\{|%[sd]|\\u"
)
_REPEATED: Final = re.compile(r"[!?]{2}|([.,;:!?…–—\-'\"])\s*\1|[.,;:]\s*[,;:]|[!?]\s[!?]|\.{2}")
_REPEATED_LETTER: Final = re.compile(r"(?!(?-i:\b\u041e{3}\b))([^\W\d_])\1\1", re.IGNORECASE)  # the exception is a Russian Ltd.
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[ .\-]){3,}\w(?!\w)")
_RUN_OF_WORDS: Final = re.compile(r"\b(\w+)(?:\W+\1\b){2}", re.IGNORECASE)
_SPOKEN: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|\{\w+\}")
_END: Final = re.compile(r"[.!?…。！？।؟]+[\s\"'”’»“)\]]*$")
_GOES_ON: Final = frozenset(",;:-–—(/&")
_MARKED_SLOT: Final = re.compile(r"\}[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f]")
_HEAVY: Final = 12
"""Letters of three words that rarely repeat by chance."""

_DANGLING: Final = frozenset("a an the and or but nor your our their my its because although very".split())
"""English words that do not end a sentence."""

_LETTERS: Final = re.compile(r"[^\W\d_]+")
_PLAIN: Final = frozenset(" .,;:!?'\"()-–—…’‘“”&/%+{}«»„¿¡€@\u00a0")
_EXTRA_SPACE: Final = re.compile(r"  |^ | $|[^\S ]")
_JOINERS: Final = "\u200d\ufe0f"
_KEPT: Final = str.maketrans({"\u00a0": " ", "\u2011": "\u2010", "\u0e33": "\u0e4d\u0e32", "\u0eb3": "\u0ecd\u0eb2"})
"""Characters that have a plainer form and no look-alike: blanks and hyphens without a break, and a vowel of Thai and of Lao."""
_JAPANESE: Final = frozenset({"CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"})
"""Scripts of one word: *株式会社トヨタ*, *佐々木*."""

_APOSTROPHE: Final = re.compile(r"(?<=[^\W\d_])\u02bc(?=[^\W\d_])|\u02bb(?=[^\W\d_])")
"""Letters that look like an apostrophe: *Марʼяна*, *Hawaiʻi*."""


def unclean(text: str, emoji: Iterable[str] = ()) -> str:
    """Reason code of the first problem in ``text`` (slots without their braces, or filled); empty where there is none."""
    for allowed in sorted(emoji, key=len, reverse=True):
        text = text.replace(f" {allowed}", "").replace(allowed, "")
    if text.isascii() and text.isprintable():
        return _marks(text)
    text = JOINED.sub("", text)
    if HEAPED.search(unicodedata.normalize("NFD", text)):
        return "combining"
    for character in _APOSTROPHE.sub("'", text):
        reason = _character(character)
        if reason:
            return reason
    if unicodedata.normalize("NFC", text) != text or unicodedata.normalize("NFKC", text).replace("...", "…") != text.translate(_KEPT):
        return "homoglyphs"
    if any(_mixed(word) for word in _LETTERS.findall(text)):
        return "homoglyphs"
    return _marks(text)


def rambling(text: str, language: str, emoji: Iterable[str] = ()) -> str:
    """Reason code where ``text``, slots unfilled, repeats a phrase, ends early or has a mark on a slot; else empty. Not for slot values."""
    if _MARKED_SLOT.search(text):
        return "combining"
    words = _SPOKEN.findall(text.lower())
    threes = [phrase for phrase in zip(words, words[1:], words[2:], strict=False) if len("".join(phrase)) >= _HEAVY]
    fours = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    if len(set(threes)) < len(threes) or len(set(fours)) < len(fours):
        return "repeated"
    for allowed in emoji:
        text = text.replace(allowed, "")
    end = _END.search(text)
    if end is None or text[: end.start()].rstrip()[-1:] in _GOES_ON:
        return "unfinished"
    last = words[-1] if words else ""
    return "unfinished" if language == "en" and last in _DANGLING else ""


def script(letter: str) -> str:
    """The script of a letter: the first word of its Unicode name."""
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "UNKNOWN").partition(" ")[0]


def _marks(text: str) -> str:
    if _MARKUP.search(text):
        return "markup"
    if _EXTRA_SPACE.search(text.strip(" ")):
        return "whitespace"
    if _REPEATED.search(text) or _REPEATED_LETTER.search(text) or _RUN_OF_WORDS.search(text) or text.count("!") > 2:
        return "repeated"
    if _SPACED.search(text):
        return "spaced_out"
    return ""


def _character(character: str) -> str:
    if character in _PLAIN or "a" <= character <= "z" or "A" <= character <= "Z" or character.isdigit():
        return ""
    category = unicodedata.category(character)
    if character in "\n\r\t\v\f" or category in {"Zl", "Zp"}:
        return "newline"
    if category in {"Cc", "Cs", "Co", "Cn"}:
        return "control"
    if category == "Cf" or character in _JOINERS or character in "\u115f\u1160\u3164\uffa0\u180e\u034f\u2800":
        return "invisible"
    if category in {"So", "Sk", "Sm"}:
        return "emoji"
    if category == "Zs":
        return "whitespace"
    if category[0] == "L" and script(character) in {"MODIFIER", "MATHEMATICAL", "FULLWIDTH", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER"}:
        return "homoglyphs"
    return ""


def _mixed(word: str) -> bool:
    if word.isascii():
        return False
    scripts = {script(letter) for letter in word} - {"MODIFIER"}  # of those only ``_APOSTROPHE`` comes so far
    return len(scripts) > 1 and not scripts <= _JAPANESE
