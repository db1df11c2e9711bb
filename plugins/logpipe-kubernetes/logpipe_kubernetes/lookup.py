"""What is asked of the API server, and when: once per pod and namespace however many wait for it, and never in haste.

A container's first batch waits for its metadata; whatever comes back later is picked up by later batches. Waiting ends
at open_timeout plus read_timeout, is left out while the API server is known to be ill, and costs at most a tenth of
the time in the long run.
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
from logpipe_kubernetes.layout import Layout, Namespace, Pod
from logpipe_kubernetes.memory import FOREVER, Memory
from logpipe_kubernetes.names import Reference, is_api_name
from logpipe_kubernetes.pacing import Bucket, Gate
from logpipe_kubernetes.server import ApiFailure, ApiServer
from logpipe_kubernetes.stats import Stats

T = TypeVar("T")

_Kind: TypeAlias = Literal["pod", "namespace"]

_SHARE_OF_TIME: Final = 0.1
"""How much of the time batches may spend waiting, once the first waits are used up."""

_MOST_UNDER_WAY: Final = 100
"""Requests that may be under way or queue for their turn; whoever comes after them asks again later."""

_LOOK_AGAIN: Final = 5.0
"""Seconds until a batch looks again for what was asked and has not come."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A container's metadata as far as it is known."""

    metadata: Record
    complete: bool
    """Whether the API server has said all it has to say, be it that there is no such pod."""
    expires: float
    """When to ask again, on the monotonic clock; past when that is now."""


class Lookup:
    """Knows what is known, and asks for the rest."""

    def __init__(
        self,
        host: Host,
        server: ApiServer,
        memory: Memory,
        layout: Layout,
        *,
        stats: Stats,
        with_namespaces: bool,
        absences_last: bool,
        longest_wait: float,
    ) -> None:
        self._host = host
        self._clock = host.clock
        self._server = server
        self._memory = memory
        self._layout = layout
        self._stats = stats
        self._with_namespaces = with_namespaces
        self._absences_last = absences_last
        self._patience = Bucket(host.clock, rate=_SHARE_OF_TIME, burst=longest_wait)
        self._gates: dict[_Kind, Gate] = {"pod": Gate(host.clock), "namespace": Gate(host.clock)}
        self._under_way: dict[tuple[str, ...], asyncio.Future[None]] = {}
        self._listing: asyncio.Future[None] | None = None

    def expect_list(self) -> None:
        """Hold back questions until `end_list`: a list of pods is under way that answers most of them at once."""
        self._listing = asyncio.get_running_loop().create_future()

    def end_list(self) -> None:
        """Ask again, whether the list came or failed."""
        if self._listing is not None:
            self._listing.set_result(None)
            self._listing = None

    def recall(self, reference: Reference, time: Time) -> Answer:
        """Return what is known of a container without asking; `time` is that of a line of it."""
        pod, pod_expires = self._recall_pod(reference)
        namespace, namespace_expires = self._recall_namespace(_namespace_name(reference, pod), pod or None)
        complete = pod is not None and namespace is not None
        expires = min(pod_expires, namespace_expires)
        more = self._more(reference, pod, namespace, time)
        metadata = self._layout.metadata(reference, pod=pod or None, more=more)
        return Answer(metadata, complete, expires)

    def _recall_pod(self, reference: Reference) -> tuple[Pod | Literal[False] | None, float]:
        """Return the pod, False where there is none, None where that is not known; and when to ask again."""
        if not is_api_name(reference.pod) or not is_api_name(reference.namespace):
            return False, FOREVER
        found = self._memory.find(reference)
        if found is not None and found.certain:
            return found.pod, found.expires
        if found is not None:
            return None, 0.0
        absent_until = self._memory.absent_until("pod", *_pod_key(reference))
        return (False, absent_until) if absent_until else (None, 0.0)

    def _recall_namespace(self, name: str, pod: Pod | None) -> tuple[Namespace | Literal[False] | None, float]:
        """Return the namespace, False where there is none or none is wanted, None where that is not known."""
        if not self._with_namespaces or not is_api_name(name):
            return False, FOREVER
        entry = self._memory.namespace(name)
        if entry is None:
            absent_until = self._memory.absent_until("namespace", name)
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
        """Return what the namespace adds to `kubernetes`, and what absence does."""
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

    async def wait(self, reference: Reference, time: Time) -> Answer:
        """Return a container's metadata, waiting for the API server where that is worth while."""
        patience = self._patience.level
        if patience > 0:
            self._patience.take(await self._wait_at_most(patience, reference))
        else:
            self.ask(reference)
        return self.recall(reference, time)

    async def _wait_at_most(self, patience: float, reference: Reference) -> float:
        """Wait for answers; returns the seconds that it took."""
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(patience):
                await self._wait_for(reference)
        except TimeoutError:
            self._host.log.debug("going on without the metadata of %s/%s", reference.namespace, reference.pod)
            return patience
        return self._clock.monotonic() - started

    async def _wait_for(self, reference: Reference) -> None:
        if self._listing is not None:
            await asyncio.wait([self._listing])
        # twice: the request under way may have been another container's, and the pod may turn out to be younger than
        # what is known of its namespace
        for _ in range(2):
            asked = self.ask(reference)
            if asked:
                await asyncio.wait(asked)

    def ask(self, reference: Reference) -> list[asyncio.Future[None]]:
        """Begin to ask for what is not known or too old, unless it is being asked; returns what to wait for."""
        if self._listing is not None:
            return []
        now = self._clock.monotonic()
        pod, pod_expires = self._recall_pod(reference)
        name = _namespace_name(reference, pod)
        _, namespace_expires = self._recall_namespace(name, pod or None)
        asked = []
        if pod_expires <= now:
            fetch = partial(self._fetch_pod, reference)
            asked.append(self._single_flight("pod", ("pod", *_pod_key(reference)), fetch))
        if namespace_expires <= now:
            fetch = partial(self._fetch_namespace, name, pod or None)
            asked.append(self._single_flight("namespace", ("namespace", name), fetch))
        return [future for future in asked if future is not None]

    def look_again(self) -> float:
        """Return when to look again for what was asked and has not come."""
        return self._clock.monotonic() + _LOOK_AGAIN * random.uniform(1.0, 2.0)

    def _single_flight(
        self, kind: _Kind, key: tuple[str, ...], fetch: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Future[None] | None:
        """Begin a request unless it is under way; returns what to wait for, None where that is not worth while."""
        gate = self._gates[kind]
        is_promising = gate.healthy
        if key not in self._under_way:
            if len(self._under_way) >= _MOST_UNDER_WAY or not gate.enter():
                return None
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._host.start_task(self._fly(kind, key, future, fetch), name=f"ask_{kind}")
            self._under_way[key] = future
        return self._under_way[key] if is_promising else None

    async def _fly(
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
            self._gates[kind].failed(_LOOK_AGAIN)
            raise
        else:
            if self._gates[kind].succeeded():
                self._host.log.info("the API server answers again when asked for a %s", kind)
        finally:
            del self._under_way[key]
            if not future.done():
                future.set_result(None)

    def _failed(self, kind: _Kind, failure: ApiFailure) -> None:
        gate = self._gates[kind]
        first = gate.healthy
        pause = gate.failed(failure.retry_after)
        self._stats.bump("pod_cache_api_nil_error" if kind == "pod" else "namespace_cache_api_nil_error")
        self._host.log.log(
            logging.WARNING if first else logging.DEBUG,
            "cannot ask the API server for a %s: %s; records get what their tag tells, next try in %.0f s",
            kind,
            failure,
            pause,
        )

    async def _fetch_pod(self, reference: Reference) -> None:
        self._stats.bump("pod_cache_miss")
        found = await self._get("namespaces", reference.namespace, "pods", reference.pod, resourceVersion="0")
        if found is None:
            self._stats.bump("pod_cache_api_nil_error")
            self._no_pod(reference)
            return
        pod = parsed(self._layout.pod, found)
        if (pod.namespace, pod.name) != (reference.namespace, reference.pod):
            raise ApiFailure(f"asked for {reference.namespace}/{reference.pod}, got {pod.namespace}/{pod.name}")
        self._stats.bump("pod_cache_api_updates")
        self._memory.keep(pod)
        if reference.pod_uid in {"", pod.uid, *pod.other_uids}:
            self._memory.assign(reference.container_id, pod)
        else:
            self._memory.note_absence("pod", *_pod_key(reference), for_good=self._absences_last)

    def _no_pod(self, reference: Reference) -> None:
        late = self._memory.find(reference)
        if late is None:
            self._memory.note_absence("pod", *_pod_key(reference), for_good=self._absences_last)
        else:
            self._memory.gone(late.pod.uid)
            self._memory.assign(reference.container_id, late.pod)

    async def _fetch_namespace(self, name: str, pod: Pod | None) -> None:
        self._stats.bump("namespace_cache_miss")
        known = self._memory.namespace(name)
        as_of = max(self._clock.now(), pod.created if pod else 0)
        # a pod younger than what is known may live in a new namespace, of which the API server's cache may not know yet
        query = {} if known is not None and pod is not None else {"resourceVersion": "0"}
        found = await self._get("namespaces", name, **query)
        if found is not None:
            namespace = parsed(self._layout.namespace, found)
            if namespace.name != name:
                raise ApiFailure(f"asked for {name}, got {namespace.name}")
            self._stats.bump("namespace_cache_api_updates")
            self._memory.keep_namespace(namespace, as_of=as_of)
            return
        self._stats.bump("namespace_cache_api_nil_error")
        if known is not None:
            self._memory.keep_namespace(known.namespace, as_of=as_of)
        else:
            self._memory.note_absence("namespace", name, for_good=self._absences_last)

    async def _get(self, *path: str, **query: str) -> dict[str, Any] | None:
        """Return an object, None where the API server does not know it."""
        try:
            return await self._server.get(*path, **query)
        except ApiFailure as failure:
            if failure.status == 404:
                return None
            raise


def parsed(read: Callable[[dict[str, Any]], T], found: dict[str, Any]) -> T:
    """Return what a layout reads in an object.

    Raises:
        ApiFailure: the object is not what was asked for.
    """
    try:
        return read(found)
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        raise ApiFailure(f"an object without what is needed: {problem!r}") from problem


def _namespace_name(reference: Reference, pod: Pod | Literal[False] | None) -> str:
    """Return where a container lives: a container id says more than the names that came with it."""
    return pod.namespace if pod else reference.namespace


def _pod_key(reference: Reference) -> tuple[str, str, str]:
    return reference.namespace, reference.pod, reference.pod_uid
