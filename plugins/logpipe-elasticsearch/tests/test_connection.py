"""Where requests go, and what they show of the sender."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError, Output
from logpipe.net import AwsSigner
from logpipe.testing import Front, Mood, build, configure, drive
from logpipe_elasticsearch import search_output
from logpipe_elasticsearch.cluster.cluster import client_settings
from logpipe_elasticsearch.nodes import Node, Rota, cloud_node, nodes_of
from logpipe_elasticsearch.out_data_stream import ElasticsearchDataStream
from logpipe_elasticsearch.out_elasticsearch import ElasticsearchOutput
from logpipe_elasticsearch.out_elasticsearch_dynamic import ElasticsearchDynamic
from logpipe_elasticsearch.out_opensearch import OpenSearchOutput
from logpipe_elasticsearch.testing import SearchPeer
from tests.net.certificates import AUTHORITY, server_context, write

NOW = "<buffer tag>\nflush_mode immediate\nretry_wait 0.01\n</buffer>"
OWN = Node("http", "localhost", 9200, "/own", "me", "mine")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", [Node("http", "a", 9200, "/own", "me", "mine")]),
        ("a:1, b", [Node("http", "a", 1, "/own", "me", "mine"), Node("http", "b", 9200, "/own", "me", "mine")]),
        ("https://u:p%40@h.x/e/", [Node("https", "h.x", 443, "/e", "u", "p@")]),
        ("https://%{j@n}:%{p/w}@h:9/", [Node("https", "h", 9, "/own", "j@n", "p/w")]),
        ("::1", [Node("http", "[::1]", 9200, "/own", "me", "mine")]),
        ("http://[::1]:5", [Node("http", "[::1]", 5, "/own", "me", "mine")]),
    ],
)
def test_hosts(text: str, found: list[Node]) -> None:
    """As the plugin reads them."""
    assert nodes_of(text, OWN) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "ftp://a", "http://", "a b", "http://a:x", "a:65536", "http://u:secret@/", "http://u:secret/w@h"),
        *("http://u:secret,w@h", "http://u:w,secret@h", "u:secret@h"),
    ],
)
def test_no_hosts(text: str) -> None:
    """The message holds no piece of a password."""
    with pytest.raises(ValueError, match=r".") as raised:
        nodes_of(text, OWN)
    assert "secret" not in str(raised.value)


def test_a_cloud() -> None:
    """Its id holds the host."""
    coded = base64.b64encode(b"eu.aws.cloud.es.io:9243$abc$kib").decode()
    node = cloud_node(f"name:{coded}", OWN)
    assert (node.url, node.user) == ("https://abc.eu.aws.cloud.es.io:9243", "me")
    with pytest.raises(ValueError, match="cloud_id"):
        cloud_node("name:x", OWN)


def test_nodes_take_turns() -> None:
    """One that has failed is last for a while."""
    now = 0.0
    a, b, c = nodes_of("a,b,c", OWN)
    rota = Rota([a, b, c], lambda: now, 60)
    assert (rota.turn(), rota.turn()) == ([a, b, c], [b, c, a])
    rota.failed(c)
    assert (rota.turn(), rota.turn()) == ([a, b, c], [a, b, c])
    now = 60.0
    assert rota.turn() == [b, c, a]
    rota.failed(b)
    rota.worked(b)
    assert rota.turn()[-1] == b


@pytest.mark.parametrize(("rest", "connections"), [("1h", 1), ("0", 2)])
async def test_a_server_that_has_failed_rests(rest: str, connections: int, server: SearchPeer) -> None:
    """For `resurrect_after`."""
    async with SearchPeer().serving() as other:
        await other.become(Mood.RESETTING)
        conf = f"hosts 127.0.0.1:{other.port},127.0.0.1:{server.port}\nresurrect_after {rest}\n{NOW}"
        conf += "\nverify_es_version_at_startup false"
        async with drive(ElasticsearchOutput, conf) as running:
            for n in range(3):
                await running.feed("app", {"n": n})
                await running.flush()
        assert other.met == connections
        await other.become(Mood.WELL)
    assert server.taken == {0, 1, 2}


async def test_a_server_that_is_down_is_passed_over(server: SearchPeer) -> None:
    """Within the same attempt; none is a failure of the chunk."""
    async with SearchPeer().serving() as other:
        await other.become(Mood.DOWN)
        conf = f"hosts 127.0.0.1:{other.port},http://127.0.0.1:{server.port}/p\n{NOW}"
        async with drive(ElasticsearchOutput, conf) as running:
            for n in range(3):
                await running.feed("app", {"n": n})
                await running.flush()
        await other.become(Mood.WELL)
    assert server.taken == {0, 1, 2}
    assert {request.path for request in server.requests} == {"/p/", "/p/_bulk"}
    assert not any("failed to flush" in text for text in running.log.texts("warning"))


async def one(server: SearchPeer, conf: str, cls: type[Output[Any]] = ElasticsearchOutput) -> Any:
    """Return the bulk request of one event."""
    async with drive(cls, f"host 127.0.0.1\nport {server.port}\n{conf}\n{NOW}") as running:
        await running.feed("app", {"n": 1})
        await running.flush()
    return server.bulk_requests()[-1]


@pytest.mark.parametrize(
    ("conf", "name", "value"),
    [
        ("user u\npassword p:w", "Authorization", "Basic " + base64.b64encode(b"u:p:w").decode()),
        ("user u\npassword %{p@w}", "Authorization", "Basic " + base64.b64encode(b"u:p@w").decode()),
        ("api_key id:key", "Authorization", "ApiKey aWQ6a2V5"),
        ('custom_headers {"X-A":"b"}', "X-A", "b"),
        ('custom_headers {"content-type":"a/b"}', "Content-Type", "a/b"),
        ('user u\npassword p\ncustom_headers {"authorization":"b"}', "Authorization", "Basic dTpw"),
        ("", "Content-Type", "application/x-ndjson"),
        ("content_type application/json", "Content-Type", "application/json"),
        ("path /es/", "Host", None),
    ],
)
async def test_headers(conf: str, name: str, value: str | None, server: SearchPeer) -> None:
    """What the settings say, on each request; `path` stands before all."""
    request = await one(server, conf)
    assert value is None or request.headers[name] == value
    assert request.path == ("/es/_bulk" if "path" in conf else "/_bulk")


@pytest.mark.parametrize("level", ["best_speed", "best_compression", "default_compression"])
async def test_compression(level: str, server: SearchPeer) -> None:
    """It is said, and is gzip."""
    request = await one(server, f"compression_level {level}")
    assert request.headers["Content-Encoding"] == "gzip"
    assert json.loads(request.body.splitlines()[1]) == {"n": 1}
    assert gzip.compress(b"") != request.body


async def test_aws_signs(server: SearchPeer) -> None:
    """With the keys of `<endpoint>`, for its service and region."""
    conf = (
        f"<endpoint>\nurl http://127.0.0.1:{server.port}\nregion eu-west-1\naccess_key_id AK\nsecret_access_key SK\n"
        "aws_service_name aoss\n</endpoint>"
    )
    request = await one(server, conf, OpenSearchOutput)
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AK/")
    assert "/eu-west-1/aoss/aws4_request" in request.headers["Authorization"]


async def test_what_is_long_is_done_in_a_thread(server: SearchPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is hashed, and an answer read, beside the event loop."""
    threads = {}
    for place, name in ((AwsSigner, "sign"), (search_output, "judged")):
        real = getattr(place, name)

        def called(*args: Any, real: Any = real, name: str = name, **more: Any) -> Any:
            threads[name] = threading.current_thread()
            return real(*args, **more)

        monkeypatch.setattr(place, name, called)
    conf = (
        f"<endpoint>\nurl http://127.0.0.1:{server.port}\nregion r\naccess_key_id A\nsecret_access_key S\n</endpoint>"
    )
    await one(server, conf, OpenSearchOutput)
    assert threads.keys() == {"sign", "judged"}
    assert threading.current_thread() not in threads.values()


def test_where_keys_for_aws_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment, and in what `<endpoint>` says instead."""
    monkeypatch.setenv("AWS_ROLE_ARN", "environment's")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "environment's")

    def access(conf: str) -> tuple[str, Any]:
        output = build(OpenSearchOutput, f"<endpoint>\nurl http://a\nregion r\n{conf}\n</endpoint>")
        aws = output.aws()
        return aws.role, aws.environ

    role, environ = access("assume_role_arn mine\necs_container_credentials_relative_uri /keys")
    assert (role, environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]) == ("mine", "/keys")
    role, environ = access("assume_role_arn mine\nassume_role_web_identity_token_file /token")
    assert (role, environ["AWS_ROLE_ARN"], environ["AWS_WEB_IDENTITY_TOKEN_FILE"]) == ("", "mine", "/token")
    assert "AWS_SESSION_TOKEN" not in access("access_key_id a\nsecret_access_key b")[1]


async def test_no_keys_for_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: SearchPeer) -> None:
    """It is tried again, and says what to do, without a stack trace."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    conf = f"<endpoint>\nurl http://127.0.0.1:{server.port}\nregion r\n</endpoint>\n{NOW}"
    async with drive(OpenSearchOutput, conf.replace("</buffer>", "retry_max_times 0\n</buffer>")) as running:
        await running.feed("app", {"n": 1})
        await running.flush()
    (letter,) = running.dead_letters()
    assert letter.reason.startswith("no keys for AWS: set AWS_ACCESS_KEY_ID")


async def test_proxies_of_several_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own: a node that `no_proxy` names gets nothing through one."""
    monkeypatch.setenv("http_proxy", "proxy:1")
    monkeypatch.setenv("no_proxy", "inner")
    options: Any = configure(ElasticsearchOutput, "hosts inner,outer")
    found = [client_settings(options, node).proxy for node in nodes_of(options.hosts, OWN)]
    assert found == [None, "http://proxy:1"]


async def test_requests_in_the_log(server: SearchPeer) -> None:
    """With `with_transporter_log`."""
    conf = f"host 127.0.0.1\nport {server.port}\nwith_transporter_log true\nuser u\npassword secret\n{NOW}"
    async with drive(ElasticsearchOutput, conf) as running:
        await running.feed("app", {"n": 1})
        await running.flush()
    (line,) = [text for text in running.log.texts("info") if "_bulk" in text]
    assert line.startswith(f"POST http://127.0.0.1:{server.port}/_bulk [status:200, request:")


async def test_requests_are_cut(server: SearchPeer) -> None:
    """By `bulk_message_request_threshold`."""
    conf = f"host 127.0.0.1\nport {server.port}\nbulk_message_request_threshold 100\n{NOW}"
    async with drive(ElasticsearchOutput, conf) as running:
        await running.feed("app", *({"n": n} for n in range(5)))
        await running.flush()
    assert [len(request.body.splitlines()) for request in server.bulk_requests()] == [4, 4, 2]


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_tls(is_trusted: bool, tmp_path: Path, server: SearchPeer) -> None:  # noqa: FBT001 - a parameter of pytest
    """A certificate of the CA in `ca_file` is taken, one of an unknown CA is not; the client shows its own."""
    write(tmp_path)
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with Front("127.0.0.1", server.port).standing(tls=server_context(tmp_path)) as front:
        ca_file = f"ca_file {tmp_path}/ca.pem" if is_trusted else ""
        own = f"client_cert {tmp_path}/cert.pem\nclient_key {tmp_path}/key.pem"
        conf = f"host localhost\nport {front.port}\nscheme https\n{ca_file}\n{own}\n{NOW}"
        async with drive(ElasticsearchOutput, conf.replace("</buffer>", "retry_max_times 1\n</buffer>")) as running:
            await running.feed("app", {"n": 1})
            await running.flush()
    assert (server.taken, len(running.dead_letters())) == (({1}, 0) if is_trusted else (set(), 1))


async def test_a_host_that_an_event_must_not_choose(server: SearchPeer) -> None:
    """Only those of `allowed_hosts` are taken; without them all is refused."""
    place = f"127.0.0.1:{server.port}"
    for allowed, taken in ((place, {1}), ("", set())):
        server.taken.clear()
        conf = f"hosts ${{h}}\n{f'allowed_hosts {allowed}' if allowed else ''}\n{NOW.replace('tag', 'h')}"
        async with drive(ElasticsearchOutput, conf) as running:
            await running.feed("app", {"n": 1, "h": place}, {"n": 2, "h": "127.0.0.2:1"})
            await running.flush()
        assert server.taken == taken
        assert len(running.dead_letters()) == 2 - len(taken)


async def test_a_host_and_a_password(server: SearchPeer) -> None:
    """No dead letter has it; and lists of allowed hosts make no clusters without number."""
    place = f"127.0.0.1:{server.port}"
    conf = f"hosts http://u:secret@${{h}}\nallowed_hosts http://u:secret@{place}\n{NOW.replace('tag', 'h')}"
    async with drive(ElasticsearchOutput, conf) as running:
        await running.feed("app", {"n": 1, "h": place}, {"n": 2, "h": "a"}, {"n": 3, "h": f"{place},{place}"})
        await running.flush()
    assert server.taken == {1}
    assert len(running.dead_letters()) == 2
    assert not any("secret" in letter.reason for letter in running.dead_letters())
    assert not any("secret" in text for text in running.log.texts())


@pytest.mark.parametrize(
    ("cls", "conf", "problem"),
    [
        (ElasticsearchOutput, "user u", "`password` must be present if `user` is present"),
        (
            ElasticsearchOutput,
            "cloud_id x:y\nuser u\npassword p",
            "`cloud_auth` must be present if `cloud_id` is present",
        ),
        (ElasticsearchOutput, "ssl_min_version TLSv1_2", "When you set 'ssl_min_version', must set 'ssl_max_version'"),
        (ElasticsearchOutput, "port 65536", "port is 65535 at most"),
        (ElasticsearchOutput, "request_timeout 0", "request_timeout must be more than 0"),
        (ElasticsearchOutput, 'custom_headers {"a\\nb":"c"}', "is no name of a header"),
        (ElasticsearchOutput, 'custom_headers {"Host":"c"}', "Host follows from the request"),
        (ElasticsearchOutput, "time_precision 10", "time_precision must be from 0 to 9"),
        (
            ElasticsearchOutput,
            "max_retry_get_es_version -1",
            "'max_retry_get_es_version' must be greater than or equal",
        ),
        (ElasticsearchOutput, "max_retry_putting_template -1", "'max_retry_putting_template' must be greater than"),
        (
            ElasticsearchOutput,
            'ilm_policy {"a":1}\nilm_policies {"b":{}}',
            "You can't specify ilm_policy and ilm_policies",
        ),
        (ElasticsearchOutput, "index_prefix x", "write `index_name`"),
        (ElasticsearchDynamic, "index_name ${record[", "the expression ends too early"),
        (ElasticsearchDataStream, "data_stream_name Logs", "'data_stream_name' must be lowercase only: <Logs>"),
        (ElasticsearchDataStream, "data_stream_name a*", "must not contain invalid characters"),
        (ElasticsearchDataStream, "data_stream_name -a", "must not start with"),
        (ElasticsearchDataStream, "data_stream_name ..", "must not be . or .."),
        (ElasticsearchDataStream, "data_stream_name a\ndata_stream_ilm_policy x", "this is no JSON"),
    ],
)
def test_what_cannot_be_used(cls: type[Output[Any]], conf: str, problem: str) -> None:
    """It is said where the configuration is read."""
    with pytest.raises(ConfigError) as raised:
        configure(cls, conf)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("conf", "versions"),
    [
        ("ssl_version TLSv1", ("TLSv1_2", "TLSv1_3")),
        ("ssl_min_version TLSv1_1\nssl_max_version TLSv1_2", ("TLSv1_1", "TLSv1_2")),
        ("ssl_verify false\nclient_cert c\nclient_key k\nclient_key_pass p", ("TLSv1_2", "TLSv1_3")),
    ],
)
def test_settings_of_tls(conf: str, versions: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are handed to the HTTP client, with the proxy of the environment."""
    monkeypatch.setenv("http_proxy", "proxy:1")
    options: Any = configure(ElasticsearchOutput, f"{conf}\nrequest_timeout 7s")
    settings = client_settings(options, OWN)
    assert (settings.tls.min_version, settings.tls.max_version) == versions
    assert (settings.tls.verify, settings.tls.cert_path) == (
        ("ssl_verify" not in conf),
        "c" if "client" in conf else None,
    )
    assert (settings.proxy, settings.read_seconds) == ("http://proxy:1", 7)
