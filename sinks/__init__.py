"""Bytewax sinks: ``redis/`` writes recommendations for apps, ``clickhouse/`` rows for analysts, ``dead_letters/`` rejected messages.

Each sink states its delivery guarantee in its docstring.
"""
