"""The demo's stand-in for the Kubernetes API, asked as a program in a pod asks it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from examples.demo.kubernetes_api import kubernetes_api
from examples.demo.pods import NODE, PODS


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that was given the environment and the mounted secrets, and nothing else."""
    async with kubernetes_api(PODS, tmp_path / "secrets") as environment:
        secrets = Path(environment["LOGPIPE_KUBERNETES_SECRET_DIR"])
        trusted = ssl.create_default_context(cafile=str(secrets / "ca.crt"))
        base = "https://{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}/".format(**environment)
        headers = {"Authorization": f"Bearer {(secrets / 'token').read_text()}"}
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(base, headers=headers, connector=connector) as session:
            yield session


async def test_lists_pods_with_their_containers(api: aiohttp.ClientSession) -> None:
    """Every pod is there with its node, its labels and the id that docker gave its container."""
    async with api.get("/api/v1/pods", params={"fieldSelector": f"spec.nodeName={NODE}"}) as answer:
        found = await answer.json()
    assert [item["metadata"]["name"] for item in found["items"]] == [pod.name for pod in PODS]
    for item, pod in zip(found["items"], PODS, strict=True):
        assert item["spec"]["nodeName"] == NODE
        assert item["metadata"]["labels"] == pod.labels
        assert item["status"]["containerStatuses"][0]["containerID"] == f"docker://{pod.container_id}"


async def test_finds_one(api: aiohttp.ClientSession) -> None:
    """A pod and a namespace are found by name."""
    pod = PODS[0]
    async with api.get(f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}") as answer:
        assert (await answer.json())["metadata"]["uid"] == pod.uid
    async with api.get(f"/api/v1/namespaces/{pod.namespace}") as answer:
        assert (await answer.json())["metadata"]["name"] == pod.namespace


async def test_missing(api: aiohttp.ClientSession) -> None:
    """What is not there is a Status with code 404."""
    async with api.get("/api/v1/namespaces/shop/pods/nobody") as answer:
        assert answer.status == 404
        assert (await answer.json())["kind"] == "Status"


async def test_watch_stays_open(api: aiohttp.ClientSession) -> None:
    """A watch begins to be answered at once and has no event until it is over."""
    async with api.get("/api/v1/pods", params={"watch": "1", "timeoutSeconds": "0.2"}) as answer:
        assert answer.status == 200
        assert await answer.read() == b""


async def test_end_does_not_wait_for_watches(tmp_path: Path) -> None:
    """The server closes although somebody is watching."""
    async with kubernetes_api(PODS, tmp_path / "secrets") as environment:
        url = "https://{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}/api/v1/pods?watch=1".format(**environment)
        headers = {"Authorization": f"Bearer {(tmp_path / 'secrets/token').read_text()}"}
        trusted = ssl.create_default_context(cafile=str(tmp_path / "secrets/ca.crt"))
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted))
        watch = await session.get(url, headers=headers)
    with pytest.raises((aiohttp.ClientError, asyncio.IncompleteReadError)):
        await watch.read()
    await session.close()


async def test_wants_a_token(api: aiohttp.ClientSession) -> None:
    """Without the token there is nothing to see."""
    async with api.get("/api/v1/pods", headers={"Authorization": "Bearer guess"}) as answer:
        assert answer.status == 401
