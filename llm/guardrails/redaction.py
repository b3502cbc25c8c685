"""Removes personal data and secrets from a text before it goes into a prompt.

Overlapping findings are merged, so that no part of either remains.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec
import phonenumbers
from stdnum import iban, luhn

from llm.guardrails.english import ordinary
from llm.guardrails.fence import PLACEHOLDER, clean
from llm.guardrails.personal_numbers import birth_dates, forms, long_numbers
from llm.guardrails.secrets import Found, secrets

LONGEST: Final = 2_000
"""Characters of a redacted text; the rest is cut off."""

MARGIN: Final = 200
"""Characters read beyond that, so that a finding across the cut is still recognised."""

_ROUNDS: Final = 8

_PRIORITY: Final = (
    *("secret", "api_key", "bearer", "url_password", "email", "iban", "card", "id_number", "birth_date", "phone", "ip"),
    *("address", "name", "number"),
)
"""Overlapping findings get the first of their kinds in this order."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """A finding: ``text[start:end]``; ``kind`` is one of ``_PRIORITY``."""

    start: int
    end: int
    kind: str


class RedactionError(Exception):
    """Each pass finds something new in the text, so it must not be used."""


def find(text: str, names: Sequence[str] = ()) -> list[Span]:
    """Return what is personal, in order and without overlaps, as ranges of ``text``. ``names`` are the known names of the person.

    Reads the first 2,200 characters. CPU work of about a millisecond for a usual text, and of some tens at most; does not block otherwise.
    """
    plain, origin = clean(text, LONGEST + MARGIN)
    return [Span(origin[start][0], origin[end - 1][1], kind) for start, end, kind in _found(plain, names)]


def redact(text: str, names: Sequence[str] = (), longest: int = LONGEST) -> str:
    """Return ``text``, plain and cut to ``longest`` characters, with ``[EMAIL]`` and the like in place of what ``find`` finds, and
    ``[NUMBER]`` in place of every other long number: a prompt needs none.

    The cut comes last, so that of a finding that it goes through nothing is left: pass a text that is 200 characters longer, if there is
    one. Redacting again changes nothing. Raises ``RedactionError``, and errors of a library that meets an unexpected text.
    """
    for _ in range(_ROUNDS):
        plain, _origin = clean(text, longest + MARGIN)
        pieces, at, size = [], 0, 0
        for start, end, kind in _found(plain, names, long_numbers(plain)):
            if start >= longest:
                break
            pieces += [plain[at:start], f"[{kind.upper()}]"]
            at = end
        size = max(at, longest)
        redacted = "".join([*pieces, plain[at:size]])[:longest]
        if redacted == text:
            return redacted
        text = redacted
    raise RedactionError(f"something new was found in each of {_ROUNDS} passes")


def _found(plain: str, names: Sequence[str], more: Iterable[Found] = ()) -> list[Found]:
    """Findings in clean text, merged where they overlap and without the placeholders of an earlier pass."""
    merged: list[Found] = []
    found = [*_emails(plain), *_numbers(plain), *birth_dates(plain), *forms(plain), *_addresses(plain)]
    found += [*secrets(plain), *_named(plain, names), *more]
    for start, end, kind in sorted(found):
        if merged and start < merged[-1][1]:
            before = merged[-1]
            merged[-1] = (before[0], max(end, before[1]), min(kind, before[2], key=_PRIORITY.index))
        else:
            merged.append((start, end, kind))
    barriers = [match.span() for match in PLACEHOLDER.finditer(plain)]
    return [piece for one in merged for piece in _around(one, barriers, plain)]


def _around(found: Found, barriers: list[tuple[int, int]], plain: str) -> Iterator[Found]:
    start, end, kind = found
    for begins, ends in barriers:
        if ends <= start or begins >= end:
            continue
        if plain[start:begins].strip():
            yield start, begins, kind
        start = ends
    if start < end and plain[start:end].strip():
        yield start, end, kind


# ---------------------------------------------------------------------------------------------------------------------- e-mail

_LOCAL: Final = r"[^\s@<>()\[\]{},;:\"|\\/=?&%]{1,64}"
_HOST: Final = r"(?:[^\W_](?:[\w\-]{0,62})[.。]){1,8}[^\W\d_]{2,24}"
_EMAIL: Final = re.compile(
    rf"(?:{_LOCAL}|\"[^\"\n]{{1,64}}\")\s?(?:@|%40|&#64;|&commat;)\s?(?:{_HOST}|\[?\d{{1,3}}(?:\.\d{{1,3}}){{3}}\]?|localhost)",
    re.IGNORECASE,
)
_AT: Final = (
    r"(?:\s{0,2}[\[({<]\s?(?:at|@|arroba|ät|chiocciola|a)\s?[\])}>]\s{0,2}|\s?@\s?|[\s_\-.]at[\s_\-.]|\s(?:arroba"
    r"|ät|chiocciola|chez|AT)\s)"
)
_DOT: Final = (
    r"(?:\s{0,2}[\[({<]\s?(?:dot|punkt|punto|point|ponto|\.)\s?[\])}>]\s{0,2}|[\s_\-.](?:dot|punkt|punto|point|ponto)[\s_\-.]|\s?\.\s?)"
)
_AT_SIGN: Final = re.compile(_AT, re.IGNORECASE)
_BEFORE_AT: Final = re.compile(rf"(?<![\w.+\-])(?:[\w.+\-]+{_DOT})?[\w.+\-]+\Z", re.IGNORECASE)
_LONGEST_LOCAL: Final = 140
"""Characters of what ``_BEFORE_AT`` reads."""


def _after_at(end_of_label: str) -> re.Pattern[str]:
    """A host that is spelt out. A label ends where ``end_of_label`` begins: so a text has one reading, and a failure costs linear time.

    A group in a lookahead and a reference to it are not tried again, like a possessive quantifier, which Python 3.11.2 matches wrongly.
    """
    label = rf"(?:(?!{end_of_label})[\w\-])"
    first, others = rf"(?=({label}{{1,60}}))\1", rf"(?:{_DOT}(?=({label}{{1,40}}))\2){{0,3}}"
    return re.compile(rf"{first}{others}{_DOT}[^\W\d_]{{2,24}}\b", re.IGNORECASE)


_AFTER_SIGN: Final = _after_at(_DOT)
_AFTER_WORD: Final = _after_at(f"{_DOT}|{_AT}")  # else each of many "_at_" would read what the next one reads again
_PROVIDER: Final = re.compile(
    r"(?:g(?:oogle)?mail|outlook|hotmail|yahoo|icloud|proton(?:mail)?|gmx|web|live|aol|fastmail|mail|zoho|yandex|posteo|mailbox)[\W_]",
    re.IGNORECASE,
)
_PACKAGES: Final = re.compile(r"git@(?:github|gitlab|bitbucket)\.(?:com|org)", re.IGNORECASE)
_STOP: Final = frozenset("the a an this that each every any some no my your our look is are was be it not error failed point".split())


def _emails(text: str) -> Iterator[Found]:
    for match in _EMAIL.finditer(text):
        if not _PACKAGES.fullmatch(match[0]):
            quote = len(match[0]) - len(match[0].lstrip("'`*_.!#$^~“”‘’«»„"))
            yield match.start() + (quote if quote < len(match[0].partition("@")[0]) else 0), match.end(), "email"
    at = 0
    while sign := _AT_SIGN.search(text, at):
        at = sign.start() + 1
        host = (_AFTER_SIGN if _is_sign(sign[0]) else _AFTER_WORD).match(text, sign.end())
        if host is None:
            continue
        local = _BEFORE_AT.search(text[max(0, sign.start() - _LONGEST_LOCAL) : sign.start()])
        if local is not None and _is_spelt(local[0].lower(), sign[0], host[0].lower()):
            at = host.end()
            yield sign.start() - len(local[0]), at, "email"


def _is_sign(at: str) -> bool:
    return at.strip(" _-.")[:1] in "@[({<"


def _is_spelt(local: str, at: str, host: str) -> bool:
    """Whether an address is spelt out; else the text only has an "at" before a host."""
    dotted = re.search(r"[\[({<]|\W(?:dot|punkt|punto|point|ponto)\W", host) is not None
    if _is_sign(at):
        return dotted or re.fullmatch(r"[\w\-]+(?:\s?\.\s?[\w\-]+)+", host) is not None
    first = re.match(r"[\w\-]+", host)
    if dotted:
        return first is not None and first[0] not in _STOP and local not in _STOP
    return _PROVIDER.match(host) is not None and local not in _STOP and " " not in host


# --------------------------------------------------------------------------------------------------------------------- numbers

_CHAIN: Final = re.compile(r"(?<!\d)\d(?:(?: {0,3}| ?[\-.·_/] ?)\d){11,79}(?!\d)")
"""There is one way to read what stands between two digits: with several, a chain that is too short would be read in all combinations."""
_BRANDS: Final = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}"
    r"|3(?:0[0-59]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}|(?:5018|5020|5038|6304|6759|676[1-3])\d{8,15}"
)
_GLUED: Final = re.compile(
    r"(?=((?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6(?:011|5\d\d|4[4-9]\d)|35\d\d)([ \-.·_]?)\d{4}\2\d{4}\2\d{4}|3[47]\d\d([ \-.·_]?)\d{6}\3\d{5}))"
)
_CARD_WORD: Final = re.compile(
    r"(?:card|visa|master ?card|amex|maestro|pan|kreditkarte|karte|tarjeta|carte|carta|cart[aã]o)\b[^\d\n]{0,24}$", re.IGNORECASE
)
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][ ]?[A-Za-z][ \-.]?\d[ ]?\d(?:[ \-.]{0,2}[A-Za-z0-9]){10,32}")
_IBAN_WORD: Final = re.compile(r"iban\b[^\n]{0,16}$", re.IGNORECASE)

_REGIONS: Final = (None, "US", "GB", "DE", "FR", "AU", "ES", "IT", "IN", "BR")
_PHONE_WORD: Final = re.compile(
    r"(?:phone|tel(?:efon\w*|ephone|[eé]fono)?|mobile?|mobil|cell|call(?:ed| me)?|ring|whatsapp|signal|sms|text me"
    r"|fax|handy|rufnummer|nummer|dial|reach (?:me|us)|contact"
    r"|hotline|m[oó]vil|portable|num[eé]ro|n[uú]mero|cellulare|office|my number|anrufen|ruf)\b[^\d\n]{0,28}$",
    re.IGNORECASE,
)
_NOT_PHONE: Final = re.compile(
    r"(?:order|ticket|invoice|case|ref(?:erence)?|version|build|timestamp|epoch|row|rows|line|sku|serial|tracking"
    r"|error|code|port|id|isbn|issue|pallet|amount|sum|total|customer"
    r"|account|batch|number|no|nr|bestellung|rechnung|auftrag|lat|lon|eur|usd|from|between|segment|section|sn|ean"
    r"|gtin|upc|zip|vat|tax|part|model)\b[^\d\n]{0,12}$|[#$€£%]\s?$",
    re.IGNORECASE,
)
_NATIONAL: Final = re.compile(
    r"\(0?\d{2,5}\)[ \-.]?\d[\d \-./]{4,12}|0\d{1,5}[ \-./]\d[\d \-./]{4,14}|(?:1[ \-.])?\d{3}([ \-.])\d{3}[ \-.]\d{4}|0\d{9,11}"
)
_INTERNATIONAL: Final = re.compile(r"(?<![\w+])(?:\+|00(?=[1-9]))[ ]?\(?\d(?:[ \-./()]{0,2}\d){6,16}(?!\d)")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}(?!\d)|\d{1,2}:\d{2}")


def _numbers(text: str) -> Iterator[Found]:
    yield from _cards(text)
    yield from _ibans(text)
    yield from _phones(text)


def _cards(text: str) -> Iterator[Found]:
    for chain in _CHAIN.finditer(text):
        groups = [(match.start(), match.end()) for match in re.finditer(r"\d+", chain[0])]
        meant = _CARD_WORD.search(text[max(0, chain.start() - 48) : chain.start()]) is not None
        for first in range(len(groups)):
            for last in range(first, min(first + 8, len(groups))):
                digits = re.sub(r"\D", "", chain[0][groups[first][0] : groups[last][1]])
                if len(digits) > 19:
                    break
                if (_BRANDS.fullmatch(digits) and luhn.is_valid(digits)) or (meant and first == 0 and len(digits) in {15, 16}):
                    yield chain.start() + groups[first][0], chain.start() + groups[last][1], "card"
    for match in _GLUED.finditer(text):
        if luhn.is_valid(re.sub(r"\D", "", match[1])):
            yield *match.span(1), "card"


def _ibans(text: str) -> Iterator[Found]:
    at = 0
    while match := _IBAN.search(text, at):
        at = match.start() + 1
        places = [place for place in range(*match.span()) if text[place].isalnum()]
        compact = "".join(text[place] for place in places).upper()
        meant = _IBAN_WORD.search(text[max(0, match.start() - 24) : match.start()]) is not None
        length = next((each for each in reversed(_checksums(compact)) if iban.is_valid(compact[:each])), 0)
        if length:
            yield match.start(), places[length - 1] + 1, "iban"
        elif meant:
            yield *match.span(), "iban"


def _checksums(compact: str) -> list[int]:
    """The lengths, 15 at least, at which the checksum of an IBAN would be right: looking up all of them would take too long."""
    head = int("".join(str(int(character, 36)) for character in compact[:4]))
    lengths, rest = [], 0
    for length, character in enumerate(compact[4:], 5):
        value = int(character, 36)
        rest = (rest * (10 if value < 10 else 100) + value) % 97
        if length >= 15 and (rest * 1_000_000 + head) % 97 == 1:
            lengths.append(length)
    return lengths


def _phones(text: str) -> Iterator[Found]:
    for match in _INTERNATIONAL.finditer(text):
        if match[0][0] == "+" or _phone_like(text, *match.span()):
            yield *match.span(), "phone"
    if sum(character.isdigit() for character in text) < 7:
        return
    for region in _REGIONS:
        for number in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID, max_tries=40):
            start = int(number.start)
            end = start + len(number.raw_string)
            if number.raw_string.startswith("+") or _phone_like(text, start, end):
                yield start, end, "phone"
    for national in _NATIONAL.finditer(text):
        if _PHONE_WORD.search(text[max(0, national.start() - 48) : national.start()]) and _phone_like(text, *national.span()):
            yield *national.span(), "phone"


def _phone_like(text: str, start: int, end: int) -> bool:
    """Whether digits that could be a phone number are meant as one."""
    before, raw = text[max(0, start - 48) : start], text[start:end]
    if _TIME.search(raw) or (start and (text[start - 1].isalnum() or text[start - 1] in "._/:-")) or text[end : end + 1] in {":", "_"}:
        return False
    if _PHONE_WORD.search(before):
        return True
    return _NOT_PHONE.search(before) is None and (_NATIONAL.fullmatch(raw) is not None or raw.startswith("00"))


# ------------------------------------------------------------------------------------------------------------------- addresses

_IPV4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2}(?!\d))?(?![\w]|\.\d)")
_IPV6: Final = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?:%\w{1,16})?(?:/\d{1,3})?(?![\w])"
)
_VERSION: Final = re.compile(
    r"(?:\bv|version|release|build|ver\.?|/|chrome|firefox|safari|edge|driver|section|§|windows|node|update|upgrade\w*|patch)\s{0,2}$",
    re.IGNORECASE,
)


def _addresses(text: str) -> Iterator[Found]:
    for match in _IPV4.finditer(text):
        numbers = [int(part) for part in match[0].partition("/")[0].split(".")]
        before = text[max(0, match.start() - 16) : match.start()]
        if max(numbers) <= 255 and (not _VERSION.search(before) or before.endswith("//")):
            yield *match.span(), "ip"
    for match in _IPV6.finditer(text):
        end = match.end()
        while end > match.start() and text[end - 1] == ":" and text[match.start() : end] != "::":
            end -= 1
        address = text[match.start() : end].partition("/")[0].partition("%")[0]
        if any(character.isdigit() for character in address) and address.count(":") >= 2 and _is_ipv6(address):
            yield match.start(), end, "ip"


def _is_ipv6(address: str) -> bool:
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True


# ----------------------------------------------------------------------------------------------------------------------- names

_ORDINARY: Final = frozenset(
    "the and for your our inc llc ltd gmbh corp company group team data labs lab global digital media cloud "
    "studio studios software solutions "
    "systems services service consulting partners holding international technologies technology tech analytics "
    "marketing design web net online "
    "app apps one first best good new big smart open free next north south east west user users admin test demo "
    "example none null unknown van "
    "von der den del los las des bin ben dos san saint will mark may june april august grace hope bill rich rose "
    "art frank sue chase page dean "
    "drew dawn joy faith summer autumn ivy iris pat rob jack nick max miles chance sky star king young long "
    "short white black brown green gray "
    "grey small price stone field fields case cook baker miller page day week post home hand head line ray ruby "
    "jade pearl penny daisy lily "
    "violet amber jean gene guy earl duke norm harry josh don ken bob tom sam carol crystal destiny melody wade "
    "cliff glen heath forest lane "
    "reed skip trip buck colt dash ace sage sunny honey angel christian major chip lance grant pierce trace bank "
    "banks bush ford lake hill hills "
    "wood woods rivers bridge church hall house street parks park wells waters winter winters snow frost rain "
    "storm love power powers sharp swift "
    "wise moody noble savage bright strong story history report source error chart table query board sales finance product customer".split()
)
_LETTERS: Final = {"ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
_SPELT_OUT: Final = re.compile(r"(?<=a)[ae]+|(?<=[ou])e+|(?<=d)j+|(?<=s)s+")
"""What stands for a mark in ä ö ü å æ ø œ đ ß where they are spelt out."""


class _Name(NamedTuple):
    """A name or a part of one. ``ordinary``: it is also a word, or very short, and counts only where it is written as a name."""

    letters: str
    marked: bool
    ordinary: bool

    def may_be(self, letters: str) -> bool:
        """Whether ``letters`` of the same skeleton can be this name at all."""
        return letters == self.letters or len(letters) > 2

    def is_meant(self, letters: str, *, marked: bool) -> bool:
        """Whether ``letters``, which have marks if ``marked``, mean this name even where they are not written as one."""
        if self.ordinary or letters == self.letters:
            return not self.ordinary
        # Where neither has marks, "los" need not be "Loes", and "staan" not "Stan". A long name that gets shorter is hardly another word.
        spelt_otherwise = self.marked or marked or letters == f"{self.letters}s" or 5 <= len(letters) < len(self.letters)
        return spelt_otherwise and not ordinary(letters)


def _fold(text: str) -> tuple[str, list[int]]:
    """Without case and marks, and for each character the place it came from."""
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for part in unicodedata.normalize("NFD", character.casefold()):
            if not unicodedata.combining(part):
                for letter in _LETTERS.get(part, part):
                    folded.append(letter)
                    places.append(place)
    return "".join(folded), places


def _skeleton(text: str) -> tuple[str, list[tuple[int, int]]]:
    """What all spellings of ``text`` have in common, and for each character of that the range of ``text`` it stands for."""
    folded, places = _fold(text)
    ranges = [(place, place + 1) for place in places]
    kept: list[int] = []
    at = 0
    for run in _SPELT_OUT.finditer(folded):
        kept += range(at, run.start())
        ranges[kept[-1]] = ranges[kept[-1]][0], ranges[run.end() - 1][1]
        at = run.end()
    kept += range(at, len(folded))
    return "".join(folded[place] for place in kept), [ranges[place] for place in kept]


def _letters(text: str) -> str:
    """The letters and digits of ``text``, folded."""
    return "".join(character for character in _fold(text)[0] if character.isalnum())


def _marked(text: str) -> bool:
    return any(character.isalpha() and not character.isascii() for character in text)


def _named(text: str, names: Sequence[str]) -> Iterator[Found]:
    skeleton, ranges = _skeleton(text)
    for pattern, wanted in _wanted(names).items():
        for match in re.finditer(pattern, skeleton):
            start, end = ranges[match.start()][0], ranges[match.end() - 1][1]
            found = text[start : ranges[match.end("name") - 1][1]]
            letters, marked = _letters(found), _marked(found)
            written_as_name = text[start].isupper() or _INTRODUCED.search(text[max(0, start - 24) : start])
            if any(name.may_be(letters) and (written_as_name or name.is_meant(letters, marked=marked)) for name in wanted):
                yield start, end, "name"


_INTRODUCED: Final = re.compile(
    r"(?:my name is|name:|i am|i'm|this is|here is|regards,?|thanks,?|cheers,?|signed,?|hi,?|hello,?|dear|[-–—] ?)\s?$", re.IGNORECASE
)


def _wanted(names: Sequence[str]) -> dict[str, list[_Name]]:
    """The names and their parts by the pattern that finds them in a skeleton."""
    wanted: dict[str, list[_Name]] = {}
    for name in names[:16]:
        whole = clean(name, 128)[0].strip(" .,;:'\"")
        parts = [part for part in re.split(r"[\s\-'’.,&/()]+", whole) if part]
        for part in (whole, *(parts if len(parts) > 1 else ())):
            letters = _letters(part)
            is_word = letters in _ORDINARY
            if len(letters) < 2 or (part != whole and (len(letters) < 3 or is_word)):
                continue
            is_short = len(letters) < 3 and letters.isascii()
            wanted.setdefault(_pattern(part), []).append(_Name(letters, _marked(part), is_word or is_short))
    return wanted


def _pattern(name: str) -> str:
    """Matches the skeletons of all spellings of ``name``, and up to three other characters between its parts."""
    gap = r"[\s\W_]"
    parts = [part for part in re.split(rf"{gap}+", _fold(name)[0]) if part]
    inner = re.escape(_skeleton(parts[0])[0])
    for before, part in pairwise(parts):
        apart, together = _skeleton(part)[0], _skeleton(before + part)[0][len(_skeleton(before)[0]) :]  # "AnnaEbert" is "anabert"
        inner += rf"{gap}{{0,3}}{re.escape(apart)}" if apart == together else rf"(?:{gap}{{1,3}}{re.escape(apart)}|{re.escape(together)})"
    if any(unicodedata.east_asian_width(character) == "W" for character in name):
        return f"(?P<name>{inner})"
    return rf"(?<![^\W\d_])(?P<name>{inner})(?:['’]?s)?(?![^\W\d_])"
