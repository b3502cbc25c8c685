"""Detects people who are stuck at a step.

``signals`` counts errors, clicks and visits in short windows. ``detector`` tracks the episode at the current step, scores it and raises
alarms. ``survival`` and ``score`` are the models, ``estimator`` fits them to ``observations``, and ``parameters`` makes the result
available.
"""
