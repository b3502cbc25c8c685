"""The contenders of ``core``, one process each: ``python -m benchmarks.speed.contenders.NAME '{"brokers": …}'``."""
