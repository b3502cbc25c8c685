"""Runs the engine against a simulated population, which is a separate program.

``protocol`` defines the messages, ``program`` exchanges them over pipes, ``source`` feeds the events to the engine, ``product`` describes
a catalog to the program, and ``unguided`` runs the population without the engine. ``docs/population.md`` documents the protocol; the
program that comes with Onramp is ``python -m population``.
"""

from sources.closed_loop.product import describe
from sources.closed_loop.program import PopulationError, Program
from sources.closed_loop.protocol import START, Begin, Population, Slot
from sources.closed_loop.source import LoopProgress, PeopleSource
from sources.closed_loop.unguided import unguided

__all__ = ["START", "Begin", "LoopProgress", "PeopleSource", "Population", "PopulationError", "Program", "Slot", "describe", "unguided"]
