"""What may stand in the lists of a catalog's ``wording`` section: expressions, languages, traits that may be told, emoji.

Each type takes text and refuses with a sentence what would fail, or refuse every text, or tell who somebody is, once the job runs.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]  # an expression's tree, for which there is no public way
from string import ascii_lowercase
from typing import Annotated, Any, Final

from pydantic import AfterValidator

_UNBOUNDED: Final = int(_constants.MAXREPEAT)
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_FEW: Final = 10
"""Repetitions up to which a group may hold what varies within bounds: the ways to split a text stay few."""

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_REGION: Final = re.compile(r"([A-Za-z]{2,3})(?:[-_].*)?")

_WHO: Final = frozenset(
    "id userid anonymousid accountid externalid customerid username login nickname name firstname lastname middlename fullname givenname"
    " familyname surname displayname email emailaddress mail phone phonenumber mobile telephone address street postcode postalcode zip"
    " birthday birthdate dateofbirth ssn passport iban ip ipaddress password token".split()
)
"""Traits that tell who somebody is, in small letters and without marks."""

_KEYCAP: Final = re.compile("[0-9#*]\ufe0f?\u20e3")
_MODIFIERS: Final = frozenset("\u200d\ufe0f\u20e3\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
_LONGEST_EMOJI: Final = 10  # characters: a family of four with its joiners, or a flag


def _expression(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty, and would refuse every text")
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            compiled, tree = re.compile(text, re.IGNORECASE), _parser.parse(text, re.IGNORECASE)
    except re.error as error:
        where = f" at character {error.pos + 1}" if error.pos is not None else ""
        raise ValueError(f"is no regular expression: {error.msg}{where}") from None
    except (OverflowError, RecursionError):
        raise ValueError("is no regular expression that can be used: it is nested too deeply, or counts too far") from None
    if _explodes(tree):
        raise ValueError("repeats a group that repeats something itself, which can take for ever; repeat only one of the two")
    if any(found is not None and not found[0] for found in (compiled.search(""), compiled.search("a word"))) or all(
        compiled.search(letter) for letter in ascii_lowercase
    ):
        raise ValueError("matches every text, so that none would ever be used")
    return text


def _explodes(tree: Any) -> bool:
    """Say whether a repeated group holds an unbounded repeat, or, repeated more than a few times, anything that can match in two ways."""
    for name, argument in _operations(tree):
        if name in _REPEATS and argument[1] > 1:
            inside = list(_operations(argument[2]))
            if any(each in _REPEATS and int(of[1]) >= _UNBOUNDED for each, of in inside):
                return True
            if argument[1] > _FEW and any(_varies(each, of) for each, of in inside):
                return True
    return False


def _varies(name: str, argument: Any) -> bool:
    if name == "BRANCH":
        first = [
            str(branch[0][0]) + chr(branch[0][1]).lower() if branch and str(branch[0][0]) == "LITERAL" else "" for branch in argument[1]
        ]
        return "" in first or len(set(first)) < len(first)
    return name in _REPEATS and bool(argument[0] != argument[1])


def _operations(part: Any) -> Iterator[tuple[str, Any]]:
    """Every operation in a tree, with its argument."""
    if isinstance(part, _parser.SubPattern):
        for operation, argument in part.data:
            yield str(operation), argument
            yield from _operations(argument)
    elif isinstance(part, tuple | list):
        for each in part:
            yield from _operations(each)


def _language(text: str) -> str:
    if _LANGUAGE.fullmatch(text):
        return text
    close = _REGION.fullmatch(text)
    meant = f"; did you mean {close[1].lower()}?" if close else ""
    raise ValueError(f"should be a language's code of two or three small letters, like en or de, not {text[:40]!r}{meant}")


def _trait(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    if re.sub(r"[\W_]", "", text).lower() in _WHO:
        raise ValueError(f"{text!r} tells who somebody is, which no model is told; a text names people through slots")
    return text


def _emoji(text: str) -> str:
    signs = [unicodedata.category(each) == "So" and not "\ufff0" <= each <= "\uffff" for each in text]
    whole = any(signs) and all(sign or each in _MODIFIERS for each, sign in zip(text, signs, strict=True))
    if not (whole or _KEYCAP.fullmatch(text)) or len(text) > _LONGEST_EMOJI:
        raise ValueError(f"should be one emoji, not {text[:40]!r}")
    return text


Expression = Annotated[str, AfterValidator(_expression)]
"""A regular expression that matches some texts, not all, in a time that grows gently with the text."""

Language = Annotated[str, AfterValidator(_language)]
"""The code of a language, as the first part of a locale has it."""

Trait = Annotated[str, AfterValidator(_trait)]
"""The name of a trait that does not tell who somebody is."""

Emoji = Annotated[str, AfterValidator(_emoji)]
"""One emoji, with its modifiers."""
