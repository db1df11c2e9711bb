"""Chunks that become objects: their keys, content and headers; and of a server in any mood."""

from __future__ import annotations

import base64
import gzip
import lzma
import re
from typing import Any

import pytest

from logpipe.testing import (
    Mood,
    build,
    check_output_against_peer,
    check_output_over_reload,
    check_plugin,
    configure,
    drive,
    wait_for,
)
from logpipe.testing.http_peer import Answer
from logpipe_aws.out_s3 import S3Output
from logpipe_aws.testing import S3Peer, error

KEYS = "aws_key_id k\naws_sec_key s\n"
SMALL = "flush_mode immediate\nretry_wait 0.1\nretry_max_interval 0.2\nchunk_limit_size 200k\ntotal_limit_size 1m"
SECOND = 1_000_000_000
NOON = 1_704_110_400 * SECOND
"""2024-01-01T12:00:00Z."""
FAST = "flush_mode immediate\nretry_wait 0.01\nretry_max_interval 0.02"


def settings(s3: S3Peer, conf: str = "", buffer: str = "time", timekey: str = "1d") -> str:
    """The body of a section that writes to the peer's bucket."""
    section = f"<buffer {buffer}>\ntimekey {timekey}\ntimekey_use_utc true\n{FAST}\n</buffer>"
    return f"{KEYS}s3_bucket logs\ns3_endpoint http://127.0.0.1:{s3.port}\n{conf}\n{section}"


async def put(
    s3: S3Peer,
    conf: str = "",
    *records: dict[str, Any],
    buffer: str = "time",
    timekey: str = "1d",
    tag: str = "app.web",
) -> Any:
    """Feed records as one chunk and wait until it is dealt with; return the pipeline's trace."""
    async with drive(S3Output, settings(s3, conf, buffer, timekey)) as running:
        records = records or ({"n": 1},)
        await running.feed(tag, *records, times=[NOON] * len(records))
        await running.flush()
    return running


def mood_conf(s3: S3Peer) -> str:
    """Settings for the promises of every output."""
    return (
        f"{KEYS}s3_bucket logs\ns3_endpoint http://127.0.0.1:{s3.port}\n"
        f"<format>\n@type json\n</format>\n<buffer time>\ntimekey 1d\n{SMALL}\n</buffer>"
    )


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the plugin's says how long to wait for an answer."""
    monkeypatch.setattr("logpipe_aws.s3.bucket._SECONDS", 1)


@pytest.mark.slow("each mood is gone through twice, and silence is waited for")
@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("mood", sorted(S3Peer.moods, key=lambda mood: mood.name))
async def test_a_server_in_a_mood(mood: Mood, s3: S3Peer) -> None:
    """Nothing is lost, all is delivered in the end, it stops in time, and what waits is bounded."""
    await check_output_against_peer(S3Output, mood_conf(s3), s3, mood, most_bytes=2 * 1024 * 1024)


@pytest.mark.usefixtures("_impatient")
async def test_a_server_that_is_away_at_the_start_and_in_a_reload(s3: S3Peer) -> None:
    """Nothing is lost, and nothing is given up."""
    await check_output_over_reload(S3Output, mood_conf(s3), s3)


async def test_its_promises() -> None:
    """Those of every plugin."""
    await check_plugin(S3Output, "s3_bucket logs")


async def test_an_object(s3: S3Peer) -> None:
    """With its key and its headers, signed, after a look at the bucket and at the key."""
    await put(s3, "s3_region eu-west-1\npath a/%Y/", {"n": 1}, {"n": 2})
    (request,) = [each for each in s3.requests if each.method == "PUT"]
    assert request.path == "/logs/a/2024/20240101_0.gz"
    line = '2024-01-01T12:00:00+00:00\tapp.web\t{{"n":{}}}\n'
    assert gzip.decompress(request.body).decode() == line.format(1) + line.format(2)
    assert request.headers["Content-Type"] == "application/x-gzip"
    assert request.headers["x-amz-storage-class"] == "STANDARD"
    assert "Content-Encoding" not in request.headers
    assert re.fullmatch("[0-9a-f]{32}", request.headers["x-amz-meta-logpipe-chunk"])
    signed = r"AWS4-HMAC-SHA256 Credential=k/\d{8}/eu-west-1/s3/aws4_request, SignedHeaders=content-type;host;x-amz-"
    assert re.match(signed, request.headers["Authorization"])
    asked = [(each.method, each.path) for each in s3.requests if each.method == "HEAD"]
    assert asked[-1] == ("HEAD", "/logs/a/2024/20240101_0.gz")
    assert set(asked[:-1]) == {("HEAD", "/logs/")}


KEY_ROWS = [
    ("path x/\nstore_as text", "time", "x/20240101_0.txt"),
    ("path %{hostname}-x/\nstore_as json", "time", "{host}-x/20240101_0.json"),
    (
        "s3_object_key_format %{path}${tag[1]}/%Y/%{index}%{nothing}-${k}\nindex_format %03x",
        "time,tag,k",
        "web/2024/000-v",
    ),
    ("s3_object_key_format %{hex_random}\nhex_random_length 6", "time", "{random}"),
    ("s3_object_key_format ${chunk_id}", "time", "{id}"),
    ("s3_object_key_format a b/é+%%.%{file_extension}\nstore_as zstd", "time", "a b/é+%.zst"),
    ("time_slice_format %Y-%d\nstore_as text", "time", "2024-01_0.txt"),
    ("store_as text", "tag", "_0.txt"),
    ("check_object false\ns3_object_key_format %{date_slice}-%{index}", "time", "20240101-"),
]


@pytest.mark.parametrize(("conf", "buffer", "expected"), KEY_ROWS)
async def test_keys(s3: S3Peer, conf: str, buffer: str, expected: str) -> None:
    """As the plugin makes them, but for what is random: it is made of the chunk's id."""
    running = await put(s3, conf, {"n": 1, "k": "v"}, buffer=buffer)
    ((name, (_, headers)),) = s3.objects.items()
    chunk = headers["x-amz-meta-logpipe-chunk"]
    host = running.plugin(S3Output).host.hostname
    assert name == "logs/" + expected.format(host=host, random=chunk[::-1][:6], id=chunk)


@pytest.mark.parametrize(
    ("timekey", "expected"), [("30s", "20240101120000_0.gz"), ("60s", "202401011200_0.gz"), ("1h", "2024010112_0.gz")]
)
async def test_time_slices(s3: S3Peer, timekey: str, expected: str) -> None:
    """The length of a slice says how it is written."""
    await put(s3, timekey=timekey)
    assert list(s3.objects) == [f"logs/{expected}"]


async def test_settings_of_0_12(s3: S3Peer) -> None:
    """Beside each other, with what they are called there."""
    conf = (
        f"{KEYS}s3_bucket logs\ns3_endpoint http://127.0.0.1:{s3.port}\nformat json\ninclude_time_key true\n"
        "time_slice_format %Y%m%d-%H\nutc\nflush_interval 0\nstore_as text\npath logs/"
    )
    async with drive(S3Output, conf) as running:
        await running.feed("app", {"n": 1}, times=[NOON])
        await running.flush()
    ((name, (content, _)),) = s3.objects.items()
    assert name == "logs/logs/20240101-12_0.txt"
    assert content == b'{"n":1,"time":"2024-01-01T12:00:00Z"}\n'


async def test_what_is_in_it(s3: S3Peer) -> None:
    """`<format>`, `<inject>` and `store_as` say it."""
    rows = {"text": bytes, "json": bytes, "lzma2": lzma.decompress, "gzip_command": bytes}
    for index, (store_as, unpacked) in enumerate(rows.items()):
        conf = f"store_as {store_as}\npath {index}\n<format>\n@type json\n</format>\n<inject>\ntag_key t\n</inject>"
        await put(s3, conf)
        content, headers = list(s3.objects.values())[-1]
        assert unpacked(content) == b'{"n":1,"t":"app.web"}\n'
    assert headers["content-type"] == "application/x-gzip"


async def test_zstandard(s3: S3Peer) -> None:
    """At a level."""
    records = [{"n": n, "text": f"line {n} of some" * (n % 7)} for n in range(500)]
    sizes = []
    for level in (1, 19):
        await put(s3, f"store_as zstd\npath {level}\n<compress>\nlevel {level}\n</compress>", *records)
        content, headers = s3.objects[f"logs/{level}20240101_0.zst"]
        assert content.startswith(b"\x28\xb5\x2f\xfd")
        assert headers["content-type"] == "application/x-zst"
        sizes.append(len(content))
    assert sizes[0] > sizes[1]


async def test_the_first_free_index(s3: S3Peer) -> None:
    """Other's objects are not overwritten; two chunks at once take different keys."""
    s3.objects["logs/20240101_0.gz"] = (b"", {"x-amz-meta-logpipe-chunk": "another"})
    s3.objects["logs/20240101_1.gz"] = (b"", {})
    conf = settings(s3).replace("<buffer time>", "<buffer time,k>\nflush_thread_count 4")
    async with drive(S3Output, conf) as running:
        for k in "ab":
            await running.feed("app", {"n": 1, "k": k}, times=[NOON])
        await running.flush()
    assert sorted(s3.objects) == [f"logs/20240101_{index}.gz" for index in range(4)]


@pytest.mark.parametrize("key", ["%{index}", "%{uuid_flush}", "%{hex_random}"])
async def test_an_upload_whose_answer_was_lost(s3: S3Peer, key: str) -> None:
    """Is made again over the same object."""
    kept: list[Any] = []
    real = s3.answer

    def lost(request: Any) -> Answer:
        answer = real(request)
        if request.method == "PUT" and not kept:
            kept.append(request)
            return error(500, "InternalError")
        return answer

    s3.answer = lost  # type: ignore[method-assign]
    await put(s3, f"s3_object_key_format {key}")
    assert kept
    assert len(s3.objects) == 1
    assert sum(each.method == "PUT" for each in s3.requests) == 2


async def test_a_chunk_that_was_sent_before_a_kill(s3: S3Peer) -> None:
    """Another process finds its own object by what it says."""
    await put(s3)
    output = build(S3Output, settings(s3))
    ((_, (_, headers)),) = s3.objects.items()

    class Again:
        id = headers["x-amz-meta-logpipe-chunk"]

    try:
        assert await output._claim(Again, "20240101_{}.gz".format) == ("20240101_0.gz", 0)
        Again.id = "another"
        assert await output._claim(Again, "20240101_{}.gz".format) == ("20240101_1.gz", 1)
    finally:
        await output.stop()


async def test_no_index(s3: S3Peer) -> None:
    """A key that is taken is an error that may pass, unless overwrite says otherwise."""
    s3.objects["logs/x"] = (b"", {})
    running = await put(s3, "s3_object_key_format x\noverwrite true")
    assert s3.objects["logs/x"][0] != b""
    assert any("x already exists, but will overwrite" in text for text in running.log.texts("warning"))
    s3.objects["logs/x"] = (b"", {})
    async with drive(S3Output, settings(s3, "s3_object_key_format x")) as running:
        await running.feed("app", {"n": 1}, times=[NOON])
        await wait_for(
            lambda: any("duplicated path is generated" in text for text in running.log.texts("warning")), "it"
        )
        del s3.objects["logs/x"]
        await running.flush()
    assert s3.objects["logs/x"][0] != b""


async def test_no_look_at_objects(s3: S3Peer) -> None:
    """One request for a chunk, and a key with the time of day."""
    await put(s3, "check_object false\ncheck_bucket false\ncheck_apikey_on_start false\npath p")
    (request,) = s3.requests
    assert re.fullmatch(r"/logs/p/20240101_\d{6}\.gz", request.path)


async def test_headers(s3: S3Peer) -> None:
    """What the settings say of objects."""
    conf = """
    acl bucket-owner-full-control
    grant_full_control id=1
    grant_read id=2
    grant_read_acp id=3
    grant_write_acp id=4
    use_server_side_encryption aws:kms
    ssekms_key_id kms
    storage_class STANDARD_IA
    tagging a=b
    checksum_algorithm CRC32
    s3_metadata {"who":"${tag}","Index":"%{index}"}
    s3_object_key_format x
    store_as text
    <format>
      @type single_value
      message_key m
    </format>
    """
    await put(s3, conf, {"m": "hello"}, buffer="time,tag")
    _, headers = s3.objects["logs/x"]
    wanted = {
        "acl": "bucket-owner-full-control",
        "grant-full-control": "id=1",
        "grant-read": "id=2",
        "grant-read-acp": "id=3",
        "grant-write-acp": "id=4",
        "server-side-encryption": "aws:kms",
        "server-side-encryption-aws-kms-key-id": "kms",
        "storage-class": "STANDARD_IA",
        "tagging": "a=b",
        "checksum-crc32": "NjowIA==",
        "meta-who": "app.web",
        "meta-index": "0",
    }
    assert {name: headers.get(f"x-amz-{name}") for name in wanted} == wanted
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {f"x-amz-{name}" for name in wanted} <= {*signed}


async def test_more_headers(s3: S3Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of one's own go with each request about an object; the old name of a storage class."""
    monkeypatch.setattr(type(configure(S3Output, "s3_bucket b")), "check", lambda _self: ())  # it is https alone
    key = "0123456789abcdef0123456789abcdef"
    conf = f"sse_customer_algorithm AES256\nsse_customer_key {key}\nsse_customer_key_md5 x\nreduced_redundancy true"
    await put(s3, f"{conf}\nchecksum_algorithm SHA256")
    for request in [each for each in s3.requests if each.path != "/logs/"]:
        encoded = request.headers["x-amz-server-side-encryption-customer-key"]
        assert base64.b64decode(encoded).decode() == key
        assert request.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
        assert request.headers["x-amz-server-side-encryption-customer-key-MD5"] == "hRasmdxgYDKV3nvbahU1MA=="
    _, headers = s3.objects["logs/20240101_0.gz"]
    assert headers["x-amz-storage-class"] == "REDUCED_REDUNDANCY"
    assert headers["x-amz-checksum-sha256"]


async def test_a_bucket_that_is_not_there(s3: S3Peer) -> None:
    """Is made, in its region; or waited for."""
    s3.buckets.clear()
    await put(s3, "auto_create_bucket true\ns3_region eu-west-1")
    (made,) = [each for each in s3.requests if (each.method, each.path) == ("PUT", "/logs/")]
    assert b"<LocationConstraint>eu-west-1<" in made.body
    s3.buckets.clear()
    async with drive(S3Output, settings(s3, "auto_create_bucket false\npath y")) as running:
        await running.feed("app", {"n": 1}, times=[NOON])
        said = "The specified bucket does not exist: bucket = logs"
        await wait_for(lambda: any(said in text for text in running.log.texts("warning")), "it to be said")
        s3.buckets.add("logs")
        await running.flush()
    assert "logs/y20240101_0.gz" in s3.objects


async def test_what_is_wrong_is_said_at_the_start(s3: S3Peer) -> None:
    """And does not stop it."""
    s3.answers["HEAD"] = [Answer(403)]
    async with drive(S3Output, settings(s3, "check_apikey_on_start true\ncheck_bucket false")) as running:
        await wait_for(lambda: running.log.texts("warning"), "it to be said")
        await running.feed("app", {"n": 1}, times=[NOON])
        await running.flush()
    (said,) = running.log.texts("warning")
    assert "can't call S3 API" in said
    assert "s3:ListBucket" in said
    assert s3.objects


async def test_answers(s3: S3Peer) -> None:
    """Another region is named; what no time mends goes to the dead letters, and nothing else does."""
    s3.answers["PUT"] = [
        Answer(301, headers={"x-amz-bucket-region": "eu-west-3"}),
        error(403, "AccessDenied"),
        error(400, "ExpiredToken"),
        error(503, "SlowDown"),
    ]
    running = await put(s3)
    assert s3.objects
    assert not running.errors
    said = "\n".join(running.log.texts("warning"))
    assert "the bucket is in eu-west-3: write s3_region" in said
    s3.answers["PUT"] = [error(400, "KeyTooLongError")] * 3
    running = await put(s3, "path z")
    (letter,) = running.dead_letters()
    assert "KeyTooLongError" in letter.reason


@pytest.mark.parametrize("value", ["x" * 1100, "../other", b"\xff", "", "a\nb"])
async def test_what_events_say(s3: S3Peer, value: Any) -> None:
    """They choose no bucket and no header; whoever makes no key is refused alone."""
    conf = 's3_object_key_format ${k}\ns3_metadata {"k":"${k}"}\nstore_as text'
    conf = settings(s3, conf).replace("<buffer time>", "<buffer time,k>")
    async with drive(S3Output, conf) as running:
        await running.feed("app", {"n": 1, "k": value}, {"n": 2, "k": "%{index}"}, times=[NOON] * 2)
        await running.flush()
    (letter,) = running.dead_letters()
    assert b'"n":1' in letter.payload
    assert list(s3.objects) == ["logs/%{index}"]


async def test_an_old_slice(s3: S3Peer) -> None:
    """Is told."""
    running = await put(s3, "warn_for_delay 1d")
    assert any("delayed events were put to s3://logs/20240101_0.gz" in text for text in running.log.texts("warning"))


async def test_a_way_by_a_proxy(s3: S3Peer) -> None:
    """The URL is the proxy's to resolve."""
    conf = f"{KEYS}s3_bucket logs\ns3_endpoint http://s3.invalid\nforce_path_style true\nproxy_uri http://127.0.0.1:{s3.port}"
    async with drive(S3Output, f"{conf}\n<buffer time>\ntimekey 1d\n{FAST}\n</buffer>") as running:
        await running.feed("app", {"n": 1}, times=[NOON])
        await wait_for(lambda: s3.requests, "a request")
        await running.flush()
    assert all(each.path.startswith(("http://s3.invalid/", "/logs/")) for each in s3.requests)
