"""Number words of the languages that ``language.py`` distinguishes. No digits: those are numbers in any language.

*One* is left out, since it is also *a*, and ordinals are, since they say no quantity.
"""

from __future__ import annotations

import re
from typing import Final

_ANYWHERE: Final = frozenset(
    """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty
    forty fourty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million millions billion billions trillion dozen
    dozens percent percentage permille twofold threefold fourfold fivefold tenfold hundredfold quadruple triple triples tripled
    zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig hundert tausend million millionen prozent dutzend
    deux trois quatre cinq huit neuf dix onze douze vingt trente cent mille pour-cent
    dos tres cuatro cinco seis siete ocho nueve diez veinte treinta cien mil ciento
    due tre quattro cinque sei sette otto nove dieci venti trenta cento dois três quatro sete oito nove dez vinte trinta cem
    twee drie vijf zes zeven negen tien twaalf twintig dertig honderd duizend procent
    """.split()
)
"""Numbers in a text of any language: a model may change the language within a text, and other languages have no list of their own."""

_OTHER_WORDS: Final[dict[str, frozenset[str]]] = {
    "en": frozenset("elf due dos cent mil tien zes dix sei otto tres tre mille cem".split()),
    "de": frozenset({"sei"}),
    "fr": frozenset({"due", "dos", "tien", "neuf"}),
    "es": frozenset({"ten"}),
    "it": frozenset({"sei"}),
    "pt": frozenset({"sei", "dos"}),
    "nl": frozenset({"onze", "ten"}),
    "pl": frozenset({"ten"}),
    "cs": frozenset({"ten"}),
}
"""Language → words of ``_ANYWHERE`` that are more often something else there.

*Neuf* and *sei* before a plural are claims (``claims_by_language.py``).
"""

# Where a language writes a number as one word, the expression builds it from the parts below hundred and the large ones.
_DE: Final = r"(?:zwei|zwo|drei|vier|f(?:ü|ue|u)nf|sechs|sieben|acht|neun)"
_DE_TENS: Final = r"(?:zwanzig|drei(?:ß|ss)ig|vierzig|f(?:ü|ue|u)nfzig|sechzig|siebzig|achtzig|neunzig)"
_DE_TEENS: Final = r"(?:zehn|elf|zw(?:ö|oe|o)lf|(?:drei|vier|f(?:ü|ue|u)nf|sech|sieb|acht|neun)zehn)"
_DE_SMALL: Final = rf"(?:(?:ein|{_DE})und{_DE_TENS}|{_DE_TENS}|{_DE_TEENS}|{_DE})"
_DE_LARGE: Final = rf"(?:(?:ein|{_DE_SMALL})?(?:hundert|tausend)(?:und)?){{1,3}}(?:eins?|{_DE_SMALL})?"
_NL: Final = r"(?:twee|drie|vier|vijf|zes|zeven|acht|negen)"
_NL_TENS: Final = r"(?:twintig|dertig|veertig|vijftig|zestig|zeventig|tachtig|negentig)"
_NL_TEENS: Final = r"(?:tien|elf|twaalf|(?:der|veer|vijf|zes|zeven|acht|negen)tien)"
_NL_SMALL: Final = rf"(?:(?:een|één|{_NL})(?:en|ën){_NL_TENS}|{_NL_TENS}|{_NL_TEENS}|{_NL})"
_NL_LARGE: Final = rf"(?:(?:een|één|{_NL_SMALL})?(?:honderd|duizend)(?:en)?){{1,3}}(?:een|één|{_NL_SMALL})?"
_IT: Final = r"(?:due|tr[eé]|quattro|cinque|sei|sette|otto|nove)"
_IT_TENS: Final = r"(?:venti?|trenta?|quaranta?|cinquanta?|sessanta?|settanta?|ottanta?|novanta?)"
_IT_TEENS: Final = r"(?:dieci|undici|dodici|tredici|quattordici|quindici|sedici|dicia(?:ssette|nnove)|diciotto)"
_IT_SMALL: Final = rf"(?:{_IT_TENS}(?:uno?|{_IT})?|{_IT_TEENS}|{_IT})"
_IT_LARGE: Final = rf"(?:{_IT_SMALL}?(?:cento?|mille|mila)){{1,3}}(?:uno?|{_IT_SMALL})?"

_OWN: Final[dict[str, re.Pattern[str]]] = {
    language: re.compile("|".join(expressions))
    for language, expressions in {
        "de": (
            rf"{_DE_SMALL}|{_DE_LARGE}e?[nr]?|(?:zwei|drei)e[nr]|milli(?:on|arde)(?:en|n)?|billion(?:en)?|dutzende?n?|prozent\w*",
            rf"(?:{_DE_SMALL}|{_DE_LARGE})(?:mal|fach\w*|(?:täg|stünd|minüt|sekünd|wöch|monat|jähr)ig\w*)",
            rf"halb(?:e[nrs]?)?|(?:ein|{_DE})?einhalb|anderthalb|viertel|viertelstunden?|drittel",
        ),
        "fr": (
            r"deux|trois|quatre|cinq|six|sept|huit|dix|onze|douze|treize|quatorze|quinze|seize|vingts?|trente|quarante|cinquante|soixante",
            r"septante|huitante|octante|nonante|cents?|mille|milli(?:on|ard|er)s?|demie?|quart",
            r"(?:diz|douz|quinz|vingt|trent|quarant|cinquant|soixant|cent)aines?",
        ),
        "es": (
            r"dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|trece|catorce|quince|dieci(?:s[eé]is|siete|ocho|nueve)|veinte",
            r"veinti(?:una?|uno|ún|d[oó]s|tr[eé]s|cuatro|cinco|s[eé]is|siete|ocho|nueve)|treinta|cuarenta|cincuenta|sesenta|setenta",
            r"ochenta|noventa|cien|cientos?|(?:dos|tres|cuatro|seis|sete|ocho|nove)cient[oa]s|quinient[oa]s|mil|miles|mill[oó]n|millones",
            r"millar(?:es)?|docenas?|decenas?|quincenas?|centenar(?:es)?",
        ),
        "it": (
            rf"(?!sei\Z)(?:{_IT_SMALL}|{_IT_LARGE})|milion[ei]|miliard[oi]|percento|mezz|mezzora",
            r"(?:dec|dozz|vent|trent|quindic|quarant|cinquant|sessant)in[ae]|centinai[oa]|migliai[oa]",
        ),
        "pt": (
            r"dois|duas|tr[eê]s|quatro|cinco|seis|sete|oito|nove|dez|onze|doze|treze|[cq]u?atorze|quinze|dez[ae]sseis|dez[ae]ssete|dezoito",
            r"dez[ae]nove|vinte|trinta|quarenta|cinquenta|sessenta|setenta|oitenta|noventa|cem|centos?|(?:duz|trez)ent[oa]s",
            r"(?:quatroc|quinh|seisc|setec|oitoc|novec)ent[oa]s|mil|milh(?:ão|ao|ões|oes)|bilh(?:ão|ao|ões|oes)|milhar(?:es)?",
            r"d[uú]zias?|dezenas?|centenas?|quinzenas?",
        ),
        "nl": (
            rf"{_NL_SMALL}|{_NL_LARGE}|miljoen(?:en)?|miljard(?:en)?|dozijn(?:en)?|(?:tien|honderd)tal(?:len)?",
            rf"(?:{_NL_SMALL}|{_NL_LARGE})(?:maal|voud|voudige?)|half|halve|anderhal(?:f|ve)|kwart|kwartier(?:en)?",
        ),
    }.items()
}  # fmt: skip

LANGUAGES: Final = frozenset({"en", *_OWN})
"""Languages of which all number words are known."""


def is_number(word: str, language: str) -> bool:
    """Whether ``word``, in lower case and composed characters, without hyphens and apostrophes, is a number in ``language``."""
    if word in _ANYWHERE and word not in _OTHER_WORDS.get(language, ()):
        return True
    own = _OWN.get(language)
    return own is not None and own.fullmatch(word) is not None


def is_number_anywhere(word: str) -> bool:
    """Whether ``word``, as in ``is_number``, is a number in one of the languages."""
    return word in _ANYWHERE or any(own.fullmatch(word) is not None for own in _OWN.values())
