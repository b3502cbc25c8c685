"""Recommendations in Redis, for the app."""
