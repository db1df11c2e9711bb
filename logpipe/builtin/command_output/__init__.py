"""What stages have in common that read what a command writes: `exec` and `exec_filter`.

options.py      the defaults that `<parse>`, `<extract>` and `<inject>` have there
reading.py      what a command writes, to events, until outputs have taken them
encoding.py     records to what a command reads
"""
