"""Finds numbers of accounts and documents, dates of birth, and postal addresses. The input is clean already; every expression is bounded.

Most of these numbers look like any other number. So a number counts after a word that says what it is, in English, German, French, Spanish,
Italian, Portuguese or Dutch. Without a word only those count that have a form of their own, with a checksum where there is one.
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

_FURTHEST: Final = 24
"""Characters between a word and its number."""
_LONGEST: Final = 40
"""Characters of a number or a date."""


def _words(*words: str) -> str:
    return "|".join(words)


_NUMBER: Final = r"(?:[ \-]?(?:nummer|number|num|nr|no)\b)?"
_ACCOUNT: Final = _words(
    rf"(?:bank[ \-]?)?acc(?:oun)?t{_NUMBER}|a/c|sort[ \-]?code|routing{_NUMBER}|(?-i:ABA){_NUMBER}",
    rf"(?:bank[ \-]?)?konto{_NUMBER}|kto{_NUMBER}|kontonr|blz|bankleitzahl",
    r"(?:num[eé]ro de )?compte(?: bancaire)?|rib|code (?:banque|guichet)",
    r"(?:n[uú]mero de )?cuenta(?: bancaria)?|(?:n[uú]mero da )?conta(?: banc[aá]ria| corrente)?|ag[eê]ncia",
    r"(?:numero di )?conto(?: corrente| bancario)?|(?:bank)?rekening(?:nummer)?",
)
_DOCUMENT: Final = _words(
    r"ssn|social[ \-]security|itin|(?-i:TIN|EIN)|tax(?:payer)?[ \-](?:id|number|reference)|utr|national[ \-](?:insurance|id)",
    r"(?-i:NI)[ \-](?:number|no)|nino|nhs|medicare|passport|driv(?:ing|er'?s?)[ \-]?licen[cs]e|id(?:entity)?[ \-]card|aadhaar|pesel",
    r"steuer[ \-]?(?:id|nummer|nr|identifikationsnummer)|idnr|(?:personal)?ausweis(?:nummer|nr)?|reisepass|(?:reise)?pass(?:nummer|nr)",
    r"sozialversicherungs(?:nummer|nr)|rentenversicherungsnummer|f[uü]hrerschein(?:nummer)?|versichertennummer|ahv(?:-nummer)?",
    r"s[eé]curit[eé] sociale|(?-i:NIR|INSEE)|passeport|carte d['’ ]identit[eé]|permis de conduire|num[eé]ro fiscal",
    r"(?-i:DNI|NIE|NIF)|pasaporte|seguridad social|carn[eé] de conducir|permiso de conducir",
    r"codice fiscale|passaporto|carta d['’ ]identit[aà]|(?:numero di )?patente",
    r"(?-i:CPF|RG)|passaporte|bilhete de identidade|cart[aã]o de cidad[aã]o|seguran[cç]a social|carta de condu[cç][aã]o",
    r"(?-i:BSN)|burgerservicenummer|paspoort(?:nummer)?|identiteitskaart|rijbewijs(?:nummer)?",
)
_BIRTH: Final = _words(
    r"born|birth(?:day|date)?|dob|d\.o\.b\.|geboren|geb\.|geburts(?:datum|tag)|naissance|née?|nacid[oa]|nacimiento|(?-i:nat[oa])|nascita",
    r"nascid[oa]|nascimento|geboorte(?:datum|dag)",
)
_WORD: Final = re.compile(
    rf"(?<![^\W_])(?:(?P<account>{_ACCOUNT})|(?P<document>{_DOCUMENT})|(?P<birth>{_BIRTH}))(?![^\W\d_])", re.IGNORECASE
)
_WEAK: Final = re.compile(
    r"acc(?:oun)?t|konto|compte|cuenta|conta|conto|rekening|ag[eê]ncia|routing|aba"
    r"|nhs|medicare|passport|reisepass|passeport|pasaporte|passaport[oe]|paspoort",
    re.IGNORECASE,
)
"""Words of every product: their number must follow at once, and that of an account must be long."""
_COUNTED: Final = "(?i:{})".format(
    _words(
        r"rows|events|users|contacts|lines|records|entries|items|files|values|columns|cells|clicks|views|visits|visitors|sessions|customers",
        r"accounts|orders|invoices|messages|requests|calls|seats|people|points|tokens|bytes|ms|seconds|minutes|[kmgt]i?b",
        r"zeilen|(?:be)?nutzern?|ereignissen?|kontakten?|datensätzen?|einträgen?|kunden|klicks|aufrufen?|besuchern?|spalten|dateien|werten?",
        r"rechnungen|nachrichten|sekunden|minuten",
        r"lignes|[ée]v[ée]nements|utilisateurs|enregistrements|entrées|clients|fichiers|valeurs|factures|visites|clics|secondes",
        r"filas|l[íi]neas|eventos|usuarios|contactos|registros|clientes|archivos|valores|facturas|visitas|segundos",
        r"righe|eventi|utenti|contatti|clienti|valori|fatture|visite|secondi",
        r"linhas|usuários|utilizadores|contatos|registos|ficheiros|arquivos|faturas|cliques",
        r"rijen|regels|gebeurtenissen|gebruikers|contacten|klanten|bestanden|waarden|facturen|klikken|seconden",
    )
)
"""What a product counts: the number before it is no person's."""
_COUNT: Final = re.compile(rf" ?{_COUNTED}\b")
_ROUND: Final = re.compile(r"\d{1,3}(?:[ .]\d{3})*[ .]000")
_BETWEEN: Final = re.compile(
    r"(?:[\s:=#.,(\"'\-]|(?:numbers?|card|num|no|nr|nummer|num[eé]ro|n[uú]mero|n[°º]|is|ist|lautet|est|es|[eèé]|was|de|di|da)\b)*",
    re.IGNORECASE,
)
_GAP: Final = re.compile(rf"[^\d\n\[\]]{{0,{_FURTHEST}}}")

_DIGITS: Final = re.compile(r"\d(?:[ \-.]?\d){5,23}(?!\d|[.,:]\d)")
_WITH_LETTERS: Final = re.compile(
    r"(?<![^\W_])(?:[A-Za-z0-9](?:[\-./]?[A-Za-z0-9]){4,17}"
    r"|(?:[A-Z]{1,3} )?[A-Z]{0,3}\d[\dA-Z]{0,9}(?: [A-Z]{0,2}\d[\dA-Z]{0,9}){1,7}(?: [A-Z])?)(?![^\W_])"
)
_OF_MANY: Final = re.compile(
    r"\b(?:columns?|fields?|has|have|shows?|spalten?|felder|feld|hat|colonnes?|columnas?|colonne)\b", re.IGNORECASE
)
"""Words between that speak of a table, and not of one person."""
_DATE: Final = re.compile(
    r"\d{1,4}(?P<by>[./\-])\s?\d{1,2}(?P=by)\s?\d{2,4}(?!\d)|\d{1,2} \d{1,2} \d{4}(?!\d)"
    r"|\d{1,2}(?:st|nd|rd|th|er|[.ºª])?\s(?:of |de |di )?[^\W\d_]{3,10}\.?,?\s(?:de |di )?(?:\d{4}|'\d{2})(?!\d)"
)
_MONTH_FIRST: Final = re.compile(
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,7}\.?\s\d{1,2}(?:st|nd|rd|th)?,?\s\d{4}(?!\d)", re.IGNORECASE
)
_DAY: Final = re.compile(r"\d{4}([./\-])\d{1,2}\1\d{1,2}|\d{1,2}([./\-])\d{1,2}\2(?:\d{4}|\d{2})")


def personal_numbers(text: str) -> Iterator[Found]:
    """Yield what is found, in no order. Kinds: ``account``, ``id_number``, ``birth_date`` and ``address``."""
    if not any(character.isdigit() for character in text):
        return
    for word in _WORD.finditer(text):
        yield from _after(word, text)
    for pattern, kind, is_valid in _OF_ITS_OWN:
        for match in pattern.finditer(text):
            if is_valid is None or is_valid(match[0]):
                yield *match.span(), kind


def _after(word: re.Match[str], text: str) -> Iterator[Found]:
    """What the word says of the number after it."""
    rest = text[word.end() : word.end() + _FURTHEST + _LONGEST]
    if word["birth"]:
        found, kind = _first(rest, _DATE, _MONTH_FIRST), "birth_date"
    elif word["document"]:
        found, kind = _first(rest, _WITH_LETTERS, _DIGITS, is_meant=_is_of_a_document), "id_number"
        if found is not None and _OF_MANY.search(rest[: found.start()]) is not None:
            return
    else:
        dated = word[0].lower().startswith("sort")  # a sort code is written like a day
        found, kind = _first(rest, _DIGITS, is_meant=lambda digits: dated or _DAY.fullmatch(digits) is None), "account"
    if found is None:
        return
    end = word.end() + found.end()
    if not word["birth"] and _COUNT.match(text, end) is not None:
        return
    if _WEAK.fullmatch(word[0]) is not None:
        if _BETWEEN.fullmatch(rest[: found.start()]) is None:
            return
        if kind == "account" and (_digits(found[0]) < 7 or _ROUND.fullmatch(found[0]) is not None):
            return
    yield word.end() + found.start(), end, kind


def _first(rest: str, *patterns: re.Pattern[str], is_meant: Callable[[str], bool] = bool) -> re.Match[str] | None:
    """The first match that is near enough, with nothing between that is a number, the end of a line or a placeholder."""
    gap = _GAP.match(rest)
    furthest = gap.end() if gap is not None else 0
    matches = [match for pattern in patterns for match in pattern.finditer(rest) if match.start() <= furthest and is_meant(match[0])]
    return min(matches, key=re.Match.start, default=None)


def _is_of_a_document(found: str) -> bool:
    fewest = 6 if not any(character.isalpha() for character in found) else 5
    return _digits(found) >= fewest and _DAY.fullmatch(found) is None


def _digits(found: str) -> int:
    return sum(character.isdigit() for character in found)


# ------------------------------------------------------------------------------------------------------------- without a word

_ROAD: Final = r"Street|Road|Avenue|Boulevard|Lane|Terrace|Crescent|St\.|Rd\.?|Ave\.?|Blvd\.?"
_ROAD_WITH_COMMA: Final = r"Drive|Close|Place|Way|Court|Square|St|Dr\.?|Ct\.?|Sq\.?|Pl\.?"
"""Words of many other things: "3 Google Drive files"."""
_STATES: Final = r"A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]"
_STATES_THAT_ARE_WORDS: Final = r"HI|IN|ME|OK|OR"
_CITY: Final = r"[A-ZÄÖÜ][^\W\d_]{1,20}(?:[ \-][A-ZÄÖÜ][^\W\d_]{1,20}){0,2}"
_HOUSE: Final = re.compile(
    rf"(?<![\w.,\-/#])\d{{1,5}}[A-Za-z]?,? (?:[NSEW]\.? )?(?:(?:[A-Z][\w'’.]{{1,20}}|\d{{1,3}}(?:st|nd|rd|th)) ){{1,3}}"
    rf"(?:(?:{_ROAD})(?![\w])|(?:{_ROAD_WITH_COMMA})(?=,))(?:,? (?:Apt|Suite|Unit|Flat|#)\.? ?\w{{1,5}})?"
    rf"(?:, {_CITY})?(?:,? (?:{_STATES}) \d{{5}}(?:-\d{{4}})?)?"
)
_TOWN_IN_US: Final = re.compile(
    rf"(?<![\w]){_CITY}, (?:(?:{_STATES_THAT_ARE_WORDS}) \d{{5}}(?:-\d{{4}}|(?=\s*(?:[^\s\w\-]|\Z)))"
    rf"|(?!{_STATES_THAT_ARE_WORDS})(?:{_STATES}) \d{{5}}(?:-\d{{4}})?(?! ?{_COUNTED}\b))(?![\w\-])"
)
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
    rf"|platz \d{{1,4}} ?[a-z]?,? (?:[A-Z]{{1,2}}-\d{{4,5}}|\d{{5}})) (?!{_COUNTED}\b){_CITY})"
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
