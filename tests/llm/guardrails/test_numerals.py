"""Number words of each recognised language, and the words that only look like some."""

from __future__ import annotations

import pytest

from llm.guardrails.grounding import Grounds
from llm.guardrails.language import COMMON
from llm.guardrails.numerals import LANGUAGES, is_number, is_number_anywhere
from tests.llm.wording_requests import PLAN

GROUNDS = Grounds(PLAN.catalog)

NUMBERS = {
    "en": "two ten eleven thirteen fifty hundred thousand million dozen percent",
    "de": (
        "zwei zwo drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn"
        " neunzehn zwanzig einundzwanzig zweiunddreißig dreissig vierzig fünfzig sechzig siebzig achtzig neunzig hundert"
        " einhundert hunderte hunderten hundertzwanzig hunderteins fünfhundert tausend eintausend tausende zweitausend"
        " zehntausend hunderttausend zweitausendfünfhundert million millionen milliarde milliarden dutzend dutzende prozent"
        " zweier dreien zweimal dreifach hundertmal fünftägig fünfzehnminütige halb halbe halben anderthalb eineinhalb"
        " zweieinhalb viertelstunde drittel fuenfzehn zwoelf"
    ),
    "fr": (
        "deux trois quatre cinq six sept huit dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf vingt"
        " vingt-et-un trente quarante cinquante soixante soixante-dix quatre-vingts quatre-vingt-dix septante huitante nonante"
        " cent cents mille million millions milliards milliers dizaine douzaine quinzaine vingtaine centaines demi-heure quart"
    ),
    "es": (
        "dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete dieciocho"
        " diecinueve veinte veintiuno veintiún veintidós veinticinco treinta cuarenta cincuenta sesenta setenta ochenta noventa"
        " cien ciento cientos doscientos trescientas quinientos novecientos mil miles millón millones docena decenas centenares"
    ),
    "it": (
        "due tre quattro cinque sette otto nove dieci undici dodici tredici quattordici quindici sedici diciassette diciotto"
        " diciannove venti ventuno ventidue ventotto ventitré trenta trentacinque quaranta cinquanta cinquantasei sessanta"
        " settanta ottanta novanta cento duecento seicento centoventi mille duemila centomila milleduecento milione milioni"
        " miliardi dozzina decine centinaia migliaia quindicina mezz'ora percento"
    ),
    "pt": (
        "dois duas três quatro cinco seis sete oito nove dez onze doze treze catorze quatorze quinze dezesseis dezasseis"
        " dezessete dezoito dezenove vinte trinta quarenta cinquenta sessenta setenta oitenta noventa cem cento centos duzentos"
        " trezentas quinhentos novecentos mil milhar milhares milhão milhões bilhões dúzia dezenas centenas"
    ),
    "nl": (
        "twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien achttien"
        " negentien twintig eenentwintig tweeëntwintig vijfenveertig dertig veertig vijftig zestig zeventig tachtig negentig"
        " honderd honderden tweehonderd honderdvijftig duizend duizenden tienduizend miljoen miljoenen miljard dozijn tientallen"
        " tweemaal drievoudig half halve anderhalf anderhalve kwartier procent"
    ),
}

ORDINARY = {
    "de": (
        "ein eine einen einmal einfach eins achte achten achtung sei seid mehrfach vielfach dreieck innerhalb deshalb zweite erste"
        " vierteljährlich und einheit einige hundertste zehntel"
    ),
    "fr": "un une très sur due nouveau premier seconde page sens tous centre millimètre tien neuf",
    "es": "un una uno media medio primero segundo según quien minutos cuenta central ten",
    "it": "un una uno sei dei ventilatore centro tra treno noto ottimo mezzo vento",
    "pt": "um uma sei dos das seu setor meia noventena segundo centro",
    "nl": "een eenvoudig eenmaal achter achten vieren onze ons tweede vierkant helder ten",
    "pl": "ten",
    "cs": "ten",
}


@pytest.mark.parametrize("language", sorted(NUMBERS))
def test_the_numbers_of_a_language_are_found(language: str) -> None:
    passed = [word for word in NUMBERS[language].split() if not GROUNDS.digits(f"abc {word} def.", "connect_source", language)]
    assert passed == []


@pytest.mark.parametrize("language", sorted(ORDINARY))
def test_ordinary_words_are_no_numbers(language: str) -> None:
    assert [word for word in ORDINARY[language].split() if is_number(word, language)] == []


@pytest.mark.parametrize("language", sorted(COMMON))
def test_the_commonest_words_of_a_recognised_language_are_no_numbers(language: str) -> None:
    assert [word for word in sorted(COMMON[language]) if is_number(word, language)] == []


def test_the_numbers_of_each_recognised_language_are_known() -> None:
    assert set(COMMON) == LANGUAGES


def test_a_number_is_found_in_decomposed_letters_and_in_capitals() -> None:
    assert GROUNDS.digits("In Fu\u0308nfzehn Tagen.", "connect_source", "de")
    assert GROUNDS.digits("In FÜNFZEHN Tagen.", "connect_source", "de")


def test_numbers_of_the_catalogs_own_texts_may_stand_in_its_language() -> None:
    step = next(step for step in PLAN.catalog.steps if step.id == "add_charts")
    german = step.model_copy(update={"title": "Füge fünfzehn Diagramme und vingt-cinq Tabellen hinzu"})
    grounds = Grounds(PLAN.catalog.model_copy(update={"steps": [german if each.id == step.id else each for each in PLAN.catalog.steps]}))
    assert not grounds.digits("Jetzt fünfzehn Diagramme.", "add_charts", "de")
    assert not grounds.digits("vingt-cinq tables", "add_charts", "fr")
    assert grounds.digits("Jetzt sechzehn Diagramme.", "add_charts", "de")
    assert is_number_anywhere("quinze")
