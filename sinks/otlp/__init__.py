"""Spans for a collector of OpenTelemetry: ``tracer`` makes them of what the job does, ``exporter`` sends them by OTLP over HTTP as JSON."""
