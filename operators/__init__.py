"""Thin Bytewax steps around the pure logic of ``state/``: one step a file, the file named after the step."""
