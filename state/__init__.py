"""The domain of Onramp, pure: no Bytewax, no I/O, no clock. Time is an argument, randomness a seed."""
