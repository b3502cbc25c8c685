"""``POST /v1/events``: one event of the contract, or an array of them."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.authentication import Authenticator
from gateway.body import read_body
from gateway.errors import RefusedError, json_response
from gateway.ingest import Ingest, Rejected, check_count, headers_of
from gateway.validation import split_batch
from state.events import MAX_MESSAGE
from state.quantity import count

MAX_BODY: Final = MAX_MESSAGE
"""Bytes of a request, after decompression: as many as one message may have."""

_JSON: Final = msgspec.json.Encoder()
_START: Final = {
    "type": "http.response.start",
    "status": 202,
}


class EventsRoute:
    """The hot path: an ASGI endpoint without request and response objects for the good case."""

    def __init__(self, authenticator: Authenticator, ingest: Ingest) -> None:
        """Share both with the other routes."""
        self._authenticator = authenticator
        self._ingest = ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, when the log has what it answers for. Raises ``RefusedError``."""
        caller = self._authenticator.authenticate(scope)
        body = await read_body(scope, receive, limit=MAX_BODY)
        values = split_batch(body)
        if values is None:
            raise RefusedError(400, "not_json", "the body is not a JSON array of events; nothing of it was stored")
        check_count(len(values))
        self._ingest.take(caller, len(values), size=len(body))
        ids, records, rejected = self._ingest.sort(values, caller, headers_of(scope))
        await self._ingest.store(records)
        if rejected:
            await _partly(ids, rejected, total=len(values))(scope, receive, send)
            return
        answer = _JSON.encode({"stored": ids})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode()), (b"cache-control", b"no-store")]
        await send({**_START, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def _partly(ids: list[str], rejected: list[Rejected], *, total: int) -> Response:
    forbidden = all(each.forbidden for each in rejected)
    what = (
        f"{len(rejected)} of {count(total, 'event')} {'is' if len(rejected) == 1 else 'are'} {'not allowed' if forbidden else 'not valid'}"
    )
    rest = "nothing was stored" if not ids else f"{count(len(ids), 'event')} {'was' if len(ids) == 1 else 'were'} stored"
    return json_response(
        403 if forbidden else 400,
        {
            "code": "forbidden" if forbidden else "invalid_events",
            "message": f"{what}; {rest}",
            "stored": ids,
            "rejected": [each.as_json() for each in rejected],
        },
    )
