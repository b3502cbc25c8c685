"""The OpenAPI description of the gateway, at ``/openapi.json``. ``tests/gateway/test_openapi.py`` compares it with the routes."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import json_response
from gateway.split_json import MOST_EVENTS
from state.upcast import VERSIONS
from state.vocabulary import EVENT_TYPES

Json = dict[str, Any]


def _answer(what: str, schema: Json | None = None, kind: str = "application/json") -> Json:
    return {"description": what, **({"content": {kind: {"schema": schema}}} if schema is not None else {})}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_ERROR: Final = _ref("Error")
_REFUSALS: Final[Json] = {
    "401": _answer("The credential is missing, unknown, revoked or expired.", _ERROR),
    "403": _answer("The credential may not do this, or not from this origin.", _ERROR),
}
_LATER: Final[Json] = {
    "429": _answer("Too many; `Retry-After` says when to come back.", _ERROR),
    "503": _answer("Nothing was acknowledged; send the same again after `Retry-After`.", _ERROR),
}
_USER: Final[Json] = {
    "name": "userId",
    "in": "path",
    "required": True,
    "description": "The user, percent-encoded.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}
_KNOWN: Final[Json] = {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}


def _operation(summary: str, answers: Json, *, body: Json | None = None, parameters: list[Json] | None = None, kind: str = "both") -> Json:
    security: list[Json] = {
        "both": [{"bearer": []}, {"basic": []}],
        "body": [{"bearer": []}, {"basic": []}, {}],
        "webhook": [{"bearer": []}],
        "none": [],
    }[kind]
    found: Json = {"summary": summary, "security": security, "responses": answers}
    if parameters:
        found["parameters"] = parameters
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return found


def _read(summary: str, schema: Json) -> Json:
    answers = {
        "200": _answer("The record.", schema),
        "204": _answer("There is nothing to show."),
        "304": _answer("The reader has it already."),
        "400": _answer("The id is no id.", _ERROR),
        **_REFUSALS,
        "503": _LATER["503"],
    }
    return {"get": _operation(summary, answers, parameters=[_USER, _KNOWN])}


def _call(summary: str, body: Json) -> Json:
    answers = {
        "200": _answer("The log has the events.", _ref("Success")),
        "400": _answer("The call is not valid or too large; do not send it again.", _ERROR),
        "408": _answer("The body did not come in time.", _ERROR),
        "415": _answer("The encoding is not gzip.", _ERROR),
        **_REFUSALS,
        **_LATER,
    }
    return {"post": _operation(summary, answers, body=body, kind="body")}


def _calls() -> Json:
    found: Json = {}
    for kind in ("track", "identify", "page", "screen", "group", "alias"):
        path = _call(f"A {kind} call of Segment's API.", _ref("Call"))
        found |= {f"/v1/{kind}": path, f"/v1/{kind[0]}": path}
    batch = _call("Many calls of Segment's API; those that are not valid become dead letters.", _ref("Batch"))
    return {**found, "/v1/batch": batch, "/v1/b": batch}


def describe() -> Json:
    """Return the whole description."""
    stored = {
        "202": _answer("All events are stored.", _ref("Stored")),
        "400": _answer("Some events are not valid; the others are stored.", _ref("Rejected")),
        "408": _answer("The body did not come in time.", _ERROR),
        "413": _answer("The body or the number of events is too large, or events that `rejected` names are.", _ref("Rejected")),
        "415": _answer("The encoding is not gzip.", _ERROR),
        **_REFUSALS,
        **_LATER,
    }
    onboarding = {
        "200": _answer("The event is stored, and this is the progress after it.", _ref("Onboarded")),
        "202": _answer("The event is stored. `progress` may be that of before, or null: read it at `progressUrl`.", _ref("Onboarded")),
        **{status: answer for status, answer in stored.items() if status != "202"},
    }
    source_config = {
        "get": _operation(
            "RudderStack's configuration of a source.",
            {"200": _answer("The configuration.", {"type": "object"}), **_REFUSALS},
            parameters=[{"name": "writeKey", "in": "query", "schema": {"type": "string"}}],
            kind="body",
        )
    }
    write_key = {"name": "writeKey", "in": "path", "required": True, "schema": {"type": "string"}}
    stream = {
        "200": _answer("The stream.", {"type": "string"}, "text/event-stream"),
        "400": _answer("No user is named.", _ERROR),
        **_REFUSALS,
        **_LATER,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Onramp gateway", "version": "1", "description": "Events in, guidance and progress out. See docs/http.md."},
        "paths": {
            "/v1/events": {
                "post": _operation(
                    "Store one event, or many.",
                    stored,
                    body={"oneOf": [_ref("Event"), {"type": "array", "items": _ref("Event"), "maxItems": MOST_EVENTS}]},
                    parameters=[
                        {"name": "traceparent", "in": "header", "schema": {"type": "string"}},
                        {"name": "x-api-version", "in": "header", "schema": {"type": "string"}},
                    ],
                )
            },
            "/v1/recommendations/{userId}": _read("Read what to show to a user.", _ref("Recommendation")),
            "/v1/users/{userId}/progress": _read("Read the steps of a user's path.", _ref("Progress")),
            "/v1/stream": {
                "get": _operation(
                    "Follow both records of a user, as server-sent events.",
                    stream,
                    parameters=[
                        {"name": "userId", "in": "query", "description": "Needed with a server key.", "schema": {"type": "string"}},
                        {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
                    ],
                )
            },
            "/v1/onboarding/start": {"post": _operation("A user starts: store a `signup`.", onboarding, body=_ref("Start"))},
            "/v1/onboarding/step/complete": {
                "post": _operation("A user has completed a step: store a `step_completed`.", onboarding, body=_ref("StepCompleted"))
            },
            **_calls(),
            "/v1/m": {
                "post": _operation("SDKs report on themselves; nothing is kept.", {"200": _answer("Taken.", _ref("Success"))}, kind="none")
            },
            "/v1/webhooks/segment": {
                "post": _operation(
                    "Segment's webhook destination.",
                    {**_call("", {})["post"]["responses"]},
                    body={"oneOf": [_ref("Call"), {"type": "array", "items": _ref("Call")}]},
                    parameters=[{"name": "X-Signature", "in": "header", "schema": {"type": "string"}}],
                    kind="webhook",
                )
            },
            "/v1/projects/{writeKey}/settings": {
                "get": _operation(
                    "Segment's settings of a source.",
                    {"200": _answer("The settings.", {"type": "object"}), **_REFUSALS},
                    parameters=[write_key],
                    kind="none",
                )
            },
            "/sourceConfig": source_config,
            "/sourceConfig/": source_config,
            "/healthz": {"get": _operation("Whether the process runs.", {"200": _answer("It does.", {"type": "object"})}, kind="none")},
            "/readyz": {
                "get": _operation(
                    "Whether events are taken.",
                    {"200": _answer("They are.", {"type": "object"}), "503": _answer("They are not.", {"type": "object"})},
                    kind="none",
                )
            },
            "/metrics": {
                "get": _operation(
                    "Figures for Prometheus.",
                    {"200": {"description": "They are text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
                    kind="none",
                )
            },
            "/openapi.json": {"get": _operation("This description.", {"200": _answer("It.", {"type": "object"})}, kind="none")},
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key, or a user token (a JSON Web Token)."},
                "basic": {"type": "http", "scheme": "basic", "description": "A key as the user, no password."},
            },
            "schemas": _schemas(),
        },
    }


def _schemas() -> Json:
    text: Json = {"type": "string"}
    fault = {"type": "object", "properties": {"field": text, "code": text, "message": text}, "required": ["field", "code", "message"]}
    rejected = {
        "type": "object",
        "properties": {"index": {"type": "integer"}, "eventId": text, "faults": {"type": "array", "items": fault}},
        "required": ["index", "faults"],
    }
    error = {"type": "object", "properties": {"code": text, "message": text}, "required": ["code", "message"]}
    maybe = {"type": ["string", "null"]}
    sent: Json = {
        "userId": {"type": "string", "minLength": 1, "maxLength": 256, "description": "Needed with a server key."},
        "eventId": {"type": "string", "minLength": 1, "maxLength": 128, "description": "Made by the gateway if left out."},
        "timestamp": {"type": "string", "format": "date-time", "description": "Now if left out."},
        "sessionId": {"type": ["string", "null"], "maxLength": 256},
    }
    return {
        "Event": {
            "type": "object",
            "description": "docs/events.md says what each field may hold.",
            "properties": {
                "eventId": {"type": "string", "minLength": 1, "maxLength": 128},
                "userId": {"type": ["string", "null"], "maxLength": 256},
                "anonymousId": {"type": ["string", "null"], "maxLength": 256},
                "eventType": {"enum": sorted(EVENT_TYPES)},
                "timestamp": {"type": "string", "format": "date-time"},
                "tenantId": {"type": "string", "minLength": 1, "maxLength": 128},
                "sessionId": {"type": ["string", "null"], "maxLength": 256},
                "name": {"type": ["string", "null"], "maxLength": 256},
                "payload": {"type": "object"},
                "traits": {"type": ["object", "null"], "description": "Of schemaVersion 2; in version 1 they stand in the payload."},
                "schemaVersion": {"enum": list(VERSIONS)},
            },
            "required": ["eventId", "eventType", "timestamp"],
        },
        "Start": {
            "type": "object",
            "properties": {**sent, "traits": {"type": ["object", "null"]}},
        },
        "StepCompleted": {
            "type": "object",
            "properties": {**sent, "step": {"type": "string", "minLength": 1, "description": "The id of a step of the catalog."}},
            "required": ["step"],
        },
        "Onboarded": {
            "type": "object",
            "properties": {
                "stored": {"type": "array", "items": text},
                "progress": {"oneOf": [_ref("Progress"), {"type": "null"}]},
                "progressUrl": text,
            },
            "required": ["stored", "progress"],
        },
        "Stored": {"type": "object", "properties": {"stored": {"type": "array", "items": text}}, "required": ["stored"]},
        "Rejected": {
            **error,
            "properties": {
                **error["properties"],  # type: ignore[dict-item]
                "stored": {"type": "array", "items": text},
                "rejected": {"type": "array", "items": rejected},
            },
        },
        "Error": error,
        "Success": {
            "type": "object",
            "properties": {"success": {"const": True}, "rejected": {"type": "array", "items": rejected}},
            "required": ["success"],
        },
        "Call": {
            "type": "object",
            "description": "https://segment.com/docs/connections/spec/",
            "properties": {"messageId": text, "type": text, "timestamp": text, "sentAt": text, "writeKey": text},
        },
        "Batch": {
            "type": "object",
            "properties": {"batch": {"type": "array", "items": _ref("Call"), "maxItems": MOST_EVENTS}, "sentAt": text, "writeKey": text},
            "required": ["batch"],
        },
        "Recommendation": {
            "type": "object",
            "properties": {
                "recommendationId": text,
                "userId": text,
                "version": {"type": "integer"},
                "message": text,
                "uiComponent": text,
                "deepLink": text,
                "expiresAt": text,
            },
            "required": ["recommendationId", "version", "message", "uiComponent", "deepLink"],
        },
        "Progress": {
            "type": "object",
            "properties": {
                "version": {"type": "integer"},
                "steps": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"id": text, "title": text, "link": text, "status": text}},
                },
                "nextStep": maybe,
                "updatedAt": text,
                "stale": {"const": True, "description": "From ClickHouse, while Redis is away."},
            },
            "required": ["version", "steps"],
        },
    }


_DESCRIPTION: Final = describe()


async def openapi(_request: Request) -> Response:
    """``GET /openapi.json``."""
    return json_response(200, _DESCRIPTION)
