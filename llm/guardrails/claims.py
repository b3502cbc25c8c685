"""Whether a text makes a claim that the catalog forbids, or one that no guidance may make: ``llm/never.py``."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from llm.guardrails.forbidden_claims import NEVER, PROMPT_TALK
from state.catalog.model import WordingPolicy
from state.catalog.wording_schema import compile_expression

if TYPE_CHECKING:
    import re2

_HARMLESS: Final = re.compile(
    r"\b(?:(?:feel|be|you(?:'re| are)|are) (?:quite |very |always )?free to|hands?.free|free (?:up|text|form|hand)"
    r"|free of (?!charge|cost)|no (?:hurry|deadline)"
    r"|pays? off|trial and error|not your fault|nothing will be (?:lost|deleted)"
    r"|(?:won't|will not|not|don't) lose (?:your|the|any) (?:work|place|changes|progress)"
    r"|give (?:your|the|this|each|every|it) (?:\w+ )?(?:key )?an? (?:\w+ )?name)\b"
)
"""Idioms that only sound like a claim."""

_DOUBLE: Final = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-", "—": "-", "\u00ad": "", "…": "..."})
_LEET: Final = str.maketrans("013457@$", "oieastas")


class Claims:
    """The catalog's forbidden claims together with those that are forbidden everywhere. Compiled once."""

    def __init__(self, policy: WordingPolicy) -> None:
        everywhere = [_joined(lines) for lines in NEVER.values()]
        self._prompt_talk: Final = re.compile(_joined(PROMPT_TALK))
        self._patterns: Final[tuple[re.Pattern[str] | re2._Regexp[str], ...]] = (
            *(compile_expression(pattern) for pattern in policy.forbidden),
            *(re.compile(pattern, re.IGNORECASE) for pattern in everywhere),
        )
        self._accented: Final = tuple(compile_expression(pattern) for pattern in policy.forbidden if not pattern.isascii())

    def forbidden(self, text: str) -> bool:
        """Say whether ``text`` makes a forbidden claim, letters compared without case, accents and disguise."""
        written = unicodedata.normalize("NFC", text).encode("utf-8", "replace").decode()  # RE2 takes no lone surrogates
        if any(pattern.search(written) is not None for pattern in self._accented):  # finds nothing where the accents are gone
            return True
        spoken = normal(text)
        harmless = _HARMLESS.sub("welcome to", spoken)
        return any(
            pattern.search(each) is not None
            for each in {harmless, harmless.translate(_LEET), re.sub(r"(?<=\b\w)[ .\-_*](?=\w\b)", "", harmless)}
            for pattern in self._patterns
        )

    def prompt_talk(self, text: str) -> bool:
        """Say whether ``text`` talks to whoever writes guidance, about the message, instead of to the person."""
        return self._prompt_talk.search(normal(text)) is not None


def normal(text: str) -> str:
    """``text`` in lower case, without accents and invisible characters, in plain quotes and dashes, one space between words."""
    folded = unicodedata.normalize("NFKD", text.translate(_DOUBLE)).casefold()
    kept = "".join(each for each in folded if unicodedata.category(each) not in {"Mn", "Me", "Cf", "Cc", "Cs"} or each in "\n\t")
    return re.sub(r"\s+", " ", kept).strip()


def _joined(lines: str) -> str:
    expressions = re.sub(r"\n {12}", "", lines.rstrip()).split("\n        ")
    return "|".join(expression for expression in expressions if expression)
