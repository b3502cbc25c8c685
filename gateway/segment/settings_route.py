"""What SDKs ask for before they send: Segment's settings of a source, and RudderStack's configuration of one.

Both name this gateway as the only destination. They hold nothing that the write key does not open anyway.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.authentication import Authenticator
from gateway.errors import forbidden, json_response


class SettingsRoute:
    """Answers for publishable keys only: the address of a request is no place for a secret."""

    def __init__(self, authenticator: Authenticator) -> None:
        """Check keys with ``authenticator``."""
        self._authenticator = authenticator

    async def settings(self, request: Request) -> Response:
        """``GET /v1/projects/{writeKey}/settings``. Raises ``RefusedError``."""
        key: str = request.path_params["write_key"]
        self._check(request, key)
        host = request.headers.get("host", request.url.netloc)
        forwarded = request.headers.get("x-forwarded-proto", "")  # TLS ends at the balancer
        source = {
            "apiKey": key,
            "apiHost": f"{host}/v1",
            "protocol": forwarded if forwarded in {"http", "https"} else request.url.scheme,
            "unbundledIntegrations": [],
            "addBundledMetadata": True,
            "maybeBundledConfigIds": {},
            "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
        }
        default = {"__default": {"enabled": True, "integrations": {}}}
        return json_response(
            200,
            {
                "integrations": {"Segment.io": source},
                "plan": {"track": default, "identify": {"__default": {"enabled": True}}, "group": {"__default": {"enabled": True}}},
                "edgeFunction": {},
                "analyticsNextEnabled": True,
                "middlewareSettings": {},
                "enabledMiddleware": {},
                "metrics": {"sampleRate": 0},
                "legacyVideoPluginsEnabled": False,
                "remotePlugins": [],
            },
        )

    async def source_config(self, request: Request) -> Response:
        """``GET /sourceConfig``, with the key as the user of Basic auth or as ``writeKey`` in the address. Raises ``RefusedError``."""
        key = request.query_params.get("writeKey")
        if key is not None:
            self._check(request, key)
        else:
            self._authenticator.authenticate(request.scope)
        source: dict[str, Any] = {
            "id": "onramp",
            "name": "onramp",
            "writeKey": key or "",
            "enabled": True,
            "workspaceId": "onramp",
            "config": {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}},
            "destinations": [],
            "sourceDefinition": {"name": "Javascript"},
            "dataplanes": {},
        }
        return json_response(200, {"source": source, "isHosted": True})

    def _check(self, request: Request, key: str) -> None:
        if self._authenticator.write_key(request.scope, key).kind != "publishable":
            raise forbidden("a server key was sent in an address, where logs keep it; revoke it, and use a publishable key")


async def metrics(_request: Request) -> Response:
    """``POST /v1/m``: SDKs report on themselves. Nothing of it is kept."""
    return json_response(200, {"success": True})
