"""The statistics that 3.7.1 writes to the log, kept as logpipe's counters."""

from __future__ import annotations

from typing import Final

from logpipe import Host
from logpipe_kubernetes.cache import MetadataCache

_DOCS: Final = {
    "id_cache_miss": "Containers seen for the first time.",
    "id_cache_pod_not_found_namespace": "Containers whose pod is unknown to the API server, but not their namespace.",
    "id_cache_orphaned_record": "Containers whose pod and namespace are unknown to the API server.",
    "pod_cache_miss": "Pods requested by themselves.",
    "pod_cache_api_updates": "Pods received.",
    "pod_cache_api_nil_error": "Pods not received.",
    "pod_cache_host_updates": "Pods received in lists of this node's pods.",
    "pod_cache_watch_updates": "Pods received from the watch.",
    "pod_cache_watch_ignored": "Events of the watch that changed nothing.",
    "pod_cache_watch_deletes": "Pods deleted according to the watch.",
    "pod_watch_gone_errors": "Lists that had to be made again because the watch was too far behind.",
    "pod_watch_gone_notices": "Events of the watch with that error.",
    "pod_watch_error_type_notices": "Other errors in events of the watch.",
    "pod_watch_failures": "Lists and watches that failed.",
    "namespace_cache_miss": "Namespaces requested.",
    "namespace_cache_api_updates": "Namespaces received.",
    "namespace_cache_api_nil_error": "Namespaces not received.",
}


class Stats:
    """Counts, and formats the counts."""

    def __init__(self, host: Host) -> None:
        self._counters = {name: host.counter(name, doc) for name, doc in _DOCS.items()}

    def bump(self, name: str, amount: int = 1) -> None:
        """Count something, by one of the names above."""
        self._counters[name].add(amount)

    def line(self, cache: MetadataCache) -> str:
        """Return the log line: sizes, and every count that is not 0."""
        counts = [f"{name}: {counter.value}" for name, counter in self._counters.items() if counter.value]
        return "stats - " + ", ".join(
            [f"pod_cache_size: {cache.pods}", f"namespace_cache_size: {cache.namespaces}", *counts]
        )
