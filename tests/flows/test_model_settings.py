"""What the settings of models become: who is called with which key and at which price, and what is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cli.support.local_model import chosen_model
from flows.catalogs import load_plans
from flows.model_service import open_model, shared_model_settings, shared_prices_of
from flows.opened_job import open_job
from flows.settings import Settings, SettingsError, load_settings
from flows.stop import StopRequest
from llm.service import WordingService
from tests.support.valkey import Valkey
from tests.support.valkey_fixtures import valkey

__all__ = ["valkey"]  # fixtures

FIRST: dict[str, Any] = {
    "llm_url": "http://big/v1", "llm_api_key": "key-of-big", "llm_model": "big", "llm_input_price": 2.0, "llm_output_price": 8.0,
    "llm_timeout_seconds": 5.0, "llm_temperature": 0.7,
}  # fmt: skip
PLANS = load_plans("saas", wording=True)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ONRAMP_")]:
        monkeypatch.delenv(name)


def built(settings: Settings) -> tuple[WordingService, str]:
    """The service that a job of these settings has, and the name in the keys of shared texts. It opens no connection."""
    with open_model(settings, PLANS, "redis://127.0.0.1:1", stopping=lambda: False) as model:
        assert model is not None
        return model.service, model.wording.shared_model


def test_without_these_settings_there_is_one_model_and_nothing_is_kept() -> None:
    service, shared = built(load_settings(**FIRST))
    assert (service.shared_model, service.keeps_calls, shared, load_settings(**FIRST).retention_days()) == (None, False, "", {})


def test_a_second_model_is_as_the_first_but_for_what_is_its_own() -> None:
    service, shared = built(load_settings(**FIRST, llm_shared_model="small", llm_shared_output_price=0.5, llm_keep_days=30))
    first, second = (each.client for each in service.models)
    assert (service.keeps_calls, shared) == (True, "small")
    assert second.settings == first.settings.model_copy(update={"model": "small"})
    assert (second.prices.input_dollars, second.prices.output_dollars) == (2.0, 0.5)
    assert service.model.breaker is not service.models[1].breaker
    assert service.model.rate_limit is not service.models[1].rate_limit


@pytest.mark.parametrize(
    ("more", "url", "key"),
    [
        ({}, "http://big/v1", "key-of-big"),
        ({"llm_shared_api_key": "other"}, "http://big/v1", "other"),
        ({"llm_shared_url": "http://small/v1"}, "http://small/v1", ""),
        ({"llm_shared_url": "http://small/v1", "llm_shared_api_key": "other"}, "http://small/v1", "other"),
    ],
)
def test_the_key_of_one_server_is_not_sent_to_another(more: dict[str, Any], url: str, key: str) -> None:
    found = shared_model_settings(load_settings(**FIRST, llm_shared_model="small", **more))
    assert (found.base_url, found.api_key.get_secret_value()) == (url, key)


def test_a_price_of_nothing_is_a_price() -> None:
    found = shared_prices_of(load_settings(**FIRST, llm_shared_model="small", llm_shared_input_price=0.0, llm_shared_output_price=0.0))
    assert (found.input_dollars, found.output_dollars) == (0.0, 0.0)


@pytest.mark.parametrize(
    "alone",
    [{"llm_shared_url": "http://s/v1"}, {"llm_shared_api_key": "k"}, {"llm_shared_input_price": 0.0}, {"llm_shared_output_price": 0.0}],
)
def test_what_belongs_to_a_second_model_needs_its_name(alone: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"_SHARED_\w+ needs ONRAMP_LLM_SHARED_MODEL, the name of the model for shared texts\.$"):
        load_settings(**FIRST, **alone)


def test_the_days_of_kept_calls_join_those_of_the_other_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONRAMP_CLICKHOUSE_RETENTION_DAYS", "events=90")
    monkeypatch.setenv("ONRAMP_LLM_KEEP_DAYS", "30")
    assert load_settings().retention_days() == {"events": 90, "llm_answers": 30}
    for wrong in ("-1", "a week", "36501"):
        monkeypatch.setenv("ONRAMP_LLM_KEEP_DAYS", wrong)
        with pytest.raises(SettingsError, match=r"^ONRAMP_LLM_KEEP_DAYS cannot be used: "):
            load_settings()


def test_a_model_of_the_command_line_words_all_texts(tmp_path: Path) -> None:
    settings = load_settings(**FIRST, llm_shared_model="small", llm_shared_url="http://small/v1", data_dir=tmp_path)
    with chosen_model("http://chosen/v1") as changes:
        service, shared = built(settings.model_copy(update=changes))
    assert ([each.client.settings.base_url for each in service.models], shared) == (["http://chosen/v1"], "")


@pytest.mark.parametrize("live", [True, False])
def test_expired_requests_end_only_where_the_log_is_read_as_it_is_written(valkey: Valkey, tmp_path: Path, live: bool) -> None:
    more: dict[str, Any] = {"redis_url": valkey.url, "clickhouse_url": "http://127.0.0.1:1"}
    settings = load_settings(**FIRST, **more, catalog="saas", data_dir=tmp_path / "data", event_log=tmp_path / "log")
    with open_job(settings, "a test", StopRequest(), input_path=None if live else tmp_path / "events.jsonl") as job:
        assert job.model is not None
        assert job.model.service.live == live
