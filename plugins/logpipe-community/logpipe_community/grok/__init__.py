"""The parsers `grok` and `multiline_grok`.

`patterns.py` and `ecs.py` have the patterns that are known by name, `expansion.py` makes regular expressions of them,
`parser.py` reads lines.
"""
