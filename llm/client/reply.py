"""Reads the body of a model server's answer, whatever its envelope: the model's text, why it ended, and the tokens that were counted.

Servers differ from the textbook in many ways, and none of them may cost a readable answer: compressed bodies and other charsets, byte order
marks, server-sent events where none were asked for, content in parts or as an object, arguments of a tool call, token counts as text.
What the model wrote is not judged here: ``answer_parsing.py`` and the guardrails do that. Pure, and nothing here raises.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from llm.client.answer_parsing import is_one_object, parse
from llm.client.proposal import Proposal

LARGEST_BODY: Final = 1_000_000
"""Bytes of a body at most, unpacked. A usual answer has one or two thousand."""

MOST_TOKENS: Final = 10_000_000
"""Tokens that one request may use at most, more than any model's context. A higher count is no count."""

End = Literal["whole", "truncated", "cut", "declined", "failed", "garbled"]
"""How a text ended. ``truncated``: at the limit on output tokens; ``cut``: its stream broke off or told an error."""

_ENDS: Final[dict[str, End]] = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length", "max_length", "incomplete"), "truncated"),
    **dict.fromkeys(
        "content_filter content_filtered safety recitation blocklist prohibited_content refusal sensitive guardrail_intervened".split(),
        "declined",
    ),
    **dict.fromkeys("error insufficient_system_resource network_error malformed_function_call".split(), "failed"),
}  # type: ignore[assignment,unused-ignore]
"""Finish reason in lower case → how the text ended. With any other one, and without, the text counts as whole."""

_CUT: Final = object()
"""Stands for the finish reason of a stream that has not ended well."""

_CHARSETS: Final = {"iso-8859-1": "latin-1", "latin-1": "latin-1", "latin1": "latin-1", "windows-1252": "cp1252", "cp1252": "cp1252"}
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_EVENTS: Final = re.compile(r"(?:data|event|id|retry)?:")
_LINES: Final = re.compile(r"\r\n|\n|\r")
_MODEL: Final = re.compile(r"[A-Za-z0-9][\w.:/@+ -]{0,199}", re.ASCII)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_AROUND: Final = " \t\r\n\ufeff\x00"


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What a body holds. ``sent`` and ``received`` are the tokens that the server counted, None where it did not count them.

    ``ran``: a model wrote an answer, so that the server bills it. ``error`` is the whole body where it tells an error.
    """

    text: str = ""
    thoughts: str = ""
    end: End = "whole"
    ran: bool = False
    sent: int | None = None
    received: int | None = None
    model: str = ""
    error: Any = None


def read_body(body: bytes, content_type: str = "") -> tuple[Any, str]:
    """The JSON value of ``body``, None where there is none; second its text. Events of a stream become one completion."""
    text = _decoded(_unpacked(body), content_type).strip(_AROUND)
    if _EVENTS.match(text):
        return _joined(text), text
    return _value(text), text


def read_reply(value: Any) -> Reply | None:
    """What the JSON value of a body holds; None where it is no chat completion, tells no error and counts no tokens."""
    if not isinstance(value, dict):
        return None
    sent, received = _counted(value.get("usage"))
    reply = Reply(sent=sent, received=received, model=_model(value.get("model")), error=value if value.get("error") else None)
    choices = value.get("choices")
    if isinstance(choices, list) and choices:
        return _chosen(reply, choices[0])
    if "choices" in value or not value or reply.error is not None:
        return reply
    return None if sent is None and received is None else msgspec.structs.replace(reply, end="garbled")


def _chosen(reply: Reply, choice: Any) -> Reply:
    """``reply`` with what ``choice`` holds."""
    replace = msgspec.structs.replace
    message = (choice.get("message") or choice.get("delta") or {"content": choice.get("text")}) if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return replace(reply, end="garbled", ran=True)
    text, refused = _content(message.get("content"))
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    end = "declined" if message.get("refusal") or refused else _end(choice.get("finish_reason"))
    error = choice if choice.get("error") else reply.error
    return replace(
        reply,
        text=_mended(text if text.strip() else _arguments(message)),
        thoughts=_mended(thoughts) if isinstance(thoughts, str) else "",
        end="failed" if choice.get("error") else end,
        ran=True,
        error=error,
    )


# ---------------------------------------------------------------------------------------------------------------- bytes to JSON


def _unpacked(body: bytes) -> bytes:
    """``body`` without compression, which is recognised by its first bytes: headers say gzip about what is none, and the reverse."""
    if body[:2] == b"\x1f\x8b" or body[:1] == b"\x78":
        try:
            return zlib.decompressobj(wbits=47).decompress(body, LARGEST_BODY)  # 47: gzip or zlib, as the data say
        except zlib.error:
            pass
    return body


def _decoded(body: bytes, content_type: str) -> str:
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError:
        found = _CHARSET.search(content_type[:200])
        declared = _CHARSETS.get(found[1].lower()) if found else None
        return body.decode(declared or encoding, errors="replace")


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)  # the conversion of thousands of digits to int raises


_DECODER: Final = json.JSONDecoder(strict=False, parse_int=_whole_number)


def _value(text: str) -> Any:
    try:
        return _DECODER.raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _events(text: str) -> Iterator[dict[str, Any]]:
    """The events of a stream. One that tells an error has it as ``error``; the mark of the end is one whose ``done`` is true."""
    tells_error = False
    for line in _LINES.split(text):
        if not line or line.startswith("event:"):
            tells_error = line[6:].strip() == "error"
        if not line.startswith("data:"):
            continue
        data = line[5:].strip(_AROUND)
        if data == "[DONE]":
            yield {"done": True}
        elif isinstance(value := _value(data), dict):
            yield {"error": value} | value if tells_error or value.get("object") == "error" else value


def _joined(text: str) -> dict[str, Any] | None:
    """One completion of the events of a stream; None where there is none.

    A stream that breaks off or tells an error has not ended well, unless its text holds a whole answer or its thoughts are one object.
    """
    whole: dict[str, Any] = {}
    pieces: list[str] = []
    ended: dict[str, Any] = {}
    for event in _events(text):
        whole |= {name: value for name, value in event.items() if value}
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            continue
        ended |= {name: value for name, value in choice.items() if value is not None}
        piece = choice.get("delta")
        if isinstance(piece, dict):
            pieces.append(_content(piece.get("content"))[0])
    if not whole.keys() - {"done"}:
        return None
    if ended and "message" not in ended:
        ended["message"] = {"content": "".join(pieces)}
    if ended and (whole.get("error") or not (whole.get("done") or ended.get("finish_reason"))):
        found = _chosen(Reply(), ended)
        is_answer = isinstance(parse(found.text), Proposal)
        if not is_answer and not is_one_object(found.text if found.text.strip() else found.thoughts):
            ended["finish_reason"] = _CUT
    return whole | {"choices": [ended] if ended else []}


# -------------------------------------------------------------------------------------------------------------- JSON to a reply


def _content(content: Any) -> tuple[str, bool]:
    """The text of ``content``, and whether a part of it is a refusal. Parts that hold thoughts are left out."""
    if isinstance(content, str):
        return content, False
    if isinstance(content, dict):
        if "type" not in content:
            return _dumped(content), False  # the object itself instead of its JSON
        content = [content]
    if not isinstance(content, list):
        return "", False
    texts: list[str] = []
    refused = False
    for part in content:
        kind, text = (part.get("type"), part.get("text")) if isinstance(part, dict) else ("text", part)
        refused |= kind == "refusal"
        if kind in ("text", "output_text", None) and isinstance(text, str):  # no set: a kind may be unhashable
            texts.append(text)
    return "".join(texts), refused


def _arguments(message: dict[str, Any]) -> str:
    """The arguments of the first tool call: servers that have no other strict mode answer so."""
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else None
    function = call.get("function") if isinstance(call, dict) else message.get("function_call")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if isinstance(arguments, dict):
        return _dumped(arguments)
    return arguments if isinstance(arguments, str) else ""


def _dumped(value: dict[str, Any]) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return ""


def _end(reason: Any) -> End:
    if reason is _CUT:
        return "cut"
    if isinstance(reason, dict):
        reason = reason.get("type")
    return _ENDS.get(reason.lower(), "whole") if isinstance(reason, str) else "whole"


def _mended(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def _model(name: Any) -> str:
    """The name of the model where it is one. It is stored and shown."""
    if isinstance(name, int | float) and not isinstance(name, bool):
        name = str(name)
    return name if isinstance(name, str) and _MODEL.fullmatch(name) else ""


def _counted(usage: Any) -> tuple[int | None, int | None]:
    """The tokens sent and received. What a total has beyond both were received: some servers leave out the thoughts, and bill them."""
    if not isinstance(usage, dict):
        return None, None
    sent = _first(usage, "prompt_tokens", "input_tokens")
    received = _first(usage, "completion_tokens", "output_tokens")
    total = _number(usage.get("total_tokens"))
    if total is not None and sent is not None:
        received = max(received or 0, total - sent)
    return sent, received


def _first(usage: dict[str, Any], *names: str) -> int | None:
    return next((number for name in names if (number := _number(usage.get(name))) is not None), None)


def _number(value: Any) -> int | None:
    """A count of tokens: a number or its text, rounded up; None for anything else and for what cannot be a count."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return math.ceil(value)
