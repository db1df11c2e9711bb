"""From tags, journal entries and records' own fields to containers."""

import pytest

from logpipe import ConfigError
from logpipe.testing import configure, drive
from logpipe_kubernetes.filter import KubernetesMetadata
from logpipe_kubernetes.names import from_fields, is_api_name
from logpipe_kubernetes.testing import FakeApiServer, container_tag, namespace, pod

ID = "e4b0" * 16
NAMES = {"container_name": "web", "namespace_name": "shop", "pod_name": "web-1"}


@pytest.mark.parametrize(
    ("tag", "container_id", "names"),
    [
        (container_tag("web-1", container_id=ID), ID, ("shop", "web-1", "web")),
        (f"var.log.containers.a.b-c_n_s-1_c-{ID}.log", ID, ("n", "a.b-c", "s-1_c")),
        (f"x.var.log.containers.web-1_shop_side-car-{ID}.log", ID, ("shop", "web-1", "side-car")),
        ("k.var.log.pods.shop_web-1_0d1c2b3a-44.web.0.log", None, ("shop", "web-1", "web")),
    ],
)
async def test_a_tag_names_its_container(tag: str, container_id: str | None, names: tuple[str, str, str]) -> None:
    """Both folders of the kubelet's are understood; only one of them tells the container's id."""
    async with drive(KubernetesMetadata) as stage:
        await stage.feed(tag, {"log": "x"})
        (record,) = stage.records()
    got = record["kubernetes"]
    assert (got["namespace_name"], got["pod_name"], got["container_name"]) == names
    assert record.get("docker") == (None if container_id is None else {"container_id": container_id})


@pytest.mark.parametrize(
    "tag", ["app", "kubernetes.var.log.containers.bad.log", f"var.log.containers.Web_x_y-{ID}.log", ""]
)
async def test_other_tags_pass_unchanged(tag: str) -> None:
    """A tag without a container's name leaves its records alone."""
    async with drive(KubernetesMetadata) as stage:
        await stage.feed(tag or "t", {"log": "x"}, {"kubernetes": "mine"})
        assert stage.records() == [{"log": "x"}, {"kubernetes": "mine"}]


async def test_a_regexp_of_the_users() -> None:
    """The user's expression may leave the container's id out."""
    conf = r"tag_to_kubernetes_name_regexp ^k\.(?<namespace>[^.]+)\.(?<pod_name>[^.]+)\.(?<container_name>.+)$"
    async with drive(KubernetesMetadata, conf) as stage:
        await stage.feed("k.shop.web-1.web", {"log": "x"})
        assert stage.records() == [{"log": "x", "kubernetes": NAMES}]


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("tag_to_kubernetes_name_regexp (?<namespace>x)", "has no group pod_name, container_name"),
        ("tag_to_kubernetes_name_regexp (?<namespace>", "tag_to_kubernetes_name_regexp"),
        ("container_name_to_kubernetes_regexp x", "has no group namespace, pod_name, container_name"),
    ],
)
async def test_a_regexp_that_cannot_do_is_refused(conf: str, message: str) -> None:
    """What could never name a container is an error at start, which names it."""
    with pytest.raises(ConfigError, match=message):
        async with drive(KubernetesMetadata, conf):
            pass


async def test_a_records_own_fields_count_more_than_its_tag() -> None:
    """With lookup_from_k8s_field each record may name its container; the rest of the batch has the tag's."""
    own = {"kubernetes": {**NAMES, "pod_name": "db-0", "more": 1}, "docker": {"container_id": "abc"}}
    async with drive(KubernetesMetadata) as stage:
        await stage.feed(container_tag("web-1", container_id=ID), {"log": "a"}, own, {"log": "b", "docker": {}})
        first, second, third = stage.records()
    assert first["kubernetes"] == NAMES
    assert second == {"kubernetes": {**NAMES, "pod_name": "db-0"}, "docker": {"container_id": "abc"}}
    assert third == {"log": "b", "docker": {"container_id": ID}, "kubernetes": NAMES}


async def test_own_fields_count_where_the_tag_says_nothing() -> None:
    """The tag need not name a container."""
    own = {"kubernetes": {**NAMES, "more": 1}, "docker": {"container_id": "abc"}}
    async with drive(KubernetesMetadata) as stage:
        await stage.feed("app", own, {"log": "x"})
        assert stage.records() == [{"kubernetes": NAMES, "docker": {"container_id": "abc"}}, {"log": "x"}]


async def test_own_fields_are_nothing_without_lookup_from_k8s_field() -> None:
    """Switched off, the tag's names replace them."""
    own = {"kubernetes": {**NAMES, "pod_name": "db-0"}, "docker": {"container_id": "abc"}}
    async with drive(KubernetesMetadata, "lookup_from_k8s_field false") as stage:
        await stage.feed(container_tag("web-1", container_id=ID), own)
        assert stage.records() == [{"kubernetes": NAMES, "docker": {"container_id": ID}}]


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kubernetes": NAMES},
        {"kubernetes": "x", "docker": {"container_id": "c"}},
        {"kubernetes": NAMES, "docker": {}},
        {"kubernetes": {**NAMES, "pod_name": 7}, "docker": {"container_id": "c"}},
        {"kubernetes": {"pod_name": "web-1"}, "docker": {"container_id": "c"}},
        {"kubernetes": NAMES, "docker": {"container_id": ["c"]}},
    ],
)
def test_fields_that_name_no_container(record: dict[str, object]) -> None:
    """All four must be there, and be text."""
    assert from_fields(record) is None


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("web-1", True),
        ("a.b", True),
        ("x" * 253, True),
        ("x" * 254, False),
        ("", False),
        ("..", False),
        ("a..b", False),
        ("../secrets", False),
        ("a/b", False),
        ("a%2fb", False),
        ("A", False),
        ("a\n", False),
        ("ä", False),
    ],
)
def test_names_that_may_stand_in_a_url(name: str, good: bool) -> None:  # noqa: FBT001 - a column of the table
    """Only what the API server gives as a name."""
    assert is_api_name(name) is good


async def test_hostile_names_are_never_asked_for(api: FakeApiServer) -> None:
    """A record that names `../..` gets no request made with it; it is an orphan like any other unknown pod."""
    own = {"kubernetes": {**NAMES, "namespace_name": "..", "pod_name": "../../x"}, "docker": {"container_id": "c"}}
    async with drive(KubernetesMetadata, f"kubernetes_url {api.url}") as stage:
        await stage.feed("app", own)
        (record,) = stage.records()
    assert record["kubernetes"]["orphaned_namespace"] == ".."
    assert api.requests == []


JOURNAL = {"CONTAINER_NAME": "k8s_web_web-1_shop_0d1c2b3a-4455_0", "CONTAINER_ID_FULL": "abc", "MESSAGE": "m"}


async def test_use_journal_reads_each_entry() -> None:
    """Names come from CONTAINER_NAME, of today's kubelet and of 2016's; the tag says nothing."""
    old = {**JOURNAL, "CONTAINER_NAME": "k8s_db.a1b2c3_db-0_shop_0d1c2b3a-4455_deadbeef"}
    async with drive(KubernetesMetadata, "use_journal true") as stage:
        await stage.feed(container_tag("x", container_id=ID), dict(JOURNAL), old, {"MESSAGE": "kernel"})
        first, second, third = stage.records()
    assert first == {**JOURNAL, "docker": {"container_id": "abc"}, "kubernetes": NAMES}
    assert second["kubernetes"] == {"container_name": "db", "namespace_name": "shop", "pod_name": "db-0"}
    assert third == {"MESSAGE": "kernel"}


async def test_use_journal_looks_up_each_pod_once(api: FakeApiServer) -> None:
    """A batch of the journal holds lines of many pods: one request for each of them."""
    api.put(namespace("shop"), pod("web-1", containers={"web": "abc"}), pod("db-0", containers={"db": "def"}))
    other = {"CONTAINER_NAME": "k8s_db_db-0_shop_1_0", "CONTAINER_ID_FULL": "def"}
    async with drive(KubernetesMetadata, f"use_journal true\nkubernetes_url {api.url}") as stage:
        await stage.feed("journal", *(dict(entry) for _ in range(20) for entry in (JOURNAL, other)))
        hosts = {record["kubernetes"]["pod_id"] for record in stage.records()}
    assert hosts == {"uid-of-web-1", "uid-of-db-0"}
    assert sorted(api.requests) == ["GET namespace shop", "GET pod shop/db-0", "GET pod shop/web-1"]


async def test_without_use_journal_entries_are_nothing_special() -> None:
    """3.7.1 knows no journal fields."""
    async with drive(KubernetesMetadata) as stage:
        await stage.feed("journal", dict(JOURNAL))
        assert stage.records() == [JOURNAL]


def test_removed_parameters_are_warned_of_only() -> None:
    """What no version knows is a warning, as in fluentd; configure raises on errors only."""
    assert configure(KubernetesMetadata, "retry_on_404_interval 5")
