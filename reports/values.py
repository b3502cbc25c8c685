"""Values of reports and of ClickHouse as people and machines read them."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, date, datetime
from typing import Any

from sinks.clickhouse.result_table import Moment


def cell(value: Any) -> str:
    """One value in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Moment):
        return value.shown
    if isinstance(value, list | dict):
        return json.dumps(json_value(value), ensure_ascii=False)
    return str(value)


def _decimal(value: float) -> str:
    """Four decimals; all digits that count where those would be none, or would be a row of noughts."""
    if not math.isfinite(value):
        return str(value)
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.6g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")


def csv_value(value: Any) -> str:
    """One value in CSV: nothing is empty, a list or an object is its JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(json_value(value), ensure_ascii=False)
    return str(value)


def json_value(value: Any) -> Any:
    """One value in JSON: times are RFC 3339 in UTC, NaN and infinity are null, a dataclass is an object and a table a list of objects,
    both with camelCase names.
    """
    if isinstance(value, datetime):
        return in_utc(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    if isinstance(value, dict):
        return {str(key): json_value(each) for key, each in value.items()}
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if dataclasses.is_dataclass(value):
        return pick(value, *(field.name for field in dataclasses.fields(value)))
    if hasattr(value, "to_dicts"):
        return [json_record(row) for row in value.to_dicts()]
    return value if isinstance(value, int | str | float | None) else str(value)


def json_record(row: dict[str, Any]) -> dict[str, Any]:
    """One row of a table as a JSON object with camelCase names."""
    return {camel(name): json_value(value) for name, value in row.items()}


def pick(value: Any, *names: str) -> dict[str, Any]:
    """The attributes ``names`` of ``value`` as JSON with camelCase names; all of them null where ``value`` is None."""
    return {camel(name): None if value is None else json_value(getattr(value, name)) for name in names}


def in_utc(value: datetime) -> datetime:
    """``value`` in UTC. A time without a zone is one of ClickHouse, which means UTC."""
    return value.astimezone(UTC) if value.tzinfo is not None else value.replace(tzinfo=UTC)


def moment(value: datetime) -> str:
    """A time to the second, UTC."""
    return in_utc(value).strftime("%Y-%m-%d %H:%M:%S")


def shown_moment(text: str) -> str:
    """A time in RFC 3339 as ``moment`` shows it. Other text, of a file that others may write, stays as it is, up to that length."""
    try:
        return moment(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return text[:19]


def camel(name: str) -> str:
    """``step_id`` → ``stepId``."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
