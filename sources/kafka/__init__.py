"""Events from Kafka: ``source`` reads, ``client`` connects and classifies errors, ``liveness`` knows how far an idle partition was read."""
