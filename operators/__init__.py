"""Bytewax steps around the pure logic of ``state/``: one step a file, named after the step. The other files support steps.

``docs/architecture.md`` has the steps in their order. ``flows/onboarding.py`` connects them.
"""
