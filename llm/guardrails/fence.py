"""Normalises a person's text and puts it between fences, so that the model can distinguish it from the prompt.

Every input guardrail starts with ``clean``: it removes look-alikes, marks and invisible characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

OPENING: Final = "[USER_INPUT]"
CLOSING: Final = "[/USER_INPUT]"

LONGEST: Final = 600
"""Characters between the fences."""

PLACEHOLDER: Final = re.compile(
    r"\[(?:EMAIL|PHONE|CARD|IBAN|ID_NUMBER|NUMBER|BIRTH_DATE|ADDRESS|IP|NAME|API_KEY|BEARER|URL_PASSWORD|SECRET)\]"
)
"""The placeholders of redaction: the only brackets allowed between the fences."""

_INVISIBLE: Final = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2065") | {chr(code) for code in range(0xFE00, 0xFE10)}
_MARK: Final = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_ATTACHED: Final = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u3099\u309a]+")

_LIKE: Final = str.maketrans(
    "абвгԁеёѕіїјкӏмнорстухһᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢαβεηικνορτυχγωɡɑıⅼ",
    "abbгdeesiijklmhopctyxhabcdefghijklmnoprstuvwyzaβenikvoptuxyωgail",
)
"""Small letters that look like Latin ones. Case is folded before."""

_FENCE_WORD: Final = re.compile(
    r"[(\[{<‹«]?[\W_]{0,4}u[\W_]{0,3}s[\W_]{0,3}e[\W_]{0,3}r(?P<gap>[\W_]{0,4})i[\W_]{0,3}n[\W_]{0,3}p[\W_]{0,3}u[\W_]{0,3}t"
)
_TURN: Final = re.compile(r"<(?=[\s]*[/|!?a-zA-Z_])")
_WHITE: Final = re.compile(r"\s+")


def clean(text: str, longest: int) -> tuple[str, list[tuple[int, int]]]:
    """Return ``text`` as a reader sees it, and for each character of that the range of ``text`` it came from.

    Compatibility forms, digits of all scripts, dashes and spaces become plain ones; invisible, control and stray combining
    characters go; line breaks stay. At most ``longest`` characters are read and returned.
    """
    plain: list[str] = []
    origin: list[tuple[int, int]] = []
    text = text[:longest]
    if text.isascii() and text.isprintable():
        return text, [(at, at + 1) for at in range(len(text))]
    start = 0
    while start < len(text):
        attached = _ATTACHED.match(text, start + 1)
        end = attached.end() if attached else start + 1
        for character in _MARK.sub("", unicodedata.normalize("NFKC", text[start:end])):
            if seen := _plain(character):
                plain.append(seen)
                origin.append((start, end))
        start = end
    return "".join(plain)[:longest], origin[:longest]


def _plain(character: str) -> str:
    """The plain character for one that NFKC does not change; empty for an invisible one."""
    if character.isascii() and character.isprintable():
        return character
    if character in "\n\u2028\u2029\x85\x0b\x0c":
        return "\n"
    if character in "\t\r\u2800" or character.isspace():
        return " "
    category = unicodedata.category(character)
    if category in {"Cc", "Cf", "Cs"} or character in _INVISIBLE or 0xE0000 <= ord(character) <= 0xE0FFF:
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Pd" or character in "\u2212\u2043":
        return "-"
    return character


def latin(text: str) -> str:
    """Fold case and letters that look like Latin ones, character by character: the length stays."""
    return "".join(_lower(character) for character in text).translate(_LIKE)


def _lower(character: str) -> str:
    lower = character.lower()
    return lower if len(lower) == 1 else character


def neutral(text: str) -> str:
    """Return ``text`` on one line, without anything that looks like a fence, a slot or a chat turn."""
    plain = _fixed(_neutral, clean(text, LONGEST)[0])
    return _fixed(_neutral, plain[:LONGEST])


def fence(text: str) -> str:
    """Return ``text`` between exactly one opening and one closing fence; at most ``LONGEST`` characters of it. Never raises."""
    return f"{OPENING}{neutral(text)}{CLOSING}"


def _fixed(step: Callable[[str], str], text: str) -> str:
    """Repeat ``step`` until it changes nothing: a removal may join the text around it into a new match."""
    while (changed := step(text)) != text:
        text = changed
    return text


def _neutral(text: str) -> str:
    pieces, at = [], 0
    for placeholder in PLACEHOLDER.finditer(text):
        pieces += [_round(text[at : placeholder.start()]), placeholder[0]]
        at = placeholder.end()
    text = "".join([*pieces, _round(text[at:])])
    return _WHITE.sub(" ", _without_fence_words(_TURN.sub("‹", text))).strip()


def _round(text: str) -> str:
    """Replace all brackets by round ones."""
    return "".join(_ROUND.get(unicodedata.category(character), character) if character not in "()‚„" else character for character in text)


_ROUND: Final = {"Ps": "(", "Pe": ")"}


def _without_fence_words(text: str) -> str:
    """Remove the word of the fences. As two plain words it is ordinary English and stays."""
    pieces, at = [], 0
    for match in _FENCE_WORD.finditer(latin(text)):
        if re.fullmatch(r"\W?user[ -]?input", match[0].strip()) and not match[0].strip().startswith(tuple("([{<‹«/")):
            continue
        pieces.append(text[at : match.start()])
        at = match.end()
    return " ".join([*pieces, text[at:]]) if at else text
