"""The stages that ship with the engine; found by entry point, never imported by it."""
