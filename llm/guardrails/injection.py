"""Screens a person's text for orders to the model. Rules, so that the same text always has the same result. A flagged text is not sent.

This is the weakest of several walls: the fence marks the text as data, component, link and language are fixed by the schema, the answer is
checked, and only the author of the text would read it. So the rules look for the shape of an order, in plain sight or encoded, and not for
every wording in every language.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
import urllib.parse
from collections.abc import Iterator
from typing import Final

from llm.guardrails.fence import clean, latin

LONGEST: Final = 2_000

_AI: Final = r"(?:a\.?i\.?|llms?|language models?|assistant|chat ?bots?|bot|gpt(?:-?\d\w*)?|model)"
_ORDERS: Final = r"(?:instructions?|guidelines?|prompts?|rules|orders|polic(?:y|ies)|system message|programming|training)"
_ANSWER: Final = r"(?:answers?|repl(?:y|ies)|responses?|outputs?)"
_START: Final = r"(?:^|[.!?;:,\n>)\]\-*'\"(/]|\b(?:and|then|please|must|should|to|now|always|just))\s{0,3}"

_RULES: Final[dict[str, tuple[str, ...]]] = {
    "override": (  # sets the model's orders aside
        (
            rf"\b(?:ignore|disregard|forget|override|bypass|skip|break|drop|leave|(?:do not|don.?t) (?:follow|obey))\b[^.!?\n]{{0,50}}?"
            rf"\b(?:(?:all|any|the|your|previous|prior|these|every|safety)\s+){{1,3}}{_ORDERS}\b"
        ),
        r"\b(?:ignore|disregard|forget|pay no attention to) (?:everything|all|anything|what|the rest)\b(?! (?:rows|errors))",
        rf"\bobey\b|\bignore {_ORDERS}",
        r"\b(?:new|updated|hidden|real) (?:task|instructions?|system prompt|orders) ?(?::|for you\b)",
        r"\bfollow (?:only )?(?:mine|what comes next|this (?:message|text))\b|\brules ?: ?none\b",
    ),
    "role": (  # gives the model another role
        r"\byou are (?:(?:now|no longer) (?:an?|the|my|dan|free)|an? (?:evil|pirate|sales|language|ai))\b",
        r"\b(?:pretend|imagine) (?:to be|you)\b|\bjailbreak",
        r"\bfrom now on,? (?:you|answer|reply|only|always|every|write|say)\b",
        rf"{_START}act as (?:an?|if|the) (?!(?:admin|owner|editor|viewer|guest|member|user)\b)",
        r"\b(?:developer|debug|dan|god) mode (?:is )?(?:on|enabled|activated|now)\b",
        rf"\b(?:{_ANSWER}|answer)[^.!?\n]{{0,20}} without (?:the |any |your )?(?:usual )?(?:restrictions?|rules|checks)\b",
    ),
    "leak": (  # asks for what the model was given
        rf"\b(?:your|initial|hidden) (?:\w+ )?{_ORDERS}\b(?! (?:say|tell|mention|show|for)\b)",
        r"\bsystem.?prompt\b(?! of)|\b(?:in|from|of) your (?:context|memory)\b",
        r"\b(?:repeat|print|recite|copy|translate)\b[^.!?\n]{0,20}\b(?:everything|the text|all)\b[^.!?\n]{0,24}\b(?:above|before|given)\b",
        r"\bwere you (?:told|given|instructed)\b|\b(?:given to you|you (?:were|have been) (?:told|given))\b",
        r"\b(?:list|name|which|print)\b[^.!?\n]{0,50}\b(?:you know of|other (?:users|customers))\b",
    ),
    "forgery": (  # forges marks of the prompt, of a chat or of an API
        r"<\s?[|/!]{0,2}\s?(?:im_start|im_end|system|assistant|user|s\b|instructions?|prompt|tool_call|user_input)|<<\s?/?sys\b",
        r"[\[({]\s?[/\\#]?\s?(?:inst|sys|system|user[\W_]{0,3}input|assistant|instructions?)\s?[\])}]|\buser_input\b",
        r"\"role\"\s?:\s?\"(?:system|assistant|developer|tool)|(?:^|\n)\s{0,3}#{1,6}\s?(?:system|instructions?|assistant)\b",
        r"\b(?:function|tool)_call|(?:^|\n)\s?(?:assistant|human|thought|observation|trusted)\s?:",
        r"\b(?:end of|begin) (?:the )?(?:un)?(?:trusted|user|system|data\b|input|quoted)",
        r"\bthe (?:block|user text|data) (?:has|is) (?:ended|over)",
        rf"(?:^|\n)\s?system(?: message| prompt)?\s?:[^\n]{{0,40}}\b(?:you|{_ANSWER}|must|policy|ignore)\b",
    ),
    "addressed": (  # speaks to the model
        rf"\b{_AI}\b[^.!?\n]{{0,60}}?\b(?:must|should|shall|please|is to|now|always|never|say|said|include|recommend)\b",
        rf"\b(?:any|dear|hello|hey|you,?(?: the)?|for the|to the|whichever) {_AI}\b|\bif you are an? {_AI}\b|(?:^|[\s(]){_AI}[,:] ",
    ),
    "steering": (  # says what the answer must be
        r"\b(?:deep_?link|ui_?component|response_format|model_hint)\b",
        r"\bconfidence\b[\"']?(?: to|:| ?=| of) ?[\"']?(?:1|0?\.9|one|max)",
        (
            rf"\b(?:in|with|of) (?:your|the) {_ANSWER}\b"
            rf"|\b(?:your|all|every|each) {_ANSWER}\b[^.!?\n]{{0,12}}\b(?:must|should|shall|has to|have to|will|as|with)\b"
            r"|\bwhen you write\b"
        ),
        rf"{_START}(?:tell|insult|convince|threaten|urge|warn) (?:the |this )?(?:users?|readers?|customers?|person|them)\b",
        rf"{_START}(?:say|write|answer|reply)(?: with)? (?:only|nothing but|nothing else|the (?:single )?word)\b|\bsay (?:yes|hacked)\b",
        rf"{_START}(?:write|tell|say) (?:me |us )?an? (?:\w+ )?(?:joke|poem|song|story|threat|essay)\b",
    ),
    "encoded": (r"\b(?:decode|base.?64|rot.?13|hex|backwards)\b[^\n]{0,80}\b(?:do what|comply|obey|execute|follow)\b",),
    "other_language": (  # "ignore" beside "instructions", in the languages of most users
        (
            r"(?:ignor|vergiss|oubli|olvid|esque[cç]|dimentic|забудь|игнор|忽略|無視|无视|yok say)[\s\S]{0,40}"
            r"(?:instru|consigne|инструк|anweisung|regel|regl|istruzion|polece|правил|指令|プロンプト)"
        ),
        r"(?:指示|talimat)[^.!?\n]{0,20}(?:無視|yok say)",
    ),
}
_KINDS: Final = tuple((kind, re.compile("|".join(rules))) for kind, rules in _RULES.items())

_LEET: Final = str.maketrans("013457@$!8", "oieastasib")
_LEET_WORD: Final = re.compile(r"(?<![\w@$!])(?=[\w@$!]*[A-Za-z])(?=[\w@$!]*[0134578@$!])[\w@$!]{3,}")
_SPACED: Final = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-_*|/]){3,}[^\W\d_](?!\w)")
_GAP: Final = re.compile(r"\s{2,}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\-]{16,}={0,2}")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[ :,]?|\\x[0-9a-fA-F]{2}){8,}")
_PERCENT: Final = re.compile(r"%[0-9a-fA-F]{2}")
_ESCAPES: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


def find_injection(text: str) -> str:
    """Return the kind of attempt to instruct the model, in a few words that quote nothing; empty where there is none.

    Reads the first 2,000 characters. CPU work of about a millisecond for a usual text, and of some tens at most; does not block otherwise.
    """
    text = text[:LONGEST]
    if hidden := _hidden(text):
        return f"hidden characters: {_kind(hidden) or 'text'}"
    plain, _origin = clean(text, LONGEST)
    if kind := _kind(plain):
        return kind
    for how, view in _views(plain):
        if kind := _kind(view):
            return f"{how}: {kind}"
    return ""


def _hidden(text: str) -> str:
    """Text in invisible tag characters. The few that end a regional flag do not count."""
    tags = [ord(character) - 0xE0000 for character in text if 0xE0020 <= ord(character) <= 0xE007E]
    return "".join(map(chr, tags)) if len(tags) > 6 else ""


def _kind(text: str) -> str:
    folded = "".join(part for part in unicodedata.normalize("NFD", latin(text)) if not unicodedata.combining(part)).replace("’", "'")
    folded = re.sub(r"[ \t]+", " ", folded)
    readings = (folded,) if text.isascii() else (folded, text.lower())  # folding turns some Cyrillic letters into Latin ones
    return next((kind for kind, rule in _KINDS for reading in readings if rule.search(reading)), "")


def _views(plain: str) -> Iterator[tuple[str, str]]:
    """Other readings of the text: decoded, reversed, with letters for digits."""
    leet = _LEET_WORD.sub(lambda match: match[0].translate(_LEET), plain)
    if leet != plain:
        yield "spelt with digits", leet
    if _SPACED.search(plain):
        words = _GAP.sub(" \n ", plain).split("\n")
        yield "spaced out", " ".join(_SPACED.sub(_joined, word.strip()) for word in words)
        yield "spaced out", _SPACED.sub(_joined, plain)
    unescaped = html.unescape(urllib.parse.unquote(plain)) if _PERCENT.search(plain) or "&" in plain else plain
    unescaped = _ESCAPES.sub(lambda match: chr(int(match[1], 16)), unescaped)
    if unescaped != plain:
        yield "escaped", clean(unescaped, LONGEST)[0]
    for decoded in _decoded(plain):
        yield "encoded", decoded
    yield "rot13", codecs.encode(plain, "rot13")
    yield "reversed", plain[::-1]


def _joined(match: re.Match[str]) -> str:
    return match[0][::2]


def _decoded(plain: str) -> Iterator[str]:
    for match in _BASE64.finditer(plain):
        digits = match[0].rstrip("=").translate(_URL_SAFE)
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]
        yield from _readable(base64.b64decode(digits + "=" * (-len(digits) % 4)))
    for match in _HEX.finditer(plain):
        yield from _readable(binascii.unhexlify(re.sub(r"\\x|[ :,]", "", match[0])))


def _readable(data: bytes) -> Iterator[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    if sum(character.isprintable() or character.isspace() for character in text) >= 0.9 * len(text):
        yield clean(text, LONGEST)[0]
