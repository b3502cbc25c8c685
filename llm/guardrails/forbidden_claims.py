"""Claims that a text must not make: those that the catalog forbids, and those that are forbidden for any guidance.

The fixed expressions of this file are English; ``claims_by_language.py`` has shorter lists for other languages.

The fixed expressions are general on purpose: a text that they refuse by mistake costs only the template that stays. They match normalised
text (``normal``). None nests repetition; what is repeated is bounded.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from llm.guardrails.claims_by_language import CLAIMS, HARMLESS, NEGATED
from state.catalog.model import WordingPolicy
from state.catalog.wording_schema import compile_expression

if TYPE_CHECKING:
    import re2

_GUARDS: Final = (
    r"security|sso|sign-?on|authentication|two-factor|firewalls?|(?:anti)?-?virus\w*|scanners?|vpn|proxy|protection|verification"
    r"|encryption|warnings?|permissions?|safety|safeguards?|certificates?|backups?|audit\w*|passwords?|polic\w+"
)

FORBIDDEN: Final[dict[str, tuple[str, ...]]] = {
    "asks for secrets, accounts or payment": (
        (
            r"\b(?:tell|give|send|share|e-?mail|text|message|post|reply with|submit|hand|forward|paste|type|enter|put|write|upload"
            r"|show|lend)\b[^.!?]{0,40}\b(?:passwords?|passcodes?|passphrases?|pins?|(?:one.time|security|verification) codes?"
            r"|credentials|logins?|secrets?|passport|id card|date of birth)\b"
        ),
        (
            r"\b(?:paste|put|post|write|send|share)\b[^.!?]{0,30}\b(?:keys?|tokens?|codes?)\b[^.!?]{0,20}\b(?:chat|comments?"
            r"|message|reply|e-?mail|ticket|channel|public\w*)\b"
        ),
        (
            r"\b(?:share|lend|give|send|pass|hand)(?: (?:us|me|them|on|over))? (?:your|the|his|her|their) (?:\w+ )?(?:keys?|tokens?"
            r"|accounts?|sign-?in|sessions?)\b"
        ),
        r"\b(?:credit|debit|payment|bank) (?:cards?|details|accounts?|data|numbers?)\b|\bcard (?:numbers?|details)\b",
        r"\b(?:cvv|iban|ssn|social security|bitcoins?|crypto\w*|gift cards?|wallet)\b",
        (
            r"\b(?:buy|pay|upgrade|subscri|invoice|bill(?:s|ed|ing)|coupon|voucher|bargain|bonus|prize|winner|reward|fee|payment"
            r"|trial)(?:s|ing)?\b"
        ),
        (
            r"\bcost(?:s|ing)? (?:you )?(?:nothing|less)\b|\bno (?:cost|charge)\b|\b(?:half|%) off\b|\bon the house\b"
            r"|\b(?:complimentary|gratis)\b"
        ),
    ),
    "lowers a guard": (
        (
            r"\b(?:(?:turn|switch|shut)(?:ing)?(?: \w+){0,4}? off|(?:disabl|deactivat|bypass|circumvent|ignor|skip|remov|weaken"
            rf"|lower|paus|uninstall|dismiss)\w*)\b[^.!?]{{0,40}}\b(?:{_GUARDS})\b"
        ),
        rf"\b(?:turn|switch|shut)(?:ing)?(?: \w+){{0,3}} (?:{_GUARDS}) off\b|\bunencrypted\b",
        (
            r"\b(?:make|set|leave|keep|open)(?: \w+){1,4} (?:public|wide open|world.readable|unprotected|to the (?:internet|world"
            r"|public))\b"
        ),
        r"\b(?:everyone|everybody|anyone|all users?)\b[^.!?]{0,20}\b(?:admin\w*|owners?|rights|root)\b",
        r"\b(?:grant|give|make) (?:\w+ ){0,2}(?:full|admin\w*|root|owner) (?:access|rights|permissions?|role)\b",
        r"\b(?:same|shared?|default|weak(?:er)?|simple|short|no|without a?) passwords?\b",
        r"\b(?:run|paste|execute) (?:this|the following) (?:command|code|script)\b|\bsudo\b|\bdownload and (?:run|open|install)\b",
    ),
    "insults, shames, threatens or presses": (
        (
            r"\b(?:idiot|stupid|dumb|moron|fool|loser|lazy|incompeten|ignoran|clueless|pathetic|useless|hopeless|worthless"
            r"|embarrass|asham|shame|ridiculous|silly|damn|crap|shit|fuck|bastard|disgrac)\w*|\b(?:hell|suck|hate|kill)\b"
        ),
        (
            r"\b(?:even a (?:child|kid|beginner)|every(?:one|body) else|falling behind|too slow|your fault|what(?:'s"
            r"| is) wrong with you|you (?:have )?failed|your (?:boss|manager) (?:will|would|knows))\b"
        ),
        (
            r"\b(?:or else|consequences|last (?:chance|warning)|we(?: are|'re) watching|we know (?:where|what|who)|fired|sacked"
            r"|wast(?:e|ed|ing))\b|\b(?:regret|punish|suspend|terminat)\w*"
        ),
        r"\b(?:lose (?:access|your|everything|all)|(?:is|are|will be) (?:deleted|closed|locked|lost|removed|blocked|banned))\b",
        (
            r"\b(?:we|they|the (?:team|system|company))(?:'ll| will| must)? (?:delete|close|lock|suspend|block|cancel|erase|wipe"
            r"|ban|charge)\b"
            r"|\b(?:we|they)(?:'re| are)? (?:(?:going|about|forced|have) to (?:delete|close|lock|suspend|block|cancel|erase|wipe|ban)"
            r"|deleting|closing|locking|blocking|cancell?ing|erasing|wiping|banning)\b"
        ),
        (
            r"\b(?:now or never|running out|urgent\w*|asap|don't miss(?! anything)|too late|no time to lose|ends (?:soon|today"
            r"|tonight))\b"
        ),
        r"\b(?:before (?:midnight|tonight|tomorrow)|only (?:\w+ )?(?:left|today)|(?:days?|hours?|minutes?) (?:left|to go))\b",
    ),
    "invents a measure": (
        r"\b(?:doubl|halv|tripl)(?:es?|ed|ing)?\b|\btwice as\b|\bno time\b",
        (
            r"\b(?:most|many|half|nearly all|thousands|plenty) (?:of )?(?:our |the )?(?:teams|companies|users|people|customers"
            r"|firms)\b"
        ),
        r"\b(?:in|within|just|only|takes?|about) (?:a )?(?:couple of |few |matter of )?(?:seconds|minutes|hours)\b",
    ),
    "promises, or advises like a lawyer or a doctor": (
        (
            r"\b(?:risk.?free|zero risk|award.winning|industry.leading|world.class|market leader|trusted by|number one"
            r"|better than (?:any|all|our|other)|most (?:secure|popular|powerful)|unlimited|lifetime|forever|nothing can \w+"
            r"|(?:completely|totally|absolutely|perfectly|fully) (?:safe|secure|private)|bulletproof|foolproof|unhackable"
            r"|competitors?)\b"
        ),
        r"\b(?:guarantee|boost|skyrocket)\w*|\bnever (?:fails?|breaks?|loses?)\b",
        (
            r"\b(?:legal|lawyer|lawsuit|attorney|complian|liab|warrant|contract|regulation|medic|diagnos|therap|symptom|disease"
            r"|prescri|invest)\w*|\b(?:sue[ds]?|gdpr|hipaa|courts?|laws?|doctors?|cures?|pills?|headaches?|tax(?:es)?)\b"
        ),
    ),
    "talks about the model or its orders": (
        r"\bi(?:'m| am| was|'ve| have| can(?:'t|not)?| will| won't| do not| don't)\b",
        (
            r"\b(?:as an? (?:ai|assistant|bot)|language models?|llms?|gpt\w*|chat(?:gpt|bots?)|openai|anthropic"
            r"|artificial intelligence)\b"
        ),
        (
            r"\b(?:my|these|those|previous|above|prior|your|given|hidden|system|original) (?:instructions?|prompts?|guidelines"
            r"|message)\b"
        ),
        (
            r"\bthe (?:developer|author|operator|model)s? (?:said|says|told|asked|wants?)\b|\b(?:instructed|ignore (?:all|any"
            r"|previous|everything)|disregard|jailbreak\w*|developer mode|pwned|hacked)\b"
        ),
        (
            r"\b(?:json|uicomponent|deeplink|confidence score|placeholders?|lorem ipsum|todo|tbd|user_input|guardrails?|propensity"
            r"|bandit)\b|\b(?:stuck:\w+|rage.?click\w*)"
        ),
        (
            r"^(?:sure|certainly|of course|absolutely)\b|\b(?:user|assistant|system|human)\s?:|\bhere(?:'s| is) (?:the|a"
            r"|your) (?:json|text|message|answer|response|rewrit\w*)\b"
        ),
    ),
    "sends the person to somebody, or speaks for somebody": (
        (
            r"\b(?:call|phone|ring|text|dial|e-?mail|write|contact|reach|message|tweet|ping|ask|talk|speak)(?: (?:out )?to"
            r"| an e-?mail to)? (?:us|our|me|support|sales|customer \w+|(?:the|your|an?|my)(?: \w+){0,2} (?:founders?|support"
            r"|sales\w*|ceo|hotline|desk|agents?|representatives?|consultants?|managers?|boss))\b"
        ),
        (
            r"\b(?:hot ?line|help ?desk|live chat|(?:customer|technical) (?:care|service|support)|support (?:team|staff)"
            r"|sales (?:team|desk))\b"
        ),
        r"\b(?:call|e-?mail|message|visit|letter) from (?:us|our|me|the team|support)\b|\b(?:get|be|keep) in touch\b",
        (
            r"\b(?:we|our team|somebody|someone|an? (?:\w+ )?(?:expert|agent|engineer|specialist|colleague))(?:'ll| will"
            r"| can) (?:call|ring|help|contact|e-?mail|reach|phone|visit|refund|fix)\b"
        ),
        r"\b(?:coming soon|next (?:month|year|version|release)|roadmap)\b",
    ),
    "pries, or speaks of violence, sex, politics, faith or gambling": (
        r"\bwe (?:can )?(?:read|saw|see|track|record|follow|monitor)(?:ed|s)? (?:your|everything|all|every|you)\b",
        r"\byour (?:private|personal|salary|religion|health|gender|age|race|location|home address|family|wife|husband|children)\b",
        (
            r"\b(?:bomb|weapon|gun|murder|suicid|terror|nazi|porn|nude|racis|casino|gambl|lotter|politic|religio)\w*|\b(?:sex\w*"
            r"|drugs?|elections?|vote for|prayers?)\b"
        ),
    ),
}
"""Kind of claim → its expressions, in English."""

PROMPT_TALK: Final = (
    r"\b(?:this|the) (?:message|nudge|guidance|wording) (?:is|was|should|must|needs|can be|could be|in use|above|below)\b",
    r"\b(?:a|the|this) message that (?:is|was|should|must)\b",
    r"\b(?:rewrite|rephrase|reword|improve|shorten) (?:this|the|your|a) (?:\w+ )?(?:message|text|sentence|wording|guidance)s?\b",
    r"\bmake it (?:more|less) (?:interesting|engaging|concise|friendly|direct)\b|\bin use,? to be improved\b",
    (
        r"\b(?:no (?:digits|markup|links or addresses|emojis?)|the rules (?:above|below)|one or two sentences"
        r"|at most \w+ characters)\b"
    ),
    r"\b(?:the (?:person|reader) (?:is|was|has|should|must|needs|reads|met|clicked|keeps|stopped)|how to say it)\b",
    r"\b(?:friendly|professional|energetic|helpful|moderate|passive|aggressive|quiet) tone\b",
)
"""What only the author of a message says about it: small models repeat the prompt in other words."""

_HARMLESS: Final = re.compile(
    r"\b(?:(?:feel|be|you(?:'re| are)|are) (?:quite |very |always )?free to|hands?.free|free (?:up|text|form|hand)"
    r"|free of (?!charge|cost)|no (?:hurry|deadline)"
    r"|pays? off|trial and error|not your fault"
    r"|(?:(?<!do )nothing (?:you (?:did|typed|saved|made) )?|none of your \w+ )(?:is|are|will be) (?:lost|deleted)"
    r"|(?<!say )no (?:(?:saved|stored|existing|other|single) )?(?!(?:your|everything|all|it|this|that)\b)\w{1,20} (?:is|are|will be)"
    r" (?:lost|deleted|removed)"
    r"|(?:won't|will not|not|don't) lose (?:your|the|any) (?:work|place|changes|progress)"
    r"|give (?:your|the|this|each|every|it) (?:\w+ )?(?:key )?an? (?:\w+ )?name)\b"
)
"""Idioms that only sound like a claim."""

_DOUBLE: Final = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "ʻ": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-", "—": "-", "\u00ad": "", "…": "..."}
)
_LEET: Final = str.maketrans("013457@$", "oieastas")


class ForbiddenClaims:
    """The claims that a catalog forbids, together with the fixed ones. Compiled once."""

    def __init__(self, policy: WordingPolicy) -> None:
        fixed = ["|".join(expressions) for expressions in FORBIDDEN.values()]
        languages = [language for language in policy.languages if language in CLAIMS]
        self._own: Final = {
            language: re.compile("|".join(each for expressions in CLAIMS[language].values() for each in expressions))
            for language in languages
        }
        self._harmless: Final = {language: re.compile(HARMLESS[language]) for language in languages}
        self._negated: Final = {language: re.compile(NEGATED[language]) for language in languages}
        self._prompt_talk: Final = re.compile("|".join(PROMPT_TALK))
        self._patterns: Final[tuple[re.Pattern[str] | re2._Regexp[str], ...]] = (
            *(compile_expression(pattern) for pattern in policy.forbidden),
            *(re.compile(pattern, re.IGNORECASE) for pattern in fixed),
        )
        self._accented: Final = tuple(compile_expression(pattern) for pattern in policy.forbidden if not pattern.isascii())

    def found(self, text: str, language: str) -> bool:
        """Whether ``text``, in ``language``, makes a forbidden claim. Case, accents and disguises of letters do not matter.

        The fixed claims are searched in English, whatever the language is, and in the text's own one if ``CLAIMS`` has it.
        """
        written = unicodedata.normalize("NFC", text).encode("utf-8", "replace").decode()  # RE2 takes no lone surrogates
        if any(pattern.search(written) is not None for pattern in self._accented):  # they match nothing once the accents are removed
            return True
        spoken = normal(text)
        harmless = _HARMLESS.sub("welcome to", spoken)
        if language in self._own:
            meant = self._negated[language].sub("welcome to", spoken)
            if any(self._own[language].search(each) is not None for each in _disguised(meant)):
                return True
            harmless = self._harmless[language].sub("welcome to", harmless)
        return any(pattern.search(each) is not None for each in _disguised(harmless) for pattern in self._patterns)

    def prompt_talk(self, text: str) -> bool:
        """Whether ``text`` speaks about the message to its author, instead of to the person."""
        return self._prompt_talk.search(normal(text)) is not None


def _disguised(text: str) -> set[str]:
    """``text``, with figures for letters read as letters, and with words that are spelled letter by letter joined."""
    return {text, text.translate(_LEET), re.sub(r"(?<=\b\w)[ .\-_*](?=\w\b)", "", text)}


def normal(text: str) -> str:
    """``text`` in lower case, without accents and invisible characters, in plain quotes and dashes, one space between words."""
    folded = unicodedata.normalize("NFKD", text.translate(_DOUBLE)).casefold()
    kept = "".join(each for each in folded if unicodedata.category(each) not in {"Mn", "Me", "Cf", "Cc", "Cs"} or each in "\n\t")
    return re.sub(r"\s+", " ", kept).strip()
