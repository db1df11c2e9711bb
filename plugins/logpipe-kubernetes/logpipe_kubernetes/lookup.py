"""Requests metadata from the API server: one request at a time per pod and namespace, at a limited rate.

A container's first batch waits for its metadata; later responses are used by later batches. Waiting ends after
open_timeout plus read_timeout, is skipped after failures of the API server, and costs at most a tenth of the time in
the long run.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar

from logpipe import Host, Record, Time
from logpipe_kubernetes.cache import FOREVER, MetadataCache
from logpipe_kubernetes.layout import Layout, Namespace, Pod
from logpipe_kubernetes.names import Reference, is_api_name
from logpipe_kubernetes.options import KubernetesMetadataOptions
from logpipe_kubernetes.rate_limit import CircuitBreaker, TokenBucket
from logpipe_kubernetes.server import ApiFailure, ApiServer
from logpipe_kubernetes.stats import Stats

T = TypeVar("T")

_Kind: TypeAlias = Literal["pod", "namespace"]

_SHARE_OF_TIME: Final = 0.1
"""The share of the time that batches may spend waiting, once the initial budget is used up."""

_MOST_UNDER_WAY: Final = 100
"""The most requests that may be pending; look-ups beyond that are tried again later."""

_LOOK_AGAIN: Final = 5.0
"""Seconds until a batch checks again for a pending response."""


@dataclass(frozen=True, slots=True)
class Result:
    """A container's cached metadata."""

    metadata: Record
    complete: bool
    """Whether nothing is missing, which includes pods that are known not to exist."""
    expires: float
    """When to request again, on the monotonic clock; in the past for now."""


class Lookup:
    """Returns cached metadata, and requests what is missing or expired."""

    def __init__(
        self,
        options: KubernetesMetadataOptions,
        host: Host,
        server: ApiServer,
        cache: MetadataCache,
        layout: Layout,
        *,
        stats: Stats,
    ) -> None:
        self._host = host
        self._clock = host.clock
        self._server = server
        self._cache = cache
        self._layout = layout
        self._stats = stats
        self._with_namespaces = not options.skip_namespace_metadata and options.include_namespace_metadata is not False
        self._absences_last = not options.ignore_nil
        longest_wait = options.open_timeout + options.read_timeout
        self._wait_budget = TokenBucket(host.clock, rate=_SHARE_OF_TIME, burst=longest_wait)
        self._breakers: dict[_Kind, CircuitBreaker] = {
            "pod": CircuitBreaker(host.clock),
            "namespace": CircuitBreaker(host.clock),
        }
        self._under_way: dict[tuple[str, ...], asyncio.Future[None]] = {}
        self._listing: asyncio.Future[None] | None = None

    def begin_list(self) -> None:
        """Delay requests until `end_list`: a list of pods was requested that makes most of them unnecessary."""
        self._listing = asyncio.get_running_loop().create_future()

    def end_list(self) -> None:
        """Allow requests again, whether the list was received or failed."""
        if self._listing is not None:
            self._listing.set_result(None)
            self._listing = None

    def cached(self, reference: Reference, time: Time) -> Result:
        """Return a container's cached metadata without a request; `time` is that of one of its lines."""
        pod, pod_expires = self._cached_pod(reference)
        namespace, namespace_expires = self._cached_namespace(_namespace_name(reference, pod), pod or None)
        complete = pod is not None and namespace is not None
        expires = min(pod_expires, namespace_expires)
        more = self._more(reference, pod, namespace, time)
        metadata = self._layout.metadata(reference, pod=pod or None, more=more)
        return Result(metadata, complete, expires)

    def _cached_pod(self, reference: Reference) -> tuple[Pod | Literal[False] | None, float]:
        """Return the pod, False where it does not exist, None where that is unknown; and when to request it again."""
        if not is_api_name(reference.pod) or not is_api_name(reference.namespace):
            return False, FOREVER
        found = self._cache.find(reference)
        if found is not None and found.certain:
            return found.pod, found.expires
        if found is not None:
            return None, 0.0
        absent_until = self._cache.absent_until("pod", *_pod_key(reference))
        return (False, absent_until) if absent_until else (None, 0.0)

    def _cached_namespace(self, name: str, pod: Pod | None) -> tuple[Namespace | Literal[False] | None, float]:
        """Return the namespace, False where it does not exist or is not needed, None where that is unknown."""
        if not self._with_namespaces or not is_api_name(name):
            return False, FOREVER
        entry = self._cache.namespace(name)
        if entry is None:
            absent_until = self._cache.absent_until("namespace", name)
            return (False, absent_until) if absent_until else (None, 0.0)
        if pod is not None and pod.created > entry.as_of:
            return None, 0.0
        if pod is not None and pod.created < entry.namespace.created and entry.former is not None:
            return entry.former, FOREVER
        return entry.namespace, entry.expires

    def _more(
        self,
        reference: Reference,
        pod: Pod | Literal[False] | None,
        namespace: Namespace | Literal[False] | None,
        time: Time,
    ) -> Record | None:
        """Return the fields of `kubernetes` from the namespace, or from its absence."""
        if pod is not False or namespace is None or not self._with_namespaces:
            return namespace.fields if namespace else None
        if not namespace:
            self._stats.bump("id_cache_orphaned_record")
            return self._layout.orphan(reference)
        self._stats.bump("id_cache_pod_not_found_namespace")
        # compat: kubernetes_metadata_cache_strategy.rb gives no pod_id where the namespace is younger than the line
        if reference.identity and namespace.created <= time:
            return {"pod_id": reference.identity, **namespace.fields}
        return namespace.fields

    async def wait(self, reference: Reference, time: Time) -> Result:
        """Return a container's metadata, waiting for the API server while the budget allows."""
        seconds = self._wait_budget.level
        if seconds > 0:
            self._wait_budget.take(await self._wait_at_most(seconds, reference))
        else:
            self.ask(reference)
        return self.cached(reference, time)

    async def _wait_at_most(self, seconds: float, reference: Reference) -> float:
        """Wait for responses; returns the seconds that it took."""
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await self._wait_for(reference)
        except TimeoutError:
            self._host.log.debug("going on without the metadata of %s/%s", reference.namespace, reference.pod)
            return seconds
        return self._clock.monotonic() - started

    async def _wait_for(self, reference: Reference) -> None:
        if self._listing is not None:
            await asyncio.wait([self._listing])
        # twice: the pending request may be another container's, and the pod may turn out to be younger than the cached
        # namespace
        for _ in range(2):
            asked = self.ask(reference)
            if asked:
                await asyncio.wait(asked)

    def ask(self, reference: Reference) -> list[asyncio.Future[None]]:
        """Request what is missing or expired, unless a request is pending; returns the futures to wait for."""
        if self._listing is not None:
            return []
        now = self._clock.monotonic()
        pod, pod_expires = self._cached_pod(reference)
        name = _namespace_name(reference, pod)
        _, namespace_expires = self._cached_namespace(name, pod or None)
        asked = []
        if pod_expires <= now:
            fetch = partial(self._fetch_pod, reference)
            asked.append(self._single_flight("pod", ("pod", *_pod_key(reference)), fetch))
        if namespace_expires <= now:
            fetch = partial(self._fetch_namespace, name, pod or None)
            asked.append(self._single_flight("namespace", ("namespace", name), fetch))
        return [future for future in asked if future is not None]

    def retry_at(self) -> float:
        """Return when to check again for a pending response."""
        return self._clock.monotonic() + _LOOK_AGAIN * random.uniform(1.0, 2.0)

    def _single_flight(
        self, kind: _Kind, key: tuple[str, ...], fetch: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Future[None] | None:
        """Begin a request unless one is pending; returns its future, None where it will probably fail."""
        breaker = self._breakers[kind]
        is_promising = breaker.healthy
        if key not in self._under_way:
            if len(self._under_way) >= _MOST_UNDER_WAY or not breaker.enter():
                return None
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._host.start_task(self._fetch(kind, key, future, fetch), name=f"ask_{kind}")
            self._under_way[key] = future
        return self._under_way[key] if is_promising else None

    async def _fetch(
        self,
        kind: _Kind,
        key: tuple[str, ...],
        future: asyncio.Future[None],
        fetch: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        try:
            await fetch()
        except ApiFailure as failure:
            self._failed(kind, failure)
        except Exception:
            self._breakers[kind].failed(_LOOK_AGAIN)
            raise
        else:
            if self._breakers[kind].succeeded():
                self._host.log.info("the API server answers again when asked for a %s", kind)
        finally:
            del self._under_way[key]
            if not future.done():
                future.set_result(None)

    def _failed(self, kind: _Kind, failure: ApiFailure) -> None:
        breaker = self._breakers[kind]
        first = breaker.healthy
        pause = breaker.failed(failure.retry_after)
        self._stats.bump("pod_cache_api_nil_error" if kind == "pod" else "namespace_cache_api_nil_error")
        self._host.log.log(
            logging.WARNING if first else logging.DEBUG,
            "cannot get a %s from the API server: %s; records get metadata from their tag only, next try in %.0f s",
            kind,
            failure,
            pause,
        )

    async def _fetch_pod(self, reference: Reference) -> None:
        self._stats.bump("pod_cache_miss")
        found = await self._get("namespaces", reference.namespace, "pods", reference.pod, resourceVersion="0")
        if found is None:
            self._stats.bump("pod_cache_api_nil_error")
            self._pod_missing(reference)
            return
        pod = parsed(self._layout.pod, found)
        if (pod.namespace, pod.name) != (reference.namespace, reference.pod):
            raise ApiFailure(f"asked for {reference.namespace}/{reference.pod}, got {pod.namespace}/{pod.name}")
        self._stats.bump("pod_cache_api_updates")
        self._cache.store(pod)
        if reference.pod_uid in {"", pod.uid, *pod.other_uids}:
            self._cache.assign(reference.container_id, pod)
        else:
            self._cache.store_absence("pod", *_pod_key(reference), for_good=self._absences_last)

    def _pod_missing(self, reference: Reference) -> None:
        late = self._cache.find(reference)
        if late is None:
            self._cache.store_absence("pod", *_pod_key(reference), for_good=self._absences_last)
        else:
            self._cache.mark_missing(late.pod.uid)
            self._cache.assign(reference.container_id, late.pod)

    async def _fetch_namespace(self, name: str, pod: Pod | None) -> None:
        self._stats.bump("namespace_cache_miss")
        known = self._cache.namespace(name)
        as_of = max(self._clock.now(), pod.created if pod else 0)
        # a pod younger than the cached namespace may be in a new one, which the API server's cache may not have yet
        query = {} if known is not None and pod is not None else {"resourceVersion": "0"}
        found = await self._get("namespaces", name, **query)
        if found is not None:
            namespace = parsed(self._layout.namespace, found)
            if namespace.name != name:
                raise ApiFailure(f"asked for {name}, got {namespace.name}")
            self._stats.bump("namespace_cache_api_updates")
            self._cache.store_namespace(namespace, as_of=as_of)
            return
        self._stats.bump("namespace_cache_api_nil_error")
        if known is not None:
            self._cache.store_namespace(known.namespace, as_of=as_of)
        else:
            self._cache.store_absence("namespace", name, for_good=self._absences_last)

    async def _get(self, *path: str, **query: str) -> dict[str, Any] | None:
        """Return an object, None where it does not exist."""
        try:
            return await self._server.get(*path, **query)
        except ApiFailure as failure:
            if failure.status == 404:
                return None
            raise


def parsed(read: Callable[[dict[str, Any]], T], found: dict[str, Any]) -> T:
    """Return the result of a layout's `read` of an object.

    Raises:
        ApiFailure: the object does not have the expected form.
    """
    try:
        return read(found)
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        raise ApiFailure(f"an object without what is needed: {problem!r}") from problem


def _namespace_name(reference: Reference, pod: Pod | Literal[False] | None) -> str:
    """Return a container's namespace; a pod found by container id takes precedence over the reference's names."""
    return pod.namespace if pod else reference.namespace


def _pod_key(reference: Reference) -> tuple[str, str, str]:
    return reference.namespace, reference.pod, reference.pod_uid
