"""Checks everything that a job needs, and says what to do.

``checks`` lists the checks, ``finding`` runs them with deadlines, and each of the other modules has the checks of one subject.
"""
