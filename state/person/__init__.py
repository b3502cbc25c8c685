"""The state of one person, and what events, timers and merges do to it.

``fold`` takes one input at a time, and calls the modules of its parts. ``person`` defines the state, ``snapshot`` its encoding,
``arrivals`` the inputs, ``collector`` the outputs. Before the fold, ``link`` and ``chains`` judge whose visitor an anonymous id is,
``visitor`` keeps what it did, and ``identity`` which visitors a user has.
"""
