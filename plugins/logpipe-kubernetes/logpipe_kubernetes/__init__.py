"""Kubernetes metadata for logpipe: the container from a line's tag, completed from the API server.

Reading order: `filter` (what happens to a batch), `names` (tag to container), `layout` (what goes into a record),
`lookup` (which requests are made, and when), `cache` (their results), `watch` (updates), `server` (HTTP),
`rate_limit` (how often requests are made).
"""
