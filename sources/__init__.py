"""Bytewax sources: ``kafka/`` reads a topic, ``local_log/`` the event log of this machine, ``files/`` a file of JSON lines, and
``closed_loop/`` runs a simulated population.

``batching`` decides where batches end and ticks stand, for the first three; ``log_time`` keeps the time of a log. ``errors`` is the tree of
exceptions, ``headers`` reads those of a message.
"""
