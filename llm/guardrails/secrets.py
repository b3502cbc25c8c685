"""Finds secrets: keys of services, tokens, passwords. The input is already clean; every expression is bounded.

People often write a word such as *token* without a secret. So the value after such a word counts only if it looks like a secret.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

Found = tuple[int, int, str]
"""Start, end and kind."""

_MAKERS: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-(?:ant-|proj-|or-)?[A-Za-z0-9_\-]{12,200}"  # OpenAI, Anthropic and those who copy them
    r"|(?:[a-z]{2,8}_)?(?:sk|pk|rk|live|test|prod|sandbox|key|tok)_(?:live_|test_|prod_)?(?=[A-Za-z_\-]{0,60}\d"
    r"|[A-Z_\-]{0,60}[a-z][A-Za-z]{0,60}[A-Z]|[A-Za-z]{20})"
    r"[A-Za-z0-9_\-]{8,200}"
    r"|(?:AKIA|ASIA|AGPA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{12,24}"
    r"|gh[pousr]_[A-Za-z0-9]{16,255}|github_pat_[A-Za-z0-9_]{20,255}|gl(?:pat|dt|rt|ptt|ft|soat|agent|cbt)-[A-Za-z0-9_\-]{12,100}"
    r"|xox[a-z]-[A-Za-z0-9\-]{10,200}|xapp-[A-Za-z0-9\-]{10,200}|AIza[A-Za-z0-9_\-]{20,60}"
    r"|ya29\.[A-Za-z0-9_\-.]{10,200}|GOCSPX-[\w\-]{10,60}"
    r"|SG\.[A-Za-z0-9_\-]{10,60}\.[A-Za-z0-9_\-]{10,90}|npm_[A-Za-z0-9]{20,80}|pypi-[A-Za-z0-9_\-]{16,250}|do[opr]_v1_[A-Za-z0-9]{20,100}"
    r"|hf_[A-Za-z0-9]{16,80}|whsec_[A-Za-z0-9+/=]{12,100}|key-[0-9a-zA-Z]{24,40}|(?:AC|SK)[0-9a-f]{32}|shp(?:at|ca"
    r"|pa|ss)_[A-Za-z0-9]{16,64}"
    r"|sq0[a-z]{3}-[\w\-]{16,80}|EAA[A-Za-z0-9]{30,250}|(?:lin_api|dckr_pat|figd|ntn|secret|gsk|phc|phx|sntrys"
    r"|rubygems|r8|nvapi|pplx|xai|tfp)[_\-]"
    r"[A-Za-z0-9_\-]{16,200}|NRAK-[A-Z0-9]{16,60}|PMAK-[A-Za-z0-9\-]{20,100}|tskey-[A-Za-z0-9\-]{10,100}|hv[sbr]\.[\w\-]{16,200}"
    r"|ATATT[\w\-=]{20,250}|dapi[0-9a-f]{24,40}|AGE-SECRET-KEY-1[A-Z0-9]{40,80}|glsa_[\w]{20,80}|pat[A-Za-z0-9]{14}\.[a-f0-9]{40,80}"
    r")"
)
_JWT: Final = re.compile(r"(?<![A-Za-z0-9])eyJ[\w\-]{5,1500}\.[\w\-]{3,1500}(?:\.[\w\-]{0,1500}){0,3}")
_PRIVATE_KEY: Final = re.compile(
    r"-{2,5} ?BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)? ?-{0,5}(?:.{0,4000}?-{2,5} ?END [A-Z0-9 ]{0,30}KEY(?: BLOCK)? ?-{0,5}|.{0,4000})",
    re.DOTALL,
)
_AUTHORISATION: Final = re.compile(
    r"(?P<head>authori[sz]ation[\"']?\s{0,3}[:=]\s{0,3}[\"']?\s{0,3})?(?<![A-Za-z])(?P<scheme>bearer|basic|token"
    r"|digest|apikey|negotiate)[\"']?[ :=]{1,3}[\"']?(?P<value>[A-Za-z0-9._~+/\-|]{6,1500}={0,3})",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(
    r"(?<![A-Za-z])(?:proxy-)?authori[sz]ation[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<value>[^\s\"',;]{6,1500})", re.IGNORECASE
)
_COOKIE: Final = re.compile(
    r"(?<![A-Za-z])(?:set-)?cookie[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<value>[\w.\-]{1,60}=[^\s\"']{6,1500})", re.IGNORECASE
)

_URL_PASSWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{1,30}:/{1,3}[^\s/:@]{0,100}:(?P<value>[^\s]{1,300})@(?=[^\s@])")
_BARE_PASSWORD: Final = re.compile(
    r"(?<![\w/:])[A-Za-z][\w.\-]{0,60}:(?P<value>[^\s:@/\"']{3,100}(?:[@:/][^\s:@/\"']{1,60})?)@(?=(?:tcp|unix"
    r"|udp)?\(|[\w\-]{1,60}(?:\.[\w\-]{1,60}){0,5}(?::\d{2,5}|/\w))"
)
_PARAMETER: Final = re.compile(
    r"[?&;](?P<name>[\w\-.]{0,40}(?:pass|pwd|secret|token|key|sig|signature|auth|code|session|credential"
    r"|otp)[\w\-.]{0,20})=(?P<value>[^\s&;\"'<>#]{4,1500})",
    re.IGNORECASE,
)

_LOCKS: Final = (
    r"pass(?:[ _\-]?(?:word|wd|phrase|code|wort))?|pw|pwd|kennwort|contrase[nñ]a|clave|mot de passe|mdp|senha"
    r"|wachtwoord|has[lł]o|l[oö]senord"
    r"|pin(?:[ \-]?code)?|otp|cvv2?|cvc2?|passw|parola|пароль|adgangskode"
)
_KEYS: Final = (
    r"(?:api|access|secret|private|account|client|app|shared|signing|encryption|auth|service|license|licence"
    r"|webhook|write|read|master|sas)?[ _\-]?"
    r"(?:key|token|secret|credentials?|schl[uü]ssel|geheimnis)(?:[ _\-]?(?:id|base|value|key))?"
)
_GLUE: Final = (
    r"(?P<glue>[\"'`]?\s{0,3}(?:=>|->|:=|:|=)\s{0,3}|\s{1,3}(?:is|was|are|ist|lautet|war|es|est|[eé]|jest|är|to"
    r"|auf|with)(?:\s{1,2}now|\s{1,2}still|\s{1,2}just)?\s{0,2}:?\s{1,3}|[\"'`]?\s{1,3})"
)
_VALUE: Final = r"(?P<value>\"[^\"\n]{1,200}\"|'[^'\n]{1,200}'|`[^`\n]{1,200}`|[^\s\"'`,;<>]{3,1500})"
_PASSWORD: Final = re.compile(rf"(?<![A-Za-z])(?P<word>{_LOCKS}){_GLUE}{_VALUE}", re.IGNORECASE)
_SECRET: Final = re.compile(rf"(?<![A-Za-z])(?P<word>{_KEYS}){_GLUE}{_VALUE}", re.IGNORECASE)
_PHRASE: Final = re.compile(
    r"(?<![A-Za-z])(?:passphrase|pass phrase|seed phrase|recovery phrase|mnemonic)[\"'`]?\s{0,3}(?:is|was|ist|="
    r"|:)\s{0,3}(?P<value>\w{1,20}(?:[ \-]\w{1,20}){1,23})",
    re.IGNORECASE,
)

_ORDINARY: Final = frozenset(
    "wrong not incorrect invalid expired too the a an being rejected correct right still never always required "
    "weak strong case missing empty "
    "null none undefined true false string text hidden masked redacted unknown changed reset needed wanted shown "
    "lost gone long short old new "
    "fine ok okay good bad same different mandatory optional blank default unset nil forgotten refused denied "
    "failed valid accepted there here "
    "working set sent stored saved must should can cannot may will would could does do did has have had is was "
    "are be it this that my our your "
    "his her their and or but for from in on at to of with without by field fields form page policy manager "
    "reset rules rule hint length input "
    "box button link mail email change what where why how when which who no yes only in-use n/a deprecated "
    "revoked only longer shorter safe "
    "unsafe secure insecure leer falsch nicht richtig ungültig abgelaufen zu kurz lang incorrecta incorrecto "
    "falsche pflichtfeld erforderlich "
    "int integer varchar bool boolean number object bytes char nvarchar uuid json primary foreign unique value "
    "name column table word words".split()
)
_JUDGED: Final = 200
"""Characters by which a value is judged."""

_ENDING: Final = re.compile(
    r"\s*(?:$|[.,;!?)\n]|(?:and|but|und|aber|y|et|for|does|doesn't|it|which|von|i|still|fails?|works?|why|please|,)\b)", re.IGNORECASE
)


def secrets(text: str) -> Iterator[Found]:
    """Yield the secrets in ``text``. Ranges may overlap."""
    for match in _PRIVATE_KEY.finditer(text):
        yield *match.span(), "secret"
    for match in _JWT.finditer(text):
        yield *match.span(), "bearer"
    for match in _MAKERS.finditer(text):
        yield *match.span(), "api_key"
    for match in _AUTHORISATION.finditer(text):
        value = match["value"].rstrip(".")
        if (
            (match["head"] and value.lower() not in _ORDINARY and (not (value.isalpha() and value.islower()) or len(value) >= 16))
            or _random(value)
            or (len(value) >= 16 and _mixed(value))
        ):
            yield match.start("value"), match.start("value") + len(match["value"]), "bearer"
    for match in _HEADER.finditer(text):
        if _mixed(match["value"]) or _random(match["value"]):
            yield *match.span("value"), "bearer"
    for match in _COOKIE.finditer(text):
        yield *match.span("value"), "secret"
    for pattern in (_URL_PASSWORD, _BARE_PASSWORD):
        for match in pattern.finditer(text):
            yield *match.span("value"), "url_password"
    for match in _PARAMETER.finditer(text):
        if match["value"].lower() not in _ORDINARY and (not match["value"].isalpha() or len(match["value"]) >= 12):
            yield *match.span("value"), "secret"
    yield from _after_words(text)


def _after_words(text: str) -> Iterator[Found]:
    for match in _PHRASE.finditer(text):
        if match["value"].partition(" ")[0].lower() not in _ORDINARY:
            yield *match.span("value"), "secret"
    for pattern, kind, judge in ((_PASSWORD, "secret", _like_password), (_SECRET, "api_key", _like_key)):
        at = 0
        while named := pattern.search(text, at):
            at = named.end("word")
            start, end = named.span("value")
            if text[start] in "\"'`":
                start, end = start + 1, end - 1
            value = text[start:end].rstrip(".)]}?,")
            if value and judge(named["word"].lower(), named["glue"].strip(" \"'`"), value, text[end:], quoted=start > named.start("value")):
                yield start, end, kind


def _like_password(word: str, glue: str, value: str, rest: str, *, quoted: bool) -> bool:
    if value.lower() in _ORDINARY or value[0] in "([{<*" or (word == "pass" and not glue):
        return False
    if word.startswith(("pin", "otp", "cv")):
        return value[:3].isdigit() and len(value) <= 12
    if quoted and glue:
        return " " not in value or word.endswith("phrase")
    if glue in {":", "=", "=>", "->", ":="}:
        return not (value.isalpha() and value.islower() and glue == ":" and not _ENDING.match(rest))
    if _mixed(value):
        return True
    return (
        bool(glue)
        and glue != "to"
        and value.isalpha()
        and not value.lower().endswith(("ed", "ing", "ly", "able"))
        and bool(_ENDING.match(rest))
    )


def _like_key(word: str, glue: str, value: str, rest: str, *, quoted: bool) -> bool:
    if value.lower() in _ORDINARY or value[0] in "([{<*/":
        return False
    if "secret" in word and glue in {":", "=", "=>", "->", ":="}:
        return len(value) >= 6 and not (value.isalpha() and value.islower() and " " in rest[:1])
    if " " in value:
        return False
    return (
        _random(value)
        or (glue != "" and len(value) >= 8 and _mixed(value) and "key" in word and word != "key")
        or (quoted and len(value) >= 12 and _mixed(value))
    )


def _mixed(value: str) -> bool:
    """Whether letters are mixed with digits or signs, or both cases, unlike in a word."""
    value = value[:_JUDGED]
    letters = any(character.isalpha() for character in value)
    digits = any(character.isdigit() for character in value)
    signs = any(character in "!@#$%^&*+=~?|" for character in value)
    return letters and (digits or signs or bool(re.search(r"[a-z][A-Z]", value)))


def _random(value: str) -> bool:
    """Whether ``value``, or the beginning of a very long one, is long and irregular enough to be random."""
    value = value[:_JUDGED]
    if len(value) < 10 or not re.fullmatch(r"[\w.\-+/=~:|%!]+", value):
        return False
    counts = Counter(value)
    size = sum(counts.values())
    entropy = -sum(count / size * math.log2(count / size) for count in counts.values())
    digits = sum(character.isdigit() for character in value)
    letters = sum(character.isalpha() for character in value)
    cases = value.lower() != value and value.upper() != value
    if digits >= 2 and letters >= 2:
        return entropy >= 2.5
    return len(value) >= 20 and cases and entropy >= 2.0 and not re.fullmatch(r"(?:[A-Z]?[a-z]+[.\-_/:]?)+", value[:80])
