"""All settings, in one typed object. Each is the variable ``ONRAMP_`` and the field's name.

Other modules read these variables only where there are no settings yet: ``flows.failures.debugging`` and ``flows.logs.logs_are_json``.

A setting that may hold a secret can be read from a file instead: its variable with ``_FILE`` at the end names the file.

If none of ``kafka_brokers``, ``event_log``, ``redis_url`` and ``clickhouse_url`` is set, everything runs embedded.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from flows.kafka_config import check_brokers, parse_kafka_config
from flows.listen_address import split_address
from flows.processes import Processes, parse_addresses, parse_number
from flows.secret_files import FILE_SUFFIX, SecretFileError, read_secret
from sinks.clickhouse.address import DATABASE_NAME, parse_clickhouse_address
from sinks.clickhouse.row_ages import KEPT_CALLS, parse_retention
from sinks.redis.address import parse_redis_address
from sources.s3.location import Location, place_of
from state.value_complaint import complaint

PREFIX: Final = "ONRAMP_"

_FORBIDDEN_IN_LLM_URL: Final = re.compile(r"[@?#\s]")
"""Characters of URL parts that may hold a secret. The address of the model server is shown and logged, so it may have none of them."""

MOST_SINK_PARTITIONS: Final = 10
_BOUNDED_FILES: Final = 8
_PATTERNS: Final = {"clickhouse_database": "a name of letters, digits and _ that begins with no digit (at most 64 characters)"}
"""In words, the pattern of each setting that has one."""

LogLevel = Literal["debug", "info", "warning", "error"]


def _none(value: Any) -> Any:
    """None for the word ``none``: an empty variable means the default."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


def _checked_address(address: str | None) -> str | None:
    if address is not None:
        split_address(address)
    return address


def _checked_collector(url: str | None) -> str | None:
    if url is not None and not (url.startswith(("http://", "https://")) and _is_an_address(url) and not _FORBIDDEN_IN_LLM_URL.search(url)):
        raise ValueError("the address must begin with http:// or https://, name a host, and have no user, password or query")
    return url


class SettingsError(Exception):
    """A value is not valid. The text is one sentence that names the variable and quotes no secret."""


class Settings(BaseSettings):
    """The settings in force. Frozen; ``load_settings`` makes one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    _given: frozenset[str] = PrivateAttr(default=frozenset())
    _from_file: frozenset[str] = PrivateAttr(default=frozenset())

    kafka_brokers: Annotated[str | None, AfterValidator(check_brokers)] = Field(
        default=None,
        min_length=1,
        description="Kafka bootstrap servers, host:port separated by commas. Unset: the job reads the event log, or a file.",
    )
    kafka_topic: str = Field(default="onboarding.events", min_length=1, max_length=249, description="Topic of behaviour events.")
    kafka_group: str = Field(
        default="onramp", min_length=1, description="Consumer group to which the job commits its offsets; lag tools read them."
    )
    kafka_dead_letter_topic: str = Field(
        default="onboarding.events.dlq", min_length=1, max_length=249, description="Topic for messages that are not valid events."
    )
    kafka_config: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(parse_kafka_config)] = Field(
        default_factory=dict,
        description="Options for librdkafka (TLS, SASL): a JSON object, or KEY=VALUE pairs separated by commas or line breaks. One that "
        "would break a guarantee is refused.",
    )
    kafka_accept_gap: bool = Field(
        default=False,
        description="If the messages after the last position are gone, or the topic was created again, continue at the earliest message. "
        "False: refuse to start.",
    )
    event_log: Path | None = Field(
        default=None,
        description="Directory of the local event log, which the gateway writes and the job reads, in place of Kafka. Unset: none.",
    )
    event_log_max_mb: int = Field(
        default=10_240, ge=1, description="Megabytes of the event log. Beyond, the oldest events are deleted, also those that nobody read."
    )
    event_log_max_days: float = Field(
        default=7.0, gt=0, le=36_500, description="Days until an event is deleted from the event log, also if nobody read it."
    )
    event_log_accept_gap: bool = Field(
        default=False,
        description="If the events after the last position are gone from the log, continue at the earliest. False: refuse to start.",
    )
    archive_dir: Annotated[Path | Location | None, BeforeValidator(place_of)] = Field(
        default=None,
        description="Directory, or s3://BUCKET/PLACE, in which `onramp archive` keeps the log as Parquet files. Unset: archive/ in the "
        "data directory.",
    )
    archive_group: str = Field(
        default="onramp-archive", min_length=1, description="Consumer group of the archive on Kafka, which is not the job's."
    )
    archive_file_mb: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Megabytes of messages after which the archive ends a file; it holds four times as much in memory.",
    )
    archive_file_seconds: float = Field(
        default=600.0, gt=0, le=86_400, description="Seconds after which the archive ends a file, though it is small."
    )
    archive_accept_gap: bool = Field(
        default=False,
        description="If messages were deleted before they were archived, go on at the earliest, with a gap. False: refuse to start.",
    )
    archive_metrics_address: Annotated[str | None, AfterValidator(_checked_address)] = Field(
        default=None,
        description="Address on which `onramp archive` serves /metrics, /health and /ready; not that of the job. Unset: not served.",
    )
    schema_registry_url: SecretStr | None = Field(
        default=None,
        description="Schema registry, http://user:password@host:8081, for JSON Schema, Avro, Protobuf. Unset: messages with its framing "
        "are rejected.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis or Valkey, redis://user:password@host:6379/0, rediss:// for TLS; also redis+cluster:// and redis+sentinel://. "
        "Unset: embedded Valkey.",
    )
    redis_ttl_hours: float = Field(
        default=24.0, gt=0, le=24 * 365, description="Hours until a recommendation expires in Redis after it was written."
    )
    redis_give_up_seconds: float = Field(
        default=300.0,
        ge=0,
        description="Seconds without Redis until the job exits. Five minutes outlast a failover; a longer outage needs an operator.",
    )
    clickhouse_url: SecretStr | None = Field(
        default=None,
        description="ClickHouse over HTTP, http://user:password@host:8123/path, https:// for TLS. Unset: embedded (chdb).",
    )
    clickhouse_database: str = Field(default="onramp", pattern=DATABASE_NAME, description="ClickHouse database.")
    clickhouse_retention_days: Annotated[dict[str, int], NoDecode, BeforeValidator(parse_retention)] = Field(
        default_factory=dict,
        description="Days until ClickHouse deletes rows, by table, like events=90,dead_letters=30. A table that is not named keeps all.",
    )
    secret: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Key of all ids, at least 16 characters, the same for every process and run. With another key all users are new users.",
    )
    signing_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Key that signs recommendation ids, at least 16 characters, the same for every process. Unset: ONRAMP_SECRET signs.",
    )
    signing_key_previous: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Signing key until the last change: ids signed with it still count. The first time that is the value of ONRAMP_SECRET.",
    )
    catalog: str = Field(
        default="saas",
        min_length=1,
        description="Catalog: the name of a built-in one, a YAML file, or a directory of such files, each for some tenants.",
    )
    data_dir: Path = Field(default=Path(".onramp"), description="Directory for all data on this machine.")
    epoch_seconds: float = Field(
        default=5.0,
        ge=0,
        le=3600,
        description="Seconds between two snapshots. A crash repeats up to this much work; each snapshot pauses the job.",
    )
    batch_size: int = Field(default=1000, ge=1, le=100_000, description="Largest number of messages in one batch of the input.")
    recovery_partitions: int = Field(
        default=32,
        ge=1,
        le=4096,
        description="Files of the recovery store, fixed when it is created. With more, a job with a million users resumes faster; with "
        "fewer, the start is faster and the pause at a snapshot shorter. If unset, a job that reads a file or a pipe has 8.",
    )
    sink_partitions: int = Field(
        default=1, ge=1, le=MOST_SINK_PARTITIONS, description="Workers that can write to one sink at the same time."
    )
    process_addresses: Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_addresses)] = Field(
        default=(),
        description="Addresses of all processes of the job, host:port separated by commas, the same list for each. Unset: one process.",
    )
    process: Annotated[int, BeforeValidator(parse_number)] = Field(
        default=0,
        ge=0,
        description="Number of this process in that list, from 0; or a name that ends in it, like that of a pod. The first one keeps "
        "recovery store and spool.",
    )
    spool_max_mb: int = Field(
        default=2048,
        ge=1,
        description="Megabytes of rows kept on disk while ClickHouse is unavailable. When they are full, the job stops reading its input.",
    )
    llm_url: SecretStr | None = Field(
        default=None,
        description="OpenAI-compatible model server, like http://models:8000/v1. Unset: users read the catalog's templates.",
    )
    llm_api_key: SecretStr | None = Field(default=None, description="API key of the model server. Unset: none is sent.")
    llm_model: str = Field(default="default", min_length=1, max_length=200, description="Name of the model on the model server.")
    llm_shared_model: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Name of another model for the texts that all users of a place share, like a cheaper one. Unset: one model words all.",
    )
    llm_shared_url: SecretStr | None = Field(
        default=None, description="Model server of ONRAMP_LLM_SHARED_MODEL. Unset: ONRAMP_LLM_URL, with its key."
    )
    llm_shared_api_key: SecretStr | None = Field(
        default=None, description="API key for ONRAMP_LLM_SHARED_MODEL. Unset: on ONRAMP_LLM_URL its key, on a server of its own none."
    )
    llm_timeout_seconds: float = Field(
        default=8.0, gt=0, le=300, description="Timeout of one call in seconds, retries included. The app shows the template meanwhile."
    )
    llm_temperature: Annotated[float | None, BeforeValidator(_none)] = Field(
        default=0.3, ge=0, le=2, description="Temperature of the model. `none` leaves the field out: some models refuse it."
    )
    llm_max_output_tokens: int = Field(
        default=400, ge=16, le=8192, description="Limit on the output tokens of an answer. Models that think before they answer need more."
    )
    llm_output_limit_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="Name of the field for that limit: max_tokens, or max_completion_tokens for some newer models."
    )
    llm_in_flight: int = Field(default=64, ge=1, le=10_000, description="Largest number of model calls in flight, for each process.")
    llm_most_pending: int = Field(
        default=1_000,
        ge=1,
        le=1_000_000,
        description="Largest number of decisions of a process that wait for a text. Further decisions keep their template.",
    )
    llm_calls_per_second: float = Field(default=20.0, gt=0, le=100_000, description="Model calls a second of this process, on average.")
    llm_daily_tokens: int = Field(
        default=5_000_000, ge=0, description="Tokens a tenant may use a day for texts that are shared by all users."
    )
    llm_daily_dollars: float = Field(default=5.0, ge=0, le=1_000_000, description="Dollars a tenant may spend a day on shared texts.")
    llm_personal_share: float = Field(
        default=0.4,
        ge=0,
        le=100,
        description="Daily budget for texts about one user, in addition: this share of the two limits for shared texts.",
    )
    llm_alert_share: float = Field(default=0.8, gt=0, le=1, description="Share of a daily budget at which a warning is logged.")
    llm_input_price: float = Field(default=0.0, ge=0, le=10_000, description="Price in dollars of a million input tokens.")
    llm_output_price: float = Field(default=0.0, ge=0, le=10_000, description="Price in dollars of a million output tokens.")
    llm_shared_input_price: float | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="Price in dollars of a million input tokens of ONRAMP_LLM_SHARED_MODEL. Unset: ONRAMP_LLM_INPUT_PRICE.",
    )
    llm_shared_output_price: float | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="Price in dollars of a million output tokens of ONRAMP_LLM_SHARED_MODEL. Unset: ONRAMP_LLM_OUTPUT_PRICE.",
    )
    llm_keep_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="Days for which ClickHouse keeps the prompts of all calls and the rejected answers, for `onramp dlq --model`. 0: none.",
    )
    gateway_host: str = Field(
        default="127.0.0.1", min_length=1, max_length=255, description="Address on which the gateway listens; 0.0.0.0 for all networks."
    )
    gateway_port: int = Field(default=8080, ge=0, le=65_535, description="Port of the gateway; 0 takes a free one.")
    gateway_events_per_second: float = Field(
        default=5_000.0,
        gt=0,
        le=1_000_000,
        description="Events a second that the gateway takes from one key, on average; twice as many at once. Beyond, it answers 429.",
    )
    gateway_events_per_day: Annotated[int | None, BeforeValidator(_none)] = Field(
        default=None,
        ge=1,
        le=1_000_000_000_000,
        description="Events a day (UTC) that gateways take from one tenant, counted in Redis. Beyond, they answer 429. Unset: no quota.",
    )
    gateway_acknowledge_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds that a request waits for the log to store its events. Then it is answered with 503, and the app sends again.",
    )
    metrics_address: Annotated[str | None, AfterValidator(_checked_address)] = Field(
        default=None,
        description="Address on which the job serves /metrics, /health and /ready, like 127.0.0.1:9464, no password. Unset: not served.",
    )
    otlp_url: Annotated[str | None, AfterValidator(_checked_collector)] = Field(
        default=None,
        description="OpenTelemetry collector to send spans to (OTLP over HTTP), like http://127.0.0.1:4318. Unset: no spans.",
    )
    lag_amber_seconds: float = Field(
        default=15.0,
        ge=0,
        le=86_400,
        description="Lag in seconds from which `onramp lag` is amber. A job commits once an epoch, so a few epochs are normal.",
    )
    lag_red_seconds: float = Field(
        default=60.0, ge=0, le=864_000, description="Lag in seconds from which `onramp lag` is red, and the job is not ready (/ready)."
    )
    data_loss_red_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="`onramp lag` is red if less than this share of the retention is left for unread messages, amber below twice it.",
    )
    log_level: LogLevel = Field(
        default="info", description="Lowest level of the log lines that are written: debug, info, warning or error."
    )
    log_json: bool = Field(default=False, description="Log one JSON object a line instead of text.")

    @field_validator("llm_api_key", "llm_shared_api_key")
    @classmethod
    def _fits_into_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value().strip() if key is not None else ""
        if not (text.isascii() and text.isprintable() and " " not in text):
            raise ValueError("the key must be printable ASCII characters without spaces")
        return SecretStr(text) if text else None

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parse_redis_address(url.get_secret_value())
        return url

    @field_validator("clickhouse_url")
    @classmethod
    def _is_a_clickhouse_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            database = parse_clickhouse_address(url.get_secret_value()).database
            if database is not None and re.search(DATABASE_NAME, database) is None:
                raise ValueError("the name of the database must be made of at most 64 letters, digits and underscores")
        return url

    @field_validator("llm_url", "llm_shared_url")
    @classmethod
    def _is_a_model_address(cls, url: SecretStr | None, about: ValidationInfo) -> SecretStr | None:
        if url is None:
            return None
        text = url.get_secret_value()
        if not text.startswith(("http://", "https://")):
            raise ValueError("the address must begin with http:// or https://")
        if _FORBIDDEN_IN_LLM_URL.search(text):
            key = PREFIX + str(about.field_name).replace("url", "api_key").upper()
            raise ValueError(f"the address must not contain a user, password, query, fragment or space; set the key in {key}")
        if not (_is_an_address(text) and _is_taken_by_the_client(text)):
            raise ValueError("the address has no valid host or no valid port, or holds an invisible character")
        return url

    @field_validator("schema_registry_url")
    @classmethod
    def _is_a_registry_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not (url.get_secret_value().startswith(("http://", "https://")) and _is_an_address(url.get_secret_value())):
            raise ValueError("the address must begin with http:// or https:// and name a host")
        return url

    @model_validator(mode="after")
    def _has_one_input(self) -> Settings:
        if self.kafka_brokers is not None and self.event_log is not None:
            raise ValueError("ONRAMP_KAFKA_BROKERS and ONRAMP_EVENT_LOG are both set, and events come from one of them; remove the other")
        return self

    @model_validator(mode="after")
    def _keys_and_databases_agree(self) -> Settings:
        if self.signing_key_previous is not None and self.signing_key is None:
            raise ValueError("ONRAMP_SIGNING_KEY_PREVIOUS needs ONRAMP_SIGNING_KEY, the key that signs now")
        of_url = parse_clickhouse_address(self.clickhouse_url.get_secret_value()).database if self.clickhouse_url is not None else None
        if of_url is not None and "clickhouse_database" in self.model_fields_set and of_url != self.clickhouse_database:
            raise ValueError("ONRAMP_CLICKHOUSE_DATABASE and the address in ONRAMP_CLICKHOUSE_URL name different databases; leave one out")
        return self

    @model_validator(mode="after")
    def _the_model_for_shared_texts_has_a_name(self) -> Settings:
        if self.llm_shared_model is None:
            of_it = ("llm_shared_url", "llm_shared_api_key", "llm_shared_input_price", "llm_shared_output_price")
            if alone := [PREFIX + name.upper() for name in of_it if getattr(self, name) is not None]:
                raise ValueError(f"{alone[0]} needs ONRAMP_LLM_SHARED_MODEL, the name of the model for shared texts")
        return self

    @model_validator(mode="after")
    def _processes_share_what_they_need(self) -> Settings:
        if not self.process_addresses:
            if self.process:
                raise ValueError("ONRAMP_PROCESS counts the addresses of ONRAMP_PROCESS_ADDRESSES, which is not set")
            return self
        if self.process >= len(self.process_addresses):
            most = len(self.process_addresses) - 1
            raise ValueError(f"ONRAMP_PROCESS is {self.process}, and ONRAMP_PROCESS_ADDRESSES has only the processes 0 to {most}")
        needed = ("kafka_brokers", "redis_url", "clickhouse_url", "secret")
        if missing := [PREFIX + name.upper() for name in needed if getattr(self, name) is None]:
            too = f"{', '.join(missing)} too, the same for each of them"
            raise ValueError(f"ONRAMP_PROCESS_ADDRESSES is set, and a job of several processes needs {too}")
        return self

    def processes(self) -> Processes:
        """Return the processes of the job, and which of them this one is."""
        return Processes(self.process, self.process_addresses)

    def database(self) -> str:
        """Return the ClickHouse database: of its own setting, or else of the address."""
        of_url = parse_clickhouse_address(self.clickhouse_url.get_secret_value()).database if self.clickhouse_url is not None else None
        return self.clickhouse_database if of_url is None else of_url

    def retention_days(self) -> dict[str, int]:
        """Return table → days until ClickHouse deletes its rows, calls of a model included where they are kept."""
        return {**self.clickhouse_retention_days, **({KEPT_CALLS: self.llm_keep_days} if self.llm_keep_days else {})}

    def redis_address(self) -> str | None:
        """Return ``redis_url`` as text, its password included: do not print it. None where Redis is embedded."""
        return self.redis_url.get_secret_value() if self.redis_url is not None else None

    def secret_text(self) -> str | None:
        """Return ``secret`` as text: do not print it. None where it is not set."""
        return self.secret.get_secret_value() if self.secret is not None else None

    def signing_keys(self) -> list[bytes]:
        """Return the keys of recommendation ids, the one that signs first; empty where ``secret`` signs."""
        keys = (self.signing_key, self.signing_key_previous)
        return [key.get_secret_value().encode() for key in keys if key is not None]

    @property
    def embedded(self) -> bool:
        """Whether neither a server nor the event log is set, so that everything runs embedded, on files."""
        return self.kafka_brokers is None and self.event_log is None and self.redis_url is None and self.clickhouse_url is None

    def recovery_files(self, *, bounded: bool) -> int:
        """Return ``recovery_partitions``, or the default for an input that ends.

        With 8 files instead of 32 the engine reads 0.1 s sooner (``python -m benchmarks.run_file --only recovery``).
        """
        return _BOUNDED_FILES if bounded and self.origin("recovery_partitions") == "default" else self.recovery_partitions

    @property
    def live(self) -> bool:
        """Whether the settings name an input without an end: Kafka or the event log."""
        return self.kafka_brokers is not None or self.event_log is not None

    def kafka_client_config(self) -> dict[str, str]:
        """Return the librdkafka configuration, brokers and secrets included: do not print it. Empty without brokers."""
        if self.kafka_brokers is None:
            return {}
        return {"bootstrap.servers": self.kafka_brokers, **{key: value.get_secret_value() for key, value in self.kafka_config.items()}}

    def origin(self, name: str) -> Literal["default", "environment", "file", "option"]:
        """Return where the value of a field comes from."""
        if name in self._given:
            return "option"
        if name in self._from_file:
            return "file"
        return "environment" if name in self.model_fields_set else "default"


def _is_an_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return bool(parts.hostname) and port != 0 and url.isprintable()


def _is_taken_by_the_client(url: str) -> bool:
    import httpx2  # noqa: PLC0415 - only where a model is set, so that --help is instant

    try:
        httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):  # hosts that no name server would take, for one
        return False
    return True


def load_settings(**options: Any) -> Settings:
    """Read the environment. ``options`` of the command line override it; None means not given.

    Raises ``SettingsError`` for a value that is not valid, and for a variable whose name looks misspelt.
    """
    given = {name: value for name, value in options.items() if value is not None}
    from_files = _read_files(given)
    try:
        settings = Settings(**from_files, **given)
    except ValidationError as error:
        raise SettingsError(_sentence(error, given, from_files)) from None  # the original could show parts of a secret
    for variable in os.environ:
        if variable.startswith(PREFIX):
            _refuse_misspelt(variable)
    settings._given = frozenset(given)  # noqa: SLF001 - the constructor takes settings only
    settings._from_file = frozenset(from_files)  # noqa: SLF001
    return settings


def secret_settings() -> list[str]:
    """Return the fields that may hold a secret, in their order: each can be read from a file."""
    return [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]


def known_variables() -> list[str]:
    """Return the names of all variables that are read."""
    return [
        *(PREFIX + name.upper() for name in Settings.model_fields),
        *(PREFIX + name.upper() + FILE_SUFFIX for name in secret_settings()),
    ]


def _read_files(given: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in secret_settings():
        variable = PREFIX + name.upper()
        path = os.environ.get(variable + FILE_SUFFIX)
        if not path:
            continue
        if os.environ.get(variable):
            raise SettingsError(f"{variable} and {variable + FILE_SUFFIX} are both set; remove one of them.")
        if name in given:
            continue
        try:
            found[name] = read_secret(Path(path))
        except SecretFileError as error:
            raise SettingsError(f"{variable + FILE_SUFFIX} cannot be used: {error}.") from None
    return found


def _sentence(error: ValidationError, given: dict[str, Any], from_files: dict[str, Any]) -> str:
    first, *others = error.errors(include_url=False)
    more = f" ({len(others)} more after it)" if others else ""
    name = str(first["loc"][0]) if first["loc"] else ""
    said = _complaint(name, first)
    if not name:
        return f"{said}{more}."  # about several settings, which it names
    where = f"--{name.replace('_', '-')}" if name in given else PREFIX + name.upper() + (FILE_SUFFIX if name in from_files else "")
    return f"{where} cannot be used: {said}{more}."


def _complaint(name: str, error: Any) -> str:
    """What is wrong with the setting ``name``. Only a number, a switch or one of some words is repeated: all others may hold a secret."""
    if error["type"] == "string_pattern_mismatch":
        return f"it must be {_PATTERNS[name]}"
    field = Settings.model_fields.get(name)
    quotable = field is not None and field.annotation in {int, float, bool, LogLevel}
    return complaint(error if quotable else {**error, "input": None})


def _refuse_misspelt(variable: str) -> None:
    known = known_variables()
    if variable in known:
        return
    if variable.removesuffix(FILE_SUFFIX) in known:
        raise SettingsError(f"{variable} is not a setting: only settings that may hold a secret are read from files.")
    if close := difflib.get_close_matches(variable, known, n=1, cutoff=0.9):
        raise SettingsError(f"{variable} is not a setting; did you mean {close[0]}?")
