"""Compiles the syntax tree to Python source: one readable function for a whole set of expressions."""
