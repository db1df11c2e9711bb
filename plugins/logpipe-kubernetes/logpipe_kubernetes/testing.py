"""A fake Kubernetes API server for tests and demonstrations: real HTTP, faults on demand.

It implements lists, watches, bookmarks, resource versions and their expiry for pods and namespaces, as in the
Kubernetes documentation ("API concepts").
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import orjson
from aiohttp import web

from logpipe.testing import ManualClock

ApiObject: TypeAlias = dict[str, Any]


def container_tag(pod: str, *, namespace: str = "shop", container: str = "web", container_id: str) -> str:
    """Return the tag that `tail` with `tag kubernetes.*` gives to the lines of a container."""
    return f"kubernetes.var.log.containers.{pod}_{namespace}_{container}-{container_id}.log"


def pod(
    name: str,
    *,
    namespace: str = "shop",
    uid: str = "",
    node: str = "node-1",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    containers: Mapping[str, str] | None = None,
    created: str = "2016-06-15T11:00:00Z",
) -> ApiObject:
    """Return a Pod object; `containers` maps their names to their ids."""
    statuses = [
        {
            "name": container,
            "image": f"registry/{container}:1",
            "imageID": f"sha256:{container}",
            "containerID": f"containerd://{container_id}" if container_id else "",
        }
        for container, container_id in (containers or {}).items()
    ]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-of-{name}",
            "labels": dict(labels or {}),
            "annotations": dict(annotations or {}),
            "creationTimestamp": created,
        },
        "spec": {"nodeName": node},
        "status": {"podIP": "10.0.0.1", "containerStatuses": statuses},
    }


def namespace(
    name: str, *, uid: str = "", labels: Mapping[str, str] | None = None, created: str = "2016-01-01T00:00:00Z"
) -> ApiObject:
    """Return a Namespace object."""
    meta = {"name": name, "uid": uid or f"uid-of-{name}", "labels": dict(labels or {}), "creationTimestamp": created}
    return {"kind": "Namespace", "apiVersion": "v1", "metadata": meta}


@dataclass(slots=True)
class _Fault:
    request: str
    times: int
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    released: asyncio.Event | None = None
    endless: bool = False


@dataclass(slots=True, eq=False)
class _Watcher:
    selector: str
    events: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)


class FakeApiServer:
    """Serves pods and namespaces on loopback within its block.

    `requests` are those received, in order, as `GET pod shop/web`, `GET namespace shop`, `LIST pods`, `WATCH pods`.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._bearer = ""
        self.requests: list[str] = []
        self.queries: list[dict[str, str]] = []
        """The parameters of each request's URL."""
        self._tls = tls
        self.port = port
        """The port it listens on, within the block."""
        self._version = 100
        self._expired = 0
        self._pods: dict[tuple[str, str], ApiObject] = {}
        self._namespaces: dict[str, ApiObject] = {}
        self._history: list[tuple[int, str, ApiObject]] = []
        self._watchers: set[_Watcher] = set()
        self._faults: list[_Fault] = []
        self.sent = 0
        """Bytes sent in endless responses."""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/api/v1/pods", self._pods_of_a_node)
        application.router.add_get("/api/v1/namespaces/{namespace}", self._one_namespace)
        application.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}", self._one_pod)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self.release()
        self.end_watches()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The value for kubernetes_url."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def watchers(self) -> int:
        """How many watches are open."""
        return len(self._watchers)

    def count(self, request: str) -> int:
        """Return how many requests began with these words."""
        return sum(made.startswith(request) for made in self.requests)

    def put(self, *objects: ApiObject) -> None:
        """Create or change pods and namespaces; watches get events of pods."""
        for found in objects:
            self._version += 1
            meta = found["metadata"]
            meta["resourceVersion"] = str(self._version)
            if found["kind"] == "Namespace":
                self._namespaces[meta["name"]] = found
                continue
            key = (meta["namespace"], meta["name"])
            self._tell("MODIFIED" if key in self._pods else "ADDED", found)
            self._pods[key] = found

    def delete_pod(self, name: str, *, namespace: str = "shop") -> None:
        """Delete a pod; watches get the event."""
        self._version += 1
        found = self._pods.pop((namespace, name))
        gone = {**found, "metadata": {**found["metadata"], "resourceVersion": str(self._version)}}
        self._tell("DELETED", gone)

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace."""
        del self._namespaces[name]

    def accept_only(self, bearer: str) -> None:
        """Refuse requests without this token; without this call all are accepted."""
        self._bearer = bearer

    def fail(
        self,
        request: str,
        status: int,
        *,
        times: int = 1_000_000,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        """Answer requests that begin with these words with a failure, or with any body at all (status 200)."""
        self._faults.append(_Fault(request, times, status, headers or {}, body))

    def hang(self, request: str, *, times: int = 1_000_000) -> None:
        """Do not answer requests that begin with these words until `release`."""
        self._faults.append(_Fault(request, times, released=asyncio.Event()))

    def endless(self, request: str, *, times: int = 1_000_000) -> None:
        """Answer requests that begin with these words with an endless object, until the client disconnects."""
        self._faults.append(_Fault(request, times, endless=True))

    def recover(self) -> None:
        """End all faults."""
        self.release()
        self._faults.clear()

    def release(self) -> None:
        """Answer the hanging requests."""
        for fault in self._faults:
            if fault.released is not None:
                fault.released.set()

    def bookmark(self) -> None:
        """Send the current version to all watches."""
        self._version += 1
        self.say(_event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(self._version)}}))

    def say(self, text: bytes) -> None:
        """Write bytes to all watches."""
        for watcher in self._watchers:
            watcher.events.put_nowait(text)

    def end_watches(self) -> None:
        """Close all watches, as API servers do every few minutes."""
        for watcher in self._watchers:
            watcher.events.put_nowait(None)

    def expire_versions(self) -> None:
        """Drop the history: all earlier versions are too old (410)."""
        self._version += 1
        self._expired = self._version
        self._history.clear()

    def _tell(self, kind: str, found: ApiObject) -> None:
        self._history.append((self._version, kind, found))
        for watcher in self._watchers:
            if _selected(found, watcher.selector):
                watcher.events.put_nowait(_event(kind, found))

    async def _one_pod(self, request: web.Request) -> web.StreamResponse:
        key = (request.match_info["namespace"], request.match_info["pod"])
        return await self._answer(request, f"GET pod {key[0]}/{key[1]}", self._pods.get(key))

    async def _one_namespace(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["namespace"]
        return await self._answer(request, f"GET namespace {name}", self._namespaces.get(name))

    async def _pods_of_a_node(self, request: web.Request) -> web.StreamResponse:
        selector = request.query.get("fieldSelector", "")
        if request.query.get("watch") == "true":
            refusal = await self._refusal(request, "WATCH pods")
            return refusal or await self._watch(request, selector)
        items = [found for found in self._pods.values() if _selected(found, selector)]
        listed = {"kind": "PodList", "metadata": {"resourceVersion": str(self._version)}, "items": items}
        return await self._answer(request, "LIST pods", listed)

    async def _answer(self, request: web.Request, what: str, found: ApiObject | None) -> web.StreamResponse:
        refusal = await self._refusal(request, what)
        if refusal is not None:
            return refusal
        return _json(found) if found is not None else _status(404, f"{what} not found")

    async def _refusal(self, request: web.Request, what: str) -> web.StreamResponse | None:
        """Record the request; return the response of a fault or a wrong token."""
        self.requests.append(what)
        self.queries.append(dict(request.query))
        for fault in self._faults:
            if fault.times > 0 and what.startswith(fault.request):
                fault.times -= 1
                if fault.released is not None:
                    await fault.released.wait()
                    return None
                if fault.endless:
                    return await self._without_end(request)
                if fault.body is not None:
                    return web.Response(status=fault.status, body=fault.body, headers=fault.headers)
                return _status(fault.status, "told to fail", fault.headers)
        if self._bearer and request.headers.get("Authorization") != f"Bearer {self._bearer}":
            return _status(401, "Unauthorized")
        return None

    async def _without_end(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"a": "')
        piece = b"x" * (1 << 20)
        while True:
            await response.write(piece)  # ends when the client disconnects
            self.sent += len(piece)

    async def _watch(self, request: web.Request, selector: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        since = int(request.query.get("resourceVersion") or 0)
        if since < self._expired:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": f"too old resource version: {since}"}
            await response.write(_event("ERROR", gone))
            return response
        watcher = _Watcher(selector)
        for version, kind, found in self._history:
            if version > since and _selected(found, selector):
                watcher.events.put_nowait(_event(kind, found))
        self._watchers.add(watcher)
        try:
            while (text := await watcher.events.get()) is not None:
                await response.write(text)
        finally:
            self._watchers.discard(watcher)
        return response


class TimeLapse:
    """Advances a manual clock by seconds, and after each lets responses arrive over real sockets."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    async def seconds(self, count: int, each: Callable[[], Awaitable[object]] | None = None) -> None:
        """Let so many seconds pass; `each` is called after each."""
        for _ in range(count):
            await self._clock.advance(1)
            await asyncio.sleep(0.002)
            if each is not None:
                await each()

    async def until(
        self, condition: Callable[[], object], each: Callable[[], Awaitable[object]] | None = None, *, most: int = 3600
    ) -> None:
        """Let seconds pass until the condition is true; fail when it is not after `most`."""
        for _ in range(most):
            if condition():
                return
            await self.seconds(1, each)
        assert condition(), f"{most} seconds passed in vain"  # noqa: S101 - it serves tests


def _selected(found: ApiObject, selector: str) -> bool:
    return not selector or selector == f"spec.nodeName={found['spec'].get('nodeName')}"


def _event(kind: str, found: ApiObject) -> bytes:
    return orjson.dumps({"type": kind, "object": found}) + b"\n"


def _json(found: ApiObject, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(found), status=status, content_type="application/json", headers=headers)


def _status(code: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return _json({"kind": "Status", "code": code, "message": message}, code, headers)
