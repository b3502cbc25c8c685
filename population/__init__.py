"""A simulated population: seeded people who use a product and respond to the guidance that an engine shows them.

``__main__`` speaks the JSON-lines protocol of ``docs/population.md``; ``simulation.Population`` is the same in-process. ``untreated``
simulates people without guidance, ``simulated_person`` with it, ``response`` the effect of guidance; ``behaviour`` and ``effects.json``
have the numbers. The package imports nothing of the project, and the engine never imports it: it must not share the engine's assumptions.
"""
