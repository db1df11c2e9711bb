"""Our own log: `setup`, its `file` with rotation, `repeats` that are left out, and traces of plugins' errors."""
