"""What no guidance may say, whatever a catalog allows, as regular expressions on normalised text (``normal`` of ``llm/claims.py``).

One expression a line, so that a change to the list reads as one; a line indented further goes on with the one above. None nests
repetition: what is repeated is bounded.
"""

from __future__ import annotations

from typing import Final

NEVER: Final[dict[str, str]] = {
    "asks for secrets or payment": r"""
        \b(?:tell|give|send|share|e-?mail|text|message|post|reply with|submit|dictate|hand|forward|read out|upload
            |show us)\b[^.!?]{0,60}\b(?:passwords?|passcodes?|pass ?phrases?|pins?|one.time code|security code|verification code
            |login details|date of birth|passport|id card|driving licen[cs]e)\b
        \b(?:tell|give|send|share|e-?mail|text|post|reply with|submit|dictate|hand|forward|upload|show)(?: (?:us|me|them
            |support|out|over))? (?:your|the|that|this|all) (?:\w+ ){0,2}(?:keys?|tokens?|secrets?|credentials)\b
        \b(?:paste|type|enter|put|write|drop|leave|post|publish)\b[^.!?]{0,40}\b(?:passwords?|keys?|credentials|codes?
            |secrets?|tokens?)\b[^.!?]{0,20}\b(?:chat|comments?|message|reply|e-?mail|ticket|channel|public|repository
            |sticky note|title)\b
        \b(?:type|enter|confirm|repeat|provide) (?:in )?your (?:\w+ )?(?:password|passcode|pin)\b
        \bone.time (?:code|password)\b
        \byour pin\b
        \b(?:credit|debit|payment|bank) (?:cards?|details|accounts?|information|data|numbers?)\b
        \bcard (?:numbers?|details)\b
        \bcvv\b
        \biban\b
        \bgift cards?\b
        \bbitcoins?\b
        \bcrypto\w*
        \bwallet\b
        \bwire (?:us|the|a)\b
        \bsocial security\b
        \b(?:share|lend|give|send|pass|hand|swap)(?: (?:us|me|them|on|out|over))? (?:your|the|his|her|their
            |a) (?:\w+ )?(?:logins?|accounts?|sign-?in|sessions?)\b
        \b(?:log|sign) in (?:as|for|with) (?:another|someone|somebody|a colleague|your (?:colleague|boss|admin\w*))
        \bssn\b
        \b(?:(?:buy|pay|upgrade|subscription|invoice|billing|coupon|voucher|bargain|bonus|prize|winner)\w*|rewards?)\b
        \b(?:purchase (?:a|the|our|more|now))\b
    """,
    "lowers a guard": r"""
        \b(?:turn|switch|shut)(?:ing)? (?:\w+ ){0,4}off\b[^.!?]{0,40}\b(?:security|sign-on|sign on|sso|authentication
            |firewall|antivirus|anti-virus|protection|verification|factor|encryption|warnings?|checks?|permissions?|safety|blocker)\b
        \b(?:turn|switch|shut)(?:ing)? off (?:\w+[ -]){0,4}(?:security|sso|authentication|firewall|antivirus|protection
            |verification|encryption|warnings?|permissions?|safety|backups?)\b
        \b(?:disabl|deactivat|bypass|circumvent|ignor|skip|remov|weaken|lower|paus)\w* (?:\w+[ -]){0,4}(?:security|sso
            |sign-on|authentication|firewalls?|antivirus|anti-virus|protection|verification|encryption|warnings?|permissions?
            |safety|two-factor|password|certificate checks?)\b
        \b(?:without|no) (?:a )?(?:password|encryption|authentication)\b
        \bweak(?:er)? password
        \b(?:simple|short|easy|same) password
        \b(?:grant|give|make) (?:\w+ ){0,2}(?:full|admin\w*|root|owner) (?:access|rights|permissions?)\b
        \beveryone an admin
        \bwrite access\b
        \b(?:run|paste|execute) (?:this|the following) (?:command|code|script)\b
        \bsudo\b
        \bdownload and (?:run|open|install)\b
        \bexe\b
        \b(?:turn|switch|shut|disabl|deactivat|bypass|circumvent|ignor|skip|remov|weaken|uninstall|dismiss
            |accept)\w*\b[^.!?]{0,40}\b(?:virus\w*|scanners?|vpn|proxy|blockers?|guard|locks?|polic(?:y|ies)|access control
            |backups?|audit\w*|monitoring|certificates?|warnings?|password|sandbox|safeguards?|roles? check)\b
        \b(?:make|set|leave|keep) (?:\w+ ){0,3}(?:public|wide open|world.readable|unprotected)\b
        \bpublic (?:repository|repo|folder|channel)\b
        \bopen (?:\w+ ){0,3}(?:port|firewall|database|server|access|it|everything)s? to (?:the )?(?:internet|world|public
            |everyone|everybody|anyone|all)\b
        \ballow (?:all|any|every) (?:traffic|addresses|connections?|origins?|access|users?|ip)\b
        \b(?:same|shared?|default|another'?s?|old) passwords?\b
        \b(?:everyone|everybody|anyone|all users?|all of them|the whole (?:team|company))\b[^.!?]{0,20}\b(?:admin\w*|owners?
            |rights|root)\b
        \b(?:admin\w*|owner|root) (?:rights|access|permissions?|role) (?:to|for) (?:every|any|all)\w*
    """,
    "threatens, insults, shames or presses": r"""
        \b(?:idiots?|stupid\w*|dumb\w*|morons?|fools?|foolish\w*|loser\w*|lazy|lazi\w*|incompeten\w*|ignoran\w*|clueless|pathetic)\b
        \b(?:useless|hopeless|worthless|embarrass\w*|asham\w*|shame\w*|ridiculous|silly|damn\w*|hell|crap\w*|shit\w*|fuck\w*)\b
        \b(?:bastards?|ass|arse|suck\w*|screw\w*|hate\w*|kill\w*|slackers?|disgrac\w*|laughable|disappoint\w*|noobs?|newbies?)\b
        \b(?:dummy|dummies|amateurs?|slowpoke)\b
        \b(?:or else|you will regret|regret it|consequences?|punish\w*|suspend\w*|terminat\w*|you.ll be sorry)\b
        \b(?:will be (?:deleted|closed|locked|lost|suspended|removed|blocked|reported|banned|fired|sacked))\b
        \b(?:lose (?:access|your|everything|all|the)|get fired|your (?:boss|manager) (?:will|is going|would|won't|knows)|your job)\b
        \b(?:report you to|reported to|we(?: are|'re) watching|we know (?:where|what you|who you))\b
        \b(?:even a (?:child|beginner|kid)|any(?:body|one) (?:can|could) do)\b
        \b(?:(?:everyone|everybody) else (?:has (?:done|finished|managed|already)|is (?:done|ready|faster|already)|manages?|did
            |finished|already))\b
        \b(?:(?:others|most people|your colleagues|your team) (?:(?:have|has|are|is) (?:all |already |long )?(?:done|finished
            |managed|ahead|better|faster|waiting)|all|did|manage\w*|finished?|already))\b
        \b(?:falling behind|you(?:'re| are) (?:too|so|the only|behind|failing|slow)|what(?:'s| is) wrong with you|your fault)\b
        \b(?:you (?:should|must) know (?:better|this|that|by now)|how hard can|too (?:slow|old|difficult for you))\b
        \b(?:can(?:'t|not) even|you keep failing|nobody else (?:needs?|has|struggles|fails|is)|you failed|you have failed)\b
        \b(?:not (?:smart|clever|good) enough|rtfm|for dummies|common sense)\b
        \b(?:now or never|last (?:chance|call)|running out|before (?:it(?:'s| is) (?:too late|gone)|midnight|tomorrow|tonight))\b
        \b(?:urgent\w*|asap|don't miss(?! anything)|do not miss|time is (?:short|running)|only (?:\w+ )?(?:left|remaining|today))\b
        \b(?:final notice)\b
        \b(?:are you (?:blind|deaf|sure you can|even|always|not able|serious|sleeping|stupid)|wake up|grow up|get a grip)\b
        \b(?:nobody likes|you people|took you so long|(?:is|was) not that (?:hard|difficult)|it(?:'s| is) (?:so easy|not rocket))\b
        \b(?:obviously|(?:you|you're|are) wast(?:e|ed|ing)|wast(?:e|ing) (?:of|our)|your (?:mistake|failure|incompetence))\b
        \b(?:simple enough for|too (?:much|complicated|hard) for you|what takes you|taking you so|slower than|worst|bad at)\b
        \b(?:no excuse\w*|must be (?:blind|new)|quitter|warn(?:ed|ing you)|last warning|we are not happy)\b
        \b(?:finally (?:do|managed?|learn))\b
        \b(?:ends? (?:soon|today|tonight|in|on|at|this)|only a few)\b
        \b(?:few (?:hours|days|minutes|spots|places|seats) (?:left|remain\w*)|while it lasts|clock is ticking)\b
        \b(?:by (?:tonight|tomorrow|midnight|noon|the end of (?:the|this))|too late|as soon as possible)\b
        \b(?:right this (?:second|minute)|(?:days?|hours?|minutes?|seconds?) (?:left|remaining|to go))\b
        \b(?:will (?:be gone|disappear|close|end|stop working)|no time to lose|or it(?:'s| is) gone)\b
    """,
    "invents a measure": r"""
        \b(?:doubl(?:e|es|ed|ing)|halv(?:e|es|ed|ing)|twice as|half (?:of|the)|(?:the )?majority)\b
        \b(?:most|many|half|all|nearly all|almost all|thousands|plenty) (?:of )?(?:our |the |all )?(?:teams|companies|users
            |people|customers|firms|businesses)\b
        \b(?:in|within|under|just|only|takes?|about) (?:a )?(?:couple of |few |matter of )?(?:seconds|minutes|hours)\b
    """,
    "threatens for the firm": r"""
        \b(?:was|were|be|been|get|got) (?:let go|sacked|dismissed|fired)\b
        \bor (?:we|i|they|it|the (?:team|system|company))(?:'ll| will| shall| must| have to)? (?:delete|close|lock|remove|suspend
            |block|cancel|erase|report|tell|charge|wipe|end|stop|ban|take)\w*
        \bwe(?:'ll| will| shall| must| may| might| can| have to)? (?:delete|close|lock|suspend|block|cancel|erase|wipe|ban|reset
            |charge|remove|report) (?:your|you|the|all|every\w*|it)\b
    """,
    "promises or gives away": r"""
        \bnothing can (?:\w+ )?(?:break|fail|happen|go)\b
        \bon the house\b
        \bblood\b
        \bfirst (?:week|month|year)\b
        \bpassword as (?:your|the|a)\b
        \b(?:firewall|antivirus|protection|shields?) (?:down|off|aside)\b
    """,
    "advises like a lawyer or a doctor, or promises": r"""
        \b(?:legal(?:ly)?|lawyers?|lawsuits?|sue[ds]?|attorneys?|gdpr|hipaa|complian(?:t|ce)|liab\w+|warrant(?:y|ies)|medica\w*)\b
        \b(?:medicin\w*|doctors?|diagnos\w*|cures?|therap\w*|symptoms?|disease\w*|prescri\w*|pills?|dosage)\b
        \b(?:tax(?:es)? (?:return|advice|refund)|invest(?:ing|ments?|ors?)?|stocks|shares will|lose weight|healthier|cholesterol)\b
        \b(?:diabet\w*|allerg\w*|blood pressure)\b
        \b(?:certif(?:ied|y) (?:by|for)|award.winning|industry.leading|world.class|best in|number one|unlike (?:our|other))\b
        \b(?:better than (?:any|all|our|other|every|the)|market leader|trusted by|most (?:secure|popular|powerful|advanced))\b
        \b(?:fastest|unlimited|lifetime|forever|instantly|every (?:time|single time)|never (?:lose|fails?|breaks?|goes?|miss\w*))\b
        \b(?:impossible to|(?:perfectly|completely|totally|absolutely|fully) (?:safe|secure|private|accurate|reliable))\b
        \b(?:nothing can go wrong|100|bug.free|error.free|bulletproof|foolproof|hack.?proof|unhackable|save you (?:time|hours))\b
        \b(?:boost\w*|skyrocket\w*|increase (?:your )?(?:revenue|sales|productivity)|competitors?|patent\w*|assur(?:e|es|ed|ance))\b
        \b(?:trial|no (?:cost|charge)|at no (?:cost|charge)|on us|complimentary|gratis|half.price|on sale|savings)\b
        \b(?:offer (?:ends|expires)|gifts?|money.back)\b
        \b(?:can(?:'t|not) (?:go wrong|fail|lose)|will (?:surely|certainly)|surely will|without (?:a )?(?:fail|doubt)|no doubt)\b
        \b(?:certain to|sure to|bound to|rest assured|we swear|i swear|you have (?:my|our) word|success is|will (?:always|never))\b
        \b(?:works? (?:every time|for everyone|without exception)|risk.?less|zero risk|flawless\w*)\b
        \b(?:cost(?:s|ing)? (?:you )?(?:nothing|less)|half off|% off|save money|payments?|fees?|(?:no|extra|without) charge)\b
        \b(?:charge[ds] (?:you|for)|worth (?:a|the) (?:fortune|money)|deduct\w*|contract\w*|court|law|laws|regulations?|aspirin)\b
        \b(?:headaches?|healthy for|health (?:benefits?|problems?|advice|conditions?)|good for your|financ\w*|retire\w*)\b
    """,
    "talks about the model or its orders": r"""
        \b(?:as an? (?:ai|assistant|language model|llm|model|chatbot|bot|virtual|large)|language model|large model|llms?\b|gpt\w*)\b
        \b(?:chatgpt|chatbots?|openai|anthropic|a\.i\.|artificial intelligence|neural network|machine learning)\b
        \b(?:i(?:'m| am) (?:an? (?:ai|assistant|bot|model|machine)|sorry,? but|unable|not able))\b
        \b(?:i (?:can(?:'t|not)|won't|will not|do not|don't) (?:help|assist|comply|provide|fulfil|fulfill|do that|have|know
            |generate|write))\b
        \b(?:system (?:prompt|message|instructions?))\b
        \b(?:(?:my|the|these|those|previous|above|prior|your|given|hidden|developer|original|secret) (?:instructions?|prompts?
            |guidelines))\b
        \b(?:prompts? (?:says?|tells?|asks?|was|is|injection|i)|instructed to|instructions?|training data|my training|trained on)\b
        \b(?:jailbreak\w*|developer mode|ignore (?:all|any|the|previous|everything|that|what)|disregard|pwned|hacked)\b
        \b(?:do anything now|json|uicomponent|deeplink|confidence score)\b
        \b(?:here(?:'s| is) (?:the|a|your|my) (?:json|text|message|nudge|answer|response|rewrit\w*|guidance|output|requested))\b
        \b(?:placeholders?|rewritten|roleplay|pretend (?:to|you)|in character|tokens?\b(?= (?:limit|count|left)))\b
        ^(?:sure|certainly|of course|absolutely)\b
        \bas requested\b
        \bhere (?:it is|you go):
        \b(?:user|assistant|system|human)\s?:
        \blorem ipsum\b
        \btodo\b
        \btbd\b
        \b(?:i (?:was|am|have been|'ve been|had been|'m) (?:told|asked|instructed|programmed|designed|trained|not allowed
            |supposed|required|forbidden|made|built|only))\b
        \b(?:i'm (?:told|not allowed|only|supposed)|not (?:to mention|supposed to (?:say|tell|mention))|bandit|propensity)\b
        \b(?:rage.?click\w*|guardrails?|user_input|moderate_\w+|passive_\w+|aggressive (?:tone|modal|arm|tooltip)|your persona)\b
        \b(?:the (?:model|user|arm|trigger|tone|persona|author of this)\b(?= (?:is|was|has|wants|said|says|should|must|asked)))\b
        \b(?:stuck:\w+|trigger is|arm is|(?:my|the) (?:creators?|makers?|developers?|operators?) (?:told|said|say|asked|want))\b
        \b(?:between (?:us|you and me)|secretly|step id|segment is|chain of thought|let me think)\b
        \bstep_completed\b
    """,
    "speaks of the person, or for somebody": r"""
        \b(?:you told us|we noticed that you(?:'re| are)|according to (?:your|our) (?:records|data|profile|calendar|browser))\b
        \b(?:your (?:salary|religion|health|gender|age|race|ethnicity|sexual\w*|politic\w*|browsing|location|home address|phone
            |bank|wife|husband|children|family))\b
        \b(?:call|phone|ring|text|dial|e-?mail|write to|contact|reach|message|dm) (?:us|our|me|support|customer
            |the (?:support|help|sales|team)|sales|1)\b
        \bwe(?: will|'ll|'re going to| are going to) (?:call|contact|e-?mail|reach|phone|text|ring|send|fix|get back
            |take care|refund|pay|be in touch|handle|do)\b
        \b(?:someone|somebody|an? (?:expert|agent|specialist|engineer|representative|colleague of ours)|our (?:team|experts?
            |engineers?|staff|people|support\w*))(?: from \w+)? (?:will|is going to|can) (?:call|contact|e-?mail|reach|phone|text
            |ring|be in touch|fix|get back|help|take|visit|do|set)\b
        \b(?:coming soon|next (?:week|month|year|version|release)|will be (?:released|available|added|launched)|roadmap)\b
        \b(?:write|send|drop|shoot)\b(?: \w+){0,2} (?:e-?mails?|letters?|tweets?) (?:to|at)\b
        \bon social media\b
        \bhot ?line\b
        \bhelp ?desk\b
        \blive chat\b
        \b(?:message|dm|call|phone|ring|write|e-?mail|contact|tweet|ping|ask|reach out to|talk to|speak to|get in touch with
            |chat with|tell)(?: to)? (?:the|your|our|an?|my)(?: \w+){0,2} (?:founders?|managers?|support|sales\w*|ceo|boss
            |success|customer \w+|account \w+|hotline|agents?|representatives?|consultants?)\b
        \b(?:hear|call|e-?mail|message|visit|letter) from (?:us|our|me|the team|support)\b
        \byou(?:'ll| will) (?:get|receive) (?:an? )?(?:\w+ )?(?:e-?mail|call|message|letter|text)\b
        \b(?:get|be|keep) in touch\b
        \bcontact (?:\w+ )?(?:support|sales)\b
        \bexpect (?:a|our) (?:call|visit|e-?mail|message)\b
        \bsupport (?:team|staff) (?:will|is|can)\b
    """,
    "pries": r"""
        \bwe (?:can )?(?:read|saw|see|track|record|follow|monitor)(?:ed|s)? (?:your|everything|all|every|you)\b
        \byour (?:private|personal) (?:notes?|messages?|e-?mails?|life|files?|data|details)\b
    """,
    "sends to somebody": r"""
        \b(?:customer|client|technical) (?:care|service|support|success|relations?|help)\b
        \breach(?:ing)? out\b
        \b(?:support|service|help|sales) (?:team|desk|line|staff|agents?|ticket|department|cent(?:er|re))\b
        \b(?:open|raise|file|create|submit) (?:an? )?(?:\w+ )?tickets?\b
    """,
    "violence, sex, politics, faith, gambling": r"""
        \b(?:bombs?|weapons?|guns?|murder\w*|suicid\w*|terror\w*|nazis?|porn\w*|sex\w*|nude\w*|naked|racis\w*|drugs?|casino\w*)\b
        \b(?:gambl\w*|lotter\w*|elections?|vote for|politic\w*|president|religio\w*|prayer?s?|viagra)\b
    """,
}
"""Kind of claim → its expressions."""

PROMPT_TALK: Final = r"""
        \b(?:this|the) (?:message|nudge|guidance|wording) (?:is|was|should|must|needs|can be|could be|in use|above|below)\b
        \b(?:a|the|this) message that (?:is|was|should|must)\b
        \b(?:rewrite|rephrase|reword|improve|shorten) (?:this|the|your|a) (?:\w+ )?(?:message|text|sentence|wording|guidance)s?\b
        \bwrite (?:a|the|your) (?:better|new|clearer|shorter|good) (?:message|text|sentence)s?\b
        \bmake it (?:more|less) (?:interesting|engaging|concise|friendly|direct)\b
        \b(?:in use,? to be improved|to be improved,? not repeated)\b
        \bno (?:digits|markup|links or addresses|emojis?|names of (?:people|companies))\b
        \b(?:proper names and abbreviations|the rules (?:above|below)|one or two sentences|at most \w+ characters)\b
        \b(?:the (?:person|reader) (?:is|was|has|should|must|needs|reads|met|clicked|keeps|stopped)|how to say it)\b
        \b(?:friendly|professional|energetic|helpful|moderate|passive|aggressive|quiet) tone\b
"""
"""What only somebody says who was told to write a message: no person who sets up a product is meant by it."""
