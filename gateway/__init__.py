"""HTTP in and out: an ASGI application that takes events into the event log, and serves what the job keeps in Redis.

``app.py`` builds the application, ``serve.py`` runs it. Nothing is acknowledged before the event log has it.
"""
