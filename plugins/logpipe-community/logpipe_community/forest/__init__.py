"""The output `forest`: `template.py` makes the section of a tag's output, `output.py` gives each tag its own."""
