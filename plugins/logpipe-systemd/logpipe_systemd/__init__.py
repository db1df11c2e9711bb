"""The journal of systemd: an input that reads it, and a filter that names its fields.

- `library.py` calls libsystemd; `reader.py` reads batches with it, in a thread of its own.
- `in_systemd.py` emits them, and keeps how far it has come (`cursors.py`).
- `entries.py` says which fields an event has, for the input and for `filter_systemd_entry.py`.
"""
