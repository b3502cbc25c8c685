"""What rooms ask of the operating system: the clock, locks, durable and private files. It imports nothing of ours."""
