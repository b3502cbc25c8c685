"""Where events come from: Kafka, files, a simulated population."""
