"""An API server that is down, slow, unwilling or confused: events go on, and it is left in peace."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from logpipe.testing import ManualClock, Pipeline, drive, settle
from logpipe_kubernetes.filter import KubernetesMetadata
from logpipe_kubernetes.testing import FakeApiServer, TimeLapse, container_tag, namespace, pod

ID = "e4b0" * 16
TAG = container_tag("web-1", container_id=ID)
NAMES = {"container_name": "web", "namespace_name": "shop", "pod_name": "web-1"}
QUIET = "stats_interval 0\n"
IMPATIENT = f"{QUIET}open_timeout 0.1\nread_timeout 0.1\n"


@pytest.fixture
def shop(api: FakeApiServer) -> FakeApiServer:
    """An API server with one namespace and one pod."""
    api.put(namespace("shop"), pod("web-1", labels={"app": "web"}, containers={"web": ID}))
    return api


@pytest.fixture
async def stage(shop: FakeApiServer, clock: ManualClock) -> AsyncIterator[Pipeline]:
    """The filter, asking that server."""
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{QUIET}", clock=clock) as running:
        yield running
    shop.recover()


async def kubernetes(stage: Pipeline, tag: str = TAG) -> dict[str, Any]:
    """Feed one record and return its `kubernetes`."""
    await stage.feed(tag, {"log": "x"})
    found: dict[str, Any] = stage.records()[-1]["kubernetes"]
    return found


def is_enriched(stage: Pipeline) -> bool:
    """Return whether the newest record has the pod's and the namespace's data."""
    found = stage.records()[-1]["kubernetes"]
    return bool(found.get("pod_id") == "uid-of-web-1" and found.get("namespace_id") == "uid-of-shop")


CONFUSED = [
    pytest.param(500, None, id="500"),
    pytest.param(503, None, id="503"),
    pytest.param(403, None, id="forbidden"),
    pytest.param(401, None, id="unauthorized"),
    pytest.param(429, None, id="too many requests"),
    pytest.param(410, None, id="gone"),
    pytest.param(200, b'{"kind":"Pod","metadata":{"na', id="truncated"),
    pytest.param(200, b"[]", id="not an object"),
    pytest.param(200, b"{}", id="an object without metadata"),
    pytest.param(200, b'{"metadata":{"uid":"u","name":"n","namespace":"s"},"status":[1]}', id="a strange object"),
    pytest.param(200, b"", id="empty"),
    pytest.param(502, b"<html>bad gateway</html>", id="a proxy's page"),
]


@pytest.mark.parametrize(("status", "body"), CONFUSED)
async def test_failures_leave_the_names_and_are_recovered_from(
    shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse, status: int, body: bytes | None
) -> None:
    """Records get what their tag tells; the server is asked ever more seldom, and data come when it answers again."""
    shop.fail("GET", status, body=body)

    async def feed() -> None:
        await stage.feed(TAG, *({"log": "x"} for _ in range(10)))

    await feed()
    assert stage.records()[-1]["kubernetes"] == NAMES
    await lapse.seconds(300, feed)
    assert len(shop.requests) <= 40
    assert stage.records()[-1]["kubernetes"] == NAMES
    assert len(stage.log.texts("warning")) == 3  # no K8S_NODE_NAME; cannot ask for a pod; nor for a namespace
    shop.recover()
    await lapse.until(lambda: is_enriched(stage), feed, most=200)
    assert len([text for text in stage.log.texts("info") if "answers again" in text]) == 2


async def test_a_server_that_is_down_is_started_without(clock: ManualClock, lapse: TimeLapse) -> None:
    """Events flow from the first moment; when the server comes up, data come too."""
    async with FakeApiServer() as api:
        port = api.port
    async with drive(KubernetesMetadata, f"kubernetes_url http://127.0.0.1:{port}\n{QUIET}", clock=clock) as stage:
        assert await kubernetes(stage) == NAMES
        await lapse.seconds(30, lambda: kubernetes(stage))
        async with FakeApiServer(port=port) as api:
            api.put(namespace("shop"), pod("web-1", containers={"web": ID}))
            await lapse.until(lambda: is_enriched(stage), lambda: kubernetes(stage), most=200)


async def test_a_server_that_went_down_takes_nothing_away(shop: FakeApiServer, stage: Pipeline) -> None:
    """What is known stays."""
    assert (await kubernetes(stage))["pod_id"] == "uid-of-web-1"
    shop.fail("GET", 500)
    other = container_tag("web-1", container="side", container_id="beef" * 16)
    await kubernetes(stage, other)
    assert (await kubernetes(stage))["pod_id"] == "uid-of-web-1"


async def test_a_silent_server_is_waited_for_once(shop: FakeApiServer, clock: ManualClock, lapse: TimeLapse) -> None:
    """The first batch waits for the timeouts; no other container's does while the server is silent."""
    shop.hang("GET")
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{IMPATIENT}", clock=clock) as stage:
        assert await kubernetes(stage) == NAMES
        await stage.wait_for(lambda: len(stage.log.texts("warning")) == 3)
        made = len(shop.requests)
        for number in range(200):
            found = await kubernetes(stage, container_tag(f"other-{number}", container_id=f"{number:064x}"))
            assert found["pod_name"] == f"other-{number}"
        assert len(shop.requests) == made
        await lapse.until(lambda: len(shop.requests) > made, lambda: kubernetes(stage))
        async with asyncio.TaskGroup() as group:
            while_it_is_tried = group.create_task(kubernetes(stage, container_tag("web-1", container_id="beef" * 16)))
            await settle()
            assert while_it_is_tried.done()
        shop.recover()
        await lapse.until(lambda: is_enriched(stage), lambda: kubernetes(stage), most=300)


async def test_a_slow_server_is_waited_for_a_while_and_then_no_more(shop: FakeApiServer, clock: ManualClock) -> None:
    """Answers that come late, but in time, still cost no more than the share of time that waiting may cost."""
    slow = "open_timeout 5\nread_timeout 30\nstats_interval 0\n"
    shop.put(pod("web-2", containers={"web": "beef" * 16}))
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{slow}", clock=clock) as stage:
        async with asyncio.TaskGroup() as group:
            shop.hang("GET")
            first = group.create_task(kubernetes(stage))
            await stage.wait_for(lambda: len(shop.requests) == 2)
            await clock.advance(36)
            shop.recover()
        assert first.result()["pod_id"] == "uid-of-web-1"
        async with asyncio.TaskGroup() as group:
            shop.hang("GET")
            second = group.create_task(kubernetes(stage, container_tag("web-2", container_id="beef" * 16)))
            await settle()
            assert second.done()
        assert "pod_id" not in second.result()
        shop.recover()


async def test_retry_after_is_obeyed(shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse) -> None:
    """Whoever says 429 is left alone as long as it says."""
    shop.fail("GET", 429, headers={"Retry-After": "120"})
    await kubernetes(stage)
    made = len(shop.requests)
    await lapse.seconds(115, lambda: kubernetes(stage))
    assert len(shop.requests) == made
    shop.recover()
    await lapse.until(lambda: is_enriched(stage), lambda: kubernetes(stage), most=60)


async def test_who_forbids_is_asked_seldom(shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse) -> None:
    """Permissions change seldom: once a minute at most."""
    shop.fail("GET pod", 403)
    await kubernetes(stage)
    await lapse.seconds(300, lambda: kubernetes(stage))
    assert shop.count("GET pod") <= 6


async def test_without_permission_for_namespaces_pods_are_still_known(
    shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse
) -> None:
    """What may be read is added; nobody becomes an orphan for want of permission."""
    shop.fail("GET namespace", 403)
    found = await kubernetes(stage)
    assert found["pod_id"] == "uid-of-web-1"
    assert found["namespace_name"] == "shop"
    assert "namespace_id" not in found
    shop.recover()
    await lapse.until(lambda: is_enriched(stage), lambda: kubernetes(stage), most=200)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A service account's token."""
    path = tmp_path / "token"
    path.write_text("old\n")
    return path


async def test_a_token_that_changed_is_read_again(shop: FakeApiServer, token_file: Path) -> None:
    """The kubelet replaces it every hour: the next request has the new one, without a refusal in between."""
    shop.accept_only("old")
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\nbearer_token_file {token_file}") as stage:
        assert (await kubernetes(stage))["pod_id"] == "uid-of-web-1"
        shop.accept_only("new")
        replacement = token_file.with_name("replacement")
        replacement.write_text("new")
        replacement.replace(token_file)
        shop.put(pod("web-2", containers={"web": "beef"}))
        found = await kubernetes(stage, container_tag("web-2", container_id="beef" * 16))
        assert found["pod_id"] == "uid-of-web-2"
    assert shop.count("GET pod") == 2


async def test_a_refused_token_is_read_again_at_once(shop: FakeApiServer, token_file: Path) -> None:
    """Even where the file looks unchanged."""
    shop.accept_only("old")
    conf = f"kubernetes_url {shop.url}\nbearer_token_file {token_file}\nskip_namespace_metadata true"
    async with drive(KubernetesMetadata, conf) as stage:
        await kubernetes(stage)
        status = token_file.stat()
        shop.accept_only("new")
        token_file.write_text("new\n")
        os.utime(token_file, ns=(status.st_atime_ns, status.st_mtime_ns))
        shop.put(pod("web-2", containers={"web": "beef"}))
        found = await kubernetes(stage, container_tag("web-2", container_id="beef" * 16))
        assert found["pod_id"] == "uid-of-web-2"
    assert shop.requests == ["GET pod shop/web-1", "GET pod shop/web-2", "GET pod shop/web-2"]


async def test_a_token_that_comes_later_is_found(
    shop: FakeApiServer, token_file: Path, clock: ManualClock, lapse: TimeLapse
) -> None:
    """A missing file is no reason to give up."""
    shop.accept_only("old")
    token_file.unlink()
    conf = f"kubernetes_url {shop.url}\nbearer_token_file {token_file}\n{QUIET}"
    async with drive(KubernetesMetadata, conf, clock=clock) as stage:
        assert await kubernetes(stage) == NAMES
        token_file.write_text("old")
        await lapse.until(lambda: is_enriched(stage), lambda: kubernetes(stage), most=200)


async def test_the_token_is_never_in_the_log(shop: FakeApiServer, token_file: Path, clock: ManualClock) -> None:
    """Not even when it is refused."""
    token_file.write_text("s3cret-token")
    shop.accept_only("another")
    conf = f"kubernetes_url {shop.url}\nbearer_token_file {token_file}\n{QUIET}"
    async with drive(KubernetesMetadata, conf, clock=clock) as stage:
        await kubernetes(stage)
        assert any("HTTP 401" in text for text in stage.log.texts())
        assert not any("s3cret" in text for text in stage.log.texts())


async def test_an_answer_without_end_is_left_off(stage: Pipeline, shop: FakeApiServer, lapse: TimeLapse) -> None:
    """What is larger than any pod's object is not held in memory; it is a failure, which is tried again."""
    shop.endless("GET")
    assert await kubernetes(stage) == NAMES
    assert shop.sent <= 3 * (64 << 20)  # one for the pod, one for its namespace, and what is on the way
    shop.recover()

    async def feed() -> None:
        await kubernetes(stage)

    await lapse.until(lambda: is_enriched(stage), feed)


async def test_nobody_sends_the_filter_elsewhere(stage: Pipeline, shop: FakeApiServer, lapse: TimeLapse) -> None:
    """A redirection is a failure: neither the token nor the trust go to another host."""
    async with FakeApiServer() as other:
        other.put(namespace("shop", labels={"from": "elsewhere"}), pod("web-1", containers={"web": ID}))
        shop.fail("GET", 302, headers={"Location": f"{other.url}/api/v1/namespaces/shop"})
        assert await kubernetes(stage) == NAMES
        await stage.wait_for(lambda: any("redirects to" in text for text in stage.log.texts()), "the warning")
        assert other.requests == []
    shop.recover()

    async def feed() -> None:
        await kubernetes(stage)

    await lapse.until(lambda: is_enriched(stage), feed)
