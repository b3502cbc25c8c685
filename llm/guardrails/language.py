"""Checks the language of a text by its script, its commonest words and, for English, its vocabulary."""

from __future__ import annotations

import re
from typing import Final

from llm.guardrails import english
from llm.guardrails.hygiene import script

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

COMMON: Final[dict[str, frozenset[str]]] = {
    "en": frozenset(
        "a about after all an and any are as at back be been before but by can do does first for from get go has have here how i if in into"
        " is it it's its keep let let's like look make more most new next no not now of off on once one only open or other out over own"
        " page press right same see set so some start still step take than that that's the them then there these they this those through to"
        " try up use want was way we were what when where which while who why will with would you you'll you're your".split()
    ),
    "de": frozenset(
        "aber als am an auf aus bei das dein deine deinem deinen deiner dem den der des die dir dich du ein eine einem einen einer es für"
        " hier ihr ihre im in ist jetzt kann kannst mit nach nicht noch nur oder sich sie sind so und von was wenn wie wird zu zur".split()
    ),
    "fr": frozenset(
        "à au aux avec ce ces cette dans de des du elle en est et ici il la le les leur ma mais ne nous on ou par pas peut peux plus pour"
        " que qui sa se son sur ta te toi ton tes tu un une votre vos vous y".split()
    ),
    "es": frozenset(
        "a al aquí como con cuando de del el ella en es esta este está la las lo los más me no o para pero por puede puedes que se si sin"
        " su sus te tu tus un una uno y ya".split()
    ),
    "it": frozenset(
        "a al alla anche che chi ci come con da dei del della di e è gli ha i il in la le lo ma nel nella non o per più puoi può qui se si"
        " sono su tua tue tuo tuoi ti un una uno".split()
    ),
    "pt": frozenset(
        "a ao aos aqui as com como da das de do dos e ela em esta este está já mais mas não na no nos o os ou para pela pelo pode por que"
        " se sem seu seus sua suas te teu tua um uma você".split()
    ),
    "nl": frozenset(
        "aan als bij dat de deze die dit door een en er het hier hoe ik in is je jij jouw kan kun kunt met na naar niet nog nu of om ook"
        " op te tot u uw uit van voor waar wat wordt zijn zo".split()
    ),
}
"""The commonest words of the languages that this check distinguishes."""

_SCRIPTS: Final = {"ru": "CYRILLIC", "uk": "CYRILLIC", "bg": "CYRILLIC", "el": "GREEK", "he": "HEBREW", "ar": "ARABIC", "th": "THAI",
                   "hi": "DEVANAGARI", "ko": "HANGUL"}  # fmt: skip
_SEVERAL: Final = {"ja": {"HIRAGANA", "KATAKANA", "CJK"}, "zh": {"CJK"}}

FEWEST_COMMON: Final = 0.15
"""Share of a text's words that must be among the commonest of its language."""

FEWEST_ENGLISH: Final = 0.8
"""Share of an English text's words that must be English."""


def looks_like(text: str, language: str) -> bool:
    """Whether ``text``, without its slots, is likely in ``language`` (two letters). For other languages only the script is checked."""
    letters = [letter for letter in text if letter.isalpha()]
    if not letters:
        return False
    wanted = _SEVERAL.get(language) or {_SCRIPTS.get(language, "LATIN")}
    if sum(script(letter) in wanted for letter in letters) < 0.9 * len(letters):
        return False
    common = COMMON.get(language)
    if common is None:
        return True
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
    shares = {name: sum(word in known for word in words) / len(words) for name, known in COMMON.items()} if words else {}
    if not words or shares[language] < FEWEST_COMMON or shares[language] < max(shares.values()):
        return False
    return language != "en" or sum(english.ordinary(word) for word in words) >= FEWEST_ENGLISH * len(words)
