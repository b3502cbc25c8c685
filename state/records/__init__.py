"""What leaves the engine: rows for analysts, the records that the app reads, and dead letters.

``facts`` defines the rows, ``fact_builders`` builds them. ``recommendation`` and ``progress`` define the app's records and the effects that
change them, ``dead_letter`` the rejected messages.
"""
