"""What bounds calls of the model: rate, budget, circuit breaker, one call for identical requests."""
