"""Requests to a cluster, and its answers."""
