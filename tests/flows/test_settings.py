"""What can be set, how mistakes are reported, and that no secret is ever shown."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from flows.model_service import model_settings
from flows.settings import PREFIX, Settings, SettingsError, load_settings, secret_settings
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


@pytest.mark.parametrize("variable", ["ONRAMP_KAFKA_BROKERS", "ONRAMP_EVENT_LOG", "ONRAMP_REDIS_URL", "ONRAMP_CLICKHOUSE_URL"])
def test_an_address_ends_the_embedded_mode_and_an_empty_one_does_not(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "")
    assert load_settings().embedded
    monkeypatch.setenv(variable, {"ONRAMP_REDIS_URL": "redis://r", "ONRAMP_CLICKHOUSE_URL": "http://c"}.get(variable, "b:9092"))
    assert not load_settings().embedded


def test_events_come_from_kafka_or_from_the_event_log_and_not_from_both(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load_settings().live
    assert load_settings(kafka_brokers="b:9092").live
    monkeypatch.setenv("ONRAMP_EVENT_LOG", "events")
    settings = load_settings()
    assert settings.live
    assert settings.event_log == Path("events")
    with pytest.raises(SettingsError, match="ONRAMP_KAFKA_BROKERS and ONRAMP_EVENT_LOG are both set, and events come from one of them"):
        load_settings(kafka_brokers="b:9092")


def test_a_job_on_a_file_has_fewer_files_of_the_recovery_store_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().recovery_files(bounded=False) == 32
    assert load_settings().recovery_files(bounded=True) == 8
    monkeypatch.setenv("ONRAMP_RECOVERY_PARTITIONS", "32")
    assert load_settings().recovery_files(bounded=True) == 32


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


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        ("auto.offset.reset=latest", "messages that were deleted before they were read would be skipped without a word"),
        ("auto.offset.reset=earliest", "messages that were deleted before they were read would be skipped without a word"),
        ("enable.auto.commit=true", "a commit must not run ahead of it"),
        ("enable.auto.offset.store=true", "a commit must not run ahead of it"),
        ("enable.partition.eof=false", "time stands still in idle ones"),
        ("isolation.level=read_uncommitted", "events of aborted transactions would count"),
        ("allow.auto.create.topics=true", "a mistyped name would become an empty topic"),
        ("acks=1", "must be in all in-sync replicas"),
        ("request.required.acks=1", "must be in all in-sync replicas"),
        ("enable.idempotence=false", "once and in order"),
        ("transactional.id=mine", "belongs to a transaction"),
        ("delivery.report.only.error=true", "would never count as written"),
        ("delivery.report.only.error=false", "would never count as written"),
        ("partitioner=random", "so that the events of a user stay in order"),
        ("group.id=mine", "ONRAMP_KAFKA_GROUP"),
        ("bootstrap.servers=b:9092", "ONRAMP_KAFKA_BROKERS"),
        ("metadata.broker.list=b:9092", "ONRAMP_KAFKA_BROKERS"),
    ],
)
def test_an_option_that_would_break_a_guarantee_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch, pair: str, why: str) -> None:
    monkeypatch.setenv("ONRAMP_KAFKA_CONFIG", f"security.protocol=SSL,{pair}")
    with pytest.raises(
        SettingsError, match=rf"the option {re.escape(pair.partition('=')[0])} is set by the job itself; remove it: .*{why}"
    ):
        load_settings()


@pytest.mark.parametrize("name", ["error_cb", "logger", "on_delivery"])
def test_an_option_that_is_a_python_object_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ONRAMP_KAFKA_CONFIG", f"{name}=print")
    with pytest.raises(SettingsError, match=f"the option {name} is not one of librdkafka but a Python object; remove it"):
        load_settings()


@pytest.mark.parametrize(
    "pair",
    ["acks=all", "acks=-1", "enable.idempotence=true", "isolation.level=read_committed", "enable.auto.commit=False", "partitioner=murmur2"],
)
def test_an_option_that_says_what_the_job_does_anyway_is_accepted(monkeypatch: pytest.MonkeyPatch, pair: str) -> None:
    monkeypatch.setenv("ONRAMP_KAFKA_CONFIG", pair)
    assert list(load_settings().kafka_config) == [pair.partition("=")[0]]


def test_commas_within_a_value_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_KAFKA_BROKERS", "b:9092")
    monkeypatch.setenv("ONRAMP_KAFKA_CONFIG", "ssl.cipher.suites=A,B,sasl.password=x=y,Z,client.id=me")
    config = load_settings().kafka_client_config()
    assert (config["ssl.cipher.suites"], config["sasl.password"], config["client.id"]) == ("A,B", "x=y,Z", "me")


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("ONRAMP_BATCH_SIZE", "0", "it must be at least 1, not '0'"),
        ("ONRAMP_BATCH_SIZE", "many", "it needs a whole number, not 'many'"),
        ("ONRAMP_EPOCH_SECONDS", "-1", "it must be at least 0, not '-1'"),
        ("ONRAMP_REDIS_TTL_HOURS", "0", "it must be more than 0, not '0'"),
        ("ONRAMP_LOG_LEVEL", "loud", "it must be one of debug, info, warning, error, not 'loud'"),
        ("ONRAMP_LOG_JSON", "perhaps", "it needs true or false, not 'perhaps'"),
        ("ONRAMP_SECRET", "hunter2", "it must have at least 16 characters, not 7"),
        ("ONRAMP_REDIS_URL", "app:hunter2@cache:6379", "must begin with redis://"),
        ("ONRAMP_CLICKHOUSE_URL", "tcp://default:hunter2@house", "must begin with http://"),
        ("ONRAMP_CLICKHOUSE_DATABASE", "on ramp; drop", "letters, digits and _"),
        ("ONRAMP_KAFKA_BROKERS", "http://kafka:9092", "brokers are host:port separated by commas, without http://"),
        ("ONRAMP_KAFKA_BROKERS", "one:9092,two:many", "address 2 is not"),
        ("ONRAMP_KAFKA_BROKERS", "one:9092,", "address 2 is not"),
        ("ONRAMP_KAFKA_BROKERS", "kafka:99999", "address 1 is not"),
        ("ONRAMP_KAFKA_BROKERS", "user:hunter2@kafka:9092", "address 1 is not"),
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


@pytest.mark.parametrize("brokers", ["kafka", "one:9092, two:9093", "SASL_SSL://a-b.example:9092", "10.0.0.1:1,[::1]:65535"])
def test_every_kind_of_address_that_kafka_s_client_reads_is_taken(brokers: str) -> None:
    assert load_settings(kafka_brokers=brokers).kafka_brokers == brokers


@pytest.mark.parametrize("value", ["", "x", "-1", "1e99", "nan", "9" * 30, "x" * 500, "a b"])
def test_no_complaint_is_in_the_words_of_a_library(value: str) -> None:
    complaints = [said for name in Settings.model_fields if (said := _complaint(name, value))]
    assert len(complaints) >= 3
    assert not [said for said in complaints if re.search("input|string|valid integer|parse|items|pattern|should", said, re.IGNORECASE)]


def _complaint(name: str, value: str) -> str:
    try:
        load_settings(**{name: value})
    except SettingsError as error:
        return str(error).partition(" cannot be used: ")[2]
    return ""


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


def test_the_address_of_the_model_for_shared_texts_is_checked_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_LLM_SHARED_MODEL", "small")
    monkeypatch.setenv("ONRAMP_LLM_SHARED_URL", "http://user:hunter2@host/v1")
    with pytest.raises(SettingsError, match=r"^ONRAMP_LLM_SHARED_URL cannot be used: .* set the key in ONRAMP_LLM_SHARED_API_KEY\.$"):
        load_settings()


@pytest.mark.parametrize("host", ["\x00", "models\x7f", "\u2603.example", "mod\u200bels", "[::1", "models:99999", ""])
def test_a_model_address_that_no_client_takes_is_refused_at_once(host: str) -> None:
    with pytest.raises(SettingsError, match="the address has no valid host or no valid port, or holds an invisible character"):
        load_settings(llm_url=f"http://{host}/v1")


@pytest.mark.parametrize(("given", "temperature"), [("none", None), (" None ", None), ("0", 0.0), ("1.5", 1.5), ("", 0.3)])
def test_no_temperature_is_a_word(monkeypatch: pytest.MonkeyPatch, given: str, temperature: float | None) -> None:
    monkeypatch.setenv("ONRAMP_LLM_URL", "http://models/v1")
    monkeypatch.setenv("ONRAMP_LLM_TEMPERATURE", given)
    assert model_settings(load_settings()).temperature == temperature


@pytest.mark.parametrize("given", ["warm", "-1", "2.5", "nan"])
def test_another_temperature_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("ONRAMP_LLM_TEMPERATURE", given)
    with pytest.raises(SettingsError, match=r"^ONRAMP_LLM_TEMPERATURE cannot be used: "):
        load_settings()


@pytest.mark.parametrize(("given", "key"), [("hunter2\n", "hunter2"), (" hunter2 ", "hunter2"), (" ", "")])
def test_blanks_around_the_models_key_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch, given: str, key: str) -> None:
    monkeypatch.setenv("ONRAMP_LLM_URL", "http://models/v1")
    monkeypatch.setenv("ONRAMP_LLM_API_KEY", given)
    assert model_settings(load_settings()).api_key.get_secret_value() == key


@pytest.mark.parametrize("given", ["hunter2\nhunter2", "hunter\u00b2", "hunter 2"])
def test_a_key_that_no_header_can_carry_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("ONRAMP_LLM_API_KEY", given)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == "ONRAMP_LLM_API_KEY cannot be used: the key must be printable ASCII characters without spaces."


@pytest.mark.parametrize(
    "url", ["http://models:8000/v1", "https://host", "http://127.0.0.1:1/", "http://[::1]:8000/v1", "https://h/a/b-c/v1/"]
)
def test_an_address_that_the_settings_take_is_one_that_the_client_takes(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ONRAMP_LLM_URL", url)
    assert model_settings(load_settings()).base_url == url


# ------------------------------------------------------------------------------------------------------------- secrets from files

VALUES = {
    "kafka_config": "sasl.password=hunter2",
    "schema_registry_url": "http://u:hunter2@registry:8081",
    "redis_url": "redis://:hunter2@cache:6379/0",
    "clickhouse_url": "http://u:hunter2@house:8123",
    "secret": "hunter2-hunter2-hunter2",
    "signing_key": "hunter2-hunter2-hunter2",
    "signing_key_previous": "hunter2-hunter2-hunter2",
    "llm_url": "http://models:8000/v1",
    "llm_api_key": "hunter2",
    "llm_shared_url": "http://small-models:8000/v1",
    "llm_shared_api_key": "hunter2",
}


def test_every_setting_that_may_hold_a_secret_is_known() -> None:
    assert secret_settings() == list(VALUES)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_each_can_be_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, end: str) -> None:
    monkeypatch.setenv("ONRAMP_SIGNING_KEY", "a key of sixteen or more" if name == "signing_key_previous" else "")
    monkeypatch.setenv("ONRAMP_LLM_SHARED_MODEL", "small" if "shared" in name else "")
    variable = PREFIX + name.upper()
    (tmp_path / "secret").write_bytes((VALUES[name] + end).encode())
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "secret"))
    from_file = load_settings()
    assert rows(from_file)[variable].origin == "file"
    assert "hunter2" not in repr(describe(from_file))
    monkeypatch.delenv(f"{variable}_FILE")
    monkeypatch.setenv(variable, VALUES[name])
    assert getattr(from_file, name) == getattr(load_settings(), name)


def test_a_variable_and_its_file_are_a_contradiction(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONRAMP_SECRET", "hunter2-hunter2-hunter2")
    monkeypatch.setenv("ONRAMP_SECRET_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError, match=r"^ONRAMP_SECRET and ONRAMP_SECRET_FILE are both set; remove one of them\.$"):
        load_settings()


def test_an_option_of_the_command_line_comes_before_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://in-the-file")
    monkeypatch.setenv("ONRAMP_LLM_URL_FILE", str(tmp_path / "url"))
    settings = load_settings(llm_url="http://on-the-line")
    assert (settings.origin("llm_url"), model_settings(settings).base_url) == ("option", "http://on-the-line")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"hunter2-hunter2-\xff\xfe", "is not UTF-8 text"),
        (b"hunter2-hunter2-\0", "is not text"),
        (b"hunter2" * 10_000, "is longer than 65536 bytes"),
        (b"hunter2", "at least 16"),
    ],
)
def test_a_file_without_a_secret_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("ONRAMP_SECRET_FILE", str(path))
    with pytest.raises(SettingsError) as caught:
        load_settings()
    sentence = str(caught.value)
    assert sentence.startswith("ONRAMP_SECRET_FILE cannot be used: ")
    assert complaint in sentence
    assert "hunter2" not in sentence
    assert sentence.count("\n") == 0


def test_a_directory_is_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONRAMP_SECRET_FILE", str(tmp_path))
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()


def test_a_file_for_what_is_no_secret_is_not_silently_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_KAFKA_BROKERS_FILE", "/x")
    with pytest.raises(SettingsError, match="ONRAMP_KAFKA_BROKERS_FILE is not a setting"):
        load_settings()


# ------------------------------------------------------------------------------------------------------------- keys and addresses


def test_signing_keys_begin_with_the_one_that_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().signing_keys() == []
    monkeypatch.setenv("ONRAMP_SIGNING_KEY", "the key of this year")
    monkeypatch.setenv("ONRAMP_SIGNING_KEY_PREVIOUS", "the key of last year")
    assert load_settings().signing_keys() == [b"the key of this year", b"the key of last year"]
    monkeypatch.delenv("ONRAMP_SIGNING_KEY")
    with pytest.raises(SettingsError, match=r"^ONRAMP_SIGNING_KEY_PREVIOUS needs ONRAMP_SIGNING_KEY"):
        load_settings()


def test_the_database_is_that_of_its_setting_or_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().database() == "onramp"
    monkeypatch.setenv("ONRAMP_CLICKHOUSE_URL", "http://house/path?database=growth")
    assert load_settings().database() == "growth"
    monkeypatch.setenv("ONRAMP_CLICKHOUSE_DATABASE", "growth")
    assert load_settings().database() == "growth"
    monkeypatch.setenv("ONRAMP_CLICKHOUSE_DATABASE", "other")
    with pytest.raises(SettingsError, match="name different databases; leave one out"):
        load_settings()
    monkeypatch.setenv("ONRAMP_CLICKHOUSE_URL", "http://house?database=a-b")
    with pytest.raises(SettingsError, match="letters, digits and underscores"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ONRAMP_REDIS_URL", "redis+cluster://:pw@a:1,b:2"),
        ("ONRAMP_REDIS_URL", "rediss+sentinel://:pw@a,b/main/0?ssl_ca_certs=/ca.pem"),
        ("ONRAMP_REDIS_URL", "unix://:pw@/run/valkey.sock"),
        ("ONRAMP_CLICKHOUSE_URL", "https://u:pw@[::1]:8443/path/?ca_cert=/ca.pem"),
    ],
)
def test_addresses_of_several_kinds(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    assert rows(load_settings())[variable].value == value.replace(":pw@", ":***@")


def test_days_until_rows_are_deleted_are_given_by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_CLICKHOUSE_RETENTION_DAYS", "events=90, dead_letters=30")
    settings = load_settings()
    assert settings.clickhouse_retention_days == {"events": 90, "dead_letters": 30}
    assert rows(settings)["ONRAMP_CLICKHOUSE_RETENTION_DAYS"].value == "events=90, dead_letters=30"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("people=30", "the tables whose rows grow old are events,"),
        ("llm_answers=30", "are those of ONRAMP_LLM_KEEP_DAYS; leave them out here"),
        ("events=0", "the days of events must be"),
        ("events", "the days of events"),
        ("events=" + "9" * 5000, "the days of events must be a whole number"),
        ("events=90,events=30", "events is there twice"),
    ],
)
def test_a_retention_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.setenv("ONRAMP_CLICKHOUSE_RETENTION_DAYS", text)
    with pytest.raises(SettingsError, match=said):
        load_settings()
