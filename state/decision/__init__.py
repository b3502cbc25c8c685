"""Decides about guidance, attributes outcomes and learns from them.

``guidance`` (consider, withdraw) and ``attribution`` run in the fold, ``chooser`` in the step ``choose``, ``composer`` in the step
``compose``, each with modules that serve it. ``switches`` says for whom guidance is on. ``messages`` defines what the steps exchange.
"""
