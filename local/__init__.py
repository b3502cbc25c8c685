"""What runs or lies on this machine: embedded engines, the data directory, locks, the secret, the recovery store."""
