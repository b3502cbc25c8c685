"""``POST /v1/events``: one event of the contract, or an array of them."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.authentication import Authenticator
from gateway.body import BodyReader
from gateway.errors import RefusedError, json_response
from gateway.ingest import TOO_LARGE, Ingest, Rejected, check_count, headers_of
from gateway.log import Record
from gateway.validation import split_batch
from state.messages import MAX_MESSAGE
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

    def __init__(self, authenticator: Authenticator, ingest: Ingest, bodies: BodyReader) -> None:
        """Share all with the other routes."""
        self._authenticator = authenticator
        self._ingest = ingest
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, when the log has what it answers for. Raises ``RefusedError``."""
        caller = self._authenticator.authenticate(scope)
        body = await self._bodies.read(scope, receive, caller, limit=MAX_BODY)
        values = split_batch(body)
        if values is None:
            raise RefusedError(400, "not_json", "the body is not a JSON array of events; nothing of it was stored")
        check_count(len(values))
        await self._ingest.take(caller, len(values), size=len(body), values=values)
        ids, records, rejected = self._ingest.sort(values, caller, headers_of(scope))
        oversize = await self._ingest.store(records, caller)
        if oversize:
            ids, rejected = _without(oversize, ids, records, rejected)
        if rejected:
            await partly(ids, rejected, total=len(values))(scope, receive, send)
            return
        answer = _JSON.encode({"stored": ids})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer)), (b"cache-control", b"no-store")]
        await send({**_START, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def _without(
    oversize: frozenset[bytes], ids: list[str], records: list[Record], rejected: list[Rejected]
) -> tuple[list[str], list[Rejected]]:
    """Return the ids of what is stored, and what is rejected, now that the log did not take the values ``oversize``."""
    others = {each.index for each in rejected}
    places = [index for index in range(len(records) + len(others)) if index not in others]
    stored, all_rejected = [], list(rejected)
    for index, event_id, record in zip(places, ids, records, strict=True):
        if record.value in oversize:
            all_rejected.append(Rejected(index=index, event_id=event_id, faults=[TOO_LARGE], value=record.value))
        else:
            stored.append(event_id)
    return stored, sorted(all_rejected, key=lambda each: each.index)


def partly(ids: list[str], rejected: list[Rejected], *, total: int) -> Response:
    """Return the answer to a request of ``total`` events, of which ``ids`` are stored and ``rejected``, one at least, are not."""
    if all(each.forbidden for each in rejected):
        status, code, fault = 403, "forbidden", "not allowed"
    elif all(each.too_large for each in rejected):
        status, code, fault = 413, "too_large", "too large"
    else:
        status, code, fault = 400, "invalid_events", "not valid"
    what = f"{len(rejected)} of {count(total, 'event')} {'is' if len(rejected) == 1 else 'are'} {fault}"
    rest = "nothing was stored" if not ids else f"{count(len(ids), 'event')} {'was' if len(ids) == 1 else 'were'} stored"
    return json_response(
        status,
        {
            "code": code,
            "message": f"{what}; {rest}",
            "stored": ids,
            "rejected": [each.as_json() for each in rejected],
        },
    )
