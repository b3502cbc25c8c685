"""What a request is refused with: a status, and JSON with a code for programs and a sentence for people."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

_JSON = msgspec.json.Encoder()


class RefusedError(Exception):
    """A request that is refused. ``code`` is one word for programs, the text one sentence that says what to do."""

    def __init__(self, status: int, code: str, sentence: str, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.more = more

    def response(self) -> Response:
        """Return the answer."""
        return json_response(self.status, {"code": self.code, "message": str(self), **self.more}, self.headers)


def json_response(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return ``body`` as JSON. ``no-store``: answers are about one user, and proxies must not keep them."""
    return Response(_JSON.encode(body), status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def unauthorized(sentence: str) -> RefusedError:
    """The credential is missing, unknown, revoked or expired. The sentence does not say which of its parts was wrong."""
    return RefusedError(401, "unauthorized", sentence, headers={"www-authenticate": "Bearer"})


def forbidden(sentence: str) -> RefusedError:
    """The credential is known and may not do this."""
    return RefusedError(403, "forbidden", sentence)


def not_json() -> RefusedError:
    """The body is no object, or nobody can tell where its fields end."""
    return RefusedError(400, "not_json", "the body is not a JSON object")


def too_large(sentence: str) -> RefusedError:
    """The body is over a limit."""
    return RefusedError(413, "too_large", sentence)


def too_many(retry_after: int) -> RefusedError:
    """The rate limit of the key is reached."""
    return RefusedError(
        429,
        "too_many_requests",
        f"this key has used up its rate; send again in {retry_after} s, with fewer or smaller events",
        headers={"retry-after": str(retry_after)},
    )


def unavailable(sentence: str, retry_after: int) -> RefusedError:
    """Something behind the gateway does not answer. Nothing was acknowledged."""
    return RefusedError(503, "unavailable", sentence, headers={"retry-after": str(retry_after)})
