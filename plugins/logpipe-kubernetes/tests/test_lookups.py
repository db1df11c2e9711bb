"""What is asked of the API server one by one, and how often."""

import asyncio
from typing import Any

import pytest

from logpipe.testing import ManualClock, Pipeline, drive
from logpipe_kubernetes.filter import KubernetesMetadata
from logpipe_kubernetes.testing import FakeApiServer, TimeLapse, container_tag, namespace, pod

ID = "e4b0" * 16
OTHER_ID = "aaaa" * 16
TAG = container_tag("web-1", container_id=ID)
OTHER_TAG = container_tag("web-1", container_id=OTHER_ID)


@pytest.fixture
def shop(api: FakeApiServer) -> FakeApiServer:
    """An API server with one namespace and one pod."""
    api.put(namespace("shop"), pod("web-1", labels={"app": "web"}, containers={"web": ID}))
    return api


async def kubernetes(stage: Pipeline, tag: str = TAG) -> dict[str, Any]:
    """Feed one record and return its `kubernetes`."""
    await stage.feed(tag, {"log": "x"})
    found: dict[str, Any] = stage.records()[-1]["kubernetes"]
    return found


def settings(api: FakeApiServer, more: str = "") -> str:
    """Return a configuration that asks this API server."""
    return f"kubernetes_url {api.url}\nstats_interval 0\n{more}"


async def test_a_pod_is_asked_for_once(shop: FakeApiServer) -> None:
    """However many batches wait for it, and however many come later."""
    async with drive(KubernetesMetadata, settings(shop)) as stage:
        await asyncio.gather(*(stage.feed(TAG, {"log": "x"}) for _ in range(50)))
        for _ in range(50):
            await stage.feed(TAG, {"log": "x"})
        assert {record["kubernetes"]["pod_id"] for record in stage.records()} == {"uid-of-web-1"}
    assert sorted(shop.requests) == ["GET namespace shop", "GET pod shop/web-1"]


async def test_look_ups_are_served_from_the_api_servers_cache(shop: FakeApiServer) -> None:
    """resourceVersion=0 spares etcd."""
    async with drive(KubernetesMetadata, settings(shop)) as stage:
        await kubernetes(stage)
    assert shop.queries == [{"resourceVersion": "0"}] * 2


async def test_containers_of_a_pod_share_its_look_up(api: FakeApiServer) -> None:
    """A second container is known from the first one's answer."""
    api.put(namespace("shop"), pod("web-1", containers={"web": ID, "side": OTHER_ID}))
    side = container_tag("web-1", container="side", container_id=OTHER_ID)
    async with drive(KubernetesMetadata, settings(api)) as stage:
        await asyncio.gather(kubernetes(stage), kubernetes(stage, side))
        assert (await kubernetes(stage, side))["container_image"] == "registry/side:1"
    assert api.count("GET pod") == 1


async def test_an_unknown_pod_is_asked_for_again_ever_more_seldom(
    api: FakeApiServer, clock: ManualClock, lapse: TimeLapse
) -> None:
    """Its absence is remembered; a pod that appears after all is found."""
    api.put(namespace("shop"))
    async with drive(KubernetesMetadata, settings(api), clock=clock) as stage:

        async def feed() -> None:
            await stage.feed(TAG, *({"log": "x"} for _ in range(10)))

        await lapse.seconds(9, feed)
        assert api.count("GET pod") == 1
        await lapse.seconds(600, feed)
        assert 3 <= api.count("GET pod") <= 8
        api.put(pod("web-1", containers={"web": ID}))
        await lapse.until(lambda: stage.records()[-1]["kubernetes"]["pod_id"] == "uid-of-web-1", feed, most=700)


async def test_an_unknown_pod_is_forgotten_about_without_ignore_nil(
    api: FakeApiServer, clock: ManualClock, lapse: TimeLapse
) -> None:
    """ignore_nil false keeps the absence as long as anything else."""
    api.put(namespace("shop"))
    async with drive(KubernetesMetadata, settings(api, "ignore_nil false\ncache_ttl 1000"), clock=clock) as stage:
        await lapse.seconds(990, lambda: kubernetes(stage))
        assert api.count("GET pod") == 1
        await lapse.until(lambda: api.count("GET pod") == 2, lambda: kubernetes(stage), most=60)


async def test_orphans_are_not_asked_for_at_each_record(
    api: FakeApiServer, clock: ManualClock, lapse: TimeLapse
) -> None:
    """3.7.1 looks them up for every record."""
    async with drive(KubernetesMetadata, settings(api), clock=clock) as stage:
        await lapse.seconds(60, lambda: kubernetes(stage))
    assert api.count("GET pod") <= 4
    assert api.count("GET namespace") <= 4


async def test_what_is_known_is_asked_for_again_after_cache_ttl(
    shop: FakeApiServer, clock: ManualClock, lapse: TimeLapse
) -> None:
    """Batches do not wait for that: they go on with what was known until the answer is there."""
    async with drive(KubernetesMetadata, settings(shop, "cache_ttl 100"), clock=clock) as stage:
        assert (await kubernetes(stage))["labels"] == {"app": "web"}
        shop.put(pod("web-1", labels={"app": "new"}, containers={"web": ID}))
        shop.hang("GET")
        await lapse.until(lambda: shop.count("GET pod") == 2, lambda: kubernetes(stage), most=110)
        assert (await kubernetes(stage))["labels"] == {"app": "web"}
        shop.recover()
        await lapse.until(
            lambda: stage.records()[-1]["kubernetes"]["labels"] == {"app": "new"}, lambda: kubernetes(stage)
        )
    assert shop.count("GET pod") == 2


async def test_a_negative_cache_ttl_never_expires(shop: FakeApiServer, clock: ManualClock, lapse: TimeLapse) -> None:
    """Nothing is asked for twice."""
    async with drive(KubernetesMetadata, settings(shop, "cache_ttl -1"), clock=clock) as stage:
        await kubernetes(stage)
        await clock.advance(4000)
        await lapse.seconds(20, lambda: kubernetes(stage))
    assert len(shop.requests) == 2


async def test_no_more_than_cache_size_is_remembered(api: FakeApiServer) -> None:
    """Of containers and of pods; those used longest ago are asked for again."""
    api.put(namespace("shop"))
    tags = [container_tag(f"web-{number}", container_id=f"{number:064x}") for number in range(5)]
    for number in range(5):
        api.put(pod(f"web-{number}", containers={"web": f"{number:064x}"}))
    async with drive(KubernetesMetadata, settings(api, "cache_size 2")) as stage:
        for tag in tags:
            await kubernetes(stage, tag)
        assert stage.metric("pod_cache_size") == 2
        await kubernetes(stage, tags[4])
        assert api.count("GET pod") == 5
        assert (await kubernetes(stage, tags[0]))["pod_id"] == "uid-of-web-0"
    assert api.count("GET pod shop/web-0") == 2


async def test_a_deleted_pods_lines_are_enriched_after_its_end(
    shop: FakeApiServer, clock: ManualClock, lapse: TimeLapse
) -> None:
    """What was known of it is kept when the API server no longer knows it."""
    async with drive(KubernetesMetadata, settings(shop, "cache_ttl 60"), clock=clock) as stage:
        await kubernetes(stage)
        shop.delete_pod("web-1")
        await lapse.until(lambda: shop.count("GET pod") == 2, lambda: kubernetes(stage))
        await lapse.seconds(60, lambda: kubernetes(stage))
        assert (await kubernetes(stage))["labels"] == {"app": "web"}


async def test_a_pod_created_again_under_its_name_is_another(shop: FakeApiServer) -> None:
    """Each container's lines get the pod that it belongs to."""
    async with drive(KubernetesMetadata, settings(shop)) as stage:
        assert (await kubernetes(stage))["pod_id"] == "uid-of-web-1"
        shop.delete_pod("web-1")
        shop.put(pod("web-1", uid="second", containers={"web": OTHER_ID}, created="2016-06-16T11:00:00Z"))
        assert (await kubernetes(stage, OTHER_TAG))["pod_id"] == "second"
        assert (await kubernetes(stage))["pod_id"] == "uid-of-web-1"


async def test_the_pods_folder_tells_pods_of_one_name_apart(shop: FakeApiServer) -> None:
    """A uid that the API server no longer knows is a pod that is gone, whoever has its name now."""
    tag = "var.log.pods.shop_web-1_{}.web.0.log"
    async with drive(KubernetesMetadata, settings(shop)) as stage:
        assert (await kubernetes(stage, tag.format("uid-of-web-1")))["host"] == "node-1"
        former = await kubernetes(stage, tag.format("former-uid"))
        await kubernetes(stage, tag.format("former-uid"))
    assert former["pod_id"] == "former-uid"
    assert "host" not in former
    assert shop.count("GET pod") == 2


@pytest.mark.parametrize("annotation", ["kubernetes.io/config.hash", "kubernetes.io/config.mirror"])
async def test_static_pods_are_known_by_the_uid_of_their_folder(api: FakeApiServer, annotation: str) -> None:
    """The kubelet names the folder after the manifest's hash, which the mirror pod has in an annotation."""
    api.put(namespace("shop"), pod("etcd-1", annotations={annotation: "c0ffee"}, containers={"etcd": ID}))
    async with drive(KubernetesMetadata, settings(api)) as stage:
        found = await kubernetes(stage, "var.log.pods.shop_etcd-1_c0ffee.etcd.0.log")
    assert found["pod_id"] == "uid-of-etcd-1"


async def test_a_namespace_created_again_under_its_name_is_another(shop: FakeApiServer) -> None:
    """A pod younger than what is known of its namespace asks for it again; old pods keep theirs."""
    async with drive(KubernetesMetadata, settings(shop)) as stage:
        assert (await kubernetes(stage))["namespace_id"] == "uid-of-shop"
        shop.put(namespace("shop", uid="new-shop", created="2998-01-01T00:00:00Z"))
        shop.put(pod("web-2", containers={"web": OTHER_ID}, created="2999-01-01T00:00:00Z"))
        new = container_tag("web-2", container_id=OTHER_ID)
        assert (await kubernetes(stage, new))["namespace_id"] == "new-shop"
        assert (await kubernetes(stage))["namespace_id"] == "uid-of-shop"
        for _ in range(20):
            await kubernetes(stage, new)
    assert shop.count("GET namespace") == 2


async def test_a_deleted_namespace_stays_known(shop: FakeApiServer, clock: ManualClock, lapse: TimeLapse) -> None:
    """Its last lines still have its id, and it is asked for only as often as any other."""
    async with drive(KubernetesMetadata, settings(shop, "cache_ttl 100"), clock=clock) as stage:
        await kubernetes(stage)
        shop.delete_namespace("shop")
        await lapse.seconds(350, lambda: kubernetes(stage))
        assert (await kubernetes(stage))["namespace_id"] == "uid-of-shop"
    assert shop.count("GET namespace") <= 4


async def test_a_flood_of_names_in_records_does_not_reach_the_api_server(
    api: FakeApiServer, clock: ManualClock, lapse: TimeLapse
) -> None:
    """Records that name a thousand pods cause no more requests than the rate allows, and queue no more than a few."""
    fields = [
        {
            "kubernetes": {"namespace_name": f"ns-{number}", "pod_name": "x", "container_name": "c"},
            "docker": {"container_id": f"{number}"},
        }
        for number in range(1000)
    ]
    async with drive(KubernetesMetadata, settings(api, "open_timeout 0.2\nread_timeout 0.2"), clock=clock) as stage:
        await stage.feed("app", *fields)
        assert len(stage.records()) == 1000
        assert len(api.requests) <= 50
        lookup = stage.plugin(KubernetesMetadata)._lookup
        assert len(lookup._under_way) <= 100
        await lapse.seconds(5)
        assert len(api.requests) <= 105
        await lapse.until(lambda: len(api.requests) > 50)


@pytest.mark.usefixtures("on_node")
async def test_watch_false_asks_one_by_one(shop: FakeApiServer) -> None:
    """Although the node has a name."""
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\nwatch false") as stage:
        await kubernetes(stage)
        assert stage.log.texts("warning") == []
    assert sorted(shop.requests) == ["GET namespace shop", "GET pod shop/web-1"]


async def test_without_a_node_name_pods_are_asked_for_one_by_one(shop: FakeApiServer) -> None:
    """Never the whole cluster's; a warning says what to set."""
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}") as stage:
        await kubernetes(stage)
        assert "K8S_NODE_NAME" in stage.log.texts("warning")[0]
    assert sorted(shop.requests) == ["GET namespace shop", "GET pod shop/web-1"]
