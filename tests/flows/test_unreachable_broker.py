"""A job that never read its topic leaves its data directory to any catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.run import run
from flows.settings import load_settings
from flows.stop import StopRequest
from local.data_dir import DataDir
from sources.errors import UnreachableError
from tests.support.ports import port_of, reserve


def test_a_directory_is_bound_once_the_broker_was_reached(tmp_path: Path) -> None:
    stop = StopRequest()
    stop.set()  # one attempt, no minute of them
    with reserve() as held:
        settings = load_settings(kafka_brokers=f"127.0.0.1:{port_of(held)}", catalog="recipes", data_dir=tmp_path / "data")
        with pytest.raises(UnreachableError):
            run(settings, input_path=None, owner="a test", started=0.0, stop=stop)
    DataDir.open(tmp_path / "data").check_catalog("saas")
