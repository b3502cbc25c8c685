"""What ``onramp settings`` prints: every setting, its value with secrets masked, where it came from and what it means."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import SecretStr

from flows.kafka_config import is_secret
from flows.settings import PREFIX, Settings
from sinks.masked_url import mask_url

_MASK = "***"


class SettingRow(NamedTuple):
    """One setting, fit for anybody's eyes. ``origin`` is ``default``, ``environment``, ``file`` or ``option``."""

    variable: str
    value: str
    origin: str
    description: str


def describe(settings: Settings) -> list[SettingRow]:
    """Return all settings in the order in which they are declared."""
    return [
        SettingRow(PREFIX + name.upper(), _shown(name, getattr(settings, name)), settings.origin(name), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


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
