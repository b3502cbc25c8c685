"""Metrics and probes of a running job over HTTP. No step of the job waits for any of it.

``probes`` has what is measured, ``sampling`` measures it in threads of its own, ``collector`` renders everything under the names of
``state/metrics.py``, ``readiness`` judges whether the job is ready, ``server`` answers requests, and ``serving`` connects all of these.
"""
