"""A fake Kubernetes API server with the few requests that look up pods and namespaces.

It uses TLS with a certificate authority made for this run and requires a token, like a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web

from examples.demo.pods import NODE, Pod

TOKEN = "token-of-the-demo"  # noqa: S105 - valid for this fake only
VERSION = "1000"

Json = dict[str, Any]


@contextlib.asynccontextmanager
async def kubernetes_api(pods: Sequence[Pod], secrets: Path) -> AsyncIterator[dict[str, str]]:
    """Serve the pods on loopback while the context is open.

    Args:
        pods: all there are, on one node.
        secrets: folder to put the authority's certificate and the token into, as a service account's are mounted.

    Yields:
        The environment variables by which a program in a pod finds the API server.
    """
    runner = web.AppRunner(_application(pods), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_identity(secrets))
        await site.start()
        _, port = runner.addresses[0]
        yield {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(port),
            "LOGPIPE_KUBERNETES_SECRET_DIR": str(secrets),
            "K8S_NODE_NAME": NODE,
        }
    finally:
        await runner.cleanup()


def _identity(secrets: Path) -> ssl.SSLContext:
    """Make an authority and a certificate, and write the files that clients need: the authority and a token."""
    authority = trustme.CA()
    secrets.mkdir(parents=True)
    authority.cert_pem.write_to_path(secrets / "ca.crt")
    (secrets / "token").write_text(TOKEN)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    return tls


def _application(pods: Sequence[Pod]) -> web.Application:
    found = {f"/{pod.namespace}/{pod.name}": _pod(pod) for pod in pods}
    namespaces = {pod.namespace: _namespace(pod.namespace) for pod in pods}

    async def versions(_: web.Request) -> web.Response:
        return web.json_response({"kind": "APIVersions", "versions": ["v1"]})

    async def list_pods(request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") in ("1", "true"):
            return await _watch(request)
        return _list("PodList", list(found.values()))

    async def list_namespaces(request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") in ("1", "true"):
            return await _watch(request)
        return _list("NamespaceList", list(namespaces.values()))

    async def get_pod(request: web.Request) -> web.Response:
        return _one(found.get("/{namespace}/{name}".format(**request.match_info)), request)

    async def get_namespace(request: web.Request) -> web.Response:
        return _one(namespaces.get(request.match_info["name"]), request)

    application = web.Application(middlewares=[_authorised])
    application.router.add_get("/api", versions)
    application.router.add_get("/api/v1/pods", list_pods)
    application.router.add_get("/api/v1/namespaces", list_namespaces)
    application.router.add_get("/api/v1/namespaces/{name}", get_namespace)
    application.router.add_get("/api/v1/namespaces/{namespace}/pods/{name}", get_pod)
    return application


@web.middleware
async def _authorised(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return web.json_response(_status("Unauthorized", 401), status=401)
    return await handler(request)


async def _watch(request: web.Request) -> web.StreamResponse:
    """Keep the stream open without events, for the requested time, since nothing changes here."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await asyncio.sleep(float(request.query.get("timeoutSeconds", 300)))
    return response


def _list(kind: str, items: list[Json]) -> web.Response:
    return web.json_response(
        {"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": VERSION}, "items": items}
    )


def _one(found: Json | None, request: web.Request) -> web.Response:
    if found is None:
        return web.json_response(_status(f"{request.path} not found", 404), status=404)
    return web.json_response(found)


def _status(message: str, code: int) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


def _pod(pod: Pod) -> Json:
    image = f"registry.example.com/{pod.container}:1.4"
    status = {
        "name": pod.container,
        "image": image,
        "imageID": f"docker-pullable://{image}@sha256:{pod.container_id}",
        "containerID": f"docker://{pod.container_id}",
        "ready": True,
        "restartCount": 0,
    }
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": pod.name,
            "namespace": pod.namespace,
            "uid": pod.uid,
            "resourceVersion": VERSION,
            "labels": pod.labels,
        },
        "spec": {"nodeName": NODE, "containers": [{"name": pod.container, "image": image}]},
        "status": {"phase": "Running", "podIP": "10.244.0.7", "hostIP": "10.0.0.4", "containerStatuses": [status]},
    }


def _namespace(name: str) -> Json:
    return {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "uid": f"namespace-{name}",
            "resourceVersion": VERSION,
            "labels": {"kubernetes.io/metadata.name": name},
        },
        "status": {"phase": "Active"},
    }
