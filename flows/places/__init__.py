"""The stores that hold data about a user, one class each: what is held there, and how it is erased."""
