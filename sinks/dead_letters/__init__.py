"""Writes rejected messages for operators: ``file`` for embedded runs, ``topic`` for Kafka."""
