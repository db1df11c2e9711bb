"""Storage of chunks."""
