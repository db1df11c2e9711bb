"""The runtime of compiled expressions: Ruby's values and operators on Python's objects.

`values` and `failures` are the base; `text`, `times` and `matches` are types; `arithmetic`, `comparison`, `indexing`,
`format` and `json` are operations. Methods by name are in `expression.methods`.
"""
