"""What can be set, how mistakes are reported, and that no secret is ever shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.model_service import model_settings
from flows.settings import PREFIX, Settings, SettingsError, load_settings
from reports.settings import SettingRow, describe
from sinks.masked_url import mask_url

SECRETS = {
    "ONRAMP_REDIS_URL": "rediss://app:hunter2@cache:6380/1",
    "ONRAMP_CLICKHOUSE_URL": "https://default:hunter2@house:8443?password=hunter2",
    "ONRAMP_SECRET": "hunter2-hunter2-hunter2",
    "ONRAMP_KAFKA_CONFIG": '{"sasl.password": "hunter2", "ssl.key.pem": "hunter2", "security.protocol": "SASL_SSL"}',
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith(PREFIX):
            monkeypatch.delenv(variable)


def rows(settings: Settings) -> dict[str, SettingRow]:
    return {row.variable: row for row in describe(settings)}


def test_with_nothing_set_everything_is_embedded() -> None:
    settings = load_settings()
    assert settings.embedded
    assert settings.data_dir == Path(".onramp")
    assert (settings.kafka_topic, settings.kafka_dead_letter_topic) == ("onboarding.events", "onboarding.events.dlq")
    assert settings.kafka_client_config() == {}
    assert {row.origin for row in describe(settings)} == {"default"}


@pytest.mark.parametrize("variable", ["ONRAMP_KAFKA_BROKERS", "ONRAMP_REDIS_URL", "ONRAMP_CLICKHOUSE_URL"])
def test_an_address_ends_the_embedded_mode_and_an_empty_one_does_not(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "")
    assert load_settings().embedded
    monkeypatch.setenv(variable, {"ONRAMP_REDIS_URL": "redis://r", "ONRAMP_CLICKHOUSE_URL": "http://c"}.get(variable, "b:9092"))
    assert not load_settings().embedded


def test_every_setting_is_described_with_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_BATCH_SIZE", "50")
    monkeypatch.setenv("ONRAMP_LOG_LEVEL", "debug")
    shown = rows(load_settings(log_level="error", data_dir=Path("elsewhere"), catalog=None))
    assert (shown["ONRAMP_BATCH_SIZE"].value, shown["ONRAMP_BATCH_SIZE"].origin) == ("50", "environment")
    assert (shown["ONRAMP_LOG_LEVEL"].value, shown["ONRAMP_LOG_LEVEL"].origin) == ("error", "option")
    assert (shown["ONRAMP_DATA_DIR"].value, shown["ONRAMP_DATA_DIR"].origin) == ("elsewhere", "option")
    assert (shown["ONRAMP_CATALOG"].value, shown["ONRAMP_CATALOG"].origin) == ("saas", "default")
    assert all(row.description.endswith(".") for row in shown.values())
    assert len(shown) == len(Settings.model_fields)


def test_no_secret_is_shown_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    settings = load_settings()
    text = repr(settings) + str(settings) + repr(describe(settings))
    assert "hunter2" not in text
    shown = rows(settings)
    assert shown["ONRAMP_REDIS_URL"].value == "rediss://app:***@cache:6380/1"
    assert shown["ONRAMP_CLICKHOUSE_URL"].value == "https://default:***@house:8443?password=***"
    assert shown["ONRAMP_SECRET"].value == "***"
    assert shown["ONRAMP_KAFKA_CONFIG"].value == "sasl.password=***, ssl.key.pem=***, security.protocol=SASL_SSL"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"security.protocol": "SSL", "enable.ssl.certificate.verification": true, "retries": 3}', ("SSL", "true", "3")),
        ("security.protocol=SSL,enable.ssl.certificate.verification=true,retries=3", ("SSL", "true", "3")),
        ("security.protocol=SSL\nenable.ssl.certificate.verification = true\n\nretries=3\n", ("SSL", "true", "3")),
    ],
)
def test_kafka_options_can_be_written_in_two_ways(monkeypatch: pytest.MonkeyPatch, text: str, expected: tuple[str, str, str]) -> None:
    monkeypatch.setenv("ONRAMP_KAFKA_BROKERS", "one:9092,two:9092")
    monkeypatch.setenv("ONRAMP_KAFKA_CONFIG", text)
    protocol, verification, retries = expected
    assert load_settings().kafka_client_config() == {
        "bootstrap.servers": "one:9092,two:9092",
        "security.protocol": protocol,
        "enable.ssl.certificate.verification": verification,
        "retries": retries,
    }


def test_commas_within_a_value_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_KAFKA_BROKERS", "b:9092")
    monkeypatch.setenv("ONRAMP_KAFKA_CONFIG", "ssl.cipher.suites=A,B,sasl.password=x=y,Z,client.id=me")
    config = load_settings().kafka_client_config()
    assert (config["ssl.cipher.suites"], config["sasl.password"], config["client.id"]) == ("A,B", "x=y,Z", "me")


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("ONRAMP_BATCH_SIZE", "0", "greater than or equal to 1"),
        ("ONRAMP_BATCH_SIZE", "many", "valid integer"),
        ("ONRAMP_EPOCH_SECONDS", "-1", "greater than or equal to 0"),
        ("ONRAMP_REDIS_TTL_HOURS", "0", "greater than 0"),
        ("ONRAMP_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("ONRAMP_LOG_JSON", "perhaps", "valid boolean"),
        ("ONRAMP_SECRET", "hunter2", "at least 16"),
        ("ONRAMP_REDIS_URL", "app:hunter2@cache:6379", "must begin with redis://"),
        ("ONRAMP_CLICKHOUSE_URL", "tcp://default:hunter2@house", "must begin with http://"),
        ("ONRAMP_CLICKHOUSE_DATABASE", "on ramp; drop", "match pattern"),
        ("ONRAMP_KAFKA_CONFIG", '{"sasl.password": "hunter2"', "not valid JSON"),
        ("ONRAMP_KAFKA_CONFIG", "hunter2", "entry 1 is not of the form KEY=VALUE"),
        ("ONRAMP_KAFKA_CONFIG", '{"sasl.password": ["hunter2"]}', "sasl.password must be text"),
        ("ONRAMP_KAFKA_CONFIG", "group.id=x", "set by the job itself"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    sentence = str(caught.value)
    assert sentence.startswith(f"{variable} cannot be used: ")
    assert complaint in sentence
    assert "hunter2" not in sentence
    assert "\n" not in sentence


def test_a_bad_option_is_named_as_it_was_typed() -> None:
    with pytest.raises(SettingsError, match=r"^--epoch-seconds cannot be used"):
        load_settings(epoch_seconds=-1)


def test_a_misspelt_variable_is_not_silently_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_KAFKA_BROKER", "b:9092")
    with pytest.raises(SettingsError, match=r"ONRAMP_KAFKA_BROKER is not a setting; did you mean ONRAMP_KAFKA_BROKERS\?"):
        load_settings()


def test_other_variables_with_the_prefix_are_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_TEST_REDIS_URL_OF_SOMEBODY", "x")
    load_settings()


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:pw@host", "redis://:***@host"),
        ("redis://user:p@ss:w/rd@host:1/0", "redis://user:***@host:1/0"),
        ("redis://user@host", "redis://user@host"),
        ("unix://:pw@/tmp/valkey.sock", "unix://:***@/tmp/valkey.sock"),
        ("http://host/?user=me&password=pw&x=1", "http://host/?user=me&password=***&x=1"),
        ("nonsense", "nonsense"),
    ],
)
def test_addresses_are_shown_without_their_password(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    "url",
    ["http://user:hunter2@host/v1", "https://hunter2@host", "http://host/v1?key=hunter2", "http://host/v1#hunter2", "http://host/ hunter2"],
)
def test_a_secret_in_the_models_address_is_refused_and_sent_to_its_own_place(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ONRAMP_LLM_URL", url)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith("ONRAMP_LLM_URL cannot be used: ")
    assert "set the key in ONRAMP_LLM_API_KEY" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://models:8000/v1", "https://host", "http://127.0.0.1:1/", "http://[::1]:8000/v1", "https://h/a/b-c/v1/"]
)
def test_an_address_that_the_settings_take_is_one_that_the_client_takes(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ONRAMP_LLM_URL", url)
    assert model_settings(load_settings()).base_url == url
