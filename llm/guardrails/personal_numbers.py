"""Finds numbers of people: those of five digits or more, documents by their form, dates of birth, and postal addresses.

The input is clean already; every expression is bounded. Dates are known in English, German, French, Spanish, Italian, Portuguese and Dutch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.it import codicefiscale

from llm.guardrails.secrets import Found

# ---------------------------------------------------------------------------------------------------------------- long numbers

_FEWEST: Final = 5
"""Digits of a long number."""
_WITH_DIGITS: Final = r"[^\W_]*\d[^\W_]*"
_NUMBER: Final = re.compile(rf"(?<![^\W_]){_WITH_DIGITS}(?:(?: |[\-.·/_:] ?|,){_WITH_DIGITS})*")
_IN_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}(?:([ .,]?)\d{3})(?:\1\d{3})*")


def long_numbers(text: str) -> Iterator[Found]:
    """Yield, as ``number``, every number of five digits or more, also with letters or marks between, except a round one in thousands.

    Numbers of accounts, documents and orders look alike, and no list of words tells them apart in seven languages and in the field names
    of error messages. Whoever words a recommendation needs none of them.
    """
    for match in _NUMBER.finditer(text):
        if sum(map(str.isdigit, match[0])) >= _FEWEST and not _is_round(match[0]):
            yield *match.span(), "number"


def _is_round(number: str) -> bool:
    """Whether it is a number in thousands with three other digits at most, such as 120,000: many rows, and nobody's number.

    From a million on the thousands must be apart: bank codes look like 12000000.
    """
    digits = "".join(filter(str.isdigit, number))
    is_written_so = len(number) > len(digits) or len(digits) < 7
    return digits.endswith("000") and len(digits.rstrip("0")) <= 3 and is_written_so and _IN_THOUSANDS.fullmatch(number) is not None


# --------------------------------------------------------------------------------------------------------------- dates of birth

_FURTHEST: Final = 24
"""Characters between a word and its date."""
_LONGEST: Final = 40
"""Characters of a date."""


def _words(*words: str) -> str:
    return "|".join(words)


_BIRTH_WORDS: Final = _words(
    r"born|birth(?:days?|date)?|dob|d\.o\.b\.|geboren|geb\.|geburts(?:datum|tag)|naissance|née?|nacid[oa]|nacimiento|(?-i:nat[oa])|nascita",
    r"nascid[oa]|nascimento|geboorte(?:datum|dag)",
)
_BORN: Final = re.compile(rf"(?<![^\W_])(?:{_BIRTH_WORDS})(?![^\W\d_])", re.IGNORECASE)
_DATE: Final = re.compile(
    r"\d{1,4}(?P<by>[./\-])\s?\d{1,2}(?P=by)\s?\d{2,4}(?!\d)|\d{1,2} \d{1,2} \d{4}(?!\d)"
    r"|\d{1,2}(?:st|nd|rd|th|er|[.ºª])?\s(?:of |de |di )?[^\W\d_]{3,10}\.?,?\s(?:de |di )?(?:\d{4}|'\d{2})(?!\d)"
)
_MONTH_FIRST: Final = re.compile(
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,7}\.?\s\d{1,2}(?:st|nd|rd|th)?,?\s\d{4}(?!\d)", re.IGNORECASE
)
_GAP: Final = re.compile(rf"[^\d\n\[\]]{{0,{_FURTHEST}}}")
"""Nothing that is a number, the end of a line or a placeholder."""


def birth_dates(text: str) -> Iterator[Found]:
    """Yield the date after each word that says of what it is the date."""
    for word in _BORN.finditer(text):
        rest = text[word.end() : word.end() + _FURTHEST + _LONGEST]
        gap = _GAP.match(rest)
        furthest = gap.end() if gap is not None else 0
        dates = [match for pattern in (_DATE, _MONTH_FIRST) for match in pattern.finditer(rest) if match.start() <= furthest]
        if dates:
            first = min(dates, key=re.Match.start)
            yield word.end() + first.start(), word.end() + first.end(), "birth_date"


# ----------------------------------------------------------------------------------------------- documents and postal addresses

_ROAD: Final = r"Street|Road|Avenue|Boulevard|Lane|Terrace|Crescent|St\.|Rd\.?|Ave\.?|Blvd\.?"
_ROAD_WITH_COMMA: Final = r"Drive|Close|Place|Way|Court|Square|St|Dr\.?|Ct\.?|Sq\.?|Pl\.?"
"""Words of many other things: "3 Google Drive files"."""
_STATES: Final = r"A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]"
_CITY: Final = r"[A-ZÄÖÜ][^\W\d_]{1,20}(?:[ \-][A-ZÄÖÜ][^\W\d_]{1,20}){0,2}"
_HOUSE: Final = re.compile(
    rf"(?<![\w.,\-/#])\d{{1,5}}[A-Za-z]?,? (?:[NSEW]\.? )?(?:(?:[A-Z][\w'’.]{{1,20}}|\d{{1,3}}(?:st|nd|rd|th)) ){{1,3}}"
    rf"(?:(?:{_ROAD})(?![\w])|(?:{_ROAD_WITH_COMMA})(?=,))(?:,? (?:Apt|Suite|Unit|Flat|#)\.? ?\w{{1,5}})?"
    rf"(?:, {_CITY})?(?:,? (?:{_STATES}) \d{{5}}(?:-\d{{4}})?)?"
)
_TOWN_IN_US: Final = re.compile(rf"(?<![\w]){_CITY}, (?:{_STATES}) \d{{5}}(?:-\d{{4}})?(?![\w\-]| [a-z])")
_AREA_IN_UK: Final = _words(
    r"[BEGLMNSW]|A[BL]|B[ABDFHLNRST]|C[ABFHMORTVW]|D[ADEGHLNTY]|E[CHNX]|F[KY]|G[LUY]|H[ADGPRSUX]|I[GMPV]|JE|K[ATWY]|L[ADELNSU]|M[EKL]",
    r"N[EGNPRW]|O[LX]|P[AEHLOR]|R[GHM]|S[AEGKLMNOPRSTWY]|T[ADFNQRSW]|UB|W[ACDFNRSV]|YO|ZE",
)
_AFTER_NO_CELL: Final = "".join(
    rf"(?<!(?i:{word}) )" for word in "cell cells zelle zellen cellule cellules celda celdas cella celle célula células cel cellen".split()
)
"""Two cells of a table are written like a postcode."""
_POSTCODE_IN_UK: Final = re.compile(rf"(?<![\w\-]){_AFTER_NO_CELL}(?:{_AREA_IN_UK})\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{{2}}(?![\w\-])")
_HOUSE_IN_GERMAN: Final = re.compile(
    r"(?<![^\W_])(?:[A-ZÄÖÜ][\wäöüß.\-]{1,30}[ \-]){0,2}"
    r"(?:(?:[A-ZÄÖÜ][\wäöüß\-]{1,30}(?:stra(?:ß|ss)e|str\.|allee|gasse)|Stra(?:ß|ss)e|Str\.|Allee|Gasse) ?\d{1,4} ?[a-z]?(?![\w.]|,\d)"
    rf"(?:,? (?:[A-Z]{{1,2}}-)?\d{{4,5}} {_CITY})?"
    rf"|[A-ZÄÖÜ][\wäöüß\-]{{1,30}}(?:(?:weg|ring|damm|ufer|chaussee) \d{{1,4}} ?[a-z]?,? (?:[A-Z]{{1,2}}-)?\d{{4,5}}"
    rf"|platz \d{{1,4}} ?[a-z]?,? (?:[A-Z]{{1,2}}-\d{{4,5}}|\d{{5}})) {_CITY})"
)

_OF_ITS_OWN: Final[tuple[tuple[re.Pattern[str], str, Callable[[str], bool] | None], ...]] = (
    (re.compile(r"(?<![\w\-.])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w\-])"), "id_number", None),  # US
    (re.compile(r"(?<![\w])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] \d{2} \d{2} \d{2} [A-D](?!\w)"), "id_number", None),  # UK
    (re.compile(r"(?<!\w)[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)", re.IGNORECASE), "id_number", codicefiscale.is_valid),
    (re.compile(r"(?<![\w.\-])\d\d\.?\d{3}\.?\d{3}-?[A-Z](?!\w)"), "id_number", lambda found: dni.is_valid(found.replace(".", ""))),
    (re.compile(r"(?<![\w.\-])[XYZ]-?\d{7}-?[A-Z](?!\w)"), "id_number", nie.is_valid),
    (re.compile(r"(?<![\w.\-])[12] ?\d\d ?(?:0[1-9]|1[0-2]) ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}(?!\w)"), "id_number", nir.is_valid),
    (re.compile(r"(?<![\w.\-])\d{3}\.\d{3}\.\d{3}-\d{2}(?!\w)"), "id_number", cpf.is_valid),
    (re.compile(r"(?<![\w.\-])756\.\d{4}\.\d{4}\.\d{2}(?!\w)"), "id_number", ahv.is_valid),
    (_HOUSE, "address", None),
    (_TOWN_IN_US, "address", None),
    (_POSTCODE_IN_UK, "address", None),
    (_HOUSE_IN_GERMAN, "address", None),
)


def forms(text: str) -> Iterator[Found]:
    """Yield numbers of documents that have a form of their own, by their checksum where there is one, and postal addresses."""
    for pattern, kind, is_valid in _OF_ITS_OWN:
        for match in pattern.finditer(text):
            if is_valid is None or is_valid(match[0]):
                yield *match.span(), kind
