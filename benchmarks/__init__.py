"""Measurements that anybody can repeat. Not part of the package."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in flows/__init__.py, for processes that load numpy first
