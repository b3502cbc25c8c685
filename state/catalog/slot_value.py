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

_SHORTEST_NUMBER: Final = 3
"""Digits of the shortest numbers to call."""

MOST_MARKS: Final = 5
"""Marks on one letter, as Burmese and Tibetan have them. No letter has the same mark three times."""

MOST_MARKS_HERE: Final = 3
"""Marks on one letter of Latin, Greek or Cyrillic script, with those of other scripts."""

HEAPED: Final = re.compile(
    r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3}|[\u20d0-\u20ff\u0488\u0489]"
)
"""Three marks on a letter of Latin, Greek or Cyrillic script (no language has more than two), or one around it. In decomposed text."""

_INSIDE: Final = r"\u0620-\u065f\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f\u0900-\u0dff"
JOINED: Final = re.compile(rf"(?<=[{_INSIDE}])[\u200c\u200d](?=[{_INSIDE}])")
"""Joiners between letters of Arabic script or scripts of India, which need them: Persian *علی‌رضا*, Sinhala *ශ්‍රී*."""

_HEBREW_QUOTE: Final = re.compile(r"(?<=[\u05d0-\u05ea])\"(?=[\u05d0-\u05ea])")
_BEGINS: Final = re.compile(r"\s*[('’‘«]{0,2}[^\W_]")
_UNDERSCORE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_PUNCTUATION: Final = frozenset(" .,'’‘&()+-·%#_・־׳״་॰،«»")
"""No ``?``, ``!``, ``:`` or ``;``: they make sentences of names. So "Yahoo!" gives way to the default too."""

_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | {
    chr(each) for each in range(0xFE00, 0xFE0F)
}
_SENTENCE_SIGNS: Final = frozenset("❓❔❕❗❢❣")
_ENDS: Final = "com|net|org|io|info|biz|xyz"
_DOMAINS: Final = frozenset(
    f"""{_ENDS.replace("|", " ")} app art blog cloud club dev fun icu link live news online page pro shop site space store tech top vip
    web website world""".split()
)
_COUNTRIES: Final = "ai|at|ca|ch|cn|co|cz|de|dk|es|eu|fi|fr|gg|ie|it|jp|ly|me|nl|pl|pt|ru|se|tk|tv|uk"
_CLEAR_DOMAINS: Final = f"{_ENDS}|app|dev|co|me|link|{_COUNTRIES}"
"""Domains that are no word of a firm's name."""

_DOTS: Final = "dot|punkt|point|punto|ponto|punt"
_ADDRESS: Final = re.compile(
    rf"\w\.\w\w|\.\s*(?:{_ENDS})\b|,(?:{_ENDS})\b"  # what a client would make a link, bare domains included
    rf"|\b(?:{_DOTS})\W{{0,3}}(?:{_ENDS}|app|dev|ai|co|me|link|de|fr|es|it|pt|nl|eu|uk)\b"
    rf"|\b(?:{_DOTS})\W{{1,3}}(?:{'|'.join(sorted(_DOMAINS))}|{_COUNTRIES})\b"
    rf"|\w\W{{1,3}}(?:{_DOTS})\W{{1,3}}[^\W\d_]{{2,8}}\W*\Z",  # at the end whatever domain there is
    re.IGNORECASE,
)
_NAMED_DOT: Final = re.compile(
    r"(\A|\A[Ll][ea] |\b[^\W\d_a-zß-ÿ]\w* )"
    rf"(?:(?:Point|Dot|Punto|Punkt|Ponto|Punt) (?!(?i:{_CLEAR_DOMAINS})\b)(?=[^\W\d_a-zß-ÿ])|(?:Point|Punto|Ponto) (?=d[eo] [^\W\d_]{{3}}))"
)
"""*Point*, *Dot* and the like inside a firm's name, between words with capitals or before *de*: *West Point Store*, *Point de Vue*."""

_TITLES: Final = frozenset("Dr Md Mr Mrs Ms Mst Prof Smt St".split())
_DOT: Final = re.compile(r"(?<!\w)([^\W\d_]{1,4})\.(?=([^\W\d_]+)(?![.\w]))")

_ALSO_NAMES: Final = re.compile(r"\b(?:forget|system|prompt|assistant|click|visit|select|script)\b", re.IGNORECASE)
_OBJECT: Final = re.compile(
    r"\b(?:a|all|an|any|below|here|his|her|it|its|link|me|my|now|our|ours|page|the|their|them|this|that|today|us|website)\b", re.IGNORECASE
)
_MOST_WORDS: Final = 3
_CALL: Final = re.compile(
    r"\b(?:call|ring|dial|phone|text|sms|ruf(?:e|en|t)?|anruf\w*|anzurufen|appele[rz]|appelles?|composez?|llam[ae]d?|llamar|chiam[ai]\w*"
    r"|ligue (?:para|a|ao|pr[ao]|no)|disque|bellen|bel (?:ons|me|mij|nu|naar|\d+))\b",
    re.IGNORECASE,
)
"""Orders to call, which need a number: *Call 1190*, *Text YES to 8005*."""

_SHORT_NUMBER: Final = re.compile(
    r"\b(?:hotline|whats ?app|send|reply|number|nummer|n[uú]mero|kontakt|sende?|schick\w*|antwort\w*|w(?:ä|ae?)hle?[nt]?|telefonier\w*"
    r"|telefon|marc(?:a|ar|ad|ue|quez)|marque[rz]?|t[ée]l[ée]phone[rz]?|tel[eé]fon[oe]\w?|disca|liga|envoie|envoye[rz]|env[ií][ae]\w*|invia\w*"
    r"|stuur|antwoord\w*)\b|\btel\b(?=\W*\d)|\b(?:(?-i:an?|al|au|ao)|to|aan|naar)\W+(?!(?:19|20)\d\d\b)\d[\d\W]*\Z",
    re.IGNORECASE,
)
"""Words beside which three or four digits are a number to call or to write to. After *to* and the like a year is none."""

_ORDER: Final = re.compile(
    r"\b(?:ignore|disregard|override|instruct\w*|https?|www|sudo|admin\w*"
    r"|drop table|jailbreak|yours?|expired|suspended|verify"
    r"|passw[oö]r[dt]\w*|pass(?:code|phrase)s?|kennw[oö]rt\w*|mots? de passe|contrase[nñ]as?|senhas?|palavras?.passe|wachtwoord\w*"
    r"|parol[ae] d'ordine"
    r")\b",
    re.IGNORECASE,
)
"""Orders to a person or a model, and news that make a person follow one."""


def is_displayable(text: str) -> bool:
    """Whether a value that a user may have typed can be shown in guidance. Blanks around it do not matter. CPU work of microseconds."""
    plain = text if text.isascii() else _HEBREW_QUOTE.sub("״", JOINED.sub("", unicodedata.normalize("NFKC", text)))
    digits = sum(character.isnumeric() for character in plain)
    return (
        0 < len(text.strip()) <= LONGEST >= len(plain.strip())
        and not names_nobody(text)
        and all(_fits(character) for character in plain)
        and digits <= MOST_DIGITS
        and not _is_address(_DOT.sub(_after_initial, plain))
        and _ORDER.search(plain) is None
        and not (digits and _CALL.search(plain) is not None)
        and not (digits >= _SHORTEST_NUMBER and _SHORT_NUMBER.search(plain) is not None)
        and not (_ALSO_NAMES.search(plain) is not None and _is_order(plain))
        and _UNDERSCORE.search(plain) is None
        and _BEGINS.match(plain) is not None
        and not _is_heaped(text)
    )


def _is_address(plain: str) -> bool:
    return _ADDRESS.search(plain) is not None and _ADDRESS.search(_NAMED_DOT.sub(r"\1", plain, count=1)) is not None


def _fits(character: str) -> bool:
    """Letters, digits, marks, emoji and the punctuation of names."""
    if character.isascii():
        return character.isalnum() or character in _PUNCTUATION
    category = unicodedata.category(character)
    if character in _INVISIBLE or character in _SENTENCE_SIGNS:
        return False
    return category[0] in "LN" or category in {"Mn", "Mc", "Zs", "So", "Pd"} or character in _PUNCTUATION


def _after_initial(dot: re.Match[str]) -> str:
    """The dot with a blank after an initial or a title: *K.Raju* is no domain, but *K.Shop* is."""
    before, after = dot[1], dot[2]
    initial = before in _TITLES or (len(before) == 1 and before.isupper())
    return f"{before}. " if initial and after.istitle() and len(after) > 2 and after.lower() not in _DOMAINS else dot[0]


def _is_order(plain: str) -> bool:
    """Whether a value with a word of ``_ALSO_NAMES`` is an order.

    It is a name if it has up to three words, each begins with a capital, and none is what orders are about: *Visit Norway*, but *Visit Us*.
    """
    words = re.findall(r"[^\W\d_]+", plain)
    return len(words) > _MOST_WORDS or any(word[0].islower() for word in words) or _OBJECT.search(plain) is not None


def _is_heaped(text: str) -> bool:
    """Whether letters have more marks than any language writes."""
    if text.isascii():
        return False
    apart = unicodedata.normalize("NFD", text)
    marks, same, most = 0, 1, MOST_MARKS
    for before, character in zip(" " + apart, apart, strict=False):
        if unicodedata.category(character)[0] != "M":
            marks, same, most = 0, 1, MOST_MARKS_HERE if character < "\u0590" or "\u1e00" <= character < "\u2000" else MOST_MARKS
            continue
        marks, same = marks + 1, same + 1 if character == before else 1
        if marks > most or same > 2:
            return True
    return HEAPED.search(apart) is not None
