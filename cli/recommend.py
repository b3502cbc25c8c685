"""``onramp recommend``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import typer

from cli.support.failures import say
from cli.support.options import DataDirOption, JsonOption, TenantOption, UserArgument
from cli.support.prog_name import prog_name

if TYPE_CHECKING:
    from pathlib import Path

    from flows.settings import Settings


def recommend(
    user: UserArgument,
    tenant: TenantOption = "default",
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show the recommendation that the app reads for a user. It works with and without a running job.

    After a run on a file that is what the app read at the end of the file.

    \b
    Example:  onramp recommend u000042
    """
    import json

    from cli.support.demo_dir import for_reading
    from cli.support.options import load
    from cli.support.unknown_user import unknown_user
    from reports.recommendation import show, status_of
    from reports.render import out, print_json
    from sinks.redis.record import Deleted
    from state.records.recommendation import encode

    settings = for_reading(load(data_dir=data_dir))
    record = _read(settings, tenant, user)
    now, of_log = _now(settings)
    status = status_of(record, now)
    if as_json:
        body: dict[str, Any] = {"tenantId": tenant, "userId": user}
        if record is not None and not isinstance(record, Deleted):
            body = json.loads(encode(record))
        print_json({"status": status, **body})
        return
    if status == "none" and _is_unknown(settings, tenant, user):
        say(unknown_user(settings, tenant, user))
        raise typer.Exit(1)
    why = shlex.join([prog_name(), "explain", user, *(["--tenant", tenant] if tenant != "default" else []), *_directory(data_dir)])
    found = None if isinstance(record, Deleted) else record
    show(out(), user=user, tenant=tenant, status=status, found=found, end_of_log=now if of_log else None, explain=why)


def _read(settings: Settings, tenant: str, user: str) -> Any:
    from contextlib import closing

    from cli.support.stores import open_redis
    from sinks.redis.reader import RecommendationReader

    with open_redis(settings) as address, closing(RecommendationReader(address)) as reader:
        return reader.read(tenant, user)


def _now(settings: Settings) -> tuple[int | None, bool]:
    """Return the time that decides expiry (None: not known), and whether it is the end of a file rather than the clock."""
    from local import expiry_time
    from local.data_dir import DataDir
    from system.wall_clock import wall_clock

    today = wall_clock()
    now = today if settings.redis_url else expiry_time.now(DataDir(settings.data_dir), today)
    return now, now is not None and now != today


def _is_unknown(settings: Settings, tenant: str, user: str) -> bool:
    """Whether ClickHouse answers and does not have the user."""
    from cli.support.stores import open_facts
    from local.data_dir import DataDirError
    from sinks.clickhouse.errors import StoreError

    known = "SELECT 1 FROM people_final WHERE tenant_id = {tenant:String} AND user_id = {user:String}"
    try:
        with open_facts(settings) as facts:
            return not facts.table(known, tenant=tenant, user=user).rows
    except (DataDirError, StoreError):
        return False


def _directory(data_dir: Path | None) -> list[str]:
    return [] if data_dir is None else ["--data-dir", str(data_dir)]
