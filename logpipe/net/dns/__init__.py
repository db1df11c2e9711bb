"""A small DNS client: what the system's look-up of names does not do."""
