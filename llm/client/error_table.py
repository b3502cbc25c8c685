"""What an error of a model server means: by its error code, else by its status, from one table.

Servers say the code in different places: ``error.code`` and ``error.type`` (OpenAI and most others), ``error.status`` (Google, inside a
list), ``errors[0].code`` (gateways), at the top level (older vLLM), ``detail[].loc`` (servers built on FastAPI).
The words of a message decide only where no code does: some servers send no code when a prompt is too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from llm.client.failures import Reason


class Fault(NamedTuple):
    """What an error means. ``advice`` names the fault more exactly than the sentence of the reason; empty where that says it."""

    reason: Reason
    advice: str = ""


KEY: Final = Fault("denied", "the model server does not accept the key: check ONRAMP_LLM_API_KEY")
RIGHTS: Final = Fault("denied", "the key may not use this model or this server from here: check the rights of ONRAMP_LLM_API_KEY")
MODEL: Final = Fault("denied", "the model server does not have this model: check ONRAMP_LLM_MODEL")
ADDRESS: Final = Fault("denied", "the model server has no such model or no chat completions there: check the address and ONRAMP_LLM_MODEL")
REDIRECT: Final = Fault("denied", "the model server sends us to another address, which is not followed: check the address")
BUSY: Final = Fault("server_error", "the model server is overloaded; it should recover by itself")
_FULL: Final = Fault("rate_limited")
_BROKEN: Final = Fault("server_error")
_UNPAID: Final = Fault("no_credit")
_LONG: Final = Fault("too_long")
_DECLINED: Final = Fault("declined")
_REFUSED: Final = Fault("refused")

BY_STATUS: Final[dict[int, Fault]] = {
    **dict.fromkeys((300, 301, 302, 303, 305, 307, 308), REDIRECT),
    401: KEY,
    402: _UNPAID,
    403: RIGHTS,
    404: ADDRESS,
    405: ADDRESS,
    407: Fault("denied", "the proxy between us and the model server wants a login: check HTTPS_PROXY"),
    408: _BROKEN,
    409: _BROKEN,
    410: MODEL,
    413: _LONG,
    424: _BROKEN,
    425: _BROKEN,
    429: _FULL,
    451: RIGHTS,
    498: _FULL,
    503: BUSY,
    529: BUSY,
}
"""Status → fault. Every other 4xx is ``refused`` and every other status ``server_error``."""

_CODES: Final[dict[Fault, str]] = {
    _UNPAID: (
        "insufficient_quota billing_hard_limit_reached billing_not_active billing_error insufficient_balance insufficient_credits"
        " insufficient_user_quota exceeded_current_quota_error arrearage payment_required quota_exceeded"
    ),
    _FULL: (
        "rate_limit_exceeded rate_limit_error rate_limit_reached_error rate_limited too_many_requests resource_exhausted throttling"
        " throttling_exception throttling_rate_quota concurrency_limit_reached"
    ),
    BUSY: (
        "overloaded_error overloaded engine_overloaded engine_overloaded_error service_unavailable service_unavailable_error unavailable"
        " model_overloaded capacity_exceeded model_not_ready loading_error"
    ),
    _BROKEN: "server_error internal_error internal_server_error api_error internal bad_gateway deadline_exceeded timeout_error",
    KEY: (
        "invalid_api_key authentication_error unauthenticated unauthorized invalid_authentication_error account_deactivated"
        " access_token_expired missing_api_key api_key_invalid"
    ),
    RIGHTS: "permission_denied permission_error forbidden unsupported_country_region_territory ip_not_authorized access_denied",
    MODEL: "model_not_found deployment_not_found model_not_available invalid_model model_not_supported unknown_model model_terminated",
    _LONG: (
        "context_length_exceeded context_window_exceeded context_window_exceeded_error string_above_max_length request_too_large"
        " exceed_context_size_error input_too_long prompt_too_long payload_too_large"
    ),
    _DECLINED: (
        "content_filter content_filtered content_policy_violation data_inspection_failed responsible_ai_policy_violation invalid_prompt"
        " safety sensitive moderation_blocked"
    ),
}

BY_CODE: Final[dict[str, Fault]] = {code.replace("_", ""): fault for fault, codes in _CODES.items() for code in codes.split()}
"""Error code or type, in lower case without anything but letters and digits → fault."""

_TOO_LONG: Final = re.compile(
    r"maximum context|context.{0,8}(?:length|size|window)|(?:prompt|input) is too long|too many (?:input )?tokens", re.IGNORECASE
)
_NAME: Final = re.compile(r"(?=.{2,40}\Z)(?:[a-z]+(?:_[a-z]+)*|[A-Z]+(?:_[A-Z]+)+|(?:[A-Z][a-z]+)+)")
"""A plain name: words of letters alone, so that no key and no other secret is one."""

_READ: Final = 4_000
"""Characters of a message that are searched."""


class ErrorReport(msgspec.Struct, frozen=True, gc=False):
    """What a server says about an error. ``words`` may quote the prompt: they are searched, and neither logged nor shown.

    ``fields`` are the names of the request's fields that the server refuses, where it names them by themselves.
    """

    status: int
    codes: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    words: str = ""

    @property
    def fault(self) -> Fault:
        """What the error means: the first known code, else what the words say, else the status."""
        for code in self.codes:
            if (known := BY_CODE.get(_plain(code))) is not None:
                return known
        if self.status in {400, 413, 422, 500} and _TOO_LONG.search(self.words):
            return _LONG
        return BY_STATUS.get(self.status, _REFUSED if 400 <= self.status < 500 else _BROKEN)

    def shown(self, key: str = "") -> str:
        """The status, and the first code and field that are plain names: for people. Never what could be a part of ``key``."""
        names = [name for name in (*self.codes[:1], *self.fields[:1]) if _NAME.fullmatch(name) and not (key and _overlap(name, key))]
        return f"{self.status}" + (f" ({', '.join(names)})" if names else "")


def read_error(status: int, value: Any, text: str = "") -> ErrorReport:
    """Read the body ``value`` of an error, whatever it is; ``text`` is the body where it is no JSON. Never raises.

    Behind a status below 400, a number from 300 to 599 as code is the status.
    """
    if isinstance(value, list) and value:
        value = value[0]
    error = value
    if isinstance(value, dict):
        many = value.get("errors")
        error = value.get("error") or (many[0] if isinstance(many, list) and many else None) or value
    if not isinstance(error, dict):
        return ErrorReport(status if status >= 300 else 500, words=str(error if isinstance(error, str) else text)[:_READ])
    inner, detail = error.get("innererror"), error.get("detail")
    named = [error.get("code"), error.get("type"), error.get("status"), inner.get("code") if isinstance(inner, dict) else None]
    named += [each.get("reason") for each in _entries(error.get("details"))]
    said = [error.get("message"), error.get("msg"), detail] + [each.get("msg") for each in _entries(detail)]
    return ErrorReport(
        _status(status, named),
        tuple(name for name in named if isinstance(name, str) and 0 < len(name) <= 80 and not name.isdigit()),
        tuple(dict.fromkeys(_fields(error))),
        " ".join(words for words in said if isinstance(words, str))[:_READ],
    )


def _status(status: int, named: list[Any]) -> int:
    """The status that the error itself names behind a 200, else 500; otherwise ``status``."""
    if status >= 300:
        return status
    for name in named:
        number = int(name) if isinstance(name, str) and re.fullmatch(r"[3-5][0-9]{2}", name, re.ASCII) else name
        if isinstance(number, int) and 300 <= number < 600:
            return number
    return 500


def _fields(error: dict[str, Any]) -> Iterator[str]:
    """Names of refused fields: the root of ``param`` (``messages[0].role`` counts as ``messages.role``) and of each ``loc``."""
    param = error.get("param")
    if isinstance(param, str) and param:
        path = re.findall(r"[A-Za-z_]+", param[:200])
        if path:
            yield ".".join((path[0], path[-1])) if path[0] == "messages" and len(path) > 1 else path[0]
    for each in _entries(error.get("detail")):
        place = each.get("loc")
        names = [name for name in place if isinstance(name, str) and name != "body"] if isinstance(place, list) else []
        if names:
            yield ".".join((names[0], names[-1])) if names[0] == "messages" and len(names) > 1 else names[0]


def _entries(detail: Any) -> list[dict[str, Any]]:
    return [each for each in detail[:20] if isinstance(each, dict)] if isinstance(detail, list) else []


def _plain(code: str) -> str:
    return re.sub(r"[^a-z0-9]", "", code.lower())


def _overlap(name: str, key: str) -> bool:
    return name.lower() in key.lower() or key.lower() in name.lower()
