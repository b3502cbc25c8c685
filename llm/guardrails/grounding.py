"""Checks that a text is grounded in the catalog: no number, address or name that the catalog does not hold, and no completed step.

A name is a capitalised word inside a sentence that the catalog does not write so, or the first word of a sentence that is no ordinary
English word. For other languages only the first rule applies; for German, which capitalises nouns, only odd capitals and known firms count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from llm.guardrails import english
from llm.guardrails.numerals import is_number, is_number_anywhere
from llm.guardrails.slots import TOKEN
from state.catalog.model import Catalog, Step

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’\-‐‑][^\W\d_]+)*")
_OPENS: Final = re.compile(r"(?:^|[.!?:…–—“‘«„¿¡(\"\u2600-\u27bf\ufe0f\U0001f000-\U0001faff]|(?<!\w)'|\s-)[\s\"'“‘(«„¿¡]*$")
_FIRST_PERSON: Final = frozenset({"I", "I'm", "I'll", "I've", "I'd"})
_FIXED: Final = "it"
"""Replaces a slot or a name of the catalog before words are checked."""

_URL: Final = re.compile(
    r"://|\bwww\b|@|\\|\bh(?:tt|xx)ps?\b|\b(?:mailto|javascript|data|file|ftp|tel|sms|vbscript)\s?:"
    r"|\w\s?\.\w\w|\w\.\s(?:com|net|org|io|app|dev|ai)\b"  # a bare domain, also with a gap
    r"|\b[a-z][a-z+.\-]{1,14}:(?=[\w/])"  # a scheme
    r"|\W?\b(?:dot|punkt|point|punto|ponto)\b\W{0,3}(?:com|net|org|io|app|dev|ai|co|me|info|biz|link|xyz|to|ly|html?|example|test)\b"
    r"|\(\s?(?:at|dot)\s?\)|\[\s?(?:at|dot)\s?\]|\b(?:slash|colon|double-u|dub dub)\b|\b(?:dotcom|url shortener|tinyurl|bitly)\b"
    r"|(?<!\band)/(?!or\b)|/\w*/"
    r"|\b(?:com|net|org|http|https)\b(?=\W*$)",
    re.IGNORECASE,
)

_LIGHT: Final = frozenset(
    "a an and another any at data first five for from in into it its my of on one out own own. some the them three to two up us what who"
    " with you your yours care about around".split()
)
_ALIKE: Final = tuple(
    frozenset(group.split())
    for group in (
        "build create make start begin design assemble generate produce",
        "connect link hook attach join plug",
        "invite bring summon",
        "install embed paste integrate put",
        "switch enable turn activate set configure roll",
        "look explore tour browse visit wander see peek take walk",
        "name rename call title christen",
        "share publish send show",
        "watch see check verify observe monitor confirm",
        "schedule plan time automate set",
        "open view read see launch",
        "tag label mark",
        "run execute write launch try perform make",
        "pick choose select",
        "define describe set create build make",
        "set create define add configure make assign",
        "ask mention consult",
        "save keep store",
        "add insert place",
        "cook prepare make",
        "scan photograph",
        "tell say share",
    )
)


class Grounds:
    """What a text may name, for one catalog. Compiled once; a check takes a few microseconds."""

    def __init__(self, catalog: Catalog) -> None:
        policy = catalog.wording
        glossary = {catalog.product, *(policy.glossary if policy else ())}
        self._glossary: Final = re.compile(
            r"(?<![\w\-])(?:" + "|".join(re.escape(name) for name in sorted(glossary, key=len, reverse=True)) + r")(?:['’]?s)?(?!\w|-\w)"
        )
        self._written: Final = frozenset(_capitals(_texts(catalog)))
        self._named: Final = {step.id: _Named(step) for step in catalog.steps}
        self._numbers: Final = {step.id: _numbers_of(step) for step in catalog.steps}

    def plain(self, text: str) -> str:
        """``text`` with its slots and the names of the glossary replaced by an ordinary word."""
        return self._glossary.sub(_FIXED, TOKEN.sub(_FIXED, text))

    def digits(self, text: str, step: str, language: str) -> bool:
        """Whether ``text`` holds a quantity that is neither in the glossary nor in the catalog's own words for the step."""
        plain = unicodedata.normalize("NFC", self.plain(text))
        if any(character == "%" or character.isnumeric() or unicodedata.category(character)[0] == "N" for character in plain):
            return True
        allowed = self._numbers.get(step, frozenset())
        return any(is_number(part, language) and part not in allowed for part in _parts(plain))

    def address(self, text: str) -> bool:
        """Whether ``text`` holds an address, also a disguised one."""
        plain = TOKEN.sub(_FIXED, unicodedata.normalize("NFKC", text)).replace("。", ".").replace("․", ".")
        return _URL.search(plain) is not None

    def name(self, text: str, language: str) -> bool:
        """Whether ``text`` holds a name that the catalog does not."""
        plain = self.plain(text)
        for match in _WORD.finditer(plain):
            word = match[0]
            lower = word.lower()
            if word.replace("’", "'") in _FIRST_PERSON or word in self._written:
                continue
            if any(part in english.NAMES_OF_FIRMS for part in re.split(r"['’\-]", lower)):
                return True
            if word == lower:
                continue
            if not _title(word) or re.split(r"['’\-]", lower)[0] in english.BRANDS:
                return True
            if language == "de":
                continue
            if _OPENS.search(plain, 0, match.start()) is None:
                return True
            if language == "en" and not english.ordinary(lower):
                return True
        return False

    def completed(self, text: str, step: str, done: Iterable[str]) -> bool:
        """Whether ``text`` sends the person to a completed step other than ``step`` itself."""
        own = self._named.get(step)
        sentences = [_stems(sentence) for sentence in re.split(r"[.!?;:…]", text)]
        return any(self._named[other].named_in(sentences, text, own) for other in done if other != step and other in self._named)


class _Named:
    """The words by which a text names one step."""

    def __init__(self, step: Step) -> None:
        self.title: Final = re.compile(r"(?<!\w)" + re.escape(step.title.rstrip(".")) + r"(?!\w)", re.IGNORECASE)
        heavy = [word for word in _WORD.findall(step.title.lower()) if word not in _LIGHT]
        verb, objects = (heavy[0], heavy[1:]) if heavy else ("", [])
        self.verbs: Final = {stem(word) for group in _ALIKE if verb in group for word in group} | {stem(verb)}
        self.objects: Final = {stem(word) for word in objects}

    def named_in(self, sentences: list[set[str]], text: str, own: _Named | None) -> bool:
        if self.title.search(text):
            return True
        if not self.objects or (own is not None and self.objects <= own.objects and self.verbs & own.verbs):
            return False
        return any(self.objects <= words and self.verbs & words for words in sentences)


def _stems(text: str) -> set[str]:
    return {stem(word) for word in _WORD.findall(text.lower())}


def stem(word: str) -> str:
    """Return ``word`` without the ending of a plural or gerund. Past forms keep theirs: "invited" is no request to invite."""
    for ending in ("ing", "es", "s", "e"):
        if word.endswith(ending) and len(word) > len(ending) + 2 and not word.endswith("ss"):
            word = word[: -len(ending)]
            return word[:-1] if ending == "ing" and len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl" else word
    return word


def _title(word: str) -> bool:
    """Whether only the first letter is a capital."""
    return word[0].isupper() and word[1:] == word[1:].lower()


def _texts(catalog: Catalog) -> Iterator[str]:
    for step in catalog.steps:
        yield from _texts_about(step)
    for tones in catalog.templates.values():
        yield from tones.values()


def _texts_about(step: Step) -> Iterator[str]:
    """All texts of the catalog about a step."""
    yield step.title
    yield from step.facts.values()
    for tones in step.templates.values():
        yield from tones.values()


def _capitals(texts: Iterable[str]) -> Iterator[str]:
    """The words that the catalog capitalises inside a sentence, and its abbreviations."""
    for text in texts:
        for match in _WORD.finditer(text):
            word = match[0]
            if word != word.lower() and ((not _title(word) and len(word) > 1) or _OPENS.search(text, 0, match.start()) is None):
                yield word


def _numbers_of(step: Step) -> frozenset[str]:
    texts = (unicodedata.normalize("NFC", text) for text in _texts_about(step))
    return frozenset(part for text in texts for part in _parts(text) if is_number_anywhere(part))


def _parts(text: str) -> Iterator[str]:
    """The words of ``text`` in lower case, cut at hyphens and apostrophes."""
    for word in _WORD.findall(text):
        yield from re.split(r"['’\-‐‑]", word.lower())
