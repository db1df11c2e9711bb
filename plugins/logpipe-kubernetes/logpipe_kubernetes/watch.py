"""Keeps the cache of this node's pods current: one list, then a watch, for as long as the filter runs.

API servers close the stream every few minutes; it is then continued from the last version. A version that has expired
(410) leads to a new list, of which only the differences count.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

from logpipe import Host
from logpipe_kubernetes.cache import MetadataCache
from logpipe_kubernetes.layout import Layout, Pod
from logpipe_kubernetes.lookup import parsed
from logpipe_kubernetes.options import KubernetesMetadataOptions
from logpipe_kubernetes.rate_limit import Backoff
from logpipe_kubernetes.server import ApiFailure, ApiServer
from logpipe_kubernetes.stats import Stats

SILENCE: Final = 150.0
"""Seconds without a byte after which a watch counts as dead: an API server sends a bookmark every minute."""

_STREAM_SECONDS: Final = 300
_SHORT: Final = 30.0
"""A stream that ends without an event within so many seconds counts as failed, to avoid an endless loop."""

_TOO_OLD: Final = 410
_FAILURES_BEFORE_LIST: Final = 3


class PodWatch:
    """Lists and watches the pods of one node."""

    def __init__(
        self,
        options: KubernetesMetadataOptions,
        host: Host,
        server: ApiServer,
        cache: MetadataCache,
        layout: Layout,
        *,
        stats: Stats,
        node: str,
    ) -> None:
        self._host = host
        self._server = server
        self._cache = cache
        self._layout = layout
        self._stats = stats
        self._selector = f"spec.nodeName={node}"
        first, factor = options.watch_retry_interval, options.watch_retry_exponential_backoff_base
        self._backoff = Backoff(first=first, factor=factor)
        self._version = ""
        """The resourceVersion to continue from; "" when a list is due."""
        self._list_from = "0"
        """The version to list: "0" is the API server's cache, "" the newest one."""
        self._failures = 0
        self._warned = False

    async def run(self, *, first_try: Callable[[], None]) -> None:
        """List and watch until cancelled, or until the server was closed.

        `first_try` is called when the first list was received or failed, and may be called again.
        """
        while not self._server.closed:
            try:
                if not self._version:
                    await self._list()
                    first_try()
                await self._follow()
            except ApiFailure as failure:
                first_try()
                await self._recover(failure)
            except Exception as mistake:
                # the filter works without the watch, which must neither end for good nor delay look-ups
                self._host.log.exception("unexpected error while watching this node's pods")
                first_try()
                await self._recover(ApiFailure(f"unexpected error: {mistake!r}"))

    async def _list(self) -> None:
        since = {"resourceVersion": self._list_from} if self._list_from else {}
        found = await self._server.get("pods", fieldSelector=self._selector, **since)
        version = _version_of(found)
        read = [self._read_pod(item) for item in parsed(lambda body: list(body["items"]), found)]
        pods = [pod for pod in read if pod is not None]
        self._cache.store_watched(pods)
        self._version = version
        self._stats.bump("pod_cache_host_updates", len(pods))
        self._list_from = "0"
        self._host.log.debug("the API server lists %d pods with %s", len(pods), self._selector)

    async def _follow(self) -> None:
        """Process events until the stream ends."""
        started = self._host.clock.monotonic()
        events = self._server.watch(
            "pods",
            silence=SILENCE,
            fieldSelector=self._selector,
            resourceVersion=self._version,
            allowWatchBookmarks="true",
            timeoutSeconds=str(int(_STREAM_SECONDS * random.uniform(1, 2))),
        )
        heard = False
        async with aclosing(events):
            async for event in events:
                self._take_in(event)
                self._succeeded()
                heard = True
        if not heard and self._host.clock.monotonic() - started < _SHORT:
            raise ApiFailure("the watch ended as soon as it began")

    def _take_in(self, event: dict[str, Any]) -> None:
        kind, found = event.get("type"), event.get("object")
        if not isinstance(found, dict):
            raise ApiFailure("an event of the watch has no object")
        if kind == "ERROR":
            raise self._error_event(found)
        version = _version_of(found)
        pod = None if kind == "BOOKMARK" else self._read_pod(found)
        if pod is not None:
            self._keep(pod, is_deleted=kind == "DELETED")
        self._version = version

    def _keep(self, pod: Pod, *, is_deleted: bool) -> None:
        before = self._cache.generation
        self._cache.store(pod, watched=True)
        if is_deleted:
            # late lines may follow
            self._cache.mark_deleted(pod.uid)
            self._stats.bump("pod_cache_watch_deletes")
        else:
            changed = self._cache.generation != before
            self._stats.bump("pod_cache_watch_updates" if changed else "pod_cache_watch_ignored")

    def _read_pod(self, found: dict[str, Any]) -> Pod | None:
        """Return a pod, None for an invalid object, which must not affect the other pods."""
        try:
            return parsed(self._layout.pod, found)
        except ApiFailure as failure:
            self._host.log.warning("a pod is left out: %s", failure)
            return None

    def _error_event(self, status: dict[str, Any]) -> ApiFailure:
        gone = status.get("code") == _TOO_OLD
        self._stats.bump("pod_watch_gone_notices" if gone else "pod_watch_error_type_notices")
        return ApiFailure(
            f"the watch failed: {status.get('message') or status.get('reason')}", status=_TOO_OLD if gone else 0
        )

    def _succeeded(self) -> None:
        if self._warned:
            self._host.log.info("this node's pods are watched again")
        self._warned = False
        self._failures = 0
        self._backoff.reset()

    async def _recover(self, failure: ApiFailure) -> None:
        """Choose the version to continue from, and pause according to the failure."""
        self._failures += 1
        was_listing = not self._version
        if failure.status == _TOO_OLD:
            self._stats.bump("pod_watch_gone_errors")
            self._list_from = "" if was_listing else "0"
            self._version = ""
        else:
            self._stats.bump("pod_watch_failures")
        if self._failures >= _FAILURES_BEFORE_LIST:
            self._version = ""
        pause = self._backoff.pause(failure.retry_after)
        self._tell(failure, pause, is_news=was_listing or self._failures > 1)
        await self._host.clock.sleep(pause)

    def _tell(self, failure: ApiFailure, pause: float, *, is_news: bool) -> None:
        """Warn once per outage, but not when a stream breaks once."""
        level = logging.WARNING if is_news and not self._warned else logging.DEBUG
        self._warned = self._warned or is_news
        self._host.log.log(
            level, "cannot watch this node's pods: %s; cached pods stay valid, next try in %.0f s", failure, pause
        )


def _version_of(found: dict[str, Any]) -> str:
    return parsed(lambda body: str(body["metadata"]["resourceVersion"]), found)
