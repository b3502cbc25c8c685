"""Types for the lists of a catalog's ``wording`` section: expressions, languages, traits in prompts, emoji.

Each type takes text and rejects, with a reason, what would fail at run time, match every text, or identify a person.
"""

from __future__ import annotations

import re
import unicodedata
from string import ascii_lowercase
from typing import Annotated, Final

import re2
from pydantic import AfterValidator

_RE2_ERRORS: Final = (
    (r"invalid perl operator: (\(\?<?[=!])", r"uses \1, which looks ahead or behind: not supported; write only what is to be found"),
    (r"invalid escape sequence: (\\[1-9])", r"refers back to a group with \1: not supported; write the words out"),
    (r"invalid (?:perl operator|escape sequence): (.{1,9})", r"uses \1, which is not supported"),
    (r"bad repetition operator: (.*)", r"repeats a repetition with \1; keep one of the two"),
    (
        r"invalid repetition size: (.*)",
        r"cannot repeat with \1: the smaller count comes first, and 1000 is the most, groups multiplied",
    ),
    (r"pattern too large", "is too large; shorten it, or repeat less"),
)
"""Error message of RE2 → message for the author."""

_ENGLISH_ONLY: Final = re.compile(r"(?<!\\)(?:\\\\)*(\\[bBwW])")
_SHOWN: Final = 40

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_REGION: Final = re.compile(r"([A-Za-z]{2,3})(?:[-_].*)?")

CLAIMS_LANGUAGES: Final = frozenset({"en", "de", "fr", "es", "it", "pt", "nl"})
"""Languages that have a list of claims that no text may make (``llm/guardrails/forbidden_claims.py``, ``claims_by_language.py``)."""

_IDENTIFYING: Final = frozenset(
    "id userid anonymousid accountid externalid customerid username login nickname name firstname lastname middlename fullname givenname"
    " familyname surname displayname email emailaddress mail phone phonenumber mobile telephone address street postcode postalcode zip"
    " birthday birthdate dateofbirth ssn passport iban ip ipaddress password token".split()
)
"""Traits that identify a person, in lower case, letters and digits only."""

_KEYCAP: Final = re.compile("[0-9#*]\ufe0f?\u20e3")
_MODIFIERS: Final = frozenset("\u200d\ufe0f\u20e3\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
_LONGEST_EMOJI: Final = 10  # characters: a family of four with its joiners, or a flag


def compile_expression(text: str) -> re2._Regexp[str]:
    """Compile a catalog's expression, case ignored. Searches take time linear in the text. Raises ``ValueError``."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        problem = error.args[0].decode("utf-8", "replace")
    for pattern, words in _RE2_ERRORS:
        if match := re.match(pattern, problem):
            raise ValueError(match.expand(words))
    kind, _, part = problem.partition(": ")
    raise ValueError(f"is not a regular expression: {kind}" + (f" in {part[:_SHOWN]!r}" if part else ""))


def _expression(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty, and would refuse every text")
    if not text.isascii() and (used := _ENGLISH_ONLY.search(text)):
        raise ValueError(
            f"uses {used[1]}, which knows only English letters, beside others; write \\pL for a letter, (?:^|\\PL) for a word's edge"
        )
    compiled = compile_expression(text)
    if any(found is not None and not found[0] for found in (compiled.search(""), compiled.search("a word"))) or all(
        compiled.search(letter) for letter in ascii_lowercase
    ):
        raise ValueError("matches every text, so that none would ever be used")
    return text


def _language(text: str) -> str:
    if _LANGUAGE.fullmatch(text):
        return text
    close = _REGION.fullmatch(text)
    meant = f"; did you mean {close[1].lower()}?" if close else ""
    raise ValueError(f"should be a language's code of two or three small letters, like en or de, not {text[:40]!r}{meant}")


def identifies(trait: str) -> bool:
    """Whether a trait of this name identifies a person."""
    return re.sub(r"[\W_]", "", trait).lower() in _IDENTIFYING


def _trait(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    if identifies(text):
        raise ValueError(f"{text!r} identifies a user, and is never sent to a model; a text names users through slots")
    return text


def _emoji(text: str) -> str:
    signs = [unicodedata.category(each) == "So" and not "\ufff0" <= each <= "\uffff" for each in text]
    whole = any(signs) and all(sign or each in _MODIFIERS for each, sign in zip(text, signs, strict=True))
    if not (whole or _KEYCAP.fullmatch(text)) or len(text) > _LONGEST_EMOJI:
        raise ValueError(f"should be one emoji, not {text[:40]!r}")
    return text


Expression = Annotated[str, AfterValidator(_expression)]
"""A regular expression in the syntax of RE2 that matches some texts, not all."""

Language = Annotated[str, AfterValidator(_language)]
"""A language code: the first part of a locale."""

Trait = Annotated[str, AfterValidator(_trait)]
"""The name of a trait that does not identify a person."""

Emoji = Annotated[str, AfterValidator(_emoji)]
"""One emoji, with its modifiers."""
