"""Text to checked settings; independent of events."""
