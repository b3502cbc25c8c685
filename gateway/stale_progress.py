"""Reads a user's progress from ClickHouse while Redis is away: as of the job's last inserts, hence stale.

Redis holds what the app reads; ClickHouse is asked only instead of a refusal, and little: a few requests at a time, each user once in some
seconds, and after a failure nobody until a pause is over, which one request then ends or doubles. It is asked over HTTP on the event loop,
so no thread waits.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import httpx2
import msgspec

from sinks.clickhouse.address import ClickHouseAddress, parse_clickhouse_address
from state.backoff import backoff_seconds
from state.catalog.by_tenant import Plans
from state.person.progress import current_step
from state.records.progress import Progress, StepProgress
from state.times import rfc3339

_LOG = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 1.0
"""How long a reader waits for ClickHouse, after the time that it waited for Redis."""
MOST_AT_ONCE: Final = 4
"""Requests to ClickHouse at a time. Whoever comes beyond them is told to ask again."""
KEPT_SECONDS: Final = 5.0
"""For how long an answer serves: the rows of a user change with the job's inserts, every few seconds."""
LONGEST_PAUSE: Final = 30.0
_MOST_KEPT: Final = 10_000

_QUERY: Final = """
SELECT 'person' AS kind, path_id, experiment_group AS id, toUnixTimestamp64Milli(activated_at) AS at, toInt64(0) AS updated, version
FROM people FINAL WHERE tenant_id = {tenant:String} AND user_id = {user:String}
UNION ALL
SELECT 'step', path_id, step_id, toUnixTimestamp64Milli(completed_at), toUnixTimestamp64Milli(updated_at), version
FROM step_progress FINAL WHERE tenant_id = {tenant:String} AND user_id = {user:String}
FORMAT JSONCompactEachRow
"""
_SETTINGS: Final = {"readonly": "2", "max_execution_time": "1", "output_format_json_quote_64bit_integers": "0"}
_row: Final = msgspec.json.Decoder(tuple[str, str, str, int, int, int])
_encoder: Final = msgspec.json.Encoder()


class _Row(NamedTuple):
    """A row of the query. ``id`` is the group of a person, or a step; ``at`` its activation or completion, 0 for none."""

    kind: str
    path: str
    id: str
    at: int
    updated: int
    version: int


class StaleProgress:
    """A client of the ClickHouse server that ``url_of`` names, for one event loop."""

    def __init__(
        self, url_of: Callable[[], str | None], plans: Plans, *, database: str = "onramp", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open no connection yet. ``url_of`` returns None while there is no server. ``plans`` have titles, links and the order of steps."""
        self._url_of = url_of
        self._plans = plans
        self._database = database
        self._clock = clock
        self._url: str | None = None
        self._client: httpx2.AsyncClient | None = None
        self._address: ClickHouseAddress | None = None
        self._running: dict[tuple[str, str], asyncio.Task[bytes | None]] = {}
        self._kept: OrderedDict[tuple[str, str], tuple[float, bytes | None]] = OrderedDict()
        self._failures = 0
        self._closed_until = 0.0

    async def progress(self, tenant: str, user: str) -> bytes | None:
        """Return the record with ``"stale": true``; None if ClickHouse does not tell now, or does not know of the user's progress."""
        key, now = (tenant, user), self._clock()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        running = self._running.get(key)
        if running is None:
            url = self._url_of()
            most = MOST_AT_ONCE if not self._failures else 1  # one shows whether it answers again
            if url is None or now < self._closed_until or len(self._running) >= most:
                return None
            running = self._running[key] = asyncio.create_task(self._ask(url, tenant, user))
            running.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Close all connections."""
        for each in list(self._running.values()):
            each.cancel()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, url: str, tenant: str, user: str) -> bytes | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                rows = await self._read(url, tenant, user)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:  # of the address too; a time-out is an OSError
            self._fail(error)
            return None
        if self._failures:
            _LOG.info("ClickHouse answers again")
        self._failures = 0
        record = self._record(tenant, user, rows)
        found = None if record is None else _encoder.encode({**msgspec.to_builtins(record), "stale": True})
        self._kept[tenant, user] = (self._clock(), found)
        self._kept.move_to_end((tenant, user))
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    def _fail(self, error: Exception) -> None:
        if not self._failures:
            what = type(error).__name__ if not isinstance(error, _AnswerError) else error
            _LOG.warning("ClickHouse does not tell the progress of users while Redis is away (%s); it is asked again later", what)
        self._closed_until = self._clock() + backoff_seconds(self._failures, first=1.0, longest=LONGEST_PAUSE, jitter=1.0)
        self._failures += 1

    async def _read(self, url: str, tenant: str, user: str) -> list[_Row]:
        if self._client is None or url != self._url:
            old, self._address = self._client, parse_clickhouse_address(url)
            self._client, self._url = _client(self._address), url
            if old is not None:
                await old.aclose()
        assert self._address is not None
        answer = await self._client.post(
            f"{self._address.where}/",
            params={
                "database": self._address.database or self._database,
                "param_tenant": _escaped(tenant),
                "param_user": _escaped(user),
                **_SETTINGS,
            },
            content=_QUERY.encode(),
            headers={"x-clickhouse-user": self._address.user, "x-clickhouse-key": self._address.password or ""},
            extensions=_extensions(self._address),
        )
        if answer.status_code != httpx2.codes.OK or "x-clickhouse-exception-code" in answer.headers:
            raise _AnswerError(f"status {answer.status_code}, code {answer.headers.get('x-clickhouse-exception-code', 'none')}")
        return [_Row(*_row.decode(line)) for line in answer.content.splitlines() if line]

    def _record(self, tenant: str, user: str, rows: list[_Row]) -> Progress | None:
        """Return what the job published of the same state, or None where the rows do not tell."""
        person = next((row for row in rows if row.kind == "person"), None)
        plan = self._plans.find(tenant)
        path = plan.paths.get(person.path) if plan is not None and person is not None else None
        if plan is None or person is None or path is None or person.id == "merged":
            return None
        steps = [row for row in rows if row.kind == "step" and row.path == path.id]
        done = {row.id: row.at for row in steps if row.at > 0}
        current = current_step(plan, path.id, done)
        return Progress(
            tenant_id=tenant,
            user_id=user,
            version=max([person.version, *(row.version for row in steps)]),
            path_id=path.id,
            path_title=path.title,
            steps=tuple(
                StepProgress(
                    each,
                    plan.steps[each].title,
                    plan.steps[each].link,
                    "done" if each in done else "current" if each == current else "open",
                    rfc3339(done[each]) if each in done else None,
                )
                for each in path.steps
            ),
            next_step=current or None,
            activated_at=rfc3339(person.at) if person.at > 0 else None,
            updated_at=rfc3339(max((row.updated for row in steps), default=0)),
        )


class _AnswerError(ValueError):
    """ClickHouse answered, and not with rows."""


def _escaped(text: str) -> str:
    """Write a value of a parameter as ClickHouse reads it: the escapes of its TSV format."""
    for plain, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n")):
        text = text.replace(plain, written)
    return text


def _client(address: ClickHouseAddress) -> httpx2.AsyncClient:
    if address.scheme == "https":
        verify = ssl.create_default_context(cafile=address.tls.get("ca_cert"))
        if "client_cert" in address.tls:
            verify.load_cert_chain(address.tls["client_cert"], address.tls.get("client_cert_key"))
    else:
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # for nothing; the client's own would read all certificates of the system
    return httpx2.AsyncClient(
        verify=verify,
        timeout=ANSWER_SECONDS,
        limits=httpx2.Limits(max_connections=MOST_AT_ONCE),
        trust_env=address.host not in {"localhost", "127.0.0.1", "::1"},  # a proxy of the environment does not reach this machine
    )


def _extensions(address: ClickHouseAddress) -> dict[str, Any]:
    name = address.tls.get("server_host_name")
    return {"sni_hostname": name} if name is not None else {}
