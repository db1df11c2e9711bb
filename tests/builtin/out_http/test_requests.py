"""What out_http sends: the URL, headers, bodies, and who sends them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError, Record
from logpipe.builtin.out_http import HttpOutput
from logpipe.builtin.out_http.plugin import client_settings
from logpipe.net import ClientSettings, ClientTls
from logpipe.testing import Front, check_plugin, configure, drive
from logpipe.testing.http_peer import Answer, HttpPeer, Request
from tests.net.certificates import AUTHORITY, server_context, write

NOW = "flush_mode immediate\nretry_wait 0.1\n"


class Sts(HttpPeer):
    """Gives keys out for a role."""

    def answer(self, request: Request) -> Answer:
        assert b"RoleArn=arn%3Ar" in request.body
        body = (
            "<R><AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>S</SecretAccessKey>"
            "<SessionToken>T</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></R>"
        )
        return Answer(200, body.encode())


async def sent(
    conf: str, *records: Record, buffer: str = "", tag: str = "app.web", times: list[int] | None = None
) -> tuple[list[Request], Any]:
    """Feed records as one batch; return the requests that came of it, and the pipeline's trace."""
    async with HttpPeer().serving() as peer:
        text = conf.replace("PORT", str(peer.port))
        arg, _, more = buffer.partition("\n")
        async with drive(HttpOutput, f"{text}\n<buffer {arg}>\n{NOW}{more}</buffer>") as running:
            await running.feed(tag, *records, times=times)
            await running.flush()
        return peer.requests, running


async def one(conf: str, *records: Record, buffer: str = "") -> Request:
    """Return the only request."""
    (request,) = (await sent(f"endpoint http://127.0.0.1:PORT/in\n{conf}", *records, buffer=buffer))[0]
    return request


async def test_its_promises() -> None:
    """Those of every plugin."""
    await check_plugin(HttpOutput, "endpoint http://localhost/")


@pytest.mark.parametrize(
    ("conf", "content_type", "body"),
    [
        ("", "application/x-ndjson", b'{"a":1}\n{"a":2}\n'),
        ("json_array true", "application/json", b'[{"a":1}\n,{"a":2}\n]'),
        (
            "json_array true\n<format>\n@type json\nadd_newline false\n</format>",
            "application/json",
            b'[{"a":1},{"a":2}]',
        ),
        ("content_type a/b", "a/b", b'{"a":1}\n{"a":2}\n'),
        ("<format>\n@type single_value\nmessage_key a\n</format>", "text/plain", b"1\n2\n"),
    ],
)
async def test_bodies(conf: str, content_type: str, body: bytes) -> None:
    """Byte for byte as Fluentd sends them."""
    request = await one(conf, {"a": 1}, {"a": 2})
    assert (request.method, request.path) == ("POST", "/in")
    assert (request.headers["Content-Type"], request.body) == (content_type, body)


async def test_a_compressed_buffer() -> None:
    """What is sent is compressed by `compress` alone."""
    request = await one("", {"a": 1}, {"a": 2}, buffer="\ncompress gzip\n")
    assert (request.body, "Content-Encoding" in request.headers) == (b'{"a":1}\n{"a":2}\n', False)


async def test_put_and_gzip() -> None:
    """What is compressed says so."""
    request = await one("http_method put\ncompress gzip\njson_array true", {"a": 1})
    assert (request.method, request.headers["Content-Encoding"]) == ("PUT", "gzip")
    assert request.body == b'[{"a":1}\n]'


async def test_a_bad_record_does_not_cost_the_others() -> None:
    """It goes to `@ERROR`, and leaves no comma behind."""
    deep: Record = {}
    for _ in range(5000):
        deep = {"d": deep}
    requests, running = await sent("endpoint http://127.0.0.1:PORT/\njson_array true", {"a": 1}, deep, {"a": 2}, deep)
    assert [json.loads(request.body) for request in requests] == [[{"a": 1}, {"a": 2}]]
    assert len(running.errors) == 2
    requests, running = await sent("endpoint http://127.0.0.1:PORT/", deep)
    assert (requests, len(running.errors)) == ([], 1)


async def test_headers() -> None:
    """Later ones count: placeholders before fixed ones, and what the request is before both."""
    conf = (
        'headers {"X-A":"1","x-b":"2","content-type":"x"}\nheaders_from_placeholders {"X-B":"<${tag[1]}>","X-C":"${k}"}'
    )
    request = await one(conf, {"k": "é"}, buffer="tag,k")
    headers = request.headers
    assert (headers["X-A"], headers["X-B"], headers["X-C"]) == ("1", "<web>", "é")
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["User-Agent"].startswith("logpipe/")


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("plain", "/a/plain/b?q=plain&r=1"),
        ("x?y=1#z&r=2", "/a/x%3Fy=1%23z&r=2/b?q=x%3Fy%3D1%23z%26r%3D2&r=1"),
        ("a b/é%2e", "/a/a%20b/%C3%A9%252e/b?q=a%20b/%C3%A9%252e&r=1"),
        ("@evil.example:1", "/a/@evil.example:1/b?q=@evil.example:1&r=1"),
    ],
)
async def test_placeholders_in_path_and_query(value: str, target: str) -> None:
    """A value stays in the part that it is in."""
    conf = "endpoint http://127.0.0.1:PORT/a/${k}/b?q=${k}&r=1"
    (request,) = (await sent(conf, {"k": value}, buffer="k"))[0]
    assert request.path == target


@pytest.mark.parametrize(
    ("endpoint", "buffer", "target"),
    [
        ("http://127.0.0.1:PORT", "", "/"),
        ("HTTP://127.0.0.1:PORT?a=%41#f", "", "/?a=%41"),
        ("http://127.0.0.1:PORT/%Y/%m/${tag}", "time,tag\ntimekey 1d\n", "/2024/02/app.web"),
        ("http://${k}:PORT/x", "k", "/x"),
    ],
)
async def test_endpoints(endpoint: str, buffer: str, target: str) -> None:
    """Time is filled in as elsewhere; a host from an allowed list is gone to."""
    arg, _, more = buffer.partition("\n")
    conf = f"endpoint {endpoint}\nallowed_hosts 127.0.0.1"
    async with HttpPeer().serving() as peer:
        text = f"{conf}\n<buffer {arg}>\n{NOW}{more}</buffer>".replace("PORT", str(peer.port))
        async with drive(HttpOutput, text) as running:
            await running.feed("app.web", {"k": "127.0.0.1"}, times=[1_709_200_000_000_000_000])
            await running.flush()
        assert [request.path for request in peer.requests] == [target]


@pytest.mark.parametrize(
    ("conf", "record", "why"),
    [
        ("endpoint http://${k}:PORT/\nallowed_hosts example.com", {"k": "127.0.0.1"}, "Not allowed host"),
        ("endpoint http://a${k}:PORT/\nallowed_hosts ab", {"k": "@127.0.0.1"}, "Not allowed host"),
        ("endpoint http://127.0.0.1:PORT/a/${k}/b", {"k": ".."}, "invalid path component"),
        ('endpoint http://127.0.0.1:PORT/\nheaders_from_placeholders {"X-A":"${k}"}', {"k": "a\r\nX-B: c"}, "header"),
        (
            'endpoint http://127.0.0.1:PORT/\nheaders_from_placeholders {"X-A":"${k}"}',
            {"k": "a\x08b"},
            "control character",
        ),
    ],
)
async def test_what_an_event_must_not_choose(conf: str, record: Record, why: str) -> None:
    """It is a dead letter at once, and nothing is sent."""
    requests, running = await sent(conf, record, buffer="k")
    (letter,) = running.dead_letters()
    assert why in letter.reason
    assert requests == []


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ("endpoint ftp://a/", "no URL"),
        ("endpoint //a/b", "no URL"),
        ("endpoint http:///b", "has no host"),
        ("endpoint http://a b/", "percent-encode|must not stand"),
        ("endpoint http://a/é", "write %C3%A9"),
        ("endpoint http://a:99999/", "port 99999"),
        ("endpoint ${tag}://a/", "no URL"),
        ("endpoint http://a:${tag}/", "no URL"),
        ("endpoint http://u:${tag}@a/", "must not have placeholders"),
        ("endpoint http://${tag}/", "allowed_hosts"),
        ("endpoint http://a.%Y.b/", "allowed_hosts"),
        ("endpoint http://a/\njson_array true\n<format>\n@type stdout\n</format>", "json formatter only"),
        ('endpoint http://a/\nheaders {"X":"a\\nb"}', "line's end"),
        ('endpoint http://a/\nheaders {"Content-Length":"1"}', "follows from the request"),
        ('endpoint http://a/\nheaders_from_placeholders {"host":"${tag}"}', "choose the server"),
        ("endpoint http://a/\nread_timeout 0", "more than 0"),
        ("endpoint http://a/\n<auth>\n</auth>", "add username"),
        ("endpoint http://a/\n<auth>\nmethod aws_sigv4\naws_region x\n</auth>", "aws_service is required"),
        ("endpoint https://a/\ntls_private_key_path k", "needs its certificate"),
    ],
)
def test_settings_that_cannot_be_used(conf: str, why: str) -> None:
    """Each is refused with the reason before anything runs."""
    with pytest.raises(ConfigError, match=why):
        configure(HttpOutput, conf)


async def test_basic() -> None:
    """The name and password of `<auth>`, else those of the URL."""
    request = await one("<auth>\nusername ann\npassword b:c\n</auth>", {"a": 1})
    assert request.headers["Authorization"] == "Basic YW5uOmI6Yw=="
    (request,) = (await sent("endpoint http://a:%40@127.0.0.1:PORT/", {"a": 1}))[0]
    assert request.headers["Authorization"] == "Basic YTpA"


async def test_signatures_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made of what is sent, by the keys of the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SK")
    request = await one("<auth>\nmethod aws_sigv4\naws_service es\naws_region eu-west-1\n</auth>", {"a": 1})
    signed = "content-type;host;x-amz-content-sha256;x-amz-date"
    assert f"/eu-west-1/es/aws4_request, SignedHeaders={signed}, Signature=" in request.headers["Authorization"]


async def test_a_role_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are signed with the keys that STS gives out for it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SK")
    auth = "<auth>\nmethod aws_sigv4\naws_service es\naws_region eu-west-1\naws_role_arn arn:r\n</auth>"
    async with Sts().serving() as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{sts.port}")
        request = await one(auth, {"a": 1})
    assert "Credential=ROLE/" in request.headers["Authorization"]
    assert request.headers["X-Amz-Security-Token"] == "T"


async def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Fluentd; `proxy` set to nothing, and no_proxy, do without."""
    async with HttpPeer().serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        requests, _ = await sent("endpoint http://127.0.0.1:PORT/\nproxy ''", {"a": 1})
        assert (len(requests), len(proxy.requests)) == (1, 0)
        requests, _ = await sent("endpoint http://127.0.0.1:PORT/", {"a": 1})
        assert (len(requests), len(proxy.requests)) == (0, 1)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        requests, _ = await sent("endpoint http://127.0.0.1:PORT/", {"a": 1})
        assert (len(requests), len(proxy.requests)) == (1, 1)


async def test_tls(tmp_path: Path) -> None:
    """The server is verified, and shown a certificate; `reuse_connections` keeps the connection."""
    write(tmp_path)
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = f"tls_client_cert_path {tmp_path}/cert.pem\ntls_private_key_path {tmp_path}/key.pem\n"
    async with (
        HttpPeer().serving() as plain,
        Front("127.0.0.1", plain.port).standing(tls=server_context(tmp_path)) as peer,
    ):
        conf = (
            f"endpoint https://localhost:{peer.port}/\n{own}tls_ca_cert_path {tmp_path}/ca.pem\nreuse_connections true"
        )
        async with drive(HttpOutput, f"{conf}\n<buffer>\n{NOW}</buffer>") as running:
            for number in range(2):
                await running.feed("app", {"n": number})
                await running.flush()
        assert plain.taken == {0, 1}
        assert peer._connections == 1


def test_what_the_client_is_told() -> None:
    """Each setting of connections, and its default."""
    options = configure(HttpOutput, "endpoint https://a/")
    assert client_settings(options) == ClientSettings(
        tls=ClientTls(ciphers="ALL:!aNULL:!eNULL:!SSLv2"), whole_seconds=3600, reuse=False
    )
    conf = "tls_ca_cert_path ca\ntls_client_cert_path cert\ntls_private_key_path key\ntls_private_key_passphrase p\n"
    conf += "tls_verify_mode none\ntls_version TLS1_3\ntls_ciphers c\nproxy http://p\nopen_timeout 1\nread_timeout 2\n"
    options = configure(HttpOutput, f"endpoint https://a/\n{conf}ssl_timeout 3\nreuse_connections true")
    tls = ClientTls(
        ("ca",),
        trusts_system=False,
        cert_path="cert",
        private_key_path="key",
        private_key_passphrase="p",  # noqa: S106 - a test's
        verify=False,
        min_version="TLS1_3",
        max_version="TLS1_3",
        ciphers="c",
    )
    assert client_settings(options) == ClientSettings(
        tls=tls, proxy="http://p", open_seconds=1, read_seconds=2, tls_seconds=3, whole_seconds=3600, reuse=True
    )


async def test_a_file_of_tls_that_is_not_there() -> None:
    """It is told at the start."""
    with pytest.raises(ExceptionGroup, match="TaskGroup"):
        async with drive(HttpOutput, "endpoint https://localhost/\ntls_ca_cert_path /none\n<buffer>\n</buffer>"):
            pass
