"""Sends spans where ``ONRAMP_OTLP_URL`` is set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flows.settings import Settings
from flows.version import onramp_version
from sinks.otlp.exporter import SpanExporter
from sinks.otlp.tracer import Tracer


@contextmanager
def tracing(settings: Settings) -> Iterator[Tracer | None]:
    """Yield the tracer of the job, None if the settings name no collector. At the end of the block waiting spans are sent."""
    if settings.otlp_url is None:
        yield None
        return
    exporter = SpanExporter(settings.otlp_url, service="onramp", version=onramp_version())
    exporter.start()
    try:
        yield Tracer(exporter.add)
    finally:
        exporter.close()
