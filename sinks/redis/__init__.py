"""Writes recommendations to Redis, where apps read them.

Read in this order: ``script`` (the one atomic change and its table of cases), ``writer`` (pipelines and retries), ``sink`` (the Bytewax
part), ``reader`` (one GET, as an app does).
"""
