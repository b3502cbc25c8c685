"""Telling languages apart well enough to refuse the wrong one."""

from __future__ import annotations

import pytest

from llm.guardrails.english import ordinary
from llm.guardrails.language import looks_like

TEXTS = {
    "en": "Open the page and check each field, then you can go on.",
    "de": "Öffne die Seite und prüfe jedes Feld, dann kannst du weitermachen.",
    "fr": "Ouvrez la page et vérifiez chaque champ, puis vous pouvez continuer.",
    "es": "Abre la página y revisa cada campo, y luego puedes seguir con el paso.",
    "it": "Apri la pagina e controlla ogni campo, poi puoi continuare con il passo.",
    "pt": "Abra a página e verifique cada campo, depois você pode continuar com o passo.",
    "nl": "Open de pagina en controleer elk veld, dan kun je verder met de stap.",
    "ja": "ページを開いて、各項目を確認してください。",
    "ru": "Откройте страницу и проверьте каждое поле.",
}


@pytest.mark.parametrize("asked", TEXTS)
@pytest.mark.parametrize("written", TEXTS)
def test_a_text_looks_like_its_own_language_only(asked: str, written: str) -> None:
    assert looks_like(TEXTS[written], asked) == (asked == written)


@pytest.mark.parametrize(
    "text", ["", "...", "Xq zv wk the and to", "Open the page and dann verbinde bitte deine Datenquelle mit dem Konto."]
)
def test_no_text_no_words_and_half_a_text_are_not_english(text: str) -> None:
    assert not looks_like(text, "en")


@pytest.mark.parametrize("word", ["dashboard", "you'll", "don't", "colleague's", "well-known", "queries", "stopped", "saving", "it’s"])
def test_ordinary_words(word: str) -> None:
    assert ordinary(word)


@pytest.mark.parametrize("word", ["salesforce", "acmely", "sarah", "berlin", "chatgpt", "datasynk", "openai", "fluxion", "qlik"])
def test_names_are_no_ordinary_words(word: str) -> None:
    assert not ordinary(word)
