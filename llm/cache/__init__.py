"""Texts of the model, kept in this process and in Redis."""
