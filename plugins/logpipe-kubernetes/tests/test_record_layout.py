"""What goes into a record."""

from typing import Any

import pytest

from logpipe import ConfigError
from logpipe.testing import drive
from logpipe_kubernetes.filter import KubernetesMetadata
from logpipe_kubernetes.testing import ApiObject, FakeApiServer, container_tag, namespace, pod

ID = "e4b0" * 16
TAG = container_tag("web-1", container_id=ID)


@pytest.fixture
def shop(api: FakeApiServer) -> FakeApiServer:
    """An API server with one namespace and one pod."""
    web = pod(
        "web-1",
        labels={"app": "web", "app.kubernetes.io/name": "web"},
        annotations={"prometheus.io/scrape": "true", "other": "x"},
        containers={"web": ID},
    )
    web["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "web", "uid": "u"}]
    api.put(namespace("shop", labels={"team.x/y": "a"}), web)
    return api


async def enriched(api: FakeApiServer, conf: str = "", *, tag: str = TAG) -> dict[str, Any]:
    """Return a record of `tag` as the filter makes it."""
    async with drive(KubernetesMetadata, f"kubernetes_url {api.url}\n{conf}") as stage:
        await stage.feed(tag, {"log": "x"})
        (record,) = stage.records()
    found: dict[str, Any] = record
    return found


async def test_all_fields_in_fluentds_order(shop: FakeApiServer) -> None:
    """The order of fields is 3.7.1's too, since it is seen in JSON."""
    record = await enriched(shop, 'include_ownerrefs_metadata true\nannotation_match ["^prom"]')
    assert list(record) == ["log", "docker", "kubernetes"]
    assert list(record["kubernetes"].items()) == [
        ("container_name", "web"),
        ("namespace_name", "shop"),
        ("pod_name", "web-1"),
        ("container_image", "registry/web:1"),
        ("container_image_id", "sha256:web"),
        ("pod_id", "uid-of-web-1"),
        ("pod_ip", "10.0.0.1"),
        ("host", "node-1"),
        ("ownerrefs", [{"kind": "ReplicaSet", "name": "web"}]),
        ("labels", {"app": "web", "app.kubernetes.io/name": "web"}),
        ("annotations", {"prometheus.io/scrape": "true"}),
        ("master_url", shop.url),
        ("namespace_id", "uid-of-shop"),
        ("namespace_labels", {"team.x/y": "a"}),
    ]


async def test_records_share_one_metadata(shop: FakeApiServer) -> None:
    """The nested objects are the very same ones, in a batch and from batch to batch."""
    async with drive(KubernetesMetadata, f"kubernetes_url {shop.url}") as stage:
        await stage.feed(TAG, {"log": "a"}, {"log": "b"})
        await stage.feed(TAG, {"log": "c"})
        first, second, third = stage.records()
    assert first["kubernetes"] is second["kubernetes"] is third["kubernetes"]
    assert first["docker"] is third["docker"]


@pytest.mark.parametrize(
    ("conf", "gone", "stays"),
    [
        ("include_namespace_id false", {"namespace_id"}, {"namespace_labels"}),
        ("include_namespace_metadata false", {"namespace_id", "namespace_labels"}, {"labels"}),
        ("skip_namespace_metadata true", {"namespace_id", "namespace_labels"}, {"labels"}),
        ("skip_labels true", {"labels", "namespace_labels"}, {"namespace_id"}),
        ("skip_pod_labels true", {"labels"}, {"namespace_labels"}),
        ("skip_namespace_labels true", {"namespace_labels"}, {"labels"}),
        ("skip_master_url true", {"master_url"}, {"host"}),
        ("skip_container_metadata true", {"container_image", "container_image_id"}, {"pod_ip"}),
        ("include_namespace_id true", set(), {"namespace_id"}),
    ],
)
async def test_what_options_leave_out(shop: FakeApiServer, conf: str, gone: set[str], stays: set[str]) -> None:
    """Each option leaves out its fields and no other."""
    fields = set((await enriched(shop, conf))["kubernetes"])
    assert not fields & gone
    assert stays <= fields


@pytest.mark.parametrize("conf", ["skip_namespace_metadata true", "include_namespace_metadata false"])
async def test_namespaces_that_are_not_wanted_are_not_asked_for(shop: FakeApiServer, conf: str) -> None:
    """Without their metadata no namespace is looked up."""
    await enriched(shop, conf)
    assert shop.requests == ["GET pod shop/web-1"]


async def test_de_dot_and_de_slash_rename_keys_of_labels(shop: FakeApiServer) -> None:
    """Written explicitly, the options of 2016 do what they did; annotations keep their keys."""
    found = (await enriched(shop, 'de_dot true\nde_slash true\nannotation_match ["."]'))["kubernetes"]
    assert found["labels"] == {"app": "web", "app_kubernetes_io__name": "web"}
    assert found["namespace_labels"] == {"team_x__y": "a"}
    assert found["annotations"] == {"prometheus.io/scrape": "true", "other": "x"}


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("de_dot true\nde_dot_separator a.b", "de_dot_separator"),
        ("de_slash true\nde_slash_separator /", "de_slash_separator"),
        ("kubernetes_url api.example:443", "kubernetes_url"),
        ("kubernetes_url ftp://api.example", "kubernetes_url"),
        ("read_timeout 0", "read_timeout"),
    ],
)
async def test_settings_that_cannot_be(conf: str, message: str) -> None:
    """They are errors at start that name the parameter."""
    with pytest.raises(ConfigError, match=message):
        async with drive(KubernetesMetadata, conf):
            pass


async def test_an_annotation_regexp_that_does_not_compile_is_left_out(shop: FakeApiServer) -> None:
    """As in fluentd the others go on; a warning names it."""
    async with drive(KubernetesMetadata, f'kubernetes_url {shop.url}\nannotation_match ["(", "^prom"]') as stage:
        await stage.feed(TAG, {"log": "x"})
        (record,) = stage.records()
        assert "annotation_match is used without '('" in stage.log.texts("warning")[0]
    assert record["kubernetes"]["annotations"] == {"prometheus.io/scrape": "true"}


async def test_the_pods_folder_gets_its_container_id_from_the_api(shop: FakeApiServer) -> None:
    """Its tags do not hold the container's id, so the API server's is taken."""
    record = await enriched(shop, tag="var.log.pods.shop_web-1_uid-of-web-1.web.0.log")
    assert record["docker"] == {"container_id": ID}


def restarted(last: str, now: str) -> ApiObject:
    """Return a pod whose container was restarted."""
    found = pod("web-1", containers={"web": now})
    found["status"]["containerStatuses"][0]["lastState"] = {"terminated": {"containerID": f"containerd://{last}"}}
    return found


async def test_lines_of_a_restarted_container_keep_their_id(api: FakeApiServer) -> None:
    """Where the pod lists the container that wrote the lines, its id is kept."""
    api.put(namespace("shop"), restarted(last=ID, now="beef"))
    assert (await enriched(api))["docker"] == {"container_id": ID}


async def test_an_unlisted_container_gets_the_listed_id(api: FakeApiServer) -> None:
    """compat: where the pod does not list the container, 3.7.1 takes the API server's id."""
    api.put(namespace("shop"), pod("web-1", containers={"web": "beef"}))
    assert (await enriched(api))["docker"] == {"container_id": "beef"}


async def test_a_pod_without_statuses_still_has_its_fields(api: FakeApiServer) -> None:
    """A pod that was only just scheduled has no containers yet."""
    young = pod("web-1")
    young["status"] = {}
    del young["metadata"]["labels"], young["metadata"]["annotations"]
    api.put(namespace("shop"), young)
    record = await enriched(api)
    assert record["docker"] == {"container_id": ID}
    assert record["kubernetes"]["pod_id"] == "uid-of-web-1"
    assert "pod_ip" not in record["kubernetes"]
    assert "labels" not in record["kubernetes"]


async def test_a_pod_that_is_gone_from_a_namespace_that_is_there(api: FakeApiServer) -> None:
    """The record has the names, the namespace's data, and the container's id for pod_id."""
    api.put(namespace("shop"))
    assert (await enriched(api))["kubernetes"] == {
        "container_name": "web",
        "namespace_name": "shop",
        "pod_name": "web-1",
        "pod_id": ID,
        "namespace_id": "uid-of-shop",
    }


async def test_a_namespace_younger_than_the_line(api: FakeApiServer) -> None:
    """compat: it gives its data, and no pod_id."""
    api.put(namespace("shop", created="2999-01-01T00:00:00Z"))
    assert "pod_id" not in (await enriched(api))["kubernetes"]


@pytest.mark.parametrize(
    ("conf", "more"),
    [
        ("", {"namespace_name": ".orphaned", "orphaned_namespace": "shop", "namespace_id": "orphaned"}),
        (
            "orphaned_namespace_name .lost\norphaned_namespace_id lost",
            {"namespace_name": ".lost", "orphaned_namespace": "shop", "namespace_id": "lost"},
        ),
        ("allow_orphans false", {"namespace_name": "shop"}),
    ],
)
async def test_orphans(api: FakeApiServer, conf: str, more: dict[str, str]) -> None:
    """Where neither pod nor namespace is known, the line is moved to the orphans' namespace, or just has its names."""
    record = await enriched(api, conf)
    assert record["kubernetes"] == {"container_name": "web", "pod_name": "web-1", **more}
