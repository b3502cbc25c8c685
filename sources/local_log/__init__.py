"""A durable event log in a directory of this machine, in place of Kafka. ``log`` appends, ``retention`` deletes what is old, ``reader``
reads, ``source`` is the Bytewax source. ``store`` holds the file and its layout.
"""
