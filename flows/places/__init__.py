"""The places that hold something about a user: what is held there, and how it is erased."""
