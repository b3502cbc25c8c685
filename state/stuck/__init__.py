"""Detects people who are stuck at a step.

``signals`` counts errors, clicks and visits in short windows. ``detector`` tracks the episode at the current step, scores it and raises
alarms. ``completion_times`` has the horizon of a step, ``score`` and ``calibration`` the probability of being stuck from ``evidence``, and
``operating_point`` the threshold. ``estimator`` learns them from ``observations``, and ``parameters`` makes the result available.
"""
