"""The list and watch of this node's pods."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from logpipe.testing import ManualClock, Pipeline, drive
from logpipe_kubernetes.cache import DELETED_SECONDS
from logpipe_kubernetes.filter import KubernetesMetadata
from logpipe_kubernetes.testing import FakeApiServer, TimeLapse, container_tag, namespace, pod

pytestmark = pytest.mark.usefixtures("on_node")

ID = "e4b0" * 16
OTHER_ID = "aaaa" * 16
TAG = container_tag("web-1", container_id=ID)
NAMES = {"container_name": "web", "namespace_name": "shop", "pod_name": "web-1"}
QUIET = "stats_interval 0\n"
IMPATIENT = f"{QUIET}open_timeout 0.2\nread_timeout 0.2\n"


@pytest.fixture
def shop(api: FakeApiServer, on_node: str) -> FakeApiServer:
    """An API server with one namespace, and one pod on this node."""
    api.put(namespace("shop"), {**web("a"), "spec": {"nodeName": on_node}})
    return api


def web(label: str) -> dict[str, Any]:
    """Return the pod with one of its labels."""
    return pod("web-1", labels={"app": label}, containers={"web": ID})


@pytest.fixture
async def stage(shop: FakeApiServer, clock: ManualClock) -> AsyncIterator[Pipeline]:
    """The filter, watching that server's pods."""
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{QUIET}", clock=clock) as running:
        await running.wait_for(lambda: shop.watchers == 1)
        yield running
    shop.recover()


async def kubernetes(stage: Pipeline, tag: str = TAG) -> dict[str, Any]:
    """Feed one record and return its `kubernetes`."""
    await stage.feed(tag, {"log": "x"})
    found: dict[str, Any] = stage.records()[-1]["kubernetes"]
    return found


def label(stage: Pipeline) -> str:
    """Return the label of the newest record's pod."""
    return str(stage.records()[-1]["kubernetes"].get("labels", {}).get("app")) if stage.records() else ""


async def test_one_list_answers_for_all_pods_of_the_node(shop: FakeApiServer, clock: ManualClock) -> None:
    """The first batches wait for it instead of asking one by one; only this node's pods are asked for."""
    for number in range(30):
        shop.put(pod(f"pod-{number}", containers={"web": f"{number:064x}"}))
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}", clock=clock) as stage:
        for number in range(30):
            found = await kubernetes(stage, container_tag(f"pod-{number}", container_id=f"{number:064x}"))
            assert found["pod_id"] == f"uid-of-pod-{number}"
        await stage.wait_for(lambda: shop.watchers == 1)
    assert sorted(shop.requests) == ["GET namespace shop", "LIST pods", "WATCH pods"]
    listing = shop.queries[shop.requests.index("LIST pods")]
    watching = shop.queries[shop.requests.index("WATCH pods")]
    assert listing == {"fieldSelector": "spec.nodeName=node-1", "resourceVersion": "0"}
    assert watching["fieldSelector"] == "spec.nodeName=node-1"
    assert watching["allowWatchBookmarks"] == "true"
    assert int(watching["timeoutSeconds"]) >= 300


async def test_a_change_is_seen_by_the_next_batch(shop: FakeApiServer, stage: Pipeline) -> None:
    """Labels change while a pod runs; nothing is asked for that."""
    await kubernetes(stage)
    assert label(stage) == "a"
    shop.put(web("b"))
    await stage.wait_for(lambda: stage.metric("pod_cache_watch_updates") == 1)
    await kubernetes(stage)
    assert label(stage) == "b"
    assert shop.count("GET pod") == 0


async def test_an_event_without_a_change_leaves_the_metadata(shop: FakeApiServer, stage: Pipeline) -> None:
    """The kubelet writes conditions all the time; the shared objects stay the same."""
    await kubernetes(stage)
    shop.put(web("a"))
    await stage.wait_for(lambda: stage.metric("pod_cache_watch_ignored") == 1)
    await kubernetes(stage)
    first, second = (record["kubernetes"] for record in stage.records())
    assert first is second


async def test_a_new_pod_is_known_before_its_first_line(shop: FakeApiServer, stage: Pipeline) -> None:
    """Its ADDED event is enough."""
    shop.put(pod("web-2", containers={"web": OTHER_ID}))
    await stage.wait_for(lambda: stage.metric("pod_cache_watch_updates") == 1)
    found = await kubernetes(stage, container_tag("web-2", container_id=OTHER_ID))
    assert found["pod_id"] == "uid-of-web-2"
    assert shop.count("GET pod") == 0


async def test_a_pod_of_another_node_is_asked_for_by_itself(shop: FakeApiServer, stage: Pipeline) -> None:
    """Lines may come from elsewhere, by forward for instance."""
    shop.put(pod("far-1", node="node-2", containers={"web": OTHER_ID}))
    found = await kubernetes(stage, container_tag("far-1", container_id=OTHER_ID))
    assert found["host"] == "node-2"
    assert shop.count("GET pod") == 1


async def test_a_restarted_container_is_known_from_the_watch(shop: FakeApiServer, stage: Pipeline) -> None:
    """Where the watch is behind, the pod is asked for once."""
    tag = container_tag("web-1", container_id=OTHER_ID)
    assert (await kubernetes(stage, tag))["pod_id"] == "uid-of-web-1"
    for _ in range(20):
        await kubernetes(stage, tag)
    assert shop.count("GET pod") == 1


async def test_late_lines_of_a_deleted_pod_are_enriched(
    shop: FakeApiServer, stage: Pipeline, clock: ManualClock
) -> None:
    """Also where none was seen before its end, for some minutes."""
    shop.delete_pod("web-1")
    await stage.wait_for(lambda: stage.metric("pod_cache_watch_deletes") == 1)
    await clock.advance(DELETED_SECONDS - 1)
    await kubernetes(stage)
    assert label(stage) == "a"
    assert shop.count("GET pod") == 0


async def test_a_deleted_pod_is_forgotten_in_the_end(shop: FakeApiServer, stage: Pipeline, clock: ManualClock) -> None:
    """Memory does not grow with all pods that ever were."""
    shop.delete_pod("web-1")
    await stage.wait_for(lambda: stage.metric("pod_cache_watch_deletes") == 1)
    await clock.advance(DELETED_SECONDS + 1)
    shop.put(pod("web-2", containers={"web": OTHER_ID}))
    await stage.wait_for(lambda: stage.metric("pod_cache_watch_updates") == 1)
    assert stage.metric("pod_cache_size") == 1


async def test_a_pod_created_again_under_its_name_is_another(shop: FakeApiServer, stage: Pipeline) -> None:
    """The lines of both are told apart by their container's id."""
    shop.delete_pod("web-1")
    shop.put(pod("web-1", uid="second", containers={"web": OTHER_ID}, created="2016-06-16T11:00:00Z"))
    await stage.wait_for(lambda: stage.metric("pod_cache_watch_updates") == 1)
    assert (await kubernetes(stage))["pod_id"] == "uid-of-web-1"
    assert (await kubernetes(stage, container_tag("web-1", container_id=OTHER_ID)))["pod_id"] == "second"
    assert shop.count("GET pod") == 0


async def test_an_answer_that_is_behind_does_not_undo_the_watch(shop: FakeApiServer, stage: Pipeline) -> None:
    """A look-up may be served by an API server that has not heard of what the watch has told."""
    shop.fail("GET pod", 200, body=b'{"metadata":{"uid":"uid-of-web-1","name":"web-1","namespace":"shop"}}')
    await kubernetes(stage, container_tag("web-1", container_id=OTHER_ID))
    assert label(stage) == "a"


async def test_an_answer_about_a_former_pod_does_not_end_the_present_one(
    shop: FakeApiServer, stage: Pipeline, clock: ManualClock
) -> None:
    """An API server that is behind may still know the pod that had the name before: the older one is the dead one."""
    former = pod("web-1", uid="former", containers={"web": OTHER_ID}, created="2016-06-14T11:00:00Z")
    shop.fail("GET pod", 200, body=json.dumps(former).encode())
    assert (await kubernetes(stage, container_tag("web-1", container_id=OTHER_ID)))["pod_id"] == "former"
    await clock.advance(DELETED_SECONDS + 1)
    shop.put(pod("web-2", containers={"web": "beef"}))
    await stage.wait_for(lambda: stage.metric("pod_cache_watch_updates") == 1)
    assert (await kubernetes(stage))["pod_id"] == "uid-of-web-1"
    assert shop.count("GET pod") == 1
    assert stage.metric("pod_cache_size") == 2


async def test_a_stream_that_ends_goes_on_where_it_was(shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse) -> None:
    """API servers end watches every few minutes: no new list, and nothing missed."""
    shop.bookmark()
    shop.end_watches()
    shop.put(web("b"))
    await lapse.until(lambda: stage.metric("pod_cache_watch_updates") == 1)
    await kubernetes(stage)
    assert label(stage) == "b"
    assert shop.count("LIST") == 1
    assert stage.log.texts("warning") == []


@pytest.mark.usefixtures("stage")
async def test_bookmarks_keep_the_version_young(shop: FakeApiServer, lapse: TimeLapse) -> None:
    """A watch in which nothing happens goes on from its last bookmark."""
    shop.bookmark()
    shop.bookmark()
    shop.end_watches()
    await lapse.until(lambda: shop.count("WATCH") == 2)
    first, second = (int(query["resourceVersion"]) for query in shop.queries if "watch" in query)
    assert second == first + 2


async def test_streams_that_end_at_once_are_no_storm(shop: FakeApiServer, clock: ManualClock, lapse: TimeLapse) -> None:
    """A proxy that closes every watch is not asked a thousand times a minute."""
    shop.fail("WATCH", 200, body=b"")
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{QUIET}", clock=clock):
        await lapse.seconds(120)
    assert 3 <= shop.count("WATCH") <= 20
    assert shop.count("LIST") <= 20


async def test_an_expired_version_leads_to_one_new_list(
    shop: FakeApiServer, stage: Pipeline, clock: ManualClock, lapse: TimeLapse
) -> None:
    """410 in an ERROR event: differences are taken from the list, deleted pods included, and the watch goes on."""
    shop.put(pod("web-2", containers={"web": OTHER_ID}))
    await stage.wait_for(lambda: stage.metric("pod_cache_watch_updates") == 1)
    shop.end_watches()
    shop.delete_pod("web-2")
    shop.put(web("b"))
    shop.expire_versions()
    await lapse.until(lambda: shop.count("LIST") == 2 and shop.watchers == 1)
    await kubernetes(stage)
    assert label(stage) == "b"
    assert (await kubernetes(stage, container_tag("web-2", container_id=OTHER_ID)))["pod_id"] == "uid-of-web-2"
    assert shop.count("LIST") == 2
    assert stage.metric("pod_watch_gone_notices") == 1
    assert stage.log.texts("warning") == []
    await clock.advance(DELETED_SECONDS + 1)
    shop.put(web("c"))
    await stage.wait_for(lambda: stage.metric("pod_cache_size") == 1)


@pytest.mark.usefixtures("stage")
async def test_gone_as_a_status_leads_to_one_new_list(shop: FakeApiServer, lapse: TimeLapse) -> None:
    """410 as the answer to the watch means the same."""
    shop.fail("WATCH", 410, times=1)
    shop.end_watches()
    await lapse.until(lambda: shop.count("WATCH") == 3)
    assert shop.count("LIST") == 2


async def test_gone_in_the_list_asks_for_the_newest(shop: FakeApiServer, clock: ManualClock, lapse: TimeLapse) -> None:
    """A list that is too old at the API server's own cache is asked for without a version."""
    shop.fail("LIST", 410, times=1)
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{QUIET}", clock=clock) as stage:
        await lapse.until(lambda: shop.watchers == 1)
        await kubernetes(stage)
        assert label(stage) == "a"
    listings = [query for query, request in zip(shop.queries, shop.requests, strict=True) if request == "LIST pods"]
    assert [query.get("resourceVersion") for query in listings] == ["0", None]


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"MODIFIED","object":{"kind":"Pod","meta\n',
        b"garbage\n",
        b"[]\n",
        b'{"type":"MODIFIED"}\n',
        b'{"type":"MODIFIED","object":{"metadata":{}}}\n',
        b'{"type":"ERROR","object":{"code":500,"message":"etcd is ill"}}\n',
    ],
)
async def test_a_stream_that_breaks_is_begun_again(
    shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse, text: bytes
) -> None:
    """Truncated or nonsensical events lose nothing: the watch goes on from the last good one."""
    shop.say(text)
    await stage.wait_for(lambda: stage.metric("pod_watch_failures") == 1)
    await stage.wait_for(lambda: shop.watchers == 0)
    shop.put(web("b"))
    await lapse.until(lambda: stage.metric("pod_cache_watch_updates") == 1)
    await kubernetes(stage)
    assert label(stage) == "b"
    assert shop.count("LIST") == 1
    assert shop.count("WATCH") == 2


async def test_an_event_without_end_is_left_off(shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse) -> None:
    """It is not held in memory, and the watch is begun again."""
    shop.endless("WATCH", times=1)
    shop.end_watches()
    await lapse.until(lambda: shop.sent)
    await stage.wait_for(lambda: stage.metric("pod_watch_failures") == 1)
    assert shop.sent <= 32 << 20
    shop.put(web("b"))
    await lapse.until(lambda: stage.metric("pod_cache_watch_updates") == 1)


async def test_half_an_event_at_the_end_is_dropped(shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse) -> None:
    """A connection that is cut within an event."""
    shop.say(b'{"type":"DELETED","object":{"kind":"Pod"')
    shop.end_watches()
    await lapse.until(lambda: shop.count("WATCH") == 2)
    await kubernetes(stage)
    assert label(stage) == "a"


async def test_a_silent_watch_is_begun_again(
    shop: FakeApiServer, clock: ManualClock, lapse: TimeLapse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No byte for too long means that the connection is dead, whatever TCP believes."""
    monkeypatch.setattr("logpipe_kubernetes.watch.SILENCE", 0.1)
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{QUIET}", clock=clock):
        await lapse.until(lambda: shop.count("WATCH") >= 3)
    assert shop.count("LIST") == 1


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_refused_list_falls_back_to_single_look_ups(
    shop: FakeApiServer, clock: ManualClock, lapse: TimeLapse, status: int
) -> None:
    """Who may get but not list is served all the same; one warning says so, and the list is tried seldom."""
    shop.fail("LIST", status, headers={"Retry-After": "60"})
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{QUIET}", clock=clock) as stage:
        await kubernetes(stage)
        assert label(stage) == "a"
        await lapse.seconds(300)
        assert len(stage.log.texts("warning")) == 1
        assert shop.count("LIST") <= 12
        shop.recover()
        await lapse.until(lambda: shop.watchers == 1, most=700)


async def test_a_server_that_is_down_is_started_without(clock: ManualClock, lapse: TimeLapse) -> None:
    """Events flow at once, and the watch begins when the server is there; requests are few."""
    async with FakeApiServer() as api:
        port = api.port
    conf = f"kubernetes_url http://127.0.0.1:{port}\n{QUIET}"
    async with drive(KubernetesMetadata, conf, clock=clock) as stage:
        assert await kubernetes(stage) == NAMES
        await lapse.seconds(100, lambda: kubernetes(stage))
        async with FakeApiServer(port=port) as api:
            api.put(namespace("shop"), web("a"))
            await lapse.until(lambda: api.watchers == 1)
            await lapse.until(lambda: label(stage) == "a", lambda: kubernetes(stage))


async def test_a_silent_server_holds_the_first_batch_only_so_long(shop: FakeApiServer, clock: ManualClock) -> None:
    """The list hangs: the first batch goes on after the timeouts, with the names."""
    shop.hang("LIST")
    shop.hang("GET")
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{IMPATIENT}", clock=clock) as stage:
        assert await kubernetes(stage) == NAMES
        shop.recover()


async def test_an_outage_is_survived_and_told_once(shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse) -> None:
    """What is known stays known, the server is left in peace, and the watch comes back."""
    await kubernetes(stage)
    shop.fail("", 500)
    shop.end_watches()
    await lapse.seconds(600, lambda: kubernetes(stage))
    assert label(stage) == "a"
    assert len(stage.log.texts("warning")) == 1
    assert len(shop.requests) <= 40
    shop.recover()
    shop.put(web("b"))
    await lapse.until(lambda: label(stage) == "b", lambda: kubernetes(stage), most=200)
    await lapse.until(lambda: shop.watchers == 1)
    shop.bookmark()
    await stage.wait_for(lambda: any("watched again" in text for text in stage.log.texts("info")))


async def test_thousands_of_pods_and_events(api: FakeApiServer, clock: ManualClock) -> None:
    """A node with far too many pods, and a flood of events, is only so much work."""
    api.put(namespace("shop"), *(pod(f"pod-{number}", containers={"web": f"{number:064x}"}) for number in range(3000)))
    async with drive(KubernetesMetadata, f"kubernetes_url {api.url}\n{QUIET}", clock=clock) as stage:
        await stage.wait_for(lambda: api.watchers == 1)
        for number in range(3000):
            api.delete_pod(f"pod-{number}")
        await stage.wait_for(lambda: stage.metric("pod_cache_watch_deletes") == 3000)
        assert stage.metric("pod_cache_size") <= 1000
    assert api.count("LIST") == 1


async def test_a_mistake_of_ours_does_not_end_the_watch(
    shop: FakeApiServer, stage: Pipeline, lapse: TimeLapse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an event breaks, the error is logged and the watch goes on."""
    with monkeypatch.context() as broken:
        broken.setattr("logpipe_kubernetes.cache.MetadataCache.store", lambda *_args, **_options: 1 / 0)
        shop.put(web("b"))
        await stage.wait_for(lambda: stage.log.texts("error"))
    await lapse.until(lambda: label(stage) == "b", lambda: kubernetes(stage))
    assert shop.count("LIST") == 1


async def test_a_strange_pod_does_not_hide_the_others(shop: FakeApiServer, clock: ManualClock) -> None:
    """It is left out, of the list and of the watch."""
    strange = pod("strange")
    strange["metadata"]["annotations"] = 7
    shop.put(strange)
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}\n{QUIET}", clock=clock) as stage:
        await kubernetes(stage)
        assert label(stage) == "a"
        await stage.wait_for(lambda: shop.watchers == 1)
        shop.put(strange)
        shop.put(web("b"))
        await stage.wait_for(lambda: stage.metric("pod_cache_watch_updates") == 1)
        assert len([text for text in stage.log.texts("warning") if "left out" in text]) == 2
