"""Settings of the outputs."""
