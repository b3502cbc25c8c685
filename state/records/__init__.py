"""What leaves the engine: rows for analysts, the app's record, and dead letters.

``facts`` defines the rows, ``fact_builders`` builds them. ``recommendation`` defines the record that the app reads and the effects that
change it, ``dead_letter`` the rejected messages.
"""
