"""Answers of model servers that differ from the textbook, by name: scripts for ``ModelServer``.

Each carries the same proposal and, unless its name says otherwise, counts ``SENT`` and ``RECEIVED`` tokens.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.support.model_server import Behaviour, Request, Script, proposal_for

SENT: Final = 100
RECEIVED: Final = 30
USAGE: Final = {"prompt_tokens": SENT, "completion_tokens": RECEIVED, "total_tokens": SENT + RECEIVED}

Body = dict[str, Any]


def envelope(content: Any, *, finish: Any = "stop", usage: Any = USAGE, message: Any = None, **more: Any) -> Body:
    """A chat completion with ``content``, or with ``message``. ``usage`` None leaves it out."""
    choice = {"index": 0, "message": message if message is not None else {"role": "assistant", "content": content}, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}
    return body if usage is None else {**body, "usage": usage}


def _json(request: Request, **changes: Any) -> str:
    return json.dumps(proposal_for(request, **changes))


def _sends(body: Any, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Behaviour:
    return Behaviour(status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers or {})


def _content(change: Callable[[str], Any], **more: Any) -> Script:
    """The proposal's JSON, changed, as the content."""
    return lambda request: _sends(envelope(change(_json(request)), **more))


def _fields(**changes: Any) -> Script:
    """A proposal with other fields."""
    return lambda request: _sends(envelope(_json(request, **changes)))


def _message(make: Callable[[str], Mapping[str, Any]], **more: Any) -> Script:
    """A message made of the proposal's JSON."""
    return lambda request: _sends(envelope(None, message={"role": "assistant", **make(_json(request))}, **more))


def _body(make: Callable[[bytes], bytes], headers: Mapping[str, str] | None = None) -> Script:
    """The bytes of a good completion, changed."""
    return lambda request: _sends(make(json.dumps(envelope(_json(request))).encode()), headers=headers)


def _whole(make: Callable[[str], Any]) -> Script:
    """A body made of the proposal's JSON."""
    return lambda request: _sends(make(_json(request)))


def _same(text: str) -> str:
    return text


def usage(counted: Any) -> Script:
    """A good answer that counts its tokens so."""
    return _content(_same, usage=counted)


def tells(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Script:
    """An error with this status and body."""
    return lambda _: _sends(body, status, headers=headers)


def unless(wrong: Callable[[Request], bool], refusal: Script) -> Script:
    """A good answer, unless the request is ``wrong``."""
    good = _content(_same)
    return lambda request: (refusal if wrong(request) else good)(request)


def _refusal(message: str, *, status: int = 400, **more: Any) -> Script:
    return tells(status, {"error": {"message": message, "type": "invalid_request_error", **more}})


def _extra(field: str) -> Script:
    """The refusal of a field by a server that is built on FastAPI."""
    return tells(
        422, {"detail": [{"type": "extra_forbidden", "loc": ["body", field], "msg": "Extra inputs are not permitted", "input": 7}]}
    )


_DONE: Final = b"data: [DONE]\n\n"


def _events(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + _DONE


def _broken_off(*events: Any, last: bytes = b"") -> Script:
    """A stream of these events that begins an answer, and ends with ``last`` instead of the rest of it."""
    begun = _events({"choices": [{"delta": {"content": '{"text": "Whene'}}]}, *events).removesuffix(_DONE)
    return lambda _: _sends(begun + last, headers={"Content-Type": "text/event-stream"})


def _unended(text: str) -> Behaviour:
    """A stream of ``text`` without any mark of its end."""
    return _sends(_pieces(text).replace(b'"stop"', b"null").removesuffix(_DONE))


def _pieces(text: str) -> bytes:
    pieces = [{"choices": [{"delta": {"content": piece}, "finish_reason": None}]} for piece in (text[:20], text[20:])]
    return _events(*pieces, {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": USAGE}, {"choices": [], "model": "m"})


def _call(arguments: Any) -> Mapping[str, Any]:
    return {"content": None, "tool_calls": [{"id": "t", "type": "function", "function": {"name": "proposal", "arguments": arguments}}]}


_LONG: Final = "This model's maximum context length is 512 tokens."
_THOUGHTS: Final = "<think>\nThe user wants {step} as JSON.\n</think>\n\n"

READ: Final[dict[str, Script]] = {
    "good": _content(_same),
    # content
    "think": _content(lambda text: _THOUGHTS + text),
    "think_empty": _content(lambda text: "<think>\n\n</think>\n\n" + text),
    "think_without_its_opening_tag": _content(lambda text: _THOUGHTS.removeprefix("<think>") + text),
    "think_longer_than_an_answer_may_be": _content(lambda text: f"<think>{'hm ' * 9_000}</think>" + text),
    "think_in_other_tags": _content(lambda text: f"[THINK]hm[/THINK]{text}"),
    "fence": _content(lambda text: f"```json\n{text}\n```"),
    "fence_after": _content(lambda text: f"```json\n{text}\n```\nHope this helps!"),
    "fence_open": _content(lambda text: f"```json\n{text}"),
    "prose_before": _content(lambda text: f"Here is the JSON for {{step}}:\n{text}"),
    "trailing": _content(lambda text: f"{text}\n\n<|im_end|>"),
    "channels": _content(lambda text: f"<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>{text}<|return|>"),
    "double_encoded": _content(json.dumps),
    "array_of_one": _content(lambda text: f"[{text}]"),
    "byte_order_mark_in_the_content": _content(lambda text: "\ufeff" + text),
    "escaped_quotes": _fields(text="Whenever you like, go on with \u2018{step}\u2019."),
    "confidence_int": _fields(confidence=1),
    # message
    "text_parts": _message(lambda text: {"content": [{"type": "text", "text": text[:9]}, {"type": "text", "text": text[9:]}]}),
    "thinking_parts": _message(
        lambda text: {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": text}]}
    ),
    "strings_as_parts": _message(lambda text: {"content": [text[:9], text[9:]]}),
    "one_part": _message(lambda text: {"content": {"type": "text", "text": text}}),
    "content_as_an_object": _message(lambda text: {"content": json.loads(text)}),
    "tool_calls": _message(_call, finish="tool_calls"),
    "tool_calls_with_an_object": _message(lambda text: _call(json.loads(text)), finish="tool_calls"),
    "function_call": _message(lambda text: {"content": None, "function_call": {"name": "p", "arguments": text}}, finish="function_call"),
    "reasoning": _message(lambda text: {"content": text, "reasoning_content": "x", "reasoning": "x", "annotations": []}),
    "answer_among_the_thoughts": _message(lambda text: {"content": "", "reasoning_content": text}),
    "no_finish_reason": _content(_same, finish=None),
    "finish_reason_number": _content(_same, finish=0),
    "whole_at_the_limit": _content(lambda text: text + " \n" * 200, finish="length"),
    "legacy_text": _whole(lambda text: {"choices": [{"text": text, "finish_reason": "stop"}], "usage": USAGE}),
    "error_null": _content(_same, error=None),
    "error_beside_a_whole_answer": _content(_same, error={"code": 0, "message": "ok"}),
    # body
    "model_number": _content(_same, model=4),
    "model_list": _content(_same, model=["m"]),
    "events": lambda request: _sends(_events(envelope(_json(request))), headers={"Content-Type": "text/event-stream"}),
    "events_in_pieces": lambda request: _sends(b": hello\r\n\r\n" + _pieces(_json(request)), headers={"Content-Type": "text/event-stream"}),
    "events_without_an_end": lambda request: _unended(_json(request)),
    "events_without_an_end_in_a_fence": lambda request: _unended(f"```json\n{_json(request)}\n```"),
    "events_without_an_end_after_thoughts": lambda request: _unended(f"<think>Perhaps {{x}}.</think>\n{_json(request)}"),
    "events_with_an_error_after_a_whole_answer": lambda request: _sends(
        _pieces(_json(request)).removesuffix(_DONE) + _events({"error": {"code": 529}})
    ),
    "text_plain": _body(bytes, headers={"Content-Type": "text/plain; charset=utf-8"}),
    "text_html": _body(bytes, headers={"Content-Type": "text/html"}),
    "no_such_charset": _body(bytes, headers={"Content-Type": "application/json; charset=nonsense"}),
    "byte_order_mark": _body(lambda body: b"\xef\xbb\xbf" + body),
    "leading_blanks": _body(lambda body: b"\n\n    \n" + body),
    "something_after_it": _body(lambda body: body + b"\n\n<!-- served -->"),
    "line_breaks_in_strings": _body(lambda body: body.replace(b'"m"', b'"m\n"')),
    "gzip": _body(gzip.compress, headers={"Content-Encoding": "gzip"}),
    "gzip_unsaid": _body(gzip.compress),
    "deflate": _body(zlib.compress, headers={"Content-Encoding": "deflate"}),
    "gzip_lie": _body(bytes, headers={"Content-Encoding": "gzip"}),
    "br_lie": _body(bytes, headers={"Content-Encoding": "br"}),
    "no_length": lambda request: Behaviour(200, _content(_same)(request).body, {"Connection": "close"}, unsized=True),
    "utf16": _body(lambda body: body.decode().encode("utf-16"), headers={"Content-Type": "application/json; charset=utf-16"}),
    "utf32_unsaid": _body(lambda body: body.decode().encode("utf-32-le")),
    "status_201": lambda request: _sends(envelope(_json(request)), 201),
    # counts
    "usage_float": usage({"prompt_tokens": 100.0, "completion_tokens": 30.0}),
    "usage_fraction": usage({"prompt_tokens": 99.5, "completion_tokens": 29.2}),
    "usage_text": usage({"prompt_tokens": "100", "completion_tokens": "30"}),
    "usage_other_names": usage({"input_tokens": 100, "output_tokens": 30}),
    "usage_total": usage({"prompt_tokens": 100, "total_tokens": 130}),
    "usage_thoughts_in_the_total": usage({"prompt_tokens": 100, "completion_tokens": 8, "total_tokens": 130}),
}
"""Answers that can be read and count their tokens, so that their text is used."""

UNCOUNTED: Final[dict[str, Script]] = {
    "usage_null": lambda request: _sends({**envelope(_json(request), usage=None), "usage": None}),
    "usage_missing": usage(None),
    "usage_empty": usage({}),
    "usage_list": usage([]),
    "usage_text_of_none": usage("many"),
    "usage_negative": usage({"prompt_tokens": -5, "completion_tokens": -1}),
    "usage_huge": usage({"prompt_tokens": 10**19, "completion_tokens": 10**19}),
    "usage_zero": usage({"prompt_tokens": 0, "completion_tokens": 0}),
    "usage_bool": usage({"prompt_tokens": True, "completion_tokens": True}),
    "usage_words": usage({"prompt_tokens": "a lot", "completion_tokens": None}),
    "usage_nan": usage({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}),
    "usage_digits": _body(lambda body: body.replace(b"100", b"1" * 5_000).replace(b"30", b"9" * 5_000)),
}
"""Answers that can be read and whose tokens are not counted, or not credibly."""

REJECTED: Final[dict[str, tuple[Script, str]]] = {
    "confidence_text": (_fields(confidence="0.9"), "schema"),
    "confidence_percent": (_fields(confidence=90), "schema"),
    "facts_null": (_fields(facts=None), "schema"),
    "extra_key": (_fields(reasoning="because"), "schema"),
    "escaped_twice": (_fields(text="Whenever you like\\u002c go on with {step}."), "language"),
    "surrogate_in_the_text": (_content(lambda text: text.replace("Whenever", "Whenever \\ud83d")), "control"),
    "surrogate_in_the_content": (_content(lambda text: text.replace("Whenever", "Whenever \ud83d")), "emoji"),
    "latin1": (
        _body(lambda body: body.replace(b"Whenever", b"Whenev\xe9r"), headers={"Content-Type": "application/json; charset=iso-8859-1"}),
        "proper_noun",
    ),
    "not_utf8": (_body(lambda body: body.replace(b"Whenever", b"Whenev\xe9r")), "language"),
    "deep_content": (_content(lambda _: "[" * 5_000 + "]" * 5_000), "not_json"),
    "not_a_number": (_content(lambda text: text.replace("0.9", "NaN")), "not_json"),
    "key_twice": (_content(lambda text: text.replace('"language"', '"text": "again", "language"')), "not_json"),
    "two_objects": (_content(lambda text: f"{text}\n{text}"), "not_json"),
    "array_of_two": (_content(lambda text: f"[{text}, {text}]"), "schema"),
    "inside_a_broken_object": (_content(lambda text: f'{{"confidence": NaN, "proposal": {text}}}'), "not_json"),
    "think_without_an_end": (_content(lambda text: f"<think>{text}"), "not_json"),
    "half_an_event": (lambda _: _sends(_events({"choices": [{"delta": {"content": "{"}}], "usage": USAGE})), "not_json"),
}
"""Answers that are read, counted, and rejected for what the model wrote; and by which check."""


FAILED: Final[dict[str, tuple[Script, str, str, str]]] = {
    "refusal": (_message(lambda _: {"content": None, "refusal": "I can't help with that."}), "declined", "counted", "declined"),
    "refusal_part": (_message(lambda _: {"content": [{"type": "refusal", "refusal": "no"}]}), "declined", "counted", "declined"),
    "content_filter": (_content(lambda _: "", finish="content_filter"), "declined", "counted", "filter"),
    "safety": (_content(_same, finish="SAFETY"), "declined", "counted", "filter"),
    "length": (_content(lambda text: text[:30], finish="length"), "truncated", "counted", "MAX_OUTPUT_TOKENS"),
    "max_tokens_reached": (_content(lambda text: text[:30], finish="MAX_TOKENS"), "truncated", "counted", "MAX_OUTPUT_TOKENS"),
    "length_as_an_object": (_content(lambda text: text[:30], finish={"type": "length"}), "truncated", "counted", "MAX_OUTPUT_TOKENS"),
    "thoughts_only": (_message(lambda _: {"content": "", "reasoning": "hm"}), "no_content", "counted", "nothing"),
    "no_choices": (lambda _: _sends({"choices": [], "usage": USAGE}), "no_content", "counted", "nothing"),
    "choices_null": (lambda _: _sends({"choices": None, "usage": USAGE}), "no_content", "counted", "nothing"),
    "message_text": (lambda _: _sends({"choices": [{"message": "hi"}], "usage": USAGE}), "garbled", "counted", "address"),
    "choice_text": (lambda _: _sends({"choices": ["hi"], "usage": USAGE}), "garbled", "counted", "address"),
    "usage_only": (lambda _: _sends({"usage": USAGE}), "garbled", "counted", "address"),
    "error_429_in_200": (
        lambda _: _sends({"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "x"}}, "user_id": "x"}),
        "rate_limited", "nothing", "no more calls",
    ),
    "error_502_in_200": (lambda _: _sends({"error": {"message": "x", "code": "502"}}), "server_error", "nothing", "failed"),
    "error_text_in_200": (lambda _: _sends({"error": "the model crashed"}), "server_error", "nothing", "failed"),
    "error_in_the_choice": (
        lambda _: _sends({"choices": [{"finish_reason": "error", "message": {"content": ""}, "error": {"code": 503}}], "usage": USAGE}),
        "server_error", "counted", "overloaded",
    ),
    "error_in_an_event": (lambda _: _sends(_events({"error": {"code": 529, "message": "x"}})), "server_error", "nothing", "overloaded"),
    "stream_broken_off": (_broken_off(), "server_error", "estimated", "failed"),
    "stream_broken_off_in_a_fence": (lambda _: _unended('```json\n{"text": "Whene'), "server_error", "counted", "failed"),
    "stream_broken_off_in_thoughts": (lambda _: _unended("<think>Perhaps {}. And then"), "server_error", "counted", "failed"),
    "stream_broken_off_within_an_event": (_broken_off(last=b'data: {"choi'), "server_error", "estimated", "failed"),
    "stream_broken_off_that_counts": (_broken_off({"choices": [], "usage": USAGE}), "server_error", "counted", "failed"),
    "error_event_after_a_piece": (_broken_off({"error": {"code": 529, "message": "x"}}), "server_error", "estimated", "overloaded"),
    "error_event_before_the_end": (
        _broken_off({"error": {"code": "insufficient_quota"}}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}, last=_DONE),
        "no_credit", "estimated", "credit",
    ),
    "error_event_by_its_name": (
        _broken_off(last=b'event: error\ndata: {"code": 429, "message": "x"}\n\n'), "rate_limited", "estimated", "no more calls",
    ),
    "error_event_by_its_object": (
        _broken_off({"object": "error", "code": 503, "message": "x"}, last=_DONE), "server_error", "estimated", "overloaded",
    ),
    "finish_reason_error": (_content(lambda _: "", finish="error"), "server_error", "counted", "failed"),
    "web_page": (lambda _: _sends(b"<html>login</html>", headers={"Content-Type": "text/html"}), "garbled", "nothing", "/v1"),
    "other_json": (lambda _: _sends({"status": "ok"}), "garbled", "nothing", "/v1"),
    "no_body": (lambda _: Behaviour(204, b""), "garbled", "nothing", "/v1"),
    "broken_json": (_body(lambda body: body[: len(body) // 2]), "garbled", "estimated", "/v1"),
    "deep_body": (lambda _: _sends(b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "garbled", "estimated", "/v1"),
    "body_without_end": (lambda _: _sends(b" " * 1_500_000), "garbled", "estimated", "/v1"),
    "bomb": (lambda _: _sends(gzip.compress(b" " * 20_000_000)), "garbled", "nothing", "/v1"),
    "context_length": (_refusal(_LONG, code="context_length_exceeded"), "too_long", "nothing", "larger context"),
    "context_length_in_words": (
        tells(400, {"object": "error", "message": _LONG, "type": "BadRequestError", "param": None, "code": 400}),
        "too_long", "nothing", "larger context",
    ),
    "context_length_with_a_field": (
        _refusal(f"'max_tokens' is too large: 400. {_LONG}", param="max_tokens"), "too_long", "nothing", "larger context"
    ),
    "no_credit": (tells(402, {"error": {"message": "Insufficient credits", "code": 402}}), "no_credit", "nothing", "credit"),
    "no_quota": (
        tells(429, {"error": {"message": "You exceeded your quota", "type": "insufficient_quota", "code": "insufficient_quota"}}),
        "no_credit", "nothing", "credit",
    ),
    "overloaded": (
        tells(529, {"type": "error", "error": {"type": "overloaded_error"}}), "server_error", "nothing", "overloaded"
    ),
    "web_page_503": (tells(503, b"<html>503</html>", headers={"Retry-After": "1"}), "server_error", "nothing", "overloaded"),
    "gzip_lie_500": (tells(500, b"{}", headers={"Content-Encoding": "gzip"}), "server_error", "nothing", "failed"),
    "in_a_list": (
        tells(400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "x", "details": [{"reason": "API_KEY_INVALID"}]}}]),
        "denied", "nothing", "ONRAMP_LLM_API_KEY",
    ),
    "any_other_400": (_refusal("no"), "refused", "nothing", "did not take"),
    "among_errors": (tells(429, {"success": False, "errors": [{"code": 3040}]}), "rate_limited", "nothing", "no more"),
    "wrong_key": (tells(401, {"error": {"code": "invalid_api_key", "message": "x"}}), "denied", "nothing", "ONRAMP_LLM_API_KEY"),
    "wrong_key_as_400": (tells(400, {"error": {"code": "invalid_api_key", "message": "x"}}), "denied", "nothing", "ONRAMP_LLM_API_KEY"),
    "no_such_model": (tells(404, {"error": {"code": "model_not_found", "message": "x"}}), "denied", "nothing", "ONRAMP_LLM_MODEL"),
    "no_such_place": (tells(404, b"404 page not found"), "denied", "nothing", "address"),
    "sent_elsewhere": (tells(308, b"", headers={"Location": "http://127.0.0.1:1/"}), "denied", "nothing", "another address"),
    "filter_400": (
        tells(400, {"error": {"code": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}), "declined", "nothing", "filter"
    ),
}  # fmt: skip
"""Answers without a text: the reason, whether tokens were counted, estimated or none used, and words of the advice."""


def _asks(field: str) -> Callable[[Request], bool]:
    return lambda request: field in request.body


STEPS: Final[dict[str, tuple[Script, str]]] = {
    "max_tokens": (
        unless(
            _asks("max_tokens"),
            _refusal("Unsupported parameter: use 'max_completion_tokens'.", param="max_tokens", code="unsupported_parameter"),
        ),
        "max_tokens",
    ),
    "max_tokens_in_words": (unless(_asks("max_tokens"), _refusal("'max_tokens' is not supported with this model.")), "max_tokens"),
    "temperature": (
        unless(_asks("temperature"), _refusal("Unsupported value: 'temperature'", param="temperature", code="unsupported_value")),
        "temperature",
    ),
    "temperature_422": (unless(_asks("temperature"), _extra("temperature")), "temperature"),
    "temperature_in_200": (
        unless(_asks("temperature"), tells(200, {"error": {"code": 400, "message": "temperature is not supported"}})),
        "temperature",
    ),
    "response_format": (unless(_asks("response_format"), _extra("response_format")), "json_schema output"),
    "system_role": (
        unless(
            lambda request: bool(request.system),
            _refusal("Unsupported value: 'messages[0].role' is not 'system'.", param="messages[0].role", code="unsupported_value"),
        ),
        "a system message",
    ),
    "system_role_in_words": (unless(lambda request: bool(request.system), _refusal("System role not supported")), "a system message"),
}
"""Servers that refuse a part of the request, and the first thing that they refuse. Without it they answer well."""
