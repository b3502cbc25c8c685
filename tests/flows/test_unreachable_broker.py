"""A data directory belongs to the catalog and the input of the first job that could read its input."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.run import run
from flows.settings import load_settings
from flows.stop import StopRequest
from local.data_dir import DataDir, DataDirError
from sources.errors import UnreachableError
from state.catalog.by_tenant import ByTenant
from tests.support.ports import port_of, reserve


def test_a_directory_is_bound_once_the_broker_was_reached(tmp_path: Path) -> None:
    stop = StopRequest()
    stop.set()  # one attempt, no minute of them
    with reserve() as held:
        settings = load_settings(kafka_brokers=f"127.0.0.1:{port_of(held)}", catalog="recipes", data_dir=tmp_path / "data")
        with pytest.raises(UnreachableError):
            run(settings, input_path=None, owner="a test", started=0.0, stop=stop)
    DataDir.open(tmp_path / "data").check_catalogs(ByTenant("saas"))


def test_a_directory_that_was_written_from_a_file_reads_no_topic_and_no_log(tmp_path: Path) -> None:
    """Bytewax would end with an error of its own: the directory has positions in an input that is not there."""
    DataDir.create(tmp_path / "data").bind_input("files")
    for live in ({"kafka_brokers": "127.0.0.1:1", "kafka_topic": "acts"}, {"event_log": tmp_path / "log"}):
        settings = load_settings(catalog="saas", data_dir=tmp_path / "data", **live)
        with pytest.raises(DataDirError, match="holds runs on files; a live job needs a directory of its own"):
            run(settings, input_path=None, owner="a test", started=0.0, stop=StopRequest())
