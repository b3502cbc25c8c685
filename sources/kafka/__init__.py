"""Events from Kafka: ``source`` reads, ``record`` takes a message apart, ``schema_registry`` decodes it. ``client`` connects,
``error_codes`` says what each error means, ``liveness`` knows how far an idle partition was read, ``partition_watch`` finds new ones.
"""
