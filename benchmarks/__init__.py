"""Measurements. Each is a program: ``python -m benchmarks.NAME --help``."""
