"""Kubernetes metadata for logpipe: who wrote a line, told by its tag, completed from the API server.

Reading order: `filter` (what happens to a batch), `names` (tag to container), `layout` (what goes into a record),
`lookup` (what is asked of the API server, and when), `memory` (what was learnt), `watch` (how it stays true), `server`
(how it is asked), `pacing` (how often).
"""
