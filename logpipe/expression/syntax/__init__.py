"""Ruby text to a tree of nodes; nothing of what the words mean.

text ─► `lexer` (with `literals`: strings, numbers, patterns) ─► `parser` ─► `nodes`

`tokens` is the parser's place in the text; `calls`, `keywords`, `primary` and `targets` are the forms it reads.
"""
