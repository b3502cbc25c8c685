"""Mutated settings: each is accepted, and can be shown and used without its secrets, or rejected with one sentence that names the field.

``FUZZ=50`` in the environment multiplies the number of examples. An example depends on its number only.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any, Final

import pytest

from flows.model_service import model_settings, shared_model_settings
from flows.settings import PREFIX, Settings, SettingsError, load_settings
from reports.settings import describe

EXAMPLES: Final = 40 * int(os.environ.get("FUZZ", "1"))
"""Of each of ten parts."""
SECRET: Final = "hunter2secret"
"""Occurs in every secret, and may occur in nothing that is said."""

NUMBERS = [
    "0", "1", "-1", "-0", "0.0", "1.5", "1e3", "1E400", "-1e400", "nan", "NaN", "inf", "-inf", "Infinity", "0x10", "0o7", "017", "1_000",
    "+5", " 5 ", "5 s", "5s",
    "٣", "५", "１", "1,5", "1.", ".5", "1" * 300, "9" * 5000, "1e-400", "true", "", " ", "None", "[]", "2.0", "1e0", "65536",
    "99999999999999999999",
]  # fmt: skip
WORDS = [
    "", " ", "x", "x" * 250, "x" * 100_000, "true", "TRUE", "yes", "on", "2", "null", "debug", "DEBUG", "Info", "warning ", "ünïcode",
    "日本", "🎉", "a\nb", "a\tb", "a\r\nb",
    "\x1b[31mred", "\udcff", "a\udc80b", "..", "/", "/dev/null", "~", "$HOME", "%s", "{x}", "a b", "a,b", "host", "host:", ":9092",
    "host:9092", "host:99999", "host:-1",
    "[::1]:9092", "[::1", "a:1,b:2", "a:1,,b:2", ",", "saas", "recipes", "nobody", "'; DROP TABLE x", "a-b", "1abc", "_x", "default",
    "a.b", "x y",
]  # fmt: skip
ADDRESSES = [
    f"redis://:{SECRET}@r:6379/0", f"rediss://u:{SECRET}@r", f"redis://{SECRET}@r:port", f"redis://u:{SECRET}@[::1",
    f"redis://u:{SECRET}/x@r", f"redis://u:{SECRET}@r:0",
    f"unix://{SECRET}", "redis://", "redis:/r", "redis://r:6379/notanumber", f"http://u:{SECRET}@c:8123",
    f"https://c/?password={SECRET}", f"http://c:8123/path?user=u&password={SECRET}",
    "http://", "http:///x", "http://c:99999", "http://c:-1", "http://[::1]:8123", "http://c\n", "http://c d", "HTTP://c", "http://%zz",
    f"http://u:{SECRET}#@c", f"http://{SECRET}:@c",
    "ftp://c", f"http://u:{SECRET}@c:8123/%00", "http://ü.example", "http://xn--", "http://c:８123", "http://" + "a" * 3000,
    "http://m/v1", "http://m:1/v1/", f"http://m/v1?key={SECRET}",
    f"kafka://{SECRET}", "http://c:8123?database=other",
]  # fmt: skip
CONFIGS = [
    f'{{"sasl.password": "{SECRET}"}}', f"sasl.password={SECRET}", f"sasl.password={SECRET},security.protocol=SSL", "{", "{}", "[]",
    '{"a": {}}', '{"a": [1]}', '{"a": null}',
    '{"a": NaN}', '{"a": 1e400}', '{"": "x"}', "=x", "a", "a=", "a==b", f"{SECRET}", f"ssl.key.pem=-----BEGIN {SECRET}-----\nx=y",
    "bootstrap.servers=x", '{"group.id": "x"}',
    '{"a": "\\ud800"}', '{"a": 1, "a": 2}', "{" * 5000, '{"a": ' * 5000, "[" * 100_000, f'{{"sasl.password": "{SECRET}"', "a=1\nb=2,c=3",
    '{"a": ' + "9" * 5000 + "}", "\ufeff{}",
]  # fmt: skip
KINDS = {
    "redis_url": ADDRESSES, "clickhouse_url": ADDRESSES, "llm_url": ADDRESSES, "kafka_config": CONFIGS,
    "secret": [SECRET, SECRET * 2, f"{SECRET}\n{SECRET}", f"{SECRET}\udcff-and-more"],
    "otlp_url": ["http://127.0.0.1:4318", "https://otel/path", *ADDRESSES],
    "metrics_address": ["127.0.0.1:9464", ":9464", "[::1]:0", "host:9464", " h:1 ", "9464", "::1:9464", "h:٣", "h:65536", "h:-1"],
    "llm_api_key": [SECRET, f"{SECRET} {SECRET}", f"{SECRET}\udcff"], "llm_shared_api_key": [SECRET, f"{SECRET} {SECRET}"],
    "llm_shared_url": ADDRESSES, "llm_shared_model": ["small", "", "a" * 300],
    "archive_metrics_address": ["127.0.0.1:9465", "9465", "h:65536"],
    "archive_dir": [
        "archive", "s3://bucket", "S3://bucket/a/b/", "s3://", "s3://a/b", f"s3://key:{SECRET}@bucket/a", "s3://bucket//a", "\udcff",
    ],
}  # fmt: skip


def example(number: int) -> tuple[dict[str, str], dict[str, Any]]:
    """The environment and the options of this number."""
    rng = Random(number)
    names = list(Settings.model_fields)
    environment: dict[str, str] = {}
    for _ in range(rng.choice([1, 1, 2, 4])):
        name = rng.choice(list(KINDS) if rng.random() < 0.4 else names)
        values = KINDS.get(name) if rng.random() < 0.8 else None
        if values is None:
            field = Settings.model_fields[name].annotation
            values = NUMBERS if field in (int, float) and rng.random() < 0.85 else WORDS
        variable = PREFIX + name.upper()
        if rng.random() < 0.05:
            variable = rng.choice([variable[:-1], variable + "S", variable.lower(), PREFIX, PREFIX + "\udcff", variable.replace("_", "-")])
        environment[variable] = rng.choice(values)
    options: dict[str, Any] = {}
    if rng.random() < 0.2:
        name = rng.choice(["batch_size", "epoch_seconds", "log_level", "data_dir", "catalog", "kafka_topic"])
        options[name] = rng.choice([*NUMBERS, *WORDS])
    return environment, options


def check(environment: dict[str, str], options: dict[str, Any]) -> bool:
    """Whether the settings are accepted."""
    try:
        settings = load_settings(**options)
    except SettingsError as error:
        text = str(error)
        assert SECRET not in text, "a secret is told"
        assert text.endswith((".", "?")), text
        assert "\n" not in text, text
        assert len(text) < 1_000, text[:200]
        assert any(
            name in text
            for name in (*environment, *(f"--{name.replace('_', '-')}" for name in options), *(name.upper() for name in environment))
        ), text
        assert not any(word in text for word in ("Traceback", "pydantic", "Value error", "object at 0x")), text
        return False
    shown = [f"{row.variable} {row.value} {row.origin}" for row in describe(settings)]
    assert len(shown) == len(Settings.model_fields)
    secrets = ("REDIS_URL", "CLICKHOUSE_URL", "SECRET", "LLM_API_KEY", "LLM_SHARED_API_KEY")
    told = " ".join([repr(settings), *(line for line in shown if line.partition(" ")[0].removeprefix(PREFIX) in secrets)])
    for value in ("//u:" + SECRET, "//:" + SECRET, "password=" + SECRET):
        assert value not in told, told
    assert f"{PREFIX}SECRET {SECRET}" not in told
    assert all(isinstance(value, str) for value in settings.kafka_client_config().values())
    if settings.llm_url is not None:
        model_settings(settings)
        if settings.llm_shared_model is not None:
            shared_model_settings(settings)
    return True


@pytest.mark.parametrize("part", range(10))
def test_every_setting_is_accepted_or_rejected_with_a_sentence(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    good = 0
    for number in range(part, 10 * EXAMPLES, 10):
        environment, options = example(number)
        with monkeypatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            try:
                good += check(environment, options)
            except Exception as error:
                raise AssertionError(f"example {number}: {error!r}\n{environment!r:.3000}\n{options!r:.1000}") from error
    assert EXAMPLES // 20 < good < EXAMPLES - EXAMPLES // 20
