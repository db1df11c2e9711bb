"""The filter: adds metadata to a batch.

A batch has one tag, so it comes from one container, whose metadata is composed once and shared by all records. Only a
new tag, or changed or expired metadata, costs more than a dict look-up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import NamedTuple

from logpipe import AsyncFilter, EventBatch, FilterHost, Record, Time
from logpipe.ruby import ExpressionError, compile_regexp
from logpipe_kubernetes.access import find_access
from logpipe_kubernetes.cache import FOREVER, Lru, MetadataCache
from logpipe_kubernetes.json_log import json_merger
from logpipe_kubernetes.layout import Layout
from logpipe_kubernetes.lookup import Lookup
from logpipe_kubernetes.names import Reference, from_fields, journal_reader, name_reader
from logpipe_kubernetes.options import KubernetesMetadataOptions
from logpipe_kubernetes.server import ApiServer
from logpipe_kubernetes.stats import Stats
from logpipe_kubernetes.watch import PodWatch


class _Known(NamedTuple):
    """A container's composed metadata."""

    metadata: Record
    """The fields for each record."""
    complete: bool
    """Whether it was complete, so that nothing is requested any more."""
    generation: int
    """The cache's generation when it was composed."""
    expires: float
    """When to check again, on the monotonic clock."""


class KubernetesMetadata(AsyncFilter[KubernetesMetadataOptions], type="kubernetes_metadata"):
    """Adds `docker` and `kubernetes`: the container from the tag, and the API server's data of its pod."""

    def __init__(self, options: KubernetesMetadataOptions, host: FilterHost) -> None:
        super().__init__(options, host)
        self._read_tag, read_name = (
            name_reader(getattr(options, param), param=param, remember=max(options.cache_size, 1))
            for param in ("tag_to_kubernetes_name_regexp", "container_name_to_kubernetes_regexp")
        )
        self._read_entry = journal_reader(read_name)
        self._merge = None
        if options.merge_json_log:
            key = "MESSAGE" if options.use_journal else "log"
            self._merge = json_merger(key, preserve=options.preserve_json_log)
        self._enrich = self._enrich_journal if options.use_journal else self._enrich_files
        self._annotations = _annotation_patterns(options, host)
        self._stats = Stats(host)
        self._cache = MetadataCache(host.clock, size=options.cache_size, ttl=options.cache_ttl)
        self._layout = Layout(options, master_url="", annotations=self._annotations)
        self._known: Lru[Reference, _Known] = Lru(options.cache_size)
        self._server: ApiServer | None = None
        self._lookup: Lookup | None = None
        self._next_stats = FOREVER
        host.gauge("pod_cache_size", lambda: self._cache.pods)
        host.gauge("namespace_cache_size", lambda: self._cache.namespaces)

    async def start(self) -> None:
        """Begin to watch this node's pods where an API server is configured, reachable or not."""
        access = await self.host.in_thread(find_access, self.options)
        if access is None:
            self.host.log.debug("no API server is configured: records get metadata from their tag only")
            return
        self._layout = Layout(self.options, master_url=access.url, annotations=self._annotations)
        self._server = ApiServer(access, self.host)
        self._lookup = Lookup(self.options, self.host, self._server, self._cache, self._layout, stats=self._stats)
        if self.options.stats_interval > 0:
            self._next_stats = self.host.clock.monotonic() + self.options.stats_interval
        if self.options.watch:
            self._start_watch(self._server, self._lookup)

    def _start_watch(self, server: ApiServer, lookup: Lookup) -> None:
        node = os.environ.get("K8S_NODE_NAME", "").strip()
        if not node:
            self.host.log.warning(
                "the environment variable K8S_NODE_NAME is not set: pods are requested one by one and changes of "
                "their labels seen after cache_ttl; set it to the node's name to watch its pods"
            )
            return
        watch = PodWatch(self.options, self.host, server, self._cache, self._layout, stats=self._stats, node=node)
        lookup.begin_list()
        self.host.start_task(watch.run(first_try=lookup.end_list), name="watch_pods")

    async def stop(self) -> None:
        """Close the connections to the API server."""
        if self._server is not None:
            await self._server.close()

    async def process(self, batch: EventBatch) -> EventBatch:
        """Return the batch with metadata in its records; waits only for a container's first metadata."""
        if not batch.times:
            return batch
        now = self.host.clock.monotonic()
        if now >= self._next_stats:
            self._next_stats = now + self.options.stats_interval
            self.host.log.info(self._stats.line(self._cache))
        if self._merge is not None:
            batch.records = self._merge(batch.records)
        await self._enrich(batch)
        return batch

    async def _enrich_files(self, batch: EventBatch) -> None:
        """Add the metadata of the tag's container to all records but those that name another one."""
        reference = self._read_tag(batch.tag)
        metadata = {} if reference is None else await self._metadata_of(reference, batch.times[0])
        if self.options.lookup_from_k8s_field and _with_fields(batch.records):
            await self._enrich_each(batch, from_fields, metadata)
        elif metadata:
            _add(batch.records, metadata)

    async def _enrich_journal(self, batch: EventBatch) -> None:
        """Add to each record the metadata of the container it names; the tag is not used."""
        read = self._read_entry
        if self.options.lookup_from_k8s_field:
            await self._enrich_each(batch, lambda record: from_fields(record) or read(record), {})
        else:
            await self._enrich_each(batch, read, {})

    async def _enrich_each(
        self, batch: EventBatch, read: Callable[[Record], Reference | None], otherwise: Record
    ) -> None:
        for time, record in zip(batch.times, batch.records, strict=True):
            reference = read(record)
            record.update(otherwise if reference is None else await self._metadata_of(reference, time))

    async def _metadata_of(self, reference: Reference, time: Time) -> Record:
        """Return the fields for each record of a container; the same objects each time while nothing changes."""
        known = self._known.get(reference)
        if (
            known is not None
            and known.generation == self._cache.generation
            and self.host.clock.monotonic() < known.expires
        ):
            return known.metadata
        known = await self._compose(reference, known, time)
        self._known.put(reference, known)
        return known.metadata

    async def _compose(self, reference: Reference, known: _Known | None, time: Time) -> _Known:
        """Compose metadata anew; waits for the API server only where there is none yet."""
        if self._lookup is None:
            return _Known(self._layout.metadata(reference), complete=True, generation=0, expires=FOREVER)
        answer = self._lookup.cached(reference, time)
        if known is None:
            self._stats.bump("id_cache_miss")
            answer = answer if answer.complete else await self._lookup.wait(reference, time)
        is_current = answer.complete and answer.expires > self.host.clock.monotonic()
        if not is_current:
            self._lookup.ask(reference)
        metadata, complete = answer.metadata, answer.complete
        if known is not None and known.complete and not complete:
            metadata, complete = known.metadata, True
        expires = answer.expires if is_current else self._lookup.retry_at()
        return _Known(metadata, complete, self._cache.generation, expires)


def _add(records: list[Record], metadata: Record) -> None:
    """Add metadata to each record, by assignments, which cost half as much as `update`."""
    kubernetes, docker = metadata["kubernetes"], metadata.get("docker")
    if docker is None:
        for record in records:
            record["kubernetes"] = kubernetes
        return
    for record in records:
        record["docker"] = docker
        record["kubernetes"] = kubernetes


def _with_fields(records: list[Record]) -> list[Record]:
    """Return the records that may name a container."""
    return [record for record in records if "kubernetes" in record and "docker" in record]


def _annotation_patterns(options: KubernetesMetadataOptions, host: FilterHost) -> list[re.Pattern[str]]:
    """Return the compiled expressions of annotation_match, without those that do not compile."""
    patterns = []
    for regexp in options.annotation_match:
        try:
            patterns.append(compile_regexp(regexp))
        except ExpressionError as problem:
            # compat: filter_kubernetes_metadata.rb ignores an invalid one
            host.log.warning("annotation_match is used without %r: %s", regexp, problem)
    return patterns
