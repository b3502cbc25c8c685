"""The domain of Onramp: pure functions and plain data. No Bytewax, no I/O, no clock: time is an argument, randomness a seed.

``person/`` holds the state of one person and the fold over events and timers. ``stuck/`` detects people who are stuck at a step.
``decision/`` decides about guidance and learns from outcomes. ``catalog/`` reads and compiles catalogs. ``records/`` defines what leaves
the engine. The modules beside these packages serve several of them.
"""
