"""``onramp recommend``."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.options import DataDirOption, JsonOption, TenantOption, UserArgument

if TYPE_CHECKING:
    from rich.console import Console

    from flows.settings import Settings
    from state.records.recommendation import Recommendation


def recommend(
    user: UserArgument,
    tenant: TenantOption = "default",
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show what the app reads for a person right now, whether or not a job runs.

    \b
    Example:  onramp recommend u000042
    """
    import json

    from cli.demo_dir import for_reading
    from cli.options import load
    from reports.screen import out, print_json
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
    from sinks.redis.record import Deleted

    wall_clock = time.time_ns() // 1_000_000
    return status_of(record, wall_clock if settings.redis_url else clock.now(DataDir(settings.data_dir), wall_clock), Deleted)


def status_of(record: Any, now: int | None, deleted: type) -> str:
    """``none``, ``deleted``, ``withdrawn``, ``expired`` or ``current``, at ``now`` in Unix milliseconds (None: nothing expires)."""
    if record is None:
        return "none"
    if isinstance(record, deleted):
        return "deleted"
    if record.ui_component == "none":
        return "withdrawn"
    return "expired" if now is not None and datetime.fromisoformat(record.expires_at).timestamp() * 1000 <= now else "current"


def show(console: Console, user: str, tenant: str, status: str, found: Recommendation | None) -> None:
    """Print what a record says, and what an app makes of it."""
    from rich.text import Text

    from reports.plain import plain
    from reports.reasons import why_withdrawn
    from reports.screen import lines, record

    who = f"{plain(user)}{f' of tenant {plain(tenant)}' if tenant != 'default' else ''}"
    why = why_withdrawn(found.reason) if found is not None and status == "withdrawn" else ""
    sentence = {
        "none": "nothing to show: no guidance was decided, or it is gone from Redis; `onramp explain` says why.",
        "deleted": "nothing to show: the person was deleted.",
        "withdrawn": f"nothing to show: the guidance was withdrawn ({plain(why)}).",
        "expired": f"nothing to show: the recommendation expired on {_moment(found.expires_at) if found else ''}.",
        "current": "the app shows this.",
    }[status]
    console.print(Text.assemble((who, "bold"), f": {sentence}"))
    if found is None:
        return
    console.print()
    if found.message:
        lines(console, Text(plain(found.message), style="" if status == "current" else "dim"))
        console.print()
    rows = [
        ("component", found.ui_component),
        ("link", found.deep_link),
        ("because", f"{found.trigger} at {found.step_id}"),
        ("path", found.path_id),
        ("arm", f"{found.arm}, chosen with probability {found.propensity:.2f}" if found.arm else ""),
        ("words from", found.source),
        ("valid", f"{_moment(found.created_at)} to {_moment(found.expires_at)}"),
        ("id", found.recommendation_id),
    ]
    console.print(record(row for row in rows if row[1]))


def _moment(text: str) -> str:
    from reports.cells import moment

    return moment(datetime.fromisoformat(text))
