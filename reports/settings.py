"""What ``onramp settings`` prints: every setting, its value with secrets masked, where it came from and what it means."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import SecretStr

from flows.kafka_config import is_secret
from flows.settings import PREFIX, Settings
from sinks.masked_url import mask_url

_MASK = "***"


class SettingRow(NamedTuple):
    """One setting, fit for anybody's eyes. ``origin`` is ``default``, ``environment``, ``file``, ``option`` or ``data directory``."""

    variable: str
    value: str
    origin: str
    description: str


def describe(loaded: Settings, of_job: Settings | None = None) -> list[SettingRow]:
    """Return all settings in the order in which they are declared. What ``of_job`` has in place of ``loaded`` is from the directory."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(of_job or loaded, name)
        origin = loaded.origin(name) if value == getattr(loaded, name) else "data directory"
        rows.append(SettingRow(PREFIX + name.upper(), _shown(name, value), origin, field.description or ""))
    return rows


def _shown(name: str, value: object) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, dict):
        return ", ".join(f"{option}={_MASK if is_secret(option) else _plain(each)}" for option, each in value.items()) or "(none)"
    if isinstance(value, SecretStr):
        return mask_url(value.get_secret_value()) if name.endswith("_url") else _MASK
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
