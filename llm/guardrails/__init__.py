"""The checks on what a prompt may hold and on what a model wrote."""
