"""Metrics and probes of a running job over HTTP: ``sampling`` measures in threads of its own, ``probes`` says what, ``collector`` shows all
under the names of ``state/metrics.py``, ``readiness`` judges, ``server`` answers. No step of the job waits for any of it.
"""
