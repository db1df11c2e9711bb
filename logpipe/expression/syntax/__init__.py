"""Parses Ruby text to a tree of nodes, without their meaning.

text ─► `lexer` (with `literals`: strings, numbers, patterns) ─► `parser` ─► `nodes`

`tokens` is the parser's state; `calls`, `keywords`, `primary` and `targets` parse single forms.
"""
