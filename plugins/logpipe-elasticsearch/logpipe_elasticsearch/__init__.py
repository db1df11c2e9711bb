"""Outputs to Elasticsearch and OpenSearch, and filters that make document ids.

options/        settings: connection, documents, indexes
nodes.py        where the nodes are; failures.py: what `ignore_exceptions` calls them
cluster/        requests to them; the server's version; what an answer says of each document
documents/      a record's lines of a bulk request: index, time, id
indexes/        what is set up before documents come: templates, aliases, policies, data streams
search_output.py        what all outputs share; out_*.py: each
filter_genid.py         ids
"""
