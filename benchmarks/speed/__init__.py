"""Benchmarks of speed, each under a permanent name: ``python -m benchmarks.speed SCENARIO [--json]``. docs/benchmarks.md explains them.

The package itself imports nothing: contenders with environments of their own (``benchmarks/speed/contenders``) import parts of it.
"""
