"""Spans: what they say, and that nothing waits for a collector."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
import pytest

from flows.settings import load_settings
from flows.tracing import tracing
from sinks.otlp import tracer as tracer_module
from sinks.otlp.exporter import SpanExporter, encode
from sinks.otlp.tracer import MODEL, WRITE, Tracer
from sinks.redis.sink import RecommendationPartition
from state.records.recommendation import Effect, Erase, Publish, ReplaceText
from state.spans import Span, is_sampled
from state.times import rfc3339
from tests.sinks.recommendation_samples import publish
from tests.support.span_collector import collector
from tests.support.waiting import wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NOW = 1_800_000_000_000
NS = 1_000_000


def traced(flags: str = "01", decision: str = "d1") -> Publish:
    record = msgspec.structs.replace(
        publish("acme", "ada", 1).recommendation, decision_id=decision, trace_id=TRACE, created_at=rfc3339(NOW - 40)
    )
    return Publish(record, f"00-{TRACE}-{PARENT}-{flags}")


def spans_of(*calls: Sequence[Effect]) -> list[Span]:
    found: list[Span] = []
    tracer = Tracer(found.extend)
    for effects in calls:
        tracer.written(effects, NOW * NS, (NOW + 3) * NS)
    return found


@pytest.mark.parametrize(("text", "sampled"), [("", False), ("00", False), ("01", True), ("02", False), ("03", True)])
def test_the_sender_decides_whether_a_trace_is_recorded(text: str, sampled: bool) -> None:
    assert is_sampled(f"00-{TRACE}-{PARENT}-{text}" if text else "") == sampled


def test_a_recommendation_is_a_span_from_the_event_on_and_its_write_is_below_it() -> None:
    decided, wrote = spans_of([traced()])
    assert (decided.name, decided.trace_id, decided.parent_id) == ("onramp decide", TRACE, PARENT)
    assert (decided.began, decided.ended) == ((NOW - 40) * NS, NOW * NS)
    assert (wrote.name, wrote.trace_id, wrote.parent_id) == (WRITE, TRACE, decided.span_id)
    assert (wrote.began, wrote.ended) == (NOW * NS, (NOW + 3) * NS)
    assert decided.attributes["onramp.decision_id"] == "d1"
    assert "ada" not in str([decided, wrote]), "no user is named"
    assert "acme" not in str([decided, wrote])
    assert len({decided.span_id, wrote.span_id}) == 2


def test_a_span_does_not_end_before_it_begins_where_clocks_differ() -> None:
    ahead = traced()
    ahead = Publish(msgspec.structs.replace(ahead.recommendation, created_at=rfc3339(NOW + 40)), ahead.traceparent)
    decided, _ = spans_of([ahead])
    assert (decided.began, decided.ended) == (NOW * NS, NOW * NS)


def test_what_is_not_recorded_has_no_spans() -> None:
    plain = publish("acme", "ada", 1)
    assert (
        spans_of([traced("00"), plain, Erase("acme", "ada", 2), ReplaceText(plain.recommendation)], [ReplaceText(traced().recommendation)])
        == []
    )


def test_a_text_by_a_model_belongs_to_the_decision_it_is_for() -> None:
    found: list[Span] = []
    tracer = Tracer(found.extend)
    tracer.written([traced()], 1, 2)
    record = traced().recommendation
    tracer.asked(record, 3, 4, {"onramp.source": "call"}, "")
    tracer.written([ReplaceText(record)], 5, 6)
    tracer.asked(traced(decision="another").recommendation, 3, 4, {}, "timeout")
    decided, _, asked, improved = found
    assert (asked.name, asked.parent_id, asked.failed) == (MODEL, decided.span_id, "")
    assert (improved.name, improved.parent_id) == (WRITE, decided.span_id)


def test_decisions_whose_later_spans_find_a_parent_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer_module, "_REMEMBERED", 2)
    found: list[Span] = []
    tracer = Tracer(found.extend)
    decisions = [traced(decision=f"d{number}") for number in range(3)]
    tracer.written(decisions, 1, 2)
    found.clear()
    tracer.written([ReplaceText(each.recommendation) for each in decisions], 5, 6)
    assert len(found) == 2


class Writer:
    """Takes effects."""

    def write(self, _effects: Sequence[Effect]) -> None:
        """Succeed."""


def test_the_sink_tells_the_tracer_what_it_wrote() -> None:
    found: list[Span] = []
    partition = RecommendationPartition(Writer(), tracer=Tracer(found.extend))  # type: ignore[arg-type]
    partition.write_batch([[traced()]])
    assert [span.name for span in found] == ["onramp decide", WRITE]
    assert found[1].ended >= found[1].began > NOW


def test_the_request_has_the_json_form_of_otlp() -> None:
    span = Span("a", TRACE, PARENT, "", 5, 7, {"s": "x", "i": 3, "f": 0.5}, failed="timeout")
    (resource,) = encode([span], [])["resourceSpans"]
    assert resource["scopeSpans"][0]["spans"] == [
        {
            "traceId": TRACE,
            "spanId": PARENT,
            "parentSpanId": "",
            "name": "a",
            "kind": 1,
            "startTimeUnixNano": "5",
            "endTimeUnixNano": "7",
            "attributes": [
                {"key": "s", "value": {"stringValue": "x"}},
                {"key": "i", "value": {"intValue": "3"}},
                {"key": "f", "value": {"doubleValue": 0.5}},
            ],
            "status": {"code": 2, "message": "timeout"},
        }
    ]


@pytest.mark.timing
def test_spans_are_sent_in_batches_and_at_the_end() -> None:
    with collector() as (url, taken):
        exporter = SpanExporter(url, service="onramp", version="1", every_s=0.01)
        exporter.start()
        exporter.add(spans_of([traced()]))
        wait_until(lambda: exporter.sent == 2, "both spans")
        exporter.add(spans_of([traced()]))
        exporter.close()
    assert [path for path, _ in taken] == ["/v1/traces"] * 2
    assert sum(len(body["resourceSpans"][0]["scopeSpans"][0]["spans"]) for _, body in taken) == 4
    assert taken[0][1]["resourceSpans"][0]["resource"]["attributes"][0] == {"key": "service.name", "value": {"stringValue": "onramp"}}


@pytest.mark.timing
def test_a_collector_that_fails_costs_its_spans_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    statuses = [503, 503, 200, 503]
    with collector(statuses) as (url, _):
        exporter = SpanExporter(url, service="onramp", version="1")
        for _ in range(4):
            exporter.add(spans_of([traced()]))
            exporter._send_all()
    assert (exporter.sent, exporter.dropped) == (2, 6)
    said = [record.getMessage() for record in caplog.records if record.name == "sinks.otlp.exporter"]
    assert ["ONRAMP_OTLP_URL" in each for each in said] == [True, False, True]
    assert said[1] == "spans are sent again; 4 were dropped"


def test_too_many_spans_lose_the_oldest() -> None:
    exporter = SpanExporter("http://127.0.0.1:1", service="onramp", version="1")
    exporter.add([Span(str(number), TRACE, PARENT, "", 0, 0) for number in range(5_000)])
    assert exporter.dropped == 5_000 - 4_096
    assert exporter._waiting[0].name == str(5_000 - 4_096)


@pytest.mark.timing
def test_a_job_sends_what_waits_at_its_end_and_nothing_without_a_collector() -> None:
    with collector() as (url, taken):
        with tracing(load_settings(otlp_url=url)) as tracer:
            assert tracer is not None
            tracer.written([traced()], 1, 2)
        with tracing(load_settings()) as none:
            assert none is None
    assert len(taken) == 1
