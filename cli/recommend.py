"""``onramp recommend``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cli.options import DataDirOption, JsonOption, TenantOption, UserArgument

if TYPE_CHECKING:
    from flows.settings import Settings


def recommend(
    user: UserArgument,
    tenant: TenantOption = "default",
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show the recommendation that the app reads for a user now. It works with and without a running job.

    \b
    Example:  onramp recommend u000042
    """
    import json

    from cli.demo_dir import for_reading
    from cli.options import load
    from reports.recommendation import show
    from reports.render import out, print_json
    from sinks.redis.record import Deleted
    from state.records.recommendation import encode

    settings = for_reading(load(data_dir=data_dir))
    record = _read(settings, tenant, user)
    status = _status(record, settings)
    if as_json:
        body: dict[str, Any] = {"tenantId": tenant, "userId": user}
        if record is not None and not isinstance(record, Deleted):
            body = json.loads(encode(record))
        print_json({"status": status, **body})
        return
    show(out(), user, tenant, status, None if isinstance(record, Deleted) else record)


def _read(settings: Settings, tenant: str, user: str) -> Any:
    from local.data_dir import DataDir
    from local.redis_access import redis_for_reader
    from sinks.redis.reader import RecommendationReader

    url = settings.redis_url.get_secret_value() if settings.redis_url is not None else None
    data_dir = DataDir.open(settings.data_dir) if url is None else DataDir(settings.data_dir)
    with redis_for_reader(url, data_dir) as address:
        reader = RecommendationReader(address)
        try:
            return reader.read(tenant, user)
        finally:
            reader.close()


def _status(record: Any, settings: Settings) -> str:
    from cli import clock
    from local.data_dir import DataDir
    from reports.recommendation import status_of

    wall_clock = time.time_ns() // 1_000_000
    return status_of(record, wall_clock if settings.redis_url else clock.now(DataDir(settings.data_dir), wall_clock))
