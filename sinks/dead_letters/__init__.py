"""Rejected messages, for operators."""
