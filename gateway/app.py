"""The ASGI application: all routes, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from gateway.answer_times import AnswerTimes, MeasureAnswers
from gateway.authentication import Authenticator, VisitorClaims
from gateway.body import BodyReader
from gateway.browser_routes import snippet_routes
from gateway.caller import SenderRules
from gateway.cors import READABLE, Cors
from gateway.errors import RefusedError, json_response
from gateway.events_route import EventsRoute
from gateway.health import Health
from gateway.ingest import Ingest
from gateway.keys import KeyStore
from gateway.log import Log
from gateway.onboarding_route import OnboardingRoute
from gateway.openapi import openapi
from gateway.quota import KEPT_SECONDS, Quota
from gateway.rate_limit import RateLimiter
from gateway.reads_route import ReadsRoute
from gateway.records import Records
from gateway.refusals import Refusals
from gateway.router_bypass import RouterBypass
from gateway.segment.calls_route import CallsRoute, WebhookRoute
from gateway.segment.mapping import TrackNames
from gateway.segment.settings_route import SettingsRoute, metrics
from gateway.stale_progress import StaleProgress
from gateway.stopping import Stopping
from gateway.stream_route import StreamRoute
from gateway.updates import Updates
from state.catalog.by_tenant import ByTenant, Plans
from state.ids import Keys
from system.wall_clock import wall_clock

USER_EVENTS_PER_SECOND = 20.0
"""Events a second of one user's tokens: a person makes a few; a page that sends more is broken, or hostile."""


CALLS = ("track", "identify", "page", "screen", "group", "alias", "batch")
"""Calls of Segment's API; the first letter of each is its short form."""


class _UserId(Convertor[str]):
    """Any text in an address, slashes and line ends too: the route judges it. Starlette's own ``path`` ends at a line end."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("user_id", _UserId())


class GatewayParts(msgspec.Struct, frozen=True):
    """What the application is built from.

    ``keys`` checks recommendation ids. ``redis_url`` names the server of recommendations, or None while there is none; ``clickhouse_url``
    the one that is asked for progress while Redis is away, and ``database`` its database. Streams end when ``stopping`` says so.
    ``plans`` has the catalog of each tenant, as far as they are known.
    ``more_routes`` are those of the demo. ``events_per_day`` is the quota of tenants that have none of their own in ``store``.
    ``refusals`` has what the server refuses, for ``/metrics``. ``clock`` is in milliseconds since 1970 UTC.
    """

    log: Log
    store: KeyStore
    keys: Keys
    redis_url: Callable[[], str | None]
    stopping: Stopping
    plans: Plans = msgspec.field(default_factory=lambda: ByTenant(None))
    clickhouse_url: Callable[[], str | None] = lambda: None
    database: str = "onramp"
    events_per_second: float = 5000.0
    events_per_day: int | None = None
    more_routes: Sequence[BaseRoute] = ()
    refusals: Refusals = msgspec.field(default_factory=Refusals)
    clock: Callable[[], int] = wall_clock


def build(parts: GatewayParts) -> Starlette:
    """Build the application. It opens its connections when it starts, and closes them and the log when it ends."""

    def seconds() -> float:
        return parts.clock() / 1000

    def per_day(tenant: str) -> int | None:
        return parts.store.ring().quotas.get(tenant, parts.events_per_day)

    authenticator = Authenticator(parts.store, seconds)
    rules = SenderRules(issued=lambda text: parts.keys.read_recommendation_id(text) is not None, claim=VisitorClaims(seconds).claim)
    records = Records(parts.redis_url)
    quota = Quota(per_day, partial(records.add, keep_seconds=KEPT_SECONDS), parts.clock)
    ingest = Ingest(
        parts.log,
        rules,
        RateLimiter(per_second=parts.events_per_second, burst=2 * parts.events_per_second, clock=seconds),
        RateLimiter(per_second=USER_EVENTS_PER_SECOND, burst=10 * USER_EVENTS_PER_SECOND, clock=seconds),
        parts.clock,
        quota,
    )
    updates = Updates(parts.redis_url)
    stale = StaleProgress(parts.clickhouse_url, parts.plans, database=parts.database) if parts.plans.distinct else None
    reads = ReadsRoute(authenticator, records, stale, parts.clock)
    bodies = BodyReader()
    onboarding = OnboardingRoute(authenticator, ingest, records, updates, parts.plans, bodies)
    health = Health(parts.log, records)
    times = AnswerTimes(refusals=parts.refusals)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        updates.start()
        quota.start()
        try:
            yield
        finally:
            await updates.stop()
            await quota.stop()
            await records.close()
            if stale is not None:
                await stale.close()
            await parts.log.close()

    settings = SettingsRoute(authenticator)
    names = TrackNames(parts.plans)
    calls = {kind: CallsRoute(authenticator, ingest, names, bodies, kind if kind != "batch" else None) for kind in CALLS}
    senders: dict[str, ASGIApp] = {
        "/v1/events": EventsRoute(authenticator, ingest, bodies),
        **{f"/v1/{name}": route for kind, route in calls.items() for name in (kind, kind[0])},
        "/v1/webhooks/segment": WebhookRoute(authenticator, ingest, names, bodies),
    }

    app = Starlette(
        routes=[
            Route("/v1/recommendations/{user:user_id}", reads.recommendation, methods=["GET"]),
            Route("/v1/users/{user:user_id}/progress", reads.progress, methods=["GET"]),
            Route("/v1/stream", StreamRoute(authenticator, records, updates, parts.stopping, parts.clock), methods=["GET"]),
            Route("/v1/onboarding/start", onboarding.start, methods=["POST"]),
            Route("/v1/onboarding/step/complete", onboarding.complete, methods=["POST"]),
            *(Route(path, sender, methods=["POST"]) for path, sender in senders.items()),  # for other methods: 405
            Route("/v1/m", metrics, methods=["POST"]),
            Route("/v1/projects/{write_key}/settings", settings.settings, methods=["GET"]),
            Route("/sourceConfig", settings.source_config, methods=["GET"]),
            Route("/sourceConfig/", settings.source_config, methods=["GET"]),
            Route("/openapi.json", openapi, methods=["GET"]),
            *snippet_routes(),
            *parts.more_routes,
            Route("/healthz", health.alive, methods=["GET"]),
            Route("/readyz", health.ready, methods=["GET"]),
            Route("/metrics", times.metrics, methods=["GET"]),
        ],
        middleware=[Middleware(MeasureAnswers, times), Middleware(Cors), Middleware(RouterBypass, endpoints=senders)],
        exception_handlers={RefusedError: _refused, HTTPException: _http_error, Exception: _bug},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # behind TLS the redirection would lead to http://
    return app


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return error.response()


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {
        404: ("not_found", "there is no such address; /openapi.json lists all"),
        405: ("method_not_allowed", "this address takes another method"),
    }
    code, sentence = codes.get(error.status_code, ("http_error", str(error.detail)))
    return json_response(error.status_code, {"code": code, "message": sentence}, dict(error.headers or {}))


async def _bug(_request: Request, _error: Exception) -> Response:
    """Answer a bug. Starlette sends this from outside the middleware."""
    return json_response(500, {"code": "internal", "message": "this is a bug in onramp; the gateway's log has the details"}, READABLE)
