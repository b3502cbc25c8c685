"""The fixed claims of the recognised languages other than English, shorter than the English list in ``forbidden_claims.py``.

Of each language: asking for secrets or payment, threats and insults, prices, guarantees, comparisons with competitors, and measures in
words that are no number. The expressions match normalised text, so they are written in lower case and without accents. None nests
repetition; what is repeated is bounded.
"""

from __future__ import annotations

from typing import Final

SECRETS, PAYMENT, THREATS, PRICES, PROMISES, MEASURES = (
    "asks for secrets",
    "asks for payment",
    "insults, threatens or presses",
    "talks about prices",
    "promises, or compares with competitors",
    "invents a measure",
)

_NEAR: Final = r"[^.!?]{0,40}"

_BEGINS: Final = r"(?:^|[.!?,:;-] |\b(?:und|oder|dann|also|bitte|y|o|e|ou|entao|luego) )"
"""Before an imperative that may also be a noun."""


def _yours(nouns: str, possessives: str, no_filler: str, article: str = "", unless: str = "") -> str:
    """After a verb: something of the reader's. One of ``nouns`` near it, or a possessive right after it, up to three other words and
    ``article``, but not behind ``no_filler`` (*the duplicates of your list*) or where ``unless`` matches.
    """
    possessed = rf"(?: (?!(?:{no_filler})\b)\w+){{0,3}}{article} (?:{possessives})\b"
    return rf"(?:{unless}{possessed}|[^.!?]{{0,30}}\b(?:{nouns})\b)"


def _begin(conjunctions: str) -> str:
    """The begin of a clause: of the text, after a mark, or after one of ``conjunctions``."""
    return "(?:(?<![^.!?,:;-] )" + "".join(rf"|(?<=\b{each} )" for each in conjunctions.split()) + r")\b"


def _subject(words: str, ends: str, conjunctions: str, others: str) -> str:
    """*Nothing … is deleted*: a negation that begins a clause, up to one of ``ends``, unless one of ``others`` (a subject of its own, a
    possessive, a conjunction) stands between.
    """
    return rf"{_begin(conjunctions)}(?:{words})\b(?:(?!\b(?:{others})\b)[^.!?,;:-]){{0,30}}?\b(?:{ends})"


def _changes(prices: str, changes: str, orders: str, breaks: str) -> str:
    """Prices that go up or down. ``orders`` are forms that may also be an order about something else (*the prices and upload the file*),
    so neither a comma nor one of ``breaks`` may stand between.
    """
    return rf"\b(?:{prices})\b(?:[^.!?]{{0,30}}\b(?:{changes})|(?:(?!\b(?:{breaks})\b)[^.!?,;:]){{0,30}}\b(?:{orders}))\b"


_CLAUSE_END: Final = r"(?= ?(?:[.!?,;:-]|$)| (?:{})\b)"

_END_DE: Final = r"(?:losch|loesch|sperr|kundig|schliess|deaktivier|entfern|entzieh|blockier)en"
_WE_DE: Final = rf"\b(?:{_END_DE} wir|wir {_END_DE}|ich (?:losche|loesche|sperre|kundige|schliesse))\b"
_YOURS_DE: Final = _yours(
    r"\w*konto|zugang|account|profil|alles",
    "dein|deine|deinen|dir|dich|ihr|ihre|ihren|ihnen",
    "d(?:er|ie|as|en|em|ass)|eine?|in(?! kurze)|aus|von|wenn|falls|sobald|damit|was|und",
    unless=r"(?![^.!?,;:]{0,50} ab ?(?:[.!?,;:]|$))",
)
_GONE_DE: Final = r"(?:gelosch|geloesch|gesperr|deaktivier|abgeschalt|entfernt|entzogen|gekundig|verloren)\w*"

_WE_FR: Final = (
    r"\b(?:nous|on) (?:(?:supprim|ferm|bloqu|efface?|clotur|desactiv|resili|suspend)(?:er|ir|r)?(?:ons|a)"
    r"|(?:allons|va|devons|devrons|doit|devra) (?:supprimer|fermer|bloquer|effacer|cloturer|desactiver|resilier|suspendre))\b"
)
_YOURS_FR: Final = _yours(
    "comptes?|acces|profil|tout",
    "ton|ta|tes|votre|vos",
    "les?|la|des?|du|une?|dans|sur|pour|que|quand|si|et",
    r"(?: l'\w+ de| la totalite de)?",
)

_WE_ES: Final = (
    r"(?<!\bno )\b(?:(?:vamos a|tendremos que|tenemos que) (?:eliminar|borrar|cerrar|bloquear|cancelar|suspender|desactivar)"
    r"|(?:elimin|borr|bloque|cerr|cancel|suspend|desactiv)(?:aremos|eremos|amos|emos))\b"
)
_YOURS_ES: Final = _yours("cuentas?|acceso|perfil|todo", "tus?|sus?", "el|l[ao]s?|del?|en(?! breve)|un[ao]?s?|que|para|si|y|con|por")
_GONE_ES: Final = (
    r"(?:(?:elimina|borra|cancela|perde|bloquea|suspende|desactiva|cerra)(?:ra|ran)"
    r"|(?:eliminad|borrad|cancelad|perdid|bloquead|cerrad|suspendid|desactivad)[oa]s?)\b"
)

_WE_IT: Final = (
    r"(?<!\bnon )\b(?:(?:dobbiamo|dovremo|stiamo per) (?:eliminare|cancellare|bloccare|chiudere|sospendere|disattivare|rimuovere)"
    r"|(?:elimin|cancell|blocch?|chiud|sospend|disattiv|rimuov)(?:eremo|iamo)|termineremo)\b"
)
_YOURS_IT: Final = _yours(
    "account|accesso|profilo|tutto",
    "tu[oae]|tuoi|suo",
    r"il?|l[oae]|gli|una?|d[ei]l?\w{0,3}|da[il]\w*|ne[il]\w{0,2}|per|se|e|che|con",
    "(?: il| la| i| le)?",
)
_GONE_IT: Final = r"(?:eliminat|cancellat|rimoss|pers|bloccat|chius|sospes|disattivat)[oaie]\b"

_WE_PT: Final = (
    r"(?<!\bnao )\b(?:(?:vamos|iremos|teremos (?:de|que)|temos (?:de|que)) (?:apagar|excluir|eliminar|bloquear|encerrar|cancelar"
    r"|suspender|remover|desativar|fechar)|(?:apag|exclu|elimin|bloque|encerr|cancel|suspend|remov|desativ|fech)"
    r"(?:aremos|eremos|iremos|amos|emos|imos))\b"
)
_YOURS_PT: Final = _yours(
    "contas?|acesso|perfil|tudo", "seus?|suas?|teus?|tuas?", "[oa]s?|uma?|d[eoa]s?|n[oa]s?|em(?! breve)|que|para|se|e|com", "(?: os?| as?)?"
)
_GONE_PT: Final = r"(?:apagad|eliminad|excluid|cancelad|removid|perdid|bloquead|encerrad|suspens|desativad)[oa]s?\b"

_END_NL: Final = r"(?:verwijderen|wissen|blokkeren|sluiten|beeindigen|deactiveren)"
_WE_NL: Final = rf"\b(?:{_END_NL} (?:we|wij)|(?:we|wij) {_END_NL})\b"
_WE_WILL_NL: Final = r"\b(?:(?:we|wij) (?:zullen|gaan|moeten)|(?:zullen|gaan|moeten) (?:we|wij))\b"
_YOURS_NL: Final = _yours(
    "accounts?|toegang|profiel|alles",
    "je|jouw|uw",
    "de|het|een|uit|in|van|met|als|zodat|dat|wat|die|en|of|zodra|wanneer",
    unless=r"(?![^.!?,;:]{0,50} af ?(?:[.!?,;:]|$))",
)
_GONE_NL: Final = r"(?:verwijderd|gewist|ingetrokken|kwijt|verloren|geblokkeerd|afgesloten|opgeschort|beeindigd|gedeactiveerd)\b"

CLAIMS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "de": {
        SECRETS: (
            (
                r"\b(?:schick|send|sag|nenn|gib|geb|teil|schreib|mail|post|verrat|ubermitt|tipp|trag|zeig|lad|leih|uberlass)\w*\b"
                rf"{_NEAR}\b(?:pass?wort\w*|passworter\w*|kennwort\w*|pin|tan|zugangsdaten|anmeldedaten|(?<!ohne )logins?"
                rf"|geheimnis\w*|ausweis\w*"
                r"|geburtsdatum|(?:sicherheits|bestatigungs|einmal)codes?)\b"
            ),
            (
                r"\b(?:passwort|passworter|kennwort|zugangsdaten|anmeldedaten|pin|tan|sicherheitscode|einmalcode)\b"
                rf"{_NEAR}\b(?:(?:zu)?schick|(?:zu)?send|mitteil|mitzuteil|nenn|verrat|weitergeb|eingeb|einzugeb|eintipp|teilen)\w*"
            ),
        ),
        PAYMENT: (
            rf"{_BEGINS}zahle? (?:\w+ ){{0,2}}(?:mit|per) (?:\w+ )?(?:karte|rechnung|paypal|lastschrift)\b",
            rf"{_BEGINS}zahle? (?:jetzt|sofort)(?:[.!]|$)",
            rf"{_BEGINS}kauf (?:jetzt|heute|gleich|noch|mehr|dir|ein|eine|einen|das|den|die|unser\w*)\b|\babos?\b|\babonnement\w*",
            r"\b(?:kredit|bank|ec-?|zahlungs|giro)-?karten?\w*|\b(?:bankverbindung|bankdaten|kontonummer|zahlungsdaten|kontodaten)\w*",
            r"\b(?:bezahl|einzahl|uberweis|abonnier|kauf(?:e|en|st)\b|bestell(?:e|en|st)\b|zahlung)\w*",  # "zahlt" may be "zählt"
            r"\b(?:gutschein|rabatt|gewinnspiel|pramie|geschenk|freimonat)\w*",
        ),
        THREATS: (
            _WE_DE + _YOURS_DE,
            rf"\b(?:wir (?:werden|mussen)|(?:werden|mussen) wir)\b{_YOURS_DE}[^.!?]{{0,40}}\b{_END_DE}\b",
            r"\b(?:wird|werden|ist|sind)\b[^.!?]{0,80}\b(?:gelosch|geloesch|entzogen|gekundig|verloren)\w*",
            rf"\b(?:alles|(?:dein|ihr)\w* \w+)\b[^.!?]{{0,30}} {_GONE_DE} (?:wird|werden|ist|sind|geht|gehen)\b",
            (
                r"\b(?:\w*konto|accounts?|zugang|zugange|zugriff|profile?|logins?|du (?:wirst|bist)|wirst du|sonst|andernfalls)\b"
                r"[^.!?]{0,60}\b(?:gesperr|deaktivier|abgeschalt)t\w*"
            ),
            r"\b(?:du verlierst|verlierst du|sie verlieren) (?:den |deinen |alle|deine |dein |ihre|ihr )",
            r"\b(?:gehen|geht) (?:sonst )?verloren\b|\bgeh(?:t|en) (?:dein|ihr)\w* (?:(?!\bnicht\b)[^.!?]){0,30}\bverloren\b",
            r"\bletzte (?:chance|warnung|mahnung|gelegenheit)|\bjetzt oder nie\b",
            r"\bkonsequenz\w*\b(?! (?:fur|von) (?!dich\b|sie\b|dein konto|deinen zugang))|\bzu spat\b|\bnur (?:noch )?heute\b",
            r"\b(?:dringend|unverzuglich|schleunigst)\w*|\bbevor es zu\b|\bvor mitternacht\b",
            r"\blauft (?:bald |heute |morgen )?ab(?= ?[.!?,;:-]| ?$| (?:und|wenn|sobald)\b)",
            r"\b(?:idiot|trottel|versager|scheiss|blod|dummkopf|lacherlich|unfahig|beschamend|peinlich)\w*|\b(?:zu )?dumm\w{0,2}\b",
            r"\bfaul\b",
        ),
        PRICES: (
            r"\b(?:kostenlos|kostenfrei|gebuhrenfrei|umsonst|gratis|gebuhr|verbillig)\w*",
            r"\bkostet\b(?! (?:\w+ ){0,3}(?:zeit|muhe)\b)|\b(?:euros?|dollars?|franken)\b",
            r"\b(?:gunstig|billig)\w*|\b(?:zum halben|halber) preis\b",
            _changes(
                "preise?n?",
                r"steig(?:en|t)|sink(?:en|t)|fallt(?! (?:\w+ ){0,2}auf\b)|gestiegen|gesunken|gesenkt|erhoht|gefallen",
                "fallen|erhohen|senken",
                "und|oder|um|zum",
            ),
            r"\b(?:testphase|probezeit|probemonat|probeabo)\w*|\bgeld zuruck\b",
        ),
        PROMISES: (
            r"\b(?:garant|versprech|versproch)\w*|\b(?:ohne|kein) risiko\b|\brisikofrei\w*|\b(?:unbegrenzt|lebenslang|preisgekront)\w*",
            r"\b(?:absolut|vollig|vollkommen|total|komplett) sicher\w*|\bfur immer\b|\bmarktfuhr\w*|\bnummer eins\b|\bweltbest\w*",
            r"\b(?:konkurren|mitbewerber|wettbewerber)\w*|\b(?:besser|schneller|sicherer|gunstiger) als (?:all|jed|ander|bei|unser)\w*",
            r"\bdie meisten (?:\w+ )?(?:teams|firmen|unternehmen|nutzer\w*|kund\w*|leute|menschen)\b",
        ),
        MEASURES: (
            r"\b(?:verdoppel|verdreifach|vervielfach|halbier)\w*|\bdoppelt so\b|\b(?:der|die) halfte\b",
            r"\b(?:in|innerhalb|nur|binnen|dauert) (?:nur )?(?:wenigen? |ein paar |einigen )?(?:sekunden?|minuten?|stunden?)\b",
        ),
    },
    "fr": {
        SECRETS: (
            (
                r"\b(?:envo[iy]|donn|communiqu|partag|transm|saisi|entr(?:e|ez|er)\b|tap(?:e|ez|er)\b|ecri|indiqu|coll(?:e|ez|er)\b|montr"
                r"|confi(?:e|ez|er)\b|dis\b|dites\b|revel|fourni|rentr(?:e|ez|er)\b|pret(?:e|ez|er)\b)"
                rf"\w*{_NEAR}\b(?:mots? de passe|codes? (?:pin|secrets?|de securite|de verification|confidentiels?|a usage unique)|pin"
                r"|(?:tes|vos|ses|leurs) identifiants|(?:carte|piece) d'identite|passeport|date de naissance|secrets)\b"
            ),
        ),
        PAYMENT: (
            r"\bregl(?:e|ez|er) (?:ta|tes|votre|vos|la|les|une) (?:\w+ )?factures?\b",
            r"\bcartes? (?:bancaires?|bleues?|de credit|de debit|de paiement)\b|\b(?:coordonnees|donnees) (?:bancaires|de paiement)\b",
            r"\brib\b",
            r"\bremises?\b(?! (?:a (?:zero|jour|plat)|en (?:forme|ordre|etat|page))\b)",
            r"\bcomptes? bancaires?\b|\b(?:paie|paies|paye|payes|payez|payer|paiements?|achete|achetez|acheter)\b|\babonnements?\b",
            r"\babonne(?:z|-toi|r)\b|\b(?:rabais|cadeau|recompense)s?\b|\bbons? (?:d'achat|de reduction)\b",
        ),
        THREATS: (
            _WE_FR + _YOURS_FR,
            r"\b(?:sera|seront|est|sont|va etre|vont etre)\b[^.!?]{0,20}\b(?:supprim|resili|efface|perdu|cloture)\w*",
            (
                r"\b(?:comptes?|acces|profils?|tu (?:es|seras)|vous (?:etes|serez)|sinon)\b[^.!?]{0,60}"
                r"\b(?:bloque|suspendu|desactive)\w*"
            ),
            r"\b(?:tu perds|tu perdras|vous perdez|vous perdrez|perdre) (?:l'acces|ton|ta|tes|votre|vos|tou)",
            r"\bderni(?:ere chance|er avertissement|ere occasion)|\bmaintenant ou jamais\b|\btrop tard\b|\bavant minuit\b",
            r"\baujourd'hui seulement\b|\bconsequences?\b(?! (?:pour|sur) (?!toi\b|vous\b|(?:ton|votre) (?:compte|acces)))",
            r"\b(?:expire|expirera) (?:bientot|demain|ce soir)\b",
            r"\b(?:imbecile|debile|incapable|paresseu|merde|honte|ridicule|abruti)\w*",
        ),
        PRICES: (
            r"\b(?:gratuit|gratis|offert)\w*|\bsans frais\b|\bfrais (?:de|supplementaires|mensuels)\b",
            r"\b(?:coute|coutera|coutent)\b(?! (?:\w+ ){0,2}(?:temps|effort)s?\b)",
            r"\b(?:euros?|dollars?)\b|\b(?:moitie|a bas|meilleur) prix\b|\b(?:pas|moins) cher\w*",
            _changes(
                "prix|tarifs?",
                "(?:augment|mont|baiss|doubl)(?:ent|era|eront)|augmentation|hausse",
                "(?:augment|mont|baiss|doubl)e[rz]?",
                "et|ou|puis|pour|avant",
            ),
        ),
        PROMISES: (
            r"\b(?:garanti|promet|promes)\w*|\bsans (?:aucun )?risque|\billimite\w*|\ba vie\b|\bpour toujours\b|\bleader du marche\b",
            r"\b(?:totalement|absolument|parfaitement|completement) sur\w*|\bnumero un\b",
            r"\bconcurren\w*|\b(?:mieux|meilleure?s?|plus (?:sur|rapide)) que (?:tou|n'importe|nos|d'autres|chez)\w*",
            r"\bla plupart des (?:equipes|entreprises|clients|utilisateurs|gens)\b",
        ),
        MEASURES: (
            r"\b(?:doubl|tripl)(?:e|es|ez|er|era|eras|erez) (?:ta|ton|tes|votre|vos|la|le|les)\b|\bla moitie\b|\bmoitie (?:moins|plus)\b",
            r"\b(?:en|seulement) (?:quelques |une? |moins d'une )?(?:secondes?|minutes?|heures?)\b",
            (
                r"(?<!tout )\bneuf (?!(?:ailleurs|alors|apres|dans|depuis|jamais|mais|pas|plus|puis|sans|sous|toujours|tres|vers|[nv]ous"
                r"|[cdlmst]es)\b)\w+[sx]\b"
            ),
        ),
    },
    "es": {
        SECRETS: (
            (
                r"\b(?:envi[ae]|mand[ae]|d[ai](?:nos|me)\b|da\b|comparte|comparti|escrib|introdu[cz]|ingres[ae]|tecle[ae]|peg(?:a|ue)"
                r"|pon(?:er|ga)?\b|indi(?:ca|que)|revel[ae]|muestr[ae]|facilit[ae]|proporcion[ae])"
                rf"\w*{_NEAR}\b(?:contrasenas?|claves? (?:secreta|de acceso|personal)e?s?|pin|codigos? (?:de (?:seguridad|verificacion)"
                r"|secretos?)|credenciales|pasaporte|dni|fecha de nacimiento|secretos)\b"
            ),
        ),
        PAYMENT: (
            rf"{_BEGINS}compra (?:ahora|ya|hoy|el|la|un|una|mas|nuestr\w+)\b",
            r"\btarjetas? (?:de (?:credito|debito|pago)|bancarias?)\b|\b(?:cuentas?|datos) (?:bancari[oa]s?|de pago)\b",
            r"\bnumero de (?:la |tu )?tarjeta\b",
            r"\b(?:paga|pagas|pague|pagar|pagos?|compra(?:r|lo|la)|compre|suscribete|suscribirte|suscripcion)\b",
            r"\b(?:descuentos?|cupon|cupones|premios?|regalos?)\b",
        ),
        THREATS: (
            _WE_ES + _YOURS_ES,
            (
                r"\b(?:se|sera|seran|quedara|quedaran|estara)\b[^.!?]{0,20}"
                r"\b(?:(?:elimina|borra|cancela|perde)(?:ra|ran)\b|(?:eliminad|borrad|cancelad|perdid)[oa]s?\b)"
            ),
            (
                r"\b(?:cuentas?|acceso|perfil|seras|estaras|de lo contrario|si no)\b[^.!?]{0,60}"
                r"\b(?:(?:bloquea|suspende|desactiva|cerra)(?:ra|ran)\b|(?:bloquead|cerrad|suspendid|desactivad|seran? terminad)[oa]s?\b)"
            ),
            (
                r"(?<!\bno )\bse (?:bloquea|cierra|suspende|desactiva|(?:bloquea|suspende|desactiva|cerra)ra)n?\b[^.!?]{0,20}"
                r"\b(?:cuentas?|acceso|perfil)\b"
            ),
            r"\b(?:perderas|pierdes|perdera) (?:el acceso|acceso|tu|tus|todo|toda)",
            r"\bultim(?:a oportunidad|o aviso)\b|\bahora o nunca\b|\bdemasiado tarde\b|\bantes de medianoche\b",
            r"\bsolo (?:por )?hoy\b|\bconsecuencias?\b(?! (?:para|sobre) (?!ti\b|usted\b|tu (?:cuenta|acceso)))",
            r"\b(?:caduca|vence|expira) (?:pronto|hoy|manana)\b",
            r"\b(?:estupid|tont[oa]s?\b|imbecil|inutil|verguenza|ridicul|mierda|perezos)\w*",
        ),
        PRICES: (
            r"\b(?:gratis|gratuit)\w*|\bsin (?:coste|costo|cargo)s?\b",
            r"\b(?:cuesta|cuestan|costara)\b(?! (?:\w+ )?(?:trabajo|esfuerzo|tiempo)\b| (?:entender|encontrar|elegir|saber|ver)\b)",
            r"\b(?:euros?|dolar|dolares|pesos)\b",
            r"\bmitad de precio\b|\bbarat\w*",
            _changes(
                "precios?|tarifas?",
                "(?:sub|aument|baj)(?:[ae]n|[ai]ran?|[ai]d[oa]s?)|aumento|subida",
                "sub(?:e|ir)|aumenta|aumentar|bajar?",
                "y|o|antes|para|al|luego",
            ),
        ),
        PROMISES: (
            r"\b(?:garanti|garantiz|promet)\w*|\bsin (?:ningun )?riesgos?\b|\bilimitad\w*|\bde por vida\b|\bpara siempre\b",
            r"\b(?:totalmente|absolutamente|completamente) segur\w*|\bnumero uno\b|\blider del mercado\b|\bnunca falla\b",
            r"\b(?:la competencia|competidor\w*)\b",
            r"\b(?:mejor|mas (?:rapid|segur|barat)[oa]) que (?:tod|cualquier|los demas|otr|nuestr)\w*",
            r"\bla mayoria de (?:los |las )?(?:equipos|empresas|clientes|usuarios|personas)\b",
        ),
        MEASURES: (
            r"\bduplic(?:a|aras|ara) (?:tus?|los|las) (?:ventas|ingresos|resultados|datos|velocidad)\b|\btriplic\w*|\bla mitad de\b",
            r"\ben (?:solo )?(?:unos |unas |pocos |pocas |cuestion de )?(?:segundos|minutos|horas|un minuto|una hora)\b",
            r"\bmedia hora\b|\bcuarto de hora\b",
        ),
    },
    "it": {
        SECRETS: (
            (
                r"\b(?:invi|mand[ai]|dicci|dimmi|dacci|dammi|comunic|condivid|scriv|inseri|digit|incoll|mostr|rivel|forni|prest[ai]\b)"
                rf"\w*{_NEAR}\b(?:passwords?|parole? d'ordine|pin|codic[ei] (?:di sicurezza|di verifica|segret[oi])|credenziali|passaporto"
                r"|carta d'identita|data di nascita|segreti)\b"
            ),
        ),
        PAYMENT: (
            r"\bcart[ae] (?:di (?:credito|debito)|bancari[ae])\b|\bconto (?:bancario|corrente)\b",
            r"\bdati (?:bancari|di pagamento|della carta)\b",
            r"\bnumero della carta\b|\b(?:paga|paghi|pagare|pagate|pagament[oi]|acquista|acquistare|acquistate|compra|comprare)\b",
            r"\babbona(?:ti|rti|rsi|ment[oi])\b|\b(?:sconto|sconti|omaggio|regalo|buono sconto|in premio)\b",
        ),
        THREATS: (
            _WE_IT + _YOURS_IT,
            r"\b(?:verra|verranno|sara|saranno)\b[^.!?]{0,20}\b(?:eliminat|cancellat|rimoss|pers[oaie]\b)\w*",
            (
                r"\b(?:account|conto|accesso|profilo|sarai|sei stat[oa]|altrimenti|senno)\b[^.!?]{0,60}"
                r"\b(?:bloccat|chius|sospes|disattivat|(?:sar|verr)(?:a|ai|anno) terminat)[oaie]\b"
            ),
            (
                r"\b(?:verra|verranno|sara|saranno) (?:bloccat|chius|sospes|disattivat|terminat)[oaie]\b[^.!?]{0,20}"
                r"\b(?:account|conto|accesso|profilo)\b"
            ),
            r"\b(?:perderai|perdi|perderete) (?:l'accesso|il |i |le |la |tutt)",
            r"\bultim(?:a (?:occasione|possibilita)|o avviso)\b|\bora o mai piu\b|\btroppo tardi\b|\bentro (?:mezzanotte|stasera)\b",
            r"\bsolo (?:per )?oggi\b|\bconseguenz[ae]\b(?! (?:per|su\w*) (?!te\b|lei\b|il tuo a))|\bscade (?:presto|oggi|domani)\b",
            r"\b(?:scem[oaie]\b|imbecill|incapac|pigr[oa]\b|vergogn|ridicol|merda|inett)\w*",
        ),
        PRICES: (
            r"\b(?:gratis|gratuit)\w*|\bsenza (?:alcun )?cost[oi]\b",
            r"\b(?:costa|costano|costera)\b(?! (?:\w+ )?(?:fatica|tempo|sforzo)\b)|\b(?:euro|dollar[oi])\b",
            r"\bmeta prezzo\b",
            _changes(
                "prezz[oi]|tariff[ae]",
                "(?:aument|cal)(?:ano|era|eranno|at[oaie])|(?:sal|scend)(?:g?ono|[ie]ra|[ie]ranno)"
                "|(?:salit|sces)[oaie]|aumento|sta(?:nno)? per",
                "aumenta|aumentare|cala|calare|sale|salire|scende|scendere",
                "e|o|per|poi|prima",
            ),
        ),
        PROMISES: (
            r"\b(?:garanti|garanzi|promett|promess)\w*|\bsenza (?:alcun )?rischi\w*|\billimitat\w*|\bper sempre\b|\ba vita\b",
            r"\b(?:totalmente|assolutamente|completamente) sicur\w*|\bnumero uno\b|\bleader di mercato\b",
            r"\bconcorren\w*",
            r"\b(?:meglio|migliore|piu (?:veloce|sicur[oa])) (?:di|del|della|degli|dei|che) (?:tutt|qualsiasi|altr|ogni|nostr)\w*",
            r"\bla maggior parte (?:dei|delle|degli) (?:team|aziende|clienti|utenti|persone|imprese)\b",
        ),
        MEASURES: (
            r"\b(?:raddoppi|triplic|dimezz)\w*|\bla meta (?:del|dei|delle|degli)\b",
            r"\bin (?:pochi |poche |pochissimi |soli |sole )?(?:secondi|minuti|ore|un minuto|un'ora)\b|\bquarto d'ora\b",
            r"\bsei (?!(?:anzi|avanti|cosi|davanti|fuori|oggi|ormai|quasi|quindi|\w*gli)\b)\w{3,}i\b",
            r"\bsei (?:clic|colleghe|colonne|euro|file|ore|pagine|persone|report|righe|schede|settimane|squadre|tabelle|team|volte)\b",
        ),
    },
    "pt": {
        SECRETS: (
            (
                r"\b(?:envi[ae]|mand[ae]|dig[ao]\b|de-nos\b|da-nos\b|pass[ae]\b|partilh|compartilh|escrev|insir|inser|introdu|digit|coloqu"
                r"|col(?:a|e|ar)\b|inform[ae]|revel|mostr|forne)"
                rf"\w*{_NEAR}\b(?:senhas?|palavras?.passe|pin|codigos? (?:de (?:seguranca|verificacao)|secretos?)|credenciais|passaporte"
                r"|data de nascimento|cpf|segredos)\b"
            ),
        ),
        PAYMENT: (
            rf"{_BEGINS}(?:compra|assina) (?:ja|agora|hoje|o|a|um|uma|mais)\b",
            r"\bcart(?:ao|oes) (?:de (?:credito|debito)|bancari[oa]s?)\b|\b(?:contas?|dados) (?:bancari[oa]s?|de pagamento|do cartao)\b",
            r"\bnumero do cartao\b|\b(?:paga|pagar|pague|paguem|pagamentos?|comprar|compre|comprem|assine|assinar)\b",
            r"\bassinatura (?:mensal|anual|paga)\b|\b(?:descontos?|cupom|cupons|premios?|brindes?)\b",
        ),
        THREATS: (
            _WE_PT + _YOURS_PT,
            r"\b(?:sera|serao|vai ser|vao ser|ficara)\b[^.!?]{0,20}\b(?:apagad|eliminad|excluid|cancelad|removid|perdid)\w*",
            (
                r"\b(?:contas?|acesso|perfil|voce sera|seras|senao|caso contrario)\b[^.!?]{0,60}"
                r"\b(?:bloquead|encerrad|suspens|desativad|ser(?:a|ao) terminad)[oa]s?\b"
            ),
            (
                r"\b(?:sera|serao) (?:bloquead|encerrad|suspens|desativad)[oa]s?\b[^.!?]{0,20}"
                r"\b(?:contas?|acesso|perfil)\b"
            ),
            r"\b(?:perde|perdes|perdera|perderas) (?:o acesso|acesso|seu|sua|teu|tua|tudo|todo|os dados)",
            r"\bultim(?:a (?:chance|oportunidade)|o aviso)\b|\bagora ou nunca\b|\btarde demais\b|\bantes da meia-noite\b",
            r"\bso (?:por )?hoje\b|\bconsequencias?\b(?! (?:para|sobre) (?!ti\b|voce\b|a sua conta))",
            r"\b(?:expira|vence|caduca) (?:em breve|hoje|amanha)\b",
            r"\b(?:estupid|burr[oa]s?\b|imbecil|incapaz|preguicos|vergonh|ridicul|merda)\w*",
        ),
        PRICES: (
            r"\b(?:gratis|gratuit)\w*|\bde graca\b|\bsem (?:custos?|encargos)\b",
            r"\b(?:custa|custam|custara)\b(?! (?:\w+ )?(?:trabalho|esforco|tempo)\b)|\b(?:euros?|dolar|dolares)\b",
            r"\bmetade do preco\b|\bbarat\w*|\bmensalidades?\b",
            _changes(
                "precos?",
                "sobem|subira|subirao|(?:aument|baix)(?:am|ara|arao|ad[oa]s?)|caem|caira|cairao|(?:sub|ca)iu|(?:aument|baix)ou|aumento",
                "sobe|subir|aumentar?|baixar?|cai|cair",
                "e|ou|para|antes|ao|depois",
            ),
        ),
        PROMISES: (
            r"\b(?:garant|promet|promess)\w*|\bsem (?:nenhum |qualquer )?riscos?\b|\bilimitad\w*|\bpara sempre\b|\bvitalici\w*",
            r"\b(?:totalmente|absolutamente|completamente) segur\w*|\bnumero um\b|\blider (?:de|do) mercado\b",
            r"\bconcorren\w*|\b(?:melhor|mais (?:rapid|segur|barat)[oa]) (?:do )?que (?:tod|qualquer|outr|noss)\w*",
            r"\ba maioria d[oa]s (?:equip|empresas|clientes|usuarios|utilizadores|pessoas)",
        ),
        MEASURES: (
            r"\b(?:dobr(?:a|e|ar|ara)|triplic\w*)\b|\b(?:a|pela) metade\b|\bmeia hora\b",
            r"\bduplicar?a? (?:(?:[oa]s?|[st]eus?|[st]uas?) ){0,2}(?:vendas|receitas?|resultados|lucros?|velocidade|clientes|dados)\b",
            r"\bem (?:apenas )?(?:poucos |poucas |alguns |algumas )?(?:segundos|minutos|horas|um minuto|uma hora)\b",
        ),
    },
    "nl": {
        SECRETS: (
            (
                r"\b(?:stuur|geef|mail|deel|vertel|zeg|schrijf|typ|plak|voer|vul|post|toon|laat|verstrek|leen)\w*\b"
                rf"{_NEAR}\b(?:wachtwoord\w*|pincode\w*|pin|(?:beveiligings|verificatie)codes?|inloggegevens|paspoort\w*|identiteitskaart"
                r"|geboortedatum|bsn|geheimen)\b"
            ),
            rf"\b(?:wachtwoord\w*|pincode\w*|inloggegevens)\b{_NEAR}\b(?:sturen|mailen|delen|geven|doorgeven|invoeren|invullen|vertellen)\b",
        ),
        PAYMENT: (
            r"\breken(?:t)? (?:\w+ ){0,2}af\b|\bafrekenen\b",
            r"\b(?:creditcard|bankpas|betaalkaart|betaalpas|bankrekening|rekeningnummer|kaartnummer)\w*|\b(?:bank|betaal|kaart)gegevens\b",
            r"\b(?:betaal|betalen|betaling|abonneer|abonnement)\w*|\b(?:koop|kopen|bestel|bestellen)\b",
            r"\b(?:korting|kortingscode|cadeau|tegoedbon|prijsvraag)\w*",
        ),
        THREATS: (
            _WE_NL + _YOURS_NL,
            rf"{_WE_WILL_NL}{_YOURS_NL}[^.!?]{{0,30}}\b{_END_NL}\b",
            rf"{_WE_WILL_NL}[^.!?]{{0,30}}\b(?:accounts?|toegang)\b[^.!?]{{0,30}}\bafsluiten\b",
            r"\b(?:wordt|worden|is|zijn|raakt)\b[^.!?]{0,80}\b(?:verwijderd|gewist|ingetrokken|kwijt|verloren)\b",
            rf"\b(?:alles|(?:je|jouw|uw) \w+)\b[^.!?]{{0,30}} {_GONE_NL} (?:wordt|worden|is|zijn|raakt|gaat)\b",
            (
                r"\b(?:accounts?|toegang|profiel|je (?:wordt|bent)|wordt je|anders)\b[^.!?]{0,60}"
                r"\b(?:geblokkeerd|afgesloten|opgeschort|beeindigd|gedeactiveerd)\b"
            ),
            r"\b(?:je verliest|u verliest|verlies je|verliest u) (?:de|je|uw|alle|alles|toegang|het)\b",
            r"\blaatste (?:kans|waarschuwing|aanmaning)\b|\bnu of nooit\b|\bte laat\b|\balleen vandaag\b|\bvoor middernacht\b",
            r"\bdringend\w*|\bgevolgen\b(?! (?:voor|van) (?!jou\b|u\b|(?:je|uw) (?:account|toegang)))",
            r"\bverloopt (?:snel|binnenkort|vandaag|morgen)\b",
            r"\b(?:idioot|idioten|sukkel|belachelijk|mislukkeling|onbekwa|schaam|schand)\w*|\b(?:dom|domme|stom|stomme|lui|luie)\b",
        ),
        PRICES: (
            r"\b(?:gratis|kosteloos|kosteloze|goedko)\w*",
            r"\bkost (?:je|u|niets|maar|slechts|nu)\b(?! (?:\w+ )?(?:tijd|moeite)\b)|\b(?:geen|zonder) kosten\b",
            r"\b(?:euro|dollar)'?s?\b",
            r"\bhalve prijs\b|\bproef(?:periode|maand)\b",
            _changes("prijs|prijzen", "stijgt|stijgen|gestegen|daalt|dalen|gedaald", "omhoog|omlaag|daal", "en|of|dan|om"),
            r"\bgeld terug\b",
        ),
        PROMISES: (
            r"\b(?:garand|garant|belo(?:of|ven|fte))\w*|\b(?:zonder|geen) risico\w*|\brisicoloos\b|\bonbeperkt\w*|\blevenslang\w*",
            r"\bvoor altijd\b|\b(?:volledig|absoluut|volkomen) veilig\w*|\bnummer een\b|\bmarktleider\b",
            r"\bconcurren\w*|\b(?:beter|sneller|veiliger|goedkoper) dan (?:alle|elke|ander|onze|bij|ieder)\w*",
            r"\bde meeste (?:teams|bedrijven|klanten|gebruikers|mensen)\b",
        ),
        MEASURES: (
            r"\b(?:verdubbel|verdrievoudig|halveer)\w*|\bde helft\b",
            r"\b(?:in|binnen|slechts) (?:een paar |enkele |luttele |een )?(?:second(?:e|en)|minut(?:en)|minuut|uur|uren)\b",
        ),
    },
}
"""Language → kind of claim → its expressions."""

NEGATED: Final[dict[str, str]] = {
    "de": "|".join(
        (
            _subject(
                r"(?:nichts|kein\w*)(?: (?:(?:von )?dein\w*|ihr\w*|der))?",
                _GONE_DE,
                "und aber dass damit denn",
                r"dein\w*|ihr\w*|alles|d(?:er|ie|as|em)|und|oder|ausser|du|bedeutet|heisst",
            ),
            (
                r"\b(?:nichts?|nie|niemals) (?:(?:mehr|davon|dabei|automatisch|einfach|versehentlich|von dein\w* \w+) )?"
                rf"(?:{_GONE_DE}|{_END_DE}\b)"
            ),
            rf"(?<!\bbei )(?<!\bnach )\bkein\w* (?:(?:deiner|ihrer) )?\w+ (?:{_GONE_DE}|{_END_DE}\b)",
            (
                rf"{_WE_DE} (?:(?:dein|ihr)\w* (?:(?!(?:wenn|falls|sobald|bis|und|oder|du)\b)\w+ ){{1,2}})?"
                rf"(?:nichts|nie|niemals|kein\w*|nicht{_CLAUSE_END.format('wenn|falls|solange|und')})"
            ),
        )
    ),
    "fr": (
        r"\bn(?:e |')(?:est|es|etes|sont|sera|seras|serez|seront|va|vont) (?:pas |plus |jamais )?(?:etre )?"
        r"(?:supprim|resili|efface|perdu|cloture|bloque|suspendu|desactive)\w*"
    ),
    "es": "|".join(
        (
            _subject(
                r"(?:ningun[oa]?|nada|nunca)(?: de (?:[ts]us?|l[ao]s))?",
                _GONE_ES,
                "y pero que porque asi aqui",
                "tus?|sus?|tod[oa]s?|el|l[ao]s?(?! que)|y|o",
            ),
            rf"\bno (?:se|seran?|seras|estaran?|quedaran?|estan?|han? sido) (?:nunca |mas )?{_GONE_ES}",
        )
    ),
    "it": "|".join(
        (
            _subject(
                r"(?:nessun[oa]?|nulla|niente)(?: d(?:el tuo|ella tua|ei tuoi|elle tue))?",
                _GONE_IT,
                "e ma che perche cosi",
                "tu[oae]|tuoi|tutt[oaie]|il?|l[oae]|gli|e|o",
            ),
            rf"\bnon (?:verra|verranno|sara|saranno|sarai|e|sono|viene|vengono) (?:mai |piu )?{_GONE_IT}",
        )
    ),
    "pt": "|".join(
        (
            _subject(
                r"(?:nenhuma?|nada|nunca)(?: d[oa]s? (?:[st]eus?|[st]uas?))?",
                _GONE_PT,
                "e mas que porque assim aqui",
                "seus?|suas?|teus?|tuas?|tud[oa]|tod[oa]s?|[oa]s?|e|ou",
            ),
            rf"\bnao (?:sera|seras|serao|vai ser|vao ser|ficara|e|sao|esta|estao) (?:nunca |mais )?{_GONE_PT}",
        )
    ),
    "nl": "|".join(
        (
            _subject(
                r"(?:niets|geen)(?: van (?:je|jouw|uw|de|het))?",
                _GONE_NL,
                "en maar dat zodat want",
                "je|jouw|uw|alles|de|het|en|of|dan|behalve|betekent",
            ),
            rf"\b(?:niets?|nooit) (?:(?:meer|zomaar|automatisch|van (?:je|jouw|uw) \w+) )?(?:{_GONE_NL}|{_END_NL}\b)",
            rf"(?<!\bbij )(?<!\bna )\bgeen (?:enkele )?\w+ (?:{_GONE_NL}|{_END_NL}\b)",
            (
                rf"{_WE_NL} (?:(?:je|jouw|uw) (?:(?!(?:als|tenzij|zodra|tot|en|of)\b)\w+ ){{1,2}})?"
                rf"(?:niets|nooit|geen|niet{_CLAUSE_END.format('als|zolang|en')})"
            ),
        )
    ),
}
"""Language → that nothing is deleted, locked or lost. It is cut out before claims are searched.

It must be one clause: where the negation has a verb of its own (*if you do nothing*), or another subject follows, the threat stays.
"""

HARMLESS: Final[dict[str, str]] = {
    "de": r"\b(?:hell\w*|fee|nudel\w*|gunsten)\b",
    "fr": r"\b(?:courts?|pays|hate|politiques? d(?:e |')\w+|(?:double|triple)[ -]cli\w+|en double|en ignorant"
    r"|consequences? (?:pour|sur) (?!toi\b|vous\b|(?:ton|votre) (?:compte|acces)))\b",
    "es": r"\b(?:sext[oa]s?|investig\w*|todo|medicion(?:es)?|politicas? de \w+|ignoran(?:do)?|(?:que|se|a?donde|cuando|como) iban)\b",
    "it": r"\b(?:nazion\w*|terminat[oaie]|sue|politic(?:a|he) d(?:i |')\w+|ignoran(?:o|do))\b",
    "pt": r"\b(?:sext[oa]s?|investig\w*|todo|medic(?:ao|oes)|politicas? de \w+|ignorando|(?:e|muito|mais|bem) legal)\b",
    "nl": r"\b(?:gunn?en|gunstig\w*)\b",
}
"""Language → ordinary words that an English expression takes for others: *pays* is a country, *hâte* is no hate, *todo* no note."""
