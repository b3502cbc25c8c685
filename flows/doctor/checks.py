"""Which checks apply to which settings."""

from __future__ import annotations

from functools import partial
from typing import Final

from flows.doctor import input_checks, local_checks, store_checks
from flows.doctor.finding import Check
from flows.settings import Settings

_LOCAL_SECONDS: Final = 10.0
_STORE_SECONDS: Final = 15.0
_EMBEDDED_SECONDS: Final = 60.0
_INPUT_SECONDS: Final = 20.0
_LOOK: Final = "Mend what the sentence names, then run `onramp doctor` again."


def checks_of(settings: Settings) -> list[Check]:
    """All checks of these settings, in the order in which a person reads them."""
    checks = [
        Check("versions", _LOCAL_SECONDS, local_checks.check_versions, _LOOK),
        Check("data directory", _LOCAL_SECONDS, partial(local_checks.check_data_dir, settings), _LOOK),
        Check("input", _LOCAL_SECONDS, partial(local_checks.check_input, settings), _LOOK),
        Check("recovery store", _LOCAL_SECONDS, partial(local_checks.check_recovery_store, settings), _LOOK),
        Check("spool", _LOCAL_SECONDS, partial(local_checks.check_spool, settings), _LOOK),
        Check("catalog", _LOCAL_SECONDS, partial(local_checks.check_catalog, settings), _LOOK),
        Check("secret", _LOCAL_SECONDS, partial(local_checks.check_secret, settings), _LOOK),
    ]
    if settings.llm_url is not None or settings.llm_shared_model is not None or settings.llm_keep_days:
        checks.append(Check("model", _LOCAL_SECONDS, partial(local_checks.check_model, settings), _LOOK))
    if settings.kafka_brokers is not None:
        advice = input_checks.broker_advice(settings)
        checks.append(Check("broker", _INPUT_SECONDS, partial(input_checks.check_broker, settings), advice))
    if settings.event_log is not None:
        checks.append(Check("event log", _LOCAL_SECONDS, partial(input_checks.check_event_log, settings), _LOOK))
    if settings.live:
        checks.append(Check("lag", _INPUT_SECONDS, partial(input_checks.check_lag, settings), _LOOK))
    clickhouse_seconds = _EMBEDDED_SECONDS if settings.clickhouse_url is None else _STORE_SECONDS
    return [
        *checks,
        Check("Redis", _STORE_SECONDS, partial(store_checks.check_redis, settings), store_checks.REDIS_ADVICE),
        Check("ClickHouse", clickhouse_seconds, partial(store_checks.check_clickhouse, settings), store_checks.CLICKHOUSE_ADVICE),
    ]
