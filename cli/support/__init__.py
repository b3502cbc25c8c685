"""What commands need: options that they share, how they end, the standard streams, and parts of the longer ones."""
