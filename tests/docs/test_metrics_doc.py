"""The table of metrics is the catalogue's."""

from __future__ import annotations

from pathlib import Path

from scripts.write_event_fields import BEGIN, END, written
from state.metrics import ALL_METRICS, as_table

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_page_has_the_table_of_the_catalogue() -> None:
    assert written(PAGE, as_table()) == PAGE, "run `make metrics`"
    assert PAGE.count(BEGIN) == PAGE.count(END) == 1
    assert len(as_table().splitlines()) == len(ALL_METRICS) + 2
