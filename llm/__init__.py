"""Texts by a model: everything that calls a model, limits the calls, and checks what goes in and what comes out.

``service`` answers wording requests. ``client/`` calls the model and ``limits/`` bounds the calls. ``guardrails/`` checks what a prompt may
hold and what a model wrote. ``cache/`` keeps the texts, and ``review_queue`` those that wait for a person. docs/models.md is for users.
"""
