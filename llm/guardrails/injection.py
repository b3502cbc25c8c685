"""Screens a person's text for attempts to give the model orders. A rule book, so that the same text always gets the same answer.

One of two defences, and the weaker: the fence says what is data, and no answer is believed unchecked. What is flagged here is not told.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
import urllib.parse
from collections.abc import Iterator
from typing import Final

from llm.guardrails.fence import clean, latin

LONGEST: Final = 2_000

_AI: Final = r"(?:a\.?i\.?|llms?|(?:large )?language models?|assistants?|chat ?bots?|gpt(?:-?\d\w*)?|claude|gemini|the model|copilot)"
_STRONG: Final = (
    r"(?:instructions?|guidelines?|directives?|prompts?|system (?:message|prompt|text)|programming|training|guardrails?|jailbreak)"
)
_THING: Final = (
    r"(?:rules?|polic(?:y|ies)|orders?|commands?|restrictions?|constraints?|safety\w*|limits?|directions?|context"
    r"|task|persona)"
)
_TOLD: Final = (
    r"(?:(?:everything|anything|all|whatever|what|the rest|the text|all that|the words|the "
    r"content)\b[^.!?\n]{0,40}?\b(?:above|before|previous(?:ly)?|prior|so far|earlier|told|said|instructed|trained"
    r"|the rest|came|comes)|the rest\b)"
)
_VERB: Final = (
    r"(?:ignore|disregard|forget|overrule|discard|neglect|violate|dismiss|do not (?:follow|obey|heed|listen to)"
    r"|don.?t (?:follow|obey|heed|listen to)|stop (?:following|obeying)|no longer (?:follow|obey)|pay no "
    r"attention to|set aside|throw away|abandon|unlearn)"
)
_WEAK: Final = (
    r"(?:override|bypass|skip|drop|cancel|break|delete|erase|reset|remove|circumvent|lift|suspend|turn off|switch off|disable|replace)"
)
_YOURS: Final = (
    r"(?:(?:all|any|every|of|the|these|those|other)\s+){0,3}(?:your|previous|prior|above|earlier|preceding|system"
    r"|safety|usual|initial|original|developer.?s|former|foregoing|hidden|content)\b"
)
_READER: Final = (
    r"(?:the |this |that |every |all |our |your )?(?:users?|readers?|customers?|person|visitors?|recipients?"
    r"|humans?|people|everyone|them|clients?)"
)
_CUE: Final = r"(?:^|[.!?;:,\n>)\]\-*'\"(]|\b(?:and|then|please|must|should|shall|to|now|always|just|you|will))\s{0,3}"

_KINDS: Final[tuple[tuple[str, str], ...]] = (
    (
        "override",
        (
            rf"\b{_VERB}\b[^.!?\n]{{0,50}}?\b{_STRONG}\b|\b{_VERB}\s+(?:{_YOURS}[^.!?\n]{{0,20}}?\b{_THING}|(?:(?:all|any"
            rf"|the|these|every)\s+){{1,3}}(?:other )?{_THING})\b"
            rf"|\b{_VERB}\s+{_TOLD}|\b{_WEAK}\s+{_YOURS}[^.!?\n]{{0,24}}?\b(?:{_STRONG}|{_THING})\b"
            r"|\b(?:ignore|disregard|forget)(?:all|any|the|your|my|every)*(?:previous|prior|above|earlier|instruction|rule|prompt)"
            r"|\bpay no attention to what\b|\byour (?:new|real|actual|only|true|next) (?:instructions?|task|job|goal"
            r"|purpose|rules?|role|objective|mission)\b"
            r"|\b(?:new|updated|revised|real|actual|additional|secret|special) (?:system )?(?:instructions?|directives?"
            r"|system prompt|orders) ?(?::|for you|from|follow)"
            r"|\bfollow (?:only )?(?:mine|my (?:instructions|orders|rules|commands)|this (?:message|text|line)|these "
            r"(?:instructions|rules|orders)|what comes next)|\bobey\b"
            r"|\byou (?:now )?(?:follow|obey|take orders|serve|answer to) (?:only )?(?:mine|me|my)\b|\brules ?: ?none\b"
            r"|\bnone of (?:your|the) (?:rules|instructions)"
            r"|\b(?:the|your|these|previous|prior|earlier|all) (?:rules|instructions|guidelines|restrictions|prompt)(?: "
            r"above)? (?:do not|don.?t|no longer|does not) (?:apply|count|matter|hold|exist)"
        ),
    ),
    (
        "role",
        (
            rf"\byou are (?:now |from now on )(?:an?\b|the\b|my\b|in\b|free|dan\b|un\w+ed\b|called|allowed|no longer)"
            rf"|\byou are no longer\b|\byou are not (?:an?|the) (?:onboarding|{_AI}|helper|assistant)"
            rf"|\byou are an? [^.!?\n]{{0,40}}?\b(?:{_AI}|pirate|hacker|twin|poet|comedian|persona|character|villain"
            rf"|without|who (?:always|never)|that (?:always|never)|parrot|terminal|interpreter|evil|salesman|attacker)\b"
            r"|\b(?:pretend|imagine|suppose|assume) (?:to be|you are|you.?re|that you|you have|you were|to have no)\b"
            r"|\brole.?play\b|\bplay the (?:role|part) of\b|\blet.?s play a game\b|\bstay in character\b"
            rf"|{_CUE}(?:act|behave|respond|answer|speak|talk|write|reply) (?:as|like) (?:if|though|an?|the|my|dan)\b(?! "
            rf"(?:admin|owner|editor|viewer|guest|member|user)\b)"
            r"|\bfrom now on,? ?(?:you|answer|respond|reply|only|always|every (?:answer|reply)|write|say|ignore|speak|call"
            r"|act|all answers)\b|\byour (?:new )?(?:name|role|persona|identity) is\b|\bcall yourself\b"
        ),
    ),
    (
        "jailbreak",
        (
            r"\bjailbreak|\bdo anything now\b|\b(?:developer|debug|god|admin|maintenance|root|sudo|unsafe|dan|test) mode "
            r"(?:is )?(?:on|enabled|activated|now)\b|\b(?:enter|enable|activate|switch (?:in)?to) (?:developer|debug|god"
            r"|dan|unrestricted|unsafe) mode\b"
            r"|\b(?:unfiltered|uncensored|unrestricted|unaligned|unhinged)\b|\bevil twin\b|\bno (?:restrictions|censorship"
            r"|guardrails|moral|ethical)\b|\bsudo (?:say|answer|print|ignore|tell|reveal)"
            r"|\b(?:answer|respond|reply|write|speak|talk|act|work|continue|help)\b[^.!?\n]{0,40}?\bwithout (?:any |the "
            r"|your |usual |all |these |those ){0,3}(?:restrict\w*|rules?|limits?|filter\w*|guidelines?|safety|censor\w*"
            r"|guardrails?|checks)"
            r"|\bsafety (?:rules|filters?|checks|guidelines|guardrails|training|policy|policies)\b|\b(?:this one time"
            r"|just this once|only for me),? (?:break|ignore|bend|skip|forget) "
        ),
    ),
    (
        "leak",
        (
            r"\bsystem.?prompts?\b|\bprompt systeme\b|\b(?:prompt|mensaje|indicaciones|instrucciones|istruzioni|message"
            r"|messaggio) (?:del?|di|do|du) sistem[ae]\b|\bsystemnachricht\b"
            rf"|\b(?:reveal|repeat|print|show|display|output|summari[sz]e|translate|list|leak|copy|tell|give|dump|disclose"
            rf"|expose|quote|share|recite|paste|write|what (?:is|are|was|were)|what.?s|spell|send|include|echo|return"
            rf"|describe|paraphrase)\b[^.!?\n]{{0,40}}?\b(?:your|initial|original|hidden|secret|internal"
            rf"|developer.?s?)\s+(?:\w+\s+){{0,2}}?(?:{_STRONG}|rules|context|configuration|confidential|policy|policies"
            rf"|secrets?|memory)\b"
            r"|\b(?:repeat|print|output|copy|recite|echo|reproduce|quote|write|show)\b[^.!?\n]{0,30}?\b(?:everything|all"
            r"|the (?:text|words|lines?|messages?|content|sentences?|block)|whatever|what (?:is|was|stands"
            r"|comes))\b[^.!?\n]{0,24}?\b(?:above|before this|preced\w+|up to here|so far|you (?:were|have been) (?:given"
            r"|told)|in the next line|outside)"
            r"|\b(?:what|which|how) (?:\w+ ){0,2}?(?:were|was|are|have been) you (?:told|instructed|given|programmed"
            r"|trained|asked|configured|prompted)\b|\b(?:what|everything|all) you (?:were|have been) (?:told|given"
            r"|instructed)\b"
            r"|\b(?:in|from|of) your (?:context|memory|training|prompt|instructions|knowledge)\b|\b(?:do|can) you (?:know"
            r"|remember|have|see|store)\b[^.!?\n]{0,40}?\b(?:context|memory|(?:about|of|on) (?:this|the|other|me|him|her))"
            r"|\b(?:you|thou) (?:know|have|remember|hold|store|were given|see)\b[^.!?\n]{0,24}?\b(?:of|about|on|from) "
            r"(?:this|the|that|me|him|her|them|other|every|any)\b ?(?:person|users?|customers?|people|accounts?|reader"
            r"|client)?"
            r"|\b(?:list|show me|reveal|which|name|write|give me|tell me|print|include|mention)\b[^.!?\n]{0,40}?\b(?:other"
            r"|another|different|previous|last) (?:users?|customers?|people|persons?|tenants?|compan\w+"
            r"|accounts?)\b[^.!?\n]{0,40}?\b(?:e-?mails?|names?|data|secrets?|said|wrote|asked|notes?|do you|you have)\b"
            r"|\b(?:reveal|print|output|leak|dump|disclose|tell me|give me|include) [^.!?\n]{0,20}?\b(?:environment "
            r"variables?|api keys?|secrets?|credentials|passwords?|access tokens?)\b|\bname (?:two|three|four|five|some"
            r"|all) (?:other )?(?:customers|users|people)\b|\breveal_prompt\b"
        ),
    ),
    (
        "forgery",
        (
            r"<\s?[|/!]?\s?/?\s?(?:im_start|im_end|im_sep|system|assistant|user|human|endoftext|end_of_text|begin_of_text"
            r"|eot_id|start_header_id|end_header_id|start_of_turn|end_of_turn|instructions?|prompt|user[_ \-]?input"
            r"|tool_call|function_call|think|thinking|admin|developer|context|data|trusted|untrusted|secret"
            r"|s)\b[^<>\n]{0,24}\|?\s?>"
            r"|[\[({]\s?[/\\#]?\s?(?:inst|sys|system|user[\W_]{0,3}input|assistant|instructions?|developer|prompt"
            r"|end)\s?[\])}]|<<\s?/?sys\s?>>|\[?/\s?user[\W_]{0,3}input|\buser_input\b|\{\{\s?[#/~>]?\s?(?:system|user"
            r"|assistant|gen|instructions?)\b"
            r"|(?:^|\n)\s{0,3}#{1,6}\s?(?:system|instructions?|assistant|human|response|rules|new task|task|prompt|user"
            r"|override)\b|[\"']?\brole[\"']?\s?[:=]\s?[\"']?(?:system|assistant|developer|tool)\b"
            rf"|(?:^|\n|[.;!?>)\]\-|\"'(]\s?)(?:assistant|ai|llm|chatbot|bot|human|developer"
            rf"|model)\s?(?:\([^)\n]{{0,20}}\))?\s?[:>]{{1,2}}\s?\S|\b(?:note|notice|message|attention|instructions?|hint"
            rf"|memo|dear|hey|hello|important)\W{{0,3}}(?:to|for)?\W{{0,3}}(?:all |any |the |every )?{_AI}\b"
            r"|(?:^|\n|[.;!?>)\]\-|\"']\s?)(?:system|sys|admin|root|operator|developer)(?: (?:message|prompt|note|override"
            r"|notice|update|instruction))?\s?:\s?[^\n]{0,40}?\b(?:you|answers?|must|new (?:policy|rule|instruction)"
            r"|ignore|policy|respond|reply|reveal|from now|always|never|override|assistant|model|output|write|say)\b"
            r"|\bend (?:of )?(?:the |this |all )?(?:un)?(?:trusted|user|system|input|instructions?|prompt|context|quoted"
            r"|untrusted|customer|person|external)\b|\bbegin(?:ning)? (?:of )?(?:the |new )?(?:system|trusted"
            r"|instructions?|admin|developer|prompt|operator)\b"
            r"|\b(?:user|untrusted|quoted|input|customer|person.?s) (?:text|input|content|data|block|words|section) (?:is "
            r"|has |was |are )?(?:now )?(?:over|ended|ends|closed|finished|done)\b|\bthe (?:block|fence|quote|data|input) "
            r"(?:has |is |was )?(?:now )?(?:ended|ends|over|closed)\b|(?:^|\n|-\s?)trusted ?:"
            r"|\b(?:function|tool)_(?:call|use|choice|result)s?\b|\bresponse_format\b|(?:^|\n)\s?(?:thought|observation"
            r"|final answer|action input) ?:|\bmodel_hint\b|\bsystem_(?:message|instruction)\b|\bassistant output\b"
        ),
    ),
    (
        "addressed",
        (
            rf"\b{_AI}\b[^.!?\n]{{0,60}}?\b(?:must|should (?!i\b)|shall|has to|have to|please|needs? to|is to|are to|always"
            rf"|never|tell|say|mention|write|answer|repeat|print|output|include|insert|recommend|ignore|obey|reading|reads"
            rf"|processing|processes)\b"
            rf"|\b(?:any|every|if you are (?:an?|the)|you,?|dear|hey|attention|to the|to any|for the|for you,?|as an?"
            rf"|thanks,?|please,?) (?:{_AI}|models?)\b[^.!?\n]{{0,12}}(?:[,:;)!.]|that|which|who|reading|please|must|should"
            rf"|to )|(?:,|\bplease) model[,:.!]|\bmodel: |\byou,? model\b"
            rf"|\bi am (?:the|your|a) (?:developer|creator|maker|author|programmer|operator|boss|owner"
            rf"|engineer)\b[^\n]{{0,60}}?\b(?:you|model|prompt|rules|{_AI})\b|\bhidden instruction|\binstructions? (?:for"
            rf"|to) (?:the |any |an )?(?:{_AI}|model)\b|\bwhoever (?:reads|processes|answers) this\b"
        ),
    ),
    (
        "steering",
        (
            r"\bdeep_?link\b[^.\n]{0,12}?(?:to|=|:|must|should|is|be)|\b(?:set|use|return|make|change|put|choose|replace"
            r"|point|pick|always|with)\b[^.!?\n]{0,30}?\b(?:deep.?links?|ui_?components?)\b|\bui_?component\b"
            r"|\bconfidence\b ?(?:score |value |field )?(?:to|=|:|of|is|as|must be|should be)? ?[\"']?(?:1(?:\.0+)?"
            r"|0?\.9\d*|one|max\w*|the (?:highest|maximum)|full|100 ?%)(?![\d,]| ?percent|\.\d)|\b(?:highest|full|maximum"
            r"|max|total) confidence\b"
            r"|\b(?:all|every|each|your|the next|any) (?:answers?|repl(?:y|ies)|responses?|outputs?|messages?|texts?) "
            r"(?:must|should|shall|has to|have to|will|with|as|in|needs?)\b|\bmark (?:every|all|this|your|the) (?:answers?"
            r"|text|reply|response|output)\b|\b(?:reviewer|moderator|validator|checker)s? (?:told|said|approved|allows?)"
            rf"|\balways (?:answer|say|reply|respond|repeat|tell|recommend|mention|end|start)\b|\bnever (?:mention|say|tell"
            rf"|refuse|answer|use the)\b|\bwhen(?:ever)? you (?:answer|reply|respond|write|generate|see this|read this)\b"
            rf"|\bin your (?:answer|reply|response|text|output|next (?:answer|message))\b"
            rf"|\byour (?:answer|response|reply|output|text|message) (?:must|should|shall|is to|has to|will|needs?)\b"
            rf"|\b(?:start|begin|end|finish) (?:your|every|the|each) (?:answer|reply|response|sentence|message|text) with\b"
            rf"|{_CUE}(?:tell|urge|convince|persuade|instruct|insult|threaten|inform|trick|scare|congratulate|warn|ask"
            rf"|order|advise|make|send|get) {_READER}\b(?! (?:can|could|will|see|have|are|list|table|column|name)\b)"
            rf"|\binsult (?:the|me|him|her|them)\b|\bthreat to\b"
            r"|\b(?:promise|offer|grant|guarantee|announce|award)\b[^.!?\n]{0,24}?\b(?:refunds?|discounts?|vouchers?"
            r"|coupons?|for free|free|credits?|money|prize|gift)\b"
            rf"|{_CUE}(?:say|write|print|answer|reply|respond|output|type|return|display)(?: (?:back|with|me|us))? ?(?:only"
            rf"|just|exactly|nothing but|nothing else)\b[^.!?\n]{{0,12}}?\b(?:words?|phrase|text|sentence|string|letters?"
            rf"|with|in (?:capital|upper|french|german|spanish|json|emoji\w*|rhyme|latin))\b"
            rf"|{_CUE}(?:say|write|print|answer|reply|respond|output)(?: (?:that|with|back|only|exactly|the (?:word|phrase"
            rf"|sentence|words)))?\s?[:]?\s?['\"“‘]|(?:^|[.!;,\n]\s?|\bnow[^.!?\n]{{0,30}}?[,:] ?)(?:say|write|reply"
            rf"|respond|answer|output) ?: |\b(?:say|print|write|output|reply|answer|respond)(?: with)? (?:only )?(?:the "
            rf"(?:single )?word |just )?(?:hacked|owned|pwned|yes sir|hello world|banana|i have been|lol|haha)\b"
            rf"|{_CUE}(?:write|tell|compose|sing|make up) (?:me |us |the reader )?(?:an?|some) (?:\w+ )?(?:joke|poem|song"
            rf"|story|limerick|haiku|threat|insult|essay|recipe|rap)s?\b|\b(?:set|fill|put|replace) (?:the |your )?(?:text"
            rf"|message|facts|language)(?: field)? (?:to|with)\b|\bthe (?:text|facts|language) field to\b"
        ),
    ),
    (
        "decode",
        (
            r"\b(?:decode|decipher|decrypt|unscramble|rot.?13|base.?64|hex|reverse|backwards"
            r"|url.?decode)\b[^\n]{0,100}?\b(?:obey|follow|execute|do what|do as|do it|run it|carry out|comply|act on"
            r"|perform)\b"
            r"|\b(?:obey|follow|execute|carry out|perform)\b[^.\n]{0,30}?\b(?:decoded|encoded|hidden|base.?64|rot.?13|reversed)\b"
        ),
    ),
    (
        "other_language",
        (
            r"\b(?:ignore[zr]?|oublie[zr]?|neglige[zr]?|ne (?:suis|tiens|respecte) pas|ne tene?z pas compte|fais "
            r"abstraction|passe outre)\b[^.!?\n]{0,40}?\b(?:instructions?|consignes?|regles?|directives?|ordres?"
            r"|precede\w+|ci-dessus|avant)\b"
            r"|\b(?:ignorier\w*|vergiss|vergesst|vergessen sie|missachte\w*|uberge?he?\w*|befolge\w* (?:nicht|keine)"
            r"|halte dich nicht|setze? dich uber)\b[^.!?\n]{0,50}?\b(?:anweisung\w*|regeln?|vorgaben?|instruktion\w*"
            r"|anleitung\w*|befehle?|prompts?|alles|bisherig\w*|vorherig\w*|vorig\w*|obig\w*)\b"
            r"|\b(?:ignor[aeo]\w*|olvid[ae]\w*|omit[ae]|descart[ae]|desobede\w+|no (?:sigas|hagas caso)|haz caso "
            r"omiso)\b[^.!?\n]{0,40}?\b(?:instruccion\w*|reglas?|ordenes|indicaciones|anterior\w*|normas|directrices)\b"
            r"|\b(?:ignor[aei]\w*|dimentic\w+|trascura\w*|non seguire|tralascia)\b[^.!?\n]{0,40}?\b(?:istruzion[ei]"
            r"|regole?|ordini|precedent[ei]|direttive|indicazioni)\b"
            r"|\b(?:ignor[ea]\w*|esque[cç]\w+|desconsider\w+|descart\w+|nao siga)\b[^.!?\n]{0,40}?\b(?:instruc\w+|regras?"
            r"|ordens|anterior\w*|comandos|diretrizes)\b"
            r"|\b(?:negeer|vergeet|volg niet|sla)\b[^.!?\n]{0,40}?\b(?:instructies?|regels?|aanwijzingen|opdrachten"
            r"|bovenstaande|voorgaande|vorige)\b"
            r"|\b(?:z?ignoruj\w*|zapomni\w*|pomin\w*|zapomen\w*|nedbej\w*|prehliadni"
            r"|nasleduj)\b[^.!?\n]{0,40}?\b(?:instrukc\w+|polece\w+|zasad\w*|regul\w*|wytyczn\w+|pokyn\w*|pravidl\w*"
            r"|poprzedni\w*|predchoz\w+)"
            r"|\b(?:ignorera|glom|bortse fran|ignorer|glem|se bort fra|unohda|ohita|jata "
            r"huomiotta)\b[^.!?\n]{0,40}?\b(?:instruktion\w*|instrukser?|regler\w*|anvisning\w*|tidigare|tidligere|forrige"
            r"|ohjeet|ohjeita|aiemmat\w*|kaikki)\b"
            r"|\b(?:talimat\w*|kural\w*|komut\w*)\b[^.!?\n]{0,30}?\b(?:yok say|unut|gormezden|dikkate alma|goz ardi)"
            r"|\b(?:abaikan|lupakan)\b[^.!?\n]{0,30}?\b(?:instruksi|perintah|aturan|sebelumnya)|\b(?:bo qua|quen|phot "
            r"lo)\b[^.!?\n]{0,30}?\b(?:huong dan|chi dan|chi thi|lenh|quy tac)"
            r"|\b(?:ignora\w*|uita)\b[^.!?\n]{0,30}?\b(?:instructiun\w*|reguli\w*)|\b(?:hagyd figyelmen kivul|felejtsd "
            r"el)\b[^.!?\n]{0,40}?(?:utasitas|szabaly)"
            r"|\b(?:du bist|sie sind) (?:jetzt|nun|ab sofort|ab jetzt|kein)\b[^.!?\n]{0,4}\b(?:ein|kein|der|die|mein|frei)"
            r"|\bdu bist ab (?:jetzt|sofort)\b|\btu es (?:maintenant|desormais) (?:un|une|le|la|libre)\b|\b(?:ahora eres"
            r"|eres ahora|agora voce e|voce agora e|ora sei|da ora sei|je bent nu|jestes teraz|du ar nu)\b"
            r"|\b(?:antworte|schreibe?|sag|antworten sie) (?:ab jetzt |immer |nur |ausschliesslich )+|\b(?:repond[sz]?"
            r"|ecris) (?:uniquement|seulement|toujours|que)\b|\b(?:responde|escribe|di) (?:solo|siempre|unicamente|apenas"
            r"|sempre)\b|\brispondi (?:solo|sempre|soltanto)\b"
            r"|\b(?:zeige?|verrate?|gib|nenne|wiederhole?|drucke?)\b[^.!?\n]{0,30}?\b(?:deine|dein|ihre|system)\w*[ "
            r"-]?(?:anweisung\w*|prompt|regeln|instruktion\w*|vorgaben)|\b(?:muestra|revela|repite|imprime|muestrame"
            r"|mostra|mostre|revele|rivela)\w*\b[^.!?\n]{0,30}?\b(?:tus?|tuas?|seu|tue|le tue|suas?) (?:instruc\w+|prompt"
            r"|reglas|regras|istruzioni|regole)"
            r"|\b(?:montre|affiche|revele|repete|donne)[szr]?\b[^.!?\n]{0,30}?\b"
            r"(?:tes|ton|vos|votre) (?:instructions|consignes|prompt|regles)"
        ),
    ),
)
_NATIVE: Final = re.compile(
    r"(?:игнорир|забудь|не обращай|не следуй|отмени|пренебрег|ігноруй|забудь)[^.!?\n]{0,50}?(?:инструкц|правил"
    r"|указан|промпт|команд|предыдущ|інструкц|попередн)|(?:покажи|выведи|раскрой|повтори"
    r"|напечатай)[^.!?\n]{0,30}?(?:промпт|инструкц|системн)|системн\w+ промпт|(?:ты|вы) теперь |отвечай (?:только"
    r"|всегда)"
    r"|(?:忽略|无视|無視|忘记|忘記|不要遵守|不要理会|跳过|忘掉)[^。!?\n]{0,24}(?:指令|指示|提示|规则|規則|说明|說明|内容|要求|命令)|(?:指令|指示|规则|規則|命令"
    r"|ルール)[^。!?\n]{0,16}(?:無視|忽略|无视|忘れ|作废|従わ)|系统提示|系統提示|システム.?プロンプト|(?:你现在是|你現在是|从现在起|從現在起|あなたは今から|これからあなたは)"
    r"|プロンプト[^。\n]{0,6}(?:表示|見せ|教え)"
    r"|(?:지시|명령|규칙|지침|프롬프트|내용)[^.!?\n]{0,16}(?:무시|잊)"
    r"|(?:무시|잊어)[^.!?\n]{0,20}(?:지시|명령|규칙|지침|프롬프트)|시스템 ?프롬프트|너는 이제|당신은 이제"
    r"|(?:تجاهل|انس|انسى|لا تتبع)[^.!?؟\n]{0,40}(?:التعليمات|تعليمات|الأوامر|القواعد|السابقة|ما سبق)|موجه النظام"
    r"|(?:दुर्लक्ष|अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल)[^.!?।\n]{0,40}(?:निर्देश|नियम|आदेश)|(?:निर्देश|नियम"
    r"|आदेश)[^.!?।\n]{0,30}(?:अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल)"
    r"|(?:αγνόησε|αγνοησε|ξέχασε|ξεχασε|παράβλεψε)[^.!?\n]{0,40}(?:οδηγίες|οδηγιες|εντολές|κανόνες|προηγούμεν)"
    r"|(?:התעלם|תתעלם|שכח)[^.!?\n]{0,30}(?:ההוראות|הוראות|הכללים)|(?:ละเว้น|เพิกเฉย|ลืม)[^\n]{0,30}(?:คำสั่ง|กฎ)"
    r"|(?:نادیده|فراموش)[^\n]{0,30}(?:دستور)|(?:دستور)[^\n]{0,30}(?:نادیده|فراموش)",
    re.IGNORECASE,
)

_RULES: Final = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
_LEET: Final = str.maketrans("013457@$!8", "oieastasib")
_LEET_WORD: Final = re.compile(r"(?=[\w@$!]*[A-Za-z])(?=[\w@$!]*[0134578@$!])[\w@$!]{3,}")
_SPACED: Final = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-_*|/]){3,}[^\W\d_](?!\w)")
_GAP: Final = re.compile(r"\s{2,}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\-]{16,}={0,2}")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[ :,]?|\\x[0-9a-fA-F]{2}){8,}")
_PERCENT: Final = re.compile(r"%[0-9a-fA-F]{2}")
_ESCAPES: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


def find_injection(text: str) -> str:
    """Return the kind of attempt to instruct the model, in a few words that quote nothing; empty where there is none.

    Reads the first 2,000 characters. CPU work of a few milliseconds; does not block otherwise.
    """
    text = text[:LONGEST]
    if hidden := _hidden(text):
        return f"hidden characters: {_kind(hidden) or 'text'}"
    plain, _origin = clean(text, LONGEST)
    if kind := _kind(plain):
        return kind
    for how, view in _views(plain):
        if kind := _kind(view):
            return f"{how}: {kind}"
    return ""


def _hidden(text: str) -> str:
    """Text in tag characters, which nobody sees; the few that end the flag of a region are none."""
    tags = [ord(character) - 0xE0000 for character in text if 0xE0020 <= ord(character) <= 0xE007E]
    return "".join(map(chr, tags)) if len(tags) > 6 else ""


def _kind(text: str) -> str:
    if not text.isascii() and _NATIVE.search(text):
        return "other_language"
    folded = "".join(part for part in unicodedata.normalize("NFD", latin(text)) if not unicodedata.combining(part)).replace("’", "'")
    folded = re.sub(r"[ \t]+", " ", folded)
    return next((kind for kind, rule in _RULES if rule.search(folded)), "")


def _views(plain: str) -> Iterator[tuple[str, str]]:
    """What else the text may be read as, each tried once."""
    leet = _LEET_WORD.sub(lambda match: match[0].translate(_LEET), plain)
    if leet != plain:
        yield "spelt with digits", leet
    if _SPACED.search(plain):
        words = _GAP.sub(" \n ", plain).split("\n")
        yield "spaced out", " ".join(_SPACED.sub(_joined, word.strip()) for word in words)
        yield "spaced out", _SPACED.sub(_joined, plain)
    unescaped = html.unescape(urllib.parse.unquote(plain)) if _PERCENT.search(plain) or "&" in plain else plain
    unescaped = _ESCAPES.sub(lambda match: chr(int(match[1], 16)), unescaped)
    if unescaped != plain:
        yield "escaped", clean(unescaped, LONGEST)[0]
    for decoded in _decoded(plain):
        yield "encoded", decoded
    yield "rot13", codecs.encode(plain, "rot13")
    yield "reversed", plain[::-1]


def _joined(match: re.Match[str]) -> str:
    return match[0][::2]


def _decoded(plain: str) -> Iterator[str]:
    for match in _BASE64.finditer(plain):
        digits = match[0].rstrip("=").translate(_URL_SAFE)
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]
        yield from _readable(base64.b64decode(digits + "=" * (-len(digits) % 4)))
    for match in _HEX.finditer(plain):
        yield from _readable(binascii.unhexlify(re.sub(r"\\x|[ :,]", "", match[0])))


def _readable(data: bytes) -> Iterator[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    if sum(character.isprintable() or character.isspace() for character in text) >= 0.9 * len(text):
        yield clean(text, LONGEST)[0]
