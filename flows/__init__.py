"""Deployable jobs: the graph, its settings, its wiring, and the ``onramp`` command."""
