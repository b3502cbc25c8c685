"""A closed loop with people: a program that plays them, spoken to over pipes, and the source that runs the engine in lock-step with it.

The protocol is documented in ``docs/population.md``. Ours is ``python -m population``; any other program that speaks it will do.
"""

from sources.closed_loop.product import describe
from sources.closed_loop.program import PopulationError, Program
from sources.closed_loop.protocol import START, Begin, Population, Slot
from sources.closed_loop.source import LoopProgress, PeopleSource
from sources.closed_loop.unguided import unguided

__all__ = ["START", "Begin", "LoopProgress", "PeopleSource", "Population", "PopulationError", "Program", "Slot", "describe", "unguided"]
