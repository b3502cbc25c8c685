"""Ordinary English words, for the checks of names and of the language.

``words_en.txt`` holds some 8,900 lower-case words. Origin: those whole words in the vocabulary of the SmolLM2 tokenizer (Apache-2.0)
that it does not rank higher with a capital, and that stand in at least three files of free software (manuals and sources); abbreviations,
abuse and names of products were taken out by hand, and the words of product guidance and cooking that were missing were written in.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

BRANDS: Final = frozenset(
    """
    adobe airtable amazon amplitude android anthropic apple asana atlassian aws azure basecamp bigquery bitbucket calendly canva chatgpt
    chrome clickup cloudflare confluence copilot databricks datadog deepseek discord dropbox etsy evernote excel expedia facebook figma
    firebase firefox fivetran gemini github gitlab gmail google grafana hootsuite hubspot ibm instagram intercom jira kafka klaviyo
    linkedin linux llama looker macos mailchimp mailgun marketo microsoft miro mistral mixpanel mongodb mysql netflix netsuite notion okta
    onedrive openai oracle outlook paypal pendo perplexity pinterest pipedrive plaid postgres postgresql posthog powerbi powerpoint
    quickbooks qualtrics reddit redshift salesforce samsung sap segmentio sendgrid sentry servicenow sharepoint shopify signal skype slack
    snapchat snowflake sony splunk spotify squarespace stripe surveymonkey tableau telegram tesla tiktok trello twilio twitter typeform
    uber venmo viber walmart waymo webex webflow wechat whatsapp windows wix wordpress xero yahoo youtube zapier zendesk zoho zoom
    """.split()
)
"""Products and firms, in lower case. A text may name one with a capital only if the catalog does."""

_ALSO_WORDS: Final = frozenset(
    """
    amplitude android apple confluence chrome discord excel facebook gemini intercom kafka llama looker notion oracle outlook plaid
    segment sentry signal slack snowflake splunk square stripe tableau telegram uber windows zoom amazon
    """.split()
)

NAMES_OF_FIRMS: Final = BRANDS - _ALSO_WORDS
"""Those that are no ordinary word, so that they count in lower case as well."""


@cache
def words() -> frozenset[str]:
    """Return the list. Reads it from the package at the first call."""
    return frozenset((files("llm.guardrails") / "words_en.txt").read_text(encoding="utf-8").split())


def ordinary(word: str) -> bool:
    """Whether a lower-case ``word`` is on the list, is an inflection of a word on it, or is a hyphenated compound of such."""
    known = words()
    return all(_known(part, known) for part in word.replace("’", "'").split("-"))


def _known(word: str, known: frozenset[str]) -> bool:
    if word in known:
        return True
    stem, apostrophe, rest = word.partition("'")
    if apostrophe:
        return rest in {"s", "re", "ve", "ll", "d", "m", "t", ""} and (stem in known or (rest == "t" and stem[:-1] in known))
    for ending, others in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 2:
            base = word[: -len(ending)]
            if any(base + other in known for other in others) or (len(base) > 3 and base[-1] == base[-2] and base[:-1] in known):
                return True
    return False


_ENDINGS: Final = (("ies", ("y",)), ("es", ("", "e")), ("s", ("",)), ("ied", ("y",)), ("ed", ("", "e")), ("ing", ("", "e")))
