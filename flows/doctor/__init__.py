"""Checks everything that a job needs, and says what to do. ``finding`` runs checks with deadlines; each other module has one subject."""
