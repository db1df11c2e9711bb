r"""Ruby's regular expressions as Python's.

`pattern` compiles one; `translation` rewrites its text, with `classes` (`[…]`), `calls` (`\g<name>`) and `names`.
"""
