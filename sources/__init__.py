"""Where events come from: Kafka, files, the simulator."""
