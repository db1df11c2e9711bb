"""Text to checked settings; knows nothing about events."""
