"""Checks the addresses of the brokers; parses the librdkafka options of ``ONRAMP_KAFKA_CONFIG``, and knows which of them are secret."""

from __future__ import annotations

import json
import re
from typing import Any, Final

# A comma separates only if an option name and = follow it: values such as cipher lists contain commas.
_SEPARATOR: Final = re.compile(r"\s*(?:\n|,(?=\s*[a-z][a-z0-9._]*=))\s*")
_SECRET: Final = re.compile(r"password|secret|token|credential|jaas|\.pem$|oauthbearer\.config|private", re.IGNORECASE)
_BROKER: Final = re.compile(r"(?:(?:SASL_)?(?:PLAINTEXT|SSL)://)?(?:\[[0-9a-f:.%\w]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE)
_POSITION: Final = "the recovery store has the position, and a commit must not run ahead of it"
_DURABLE: Final = "what is written must be in all in-sync replicas, once and in order"
_KEYED: Final = ("murmur2_random", "murmur2", "consistent_random", "consistent", "fnv1a_random", "fnv1a")
_SET_BY_JOB: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "bootstrap.servers": ((), "ONRAMP_KAFKA_BROKERS names the brokers"),
    "metadata.broker.list": ((), "ONRAMP_KAFKA_BROKERS names the brokers"),
    "group.id": ((), "ONRAMP_KAFKA_GROUP and ONRAMP_ARCHIVE_GROUP name the groups"),
    "enable.auto.commit": (("false",), _POSITION),
    "enable.auto.offset.store": (("false",), _POSITION),
    "auto.offset.reset": (("error",), "messages that were deleted before they were read would be skipped without a word"),
    "enable.partition.eof": (("true",), "without the ends of partitions time stands still in idle ones"),
    "isolation.level": (("read_committed",), "events of aborted transactions would count"),
    "allow.auto.create.topics": (("false",), "a mistyped name would become an empty topic"),
    "acks": (("all", "-1"), _DURABLE),
    "request.required.acks": (("all", "-1"), _DURABLE),
    "enable.idempotence": (("true",), _DURABLE),
    "transactional.id": ((), "nothing that is written belongs to a transaction"),
    "delivery.report.only.error": ((), "what was written would never count as written"),
    "partitioner": (_KEYED, "the key decides the partition, so that the events of a user stay in order"),
}
"""The options on which guarantees rest: the values that keep them, the job's own first, and why. Another value is refused."""
_PYTHON: Final = frozenset({"logger", "on_commit", "on_delivery", "default.topic.config"})
"""Options of the Python client that are no text. A name that ends in ``_cb`` is one, too."""


def parse_kafka_config(text: Any) -> Any:
    """Return the options of a JSON object or of KEY=VALUE pairs, as strings. A value that is not text is returned unchanged.

    Raises ``ValueError``, whose reason quotes no value.
    """
    if not isinstance(text, str):
        return text
    stripped = text.strip()
    options = _from_json(stripped) if stripped.startswith("{") else _from_pairs(stripped)
    if code := sorted(name for name in options if name.endswith("_cb") or name in _PYTHON):
        raise ValueError(f"the option {code[0]} is not one of librdkafka but a Python object; remove it")
    for name, (values, why) in _SET_BY_JOB.items():
        if name in options and options[name].lower() not in values:
            raise ValueError(f"the option {name} is set by the job itself; remove it: {why}")
    return options


def check_brokers(brokers: str | None) -> str | None:
    """Return ``brokers`` if it is a list of addresses that librdkafka can use. Raises ``ValueError``, whose reason quotes no address."""
    for number, broker in enumerate(brokers.split(",") if brokers is not None else (), start=1):
        found = _BROKER.fullmatch(broker.strip())
        if found is None and "://" in broker:
            raise ValueError("brokers are host:port separated by commas, without http:// or another scheme")
        if found is None or not 0 < int(found["port"] or 9092) < 65536:
            raise ValueError(f"brokers are host:port separated by commas, and address {number} is not")
    return brokers


def is_secret(option: str) -> bool:
    """Return whether the value of a librdkafka option must not be shown."""
    return _SECRET.search(option) is not None


def _from_json(text: str) -> dict[str, str]:
    try:
        options = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not valid JSON at character {error.pos + 1}") from None
    except (RecursionError, ValueError):  # nested without end, or a number of thousands of digits
        raise ValueError("it is not a JSON object of options and their values") from None
    for name, value in options.items():
        if not isinstance(value, str | int | float | bool):
            raise ValueError(f"the option {name} must be text, a number, true or false")  # noqa: TRY004 - pydantic reports ValueError only
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in options.items()}


def _from_pairs(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for number, pair in enumerate(filter(None, _SEPARATOR.split(text)), start=1):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"entry {number} is not of the form KEY=VALUE")
        options[name.strip()] = value.strip()
    return options
