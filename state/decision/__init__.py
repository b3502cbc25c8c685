"""Deciding: eligibility, the bandit, propensities, words, and what became of decisions."""
