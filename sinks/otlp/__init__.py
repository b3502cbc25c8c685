"""Spans for an OpenTelemetry collector: ``tracer`` makes them of what the job does, ``exporter`` sends them (OTLP over HTTP, as JSON)."""
