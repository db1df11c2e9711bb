"""Ruby expressions: read, checked and turned into Python functions; knows nothing about configuration files."""
