"""From chunks to an output.

`outlet` puts four parts together: `flush_timer` (when), `attempts` (one try, by `sending`), `verdict` (what it has
shown), `last_resort` (what is not tried again, by `giving_up`).
"""
