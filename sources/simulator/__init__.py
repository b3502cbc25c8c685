"""A seeded population of simulated people who use a catalog's product: their events, and the truth about who was stuck, when and why.

``simulate`` and ``write`` make both; ``score`` compares the engine's stuck signals with the truth. All numbers about behaviour stand in
``habits.py``.
"""

from sources.simulator.files import Written, read_truth, write
from sources.simulator.run import START, simulate
from sources.simulator.score import Rates, Score, Signal, score
from sources.simulator.truth import Episode, Hidden, Truth

__all__ = ["START", "Episode", "Hidden", "Rates", "Score", "Signal", "Truth", "Written", "read_truth", "score", "simulate", "write"]
