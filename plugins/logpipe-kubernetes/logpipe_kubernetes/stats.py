"""The numbers that 3.7.1 writes to the log now and then, kept as logpipe's counters."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from logpipe import Counter, Host
from logpipe_kubernetes.memory import Memory

Stat: TypeAlias = Literal[
    "id_cache_miss",
    "id_cache_pod_not_found_namespace",
    "id_cache_orphaned_record",
    "pod_cache_miss",
    "pod_cache_api_updates",
    "pod_cache_api_nil_error",
    "pod_cache_host_updates",
    "pod_cache_watch_updates",
    "pod_cache_watch_ignored",
    "pod_cache_watch_deletes",
    "pod_watch_gone_errors",
    "pod_watch_gone_notices",
    "pod_watch_error_type_notices",
    "pod_watch_failures",
    "namespace_cache_miss",
    "namespace_cache_api_updates",
    "namespace_cache_api_nil_error",
]

_DOCS: Final[dict[Stat, str]] = {
    "id_cache_miss": "Containers seen for the first time.",
    "id_cache_pod_not_found_namespace": "Containers whose pod the API server does not know; their namespace it does.",
    "id_cache_orphaned_record": "Containers whose pod and namespace are unknown to the API server.",
    "pod_cache_miss": "Pods asked for by themselves.",
    "pod_cache_api_updates": "Pods that were answered.",
    "pod_cache_api_nil_error": "Pods that were not answered.",
    "pod_cache_host_updates": "Pods learnt from lists of this node's pods.",
    "pod_cache_watch_updates": "Pods learnt from the watch.",
    "pod_cache_watch_ignored": "Events of the watch that changed nothing.",
    "pod_cache_watch_deletes": "Pods whose end the watch told.",
    "pod_watch_gone_errors": "Lists that had to be made again because the watch was too far behind.",
    "pod_watch_gone_notices": "Events that said so.",
    "pod_watch_error_type_notices": "Other errors told within the watch.",
    "pod_watch_failures": "Lists and watches that failed.",
    "namespace_cache_miss": "Namespaces asked for.",
    "namespace_cache_api_updates": "Namespaces that were answered.",
    "namespace_cache_api_nil_error": "Namespaces that were not answered.",
}


class Stats:
    """Counts, and says the counts."""

    def __init__(self, host: Host) -> None:
        self._counters: dict[Stat, Counter] = {name: host.counter(name, _DOCS[name]) for name in get_args(Stat)}

    def bump(self, name: Stat, amount: int = 1) -> None:
        """Count something."""
        self._counters[name].add(amount)

    def line(self, memory: Memory) -> str:
        """Return the log line: sizes, and every count that is not 0."""
        counts = [f"{name}: {counter.value}" for name, counter in self._counters.items() if counter.value]
        return "stats - " + ", ".join(
            [f"pod_cache_size: {memory.pods}", f"namespace_cache_size: {memory.namespaces}", *counts]
        )
