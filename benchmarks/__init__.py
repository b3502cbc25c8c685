"""Benchmarks: speed (``speed``, ``run_file``, ``compare``), equality with an earlier commit (``same_results``), accuracy against the sealed
truth (``measure``, ``coverage_*``, ``bandit_worlds``), stuck detection on many worlds (``stuck``) and model calls (``model_*``).
They are not part of the installed package.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in flows/__init__.py, for processes that load numpy first
