"""Counts that everything else adds to: `edges` between stages, and the names of what is `counted`.

`coming_through_error` marks events that have been in `<label @ERROR>`. The ledger that adds the counts up is in
`engine.running`.
"""
