"""Records as the lines of a bulk request."""
