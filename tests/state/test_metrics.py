"""The catalogue of metrics, and histograms."""

from __future__ import annotations

import re

import pytest

from state import metrics
from state.counters import COUNTERS
from state.histogram import Histogram
from state.metrics import ALL_METRICS, METRICS, Metric


def test_every_metric_of_the_module_is_in_the_catalogue_once() -> None:
    made = [value for value in vars(metrics).values() if isinstance(value, Metric)]
    every = ALL_METRICS
    assert len({metric.name for metric in every}) == len(every) == len(made) + len(COUNTERS)
    assert all(metric in every for metric in made)


@pytest.mark.parametrize("metric", ALL_METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_custom_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert metric.unit
    assert metric.meaning
    assert not {"user", "tenant", "tenant_id", "user_id", "trace_id", "event_id"} & set(metric.labels), "labels have few values"


def test_the_names_of_the_wider_system_are_kept() -> None:
    kinds = {metric.name: metric.kind for metric in METRICS}
    assert kinds["ai_onboarding_latency_seconds"] == "histogram"
    assert kinds["bandit_arm_selection_rate"] == "gauge"
    assert kinds["llm_rate_limit_hits_total"] == "counter"


def test_a_histogram_counts_values_up_to_each_bound() -> None:
    histogram = Histogram((0.5, 1.0, 60.0))
    for value in (0.1, 0.5, 0.7, 60.0, 61.0):
        histogram.add(value)
    assert histogram.cumulative() == [("0.5", 2.0), ("1.0", 3.0), ("60.0", 4.0), ("+Inf", 5.0)]
    assert histogram.sum == pytest.approx(122.3)


@pytest.mark.parametrize("bounds", [(), (1.0, 1.0), (2.0, 1.0)])
def test_bounds_that_do_not_rise_are_refused(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        Histogram(bounds)
