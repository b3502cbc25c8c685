"""The state of one person, and what events, timers and merges do to it.

``fold`` takes one input at a time and calls the others: ``deduplication``, ``sessions``, ``traits``, ``preferences``, ``progress``,
``recent``, ``bot_detection``. ``person`` defines the state, ``snapshot`` its encoding, ``arrivals`` the inputs, ``collector`` the outputs.
``visitor`` and ``identity`` merge anonymous visitors into users.
"""
