"""Turns rows of a table (CSV, JSON lines, Parquet) into events.

``mapping`` says how, ``row_files`` reads, ``mapper`` maps, ``time_sort`` sorts, ``importing`` joins them.
"""
