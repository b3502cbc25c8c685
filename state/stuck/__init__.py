"""Noticing who is stuck: signals, survival curves, score, detector, estimator."""
