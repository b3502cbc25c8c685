"""A population that answers: seeded people who use a product, see the guidance that an engine gives them, and may be helped by it.

It speaks the JSON-lines protocol of ``docs/population.md`` (``python -m population``), or is played in-process
(``population.simulation.Population``). It is written without knowledge of the detector and of the learner, imports nothing of this
project, and nothing of this project imports it: what judges the engine must not share its assumptions.
"""
