"""Bytewax sources: ``kafka/`` reads a topic, ``files/`` a file of JSON lines, ``closed_loop/`` runs a simulated population.

``batching`` decides where batches end and ticks stand, for the first two; ``log_time`` keeps the time of a log. ``errors`` is the tree of
exceptions, ``headers`` reads those of a message.
"""
