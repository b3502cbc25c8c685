"""Profiles of hypothesis: ``fast`` on every run, ``thorough`` with ``HYPOTHESIS_PROFILE=thorough``, for a change to the fold or a night."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline: the machines that run this are shared, and a slow example is no fault. No database: a red example belongs into a test.
settings.register_profile("fast", max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("fast"), max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
