"""Decides about guidance, attributes outcomes and learns from them.

In the fold: ``eligibility``, ``guidance`` (consider, withdraw) and ``attribution``. In ``choose``: ``chooser``, with ``bandit``, its
policy, ``posterior``, ``propensity`` and ``learner_snapshot``. In ``compose``: ``composer`` and ``wording_request``. ``messages`` defines
what they exchange.
"""
