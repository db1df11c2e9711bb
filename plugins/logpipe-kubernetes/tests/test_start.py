"""Where the API server is, how it is reached, and what all that costs who has none."""

import json
import ssl
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import trustme

from logpipe.testing import FakeHost, ManualClock, build, check_plugin, configure, drive
from logpipe_kubernetes import client_library
from logpipe_kubernetes.access import find_access
from logpipe_kubernetes.filter import KubernetesMetadata
from logpipe_kubernetes.testing import FakeApiServer, container_tag, namespace, pod

ID = "e4b0" * 16
TAG = container_tag("web-1", container_id=ID)
NAMES = {"container_name": "web", "namespace_name": "shop", "pod_name": "web-1"}


async def test_it_keeps_the_contract_of_plugins() -> None:
    """What every plugin promises."""
    await check_plugin(KubernetesMetadata)
    await check_plugin(KubernetesMetadata, "kubernetes_url https://127.0.0.1:1\nuse_journal true\nmerge_json_log true")


@pytest.mark.parametrize(
    ("conf", "environ", "api", "url"),
    [
        ("", {}, None, ""),
        ("", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None, ""),
        ('kubernetes_url ""', {"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "1"}, None, ""),
        (
            "",
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"},
            "https://10.0.0.1:443/api/v1",
            "https://10.0.0.1:443/api",
        ),
        (
            "",
            {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"},
            "https://[fd00::1]:443/api/v1",
            "https://[fd00::1]:443/api",
        ),
        ("kubernetes_url https://h:1", {}, "https://h:1/api/v1", "https://h:1"),
        ("kubernetes_url https://h:1/", {}, "https://h:1/api/v1", "https://h:1/"),
        ("kubernetes_url https://h:1/api/", {}, "https://h:1/api/v1", "https://h:1/api/"),
        ("kubernetes_url https://h/k8s/c-1", {}, "https://h/k8s/c-1/api/v1", "https://h/k8s/c-1"),
        (
            "kubernetes_url https://h/k8s/c-1/api\napiVersion v2",
            {},
            "https://h/k8s/c-1/api/v2",
            "https://h/k8s/c-1/api",
        ),
    ],
)
def test_where_the_api_server_is(conf: str, environ: dict[str, str], api: str | None, url: str) -> None:
    """The setting, else what every pod's environment says; master_url shows it as it was written."""
    found = find_access(configure(KubernetesMetadata, conf), environ)  # type: ignore[arg-type]  # configure returns the base class
    assert (None if found is None else found.api) == api
    assert found is None or found.url == url


def test_the_service_accounts_folder(tmp_path: Path) -> None:
    """Token and authority are found there; settings count more, and empty settings count as none."""
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("c")
    environ = {"LOGPIPE_KUBERNETES_SECRET_DIR": str(tmp_path)}
    conf = 'kubernetes_url https://h\nca_file ""\nbearer_token_file ""'
    options: Any = configure(KubernetesMetadata, conf)
    by_environment = find_access(options, environ)
    assert by_environment is not None
    assert by_environment.token_file == str(tmp_path / "token")
    assert by_environment.ca_file == str(tmp_path / "ca.crt")

    options = configure(KubernetesMetadata, f"kubernetes_url https://h\nsecret_dir {tmp_path}/none\nca_file /x/ca")
    by_settings = find_access(options, environ)
    assert by_settings is not None
    assert by_settings.token_file == ""
    assert by_settings.ca_file == "/x/ca"


@pytest.fixture
def authority() -> trustme.CA:
    """A certificate authority."""
    return trustme.CA()


@pytest.fixture
def secrets(tmp_path: Path, authority: trustme.CA) -> Path:
    """A service account's folder."""
    (tmp_path / "token").write_text("t0k3n")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    return tmp_path


def tls_server(authority: trustme.CA, *, with_clients: bool = False) -> FakeApiServer:
    """Return an API server that speaks TLS, and if need be insists on clients' certificates."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if with_clients:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    server = FakeApiServer(tls=context)
    server.put(namespace("shop"), pod("web-1", containers={"web": ID}))
    return server


async def looked_up(conf: str) -> dict[str, Any]:
    """Return the `kubernetes` of one record."""
    async with drive(KubernetesMetadata, f"{conf}\nopen_timeout 5\nread_timeout 5", clock=ManualClock()) as stage:
        await stage.feed(TAG, {"log": "x"})
        found: dict[str, Any] = stage.records()[0]["kubernetes"]
    return found


async def test_in_a_pod_nothing_needs_to_be_set(
    authority: trustme.CA, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment and service account are enough: TLS, checked, with the account's token."""
    async with tls_server(authority) as api:
        api.accept_only("t0k3n")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
        monkeypatch.setenv("LOGPIPE_KUBERNETES_SECRET_DIR", str(secrets))
        found = await looked_up("")
    assert found["pod_id"] == "uid-of-web-1"
    assert found["master_url"] == f"https://127.0.0.1:{api.port}/api"


async def test_a_server_of_another_authority_is_not_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    """Records get their names, and nothing is sent."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    async with tls_server(authority) as api:
        assert await looked_up(f"kubernetes_url {api.url}\nca_file {other}") == NAMES
        assert api.requests == []
        trusting = await looked_up(f"kubernetes_url {api.url}\nca_file {other}\nverify_ssl false")
        assert trusting["pod_id"] == "uid-of-web-1"


async def test_an_authority_that_was_replaced_is_read_again(authority: trustme.CA, secrets: Path) -> None:
    """After a failed check the file is read anew."""
    clock = ManualClock()
    new = authority.cert_pem.bytes()
    trustme.CA().cert_pem.write_to_path(str(secrets / "ca.crt"))
    async with tls_server(authority) as api:
        conf = f"kubernetes_url {api.url}\nsecret_dir {secrets}\nstats_interval 0"
        async with drive(KubernetesMetadata, conf, clock=clock) as stage:
            await stage.feed(TAG, {"log": "x"})
            assert stage.records()[0]["kubernetes"] == NAMES
            (secrets / "ca.crt").write_bytes(new)
            await clock.advance(60)
            await stage.feed(TAG, {"log": "x"})
            await stage.wait_for(lambda: len(api.requests) == 2)


@pytest.mark.parametrize("partial", ["false", "true"])
async def test_a_clients_certificate(authority: trustme.CA, secrets: Path, partial: str) -> None:
    """A server that insists on one gets it."""
    certificate, key = secrets / "client.pem", secrets / "client.key"
    issued = authority.issue_cert("logpipe@example.com")
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    async with tls_server(authority, with_clients=True) as api:
        conf = f"kubernetes_url {api.url}\nsecret_dir {secrets}\nssl_partial_chain {partial}"
        assert await looked_up(conf) == NAMES
        found = await looked_up(f"{conf}\nclient_cert {certificate}\nclient_key {key}")
    assert found["pod_id"] == "uid-of-web-1"


async def test_a_partial_chain_is_trusted_when_told_so(tmp_path: Path) -> None:
    """An intermediate authority alone is enough with ssl_partial_chain, and is not without."""
    root = trustme.CA()
    intermediate = root.create_child_ca()
    ca_file = tmp_path / "intermediate.pem"
    intermediate.cert_pem.write_to_path(str(ca_file))
    async with tls_server(intermediate) as api:
        conf = f"kubernetes_url {api.url}\nca_file {ca_file}"
        if sys.version_info < (3, 13):  # from then on Python trusts partial chains by itself
            assert await looked_up(conf) == NAMES
        assert (await looked_up(f"{conf}\nssl_partial_chain true"))["pod_id"] == "uid-of-web-1"


@pytest.mark.parametrize("setting", ["ca_file /none/ca.crt", "client_cert /none/cert.pem\nclient_key /none/key.pem"])
async def test_missing_files_stop_no_events(setting: str) -> None:
    """They may come later; a warning names the trouble."""
    async with drive(KubernetesMetadata, f"kubernetes_url https://127.0.0.1:1\n{setting}") as stage:
        await stage.feed(TAG, {"log": "x"})
        assert stage.records()[0]["kubernetes"] == NAMES
        assert any("from the API server: " in text for text in stage.log.texts("warning"))


async def test_stopping_twice_and_while_asking_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are closed, whatever was under way."""
    monkeypatch.setenv("K8S_NODE_NAME", "node-1")
    async with FakeApiServer() as api:
        api.hang("LIST")
        host = FakeHost()
        plugin = build(KubernetesMetadata, f"kubernetes_url {api.url}", host=host)
        await plugin.start()
        await plugin.stop()
        await plugin.stop()
        await host.cancel_tasks()
        api.recover()


COST = """
import json, sys
{statement}
print(json.dumps([name for name in sys.modules if name.split(".")[0] in {{"aiohttp", "kubernetes_asyncio"}}]))
"""


def imported_by(statement: str) -> set[str]:
    """Return which modules of the API server's client a fresh Python has imported after a statement."""
    ran = subprocess.run([sys.executable, "-c", COST.format(statement=statement)], check=True, capture_output=True)
    return set(json.loads(ran.stdout))


def test_without_an_api_server_its_client_is_not_imported() -> None:
    """Building and starting the filter costs neither kubernetes-asyncio nor aiohttp."""
    assert imported_by("import logpipe_kubernetes.filter") == set()


def test_of_the_client_only_its_core_is_imported() -> None:
    """Not one of its thousand models; and afterwards the whole package can still be imported."""
    after = imported_by("from logpipe_kubernetes import client_library; client_library.load()")
    assert "aiohttp" in after
    assert not any(name.startswith("kubernetes_asyncio") for name in after)
    whole = imported_by(
        "from logpipe_kubernetes import client_library; client_library.load(); import kubernetes_asyncio.client; "
        "kubernetes_asyncio.client.CoreV1Api"
    )
    assert "kubernetes_asyncio.client.models.v1_pod" in whole


@pytest.mark.long("it imports five hundred modules")
def test_a_client_laid_out_otherwise_is_imported_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may not be divisible in this way."""

    def indivisible() -> AbstractContextManager[None]:
        raise ImportError("it needs its package")

    monkeypatch.setattr(client_library, "_empty_packages", indivisible)
    assert client_library.load().rest.RESTClientObject


def test_the_client_is_taken_as_it_is_where_it_is_imported_already() -> None:
    """Another stage may have imported all of it."""
    import kubernetes_asyncio.client  # noqa: PLC0415 - most tests do without its half second

    library = client_library.load()
    assert library.rest is kubernetes_asyncio.client.rest
    assert library.configuration is kubernetes_asyncio.client.Configuration


async def test_statistics_are_told_now_and_then(api: FakeApiServer, clock: ManualClock) -> None:
    """One line per interval, when records pass."""
    api.put(namespace("shop"), pod("web-1", containers={"web": ID}))
    async with drive(KubernetesMetadata, f"kubernetes_url {api.url}\nstats_interval 10", clock=clock) as stage:
        await stage.feed(TAG, {"log": "x"})
        await clock.advance(9)
        await stage.feed(TAG, {"log": "x"})
        assert not any(text.startswith("stats") for text in stage.log.texts("info"))
        await clock.advance(1)
        await stage.feed(TAG, {"log": "x"})
        await stage.feed(TAG, {"log": "x"})
        (line,) = (text for text in stage.log.texts("info") if text.startswith("stats"))
    assert line == (
        "stats - pod_cache_size: 1, namespace_cache_size: 1, id_cache_miss: 1, pod_cache_miss: 1, "
        "pod_cache_api_updates: 1, namespace_cache_miss: 1, namespace_cache_api_updates: 1"
    )
