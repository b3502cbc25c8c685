"""The model's client: one chat completion a call, its failures, prices and formats."""
