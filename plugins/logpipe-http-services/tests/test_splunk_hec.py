"""splunk_hec: what is sent, how, and what becomes of what the collector does not take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError, Record
from logpipe.testing import (
    Front,
    Mood,
    check_output_against_peer,
    check_output_over_reload,
    check_plugin,
    configure,
    drive,
)
from logpipe_http_services.splunk.options import SplunkHecOptions
from logpipe_http_services.splunk.out_splunk_hec import SplunkHec, client_settings
from logpipe_http_services.testing import TOKEN, HecPeer
from tests.net.certificates import AUTHORITY, server_context, write

NOW = "<buffer tag>\nflush_mode immediate\nretry_wait 0.01\nretry_max_interval 0.02\n</buffer>"
SMALL = "flush_mode immediate\nretry_wait 0.1\nretry_max_interval 0.2\nchunk_limit_size 200k\ntotal_limit_size 1m"
TIME = 1_700_000_000_500_000_000


def conf(splunk: HecPeer, more: str = "") -> str:
    """Return the body of a section."""
    return f"protocol http\nhec_host 127.0.0.1\nhec_port {splunk.port}\nhec_token {TOKEN}\n{more}"


async def sent(splunk: HecPeer, more: str, *records: Record, errors: int = 0) -> list[dict[str, Any]]:
    """Return what the collector has taken of events."""
    async with drive(SplunkHec, conf(splunk, f"{more}\n{NOW}")) as stage:
        await stage.feed("app.web", *records, times=[TIME] * len(records))
        await stage.flush()
        assert len(stage.errors) == errors
    return splunk.events


def told(**fields: Any) -> dict[str, Any]:
    """Return an event as the collector is told of it, without its host."""
    return {"time": "1700000000.5"} | fields


METRIC = "host h\ndata_type metric\nmetric_name_key m\nmetric_value_key v"
RECORD: Record = {"a": 1, "k": {"h": "web", "x": 2}}


@pytest.mark.parametrize(
    ("more", "record", "expected"),
    [
        ("host h", {"a": 1}, told(host="h", event='{"a":1}')),
        (
            "host h\nsource s-${tag}\nsourcetype t\nindex i",
            {"a": 1},
            told(host="h", source="s-app.web", sourcetype="t", index="i", event='{"a":1}'),
        ),
        ("host_key k.h", RECORD, told(host="web", event='{"a":1,"k":{"x":2}}')),
        ("host_key k.h\nkeep_keys true", RECORD, told(host="web", event='{"a":1,"k":{"h":"web","x":2}}')),
        (
            "host h\nsource_key s\nsourcetype_key t\nindex_key i",
            {"s": "S", "t": "T", "a": 1},
            told(host="h", source="S", sourcetype="T", event='{"a":1}'),
        ),
        ("host h\ntime_key t", {"t": 5, "a": 1}, {"time": 5, "host": "h", "event": '{"a":1}'}),
        ("host h\ntime_key t", {"a": 1}, told(host="h", event='{"a":1}')),
        (
            "host h\n<fields>\nlevel\napp application\n</fields>",
            {"level": "info", "application": "web", "a": 1},
            told(host="h", fields={"level": "info", "app": "web"}, event='{"a":1}'),
        ),
        (
            "host h\n<format app.*>\n@type single_value\nmessage_key a\nadd_newline false\n</format>",
            {"a": "x"},
            told(host="h", event="x"),
        ),
        ("host h\n<format other>\n@type json\n</format>", {"a": 1}, told(host="h", event={"a": 1})),
        ("host h\nnon_utf8_replacement_string ?", {"a": b"x\xff"}, told(host="h", event='{"a":"x?"}')),
        ("host h", {"a": b"x\xff"}, told(host="h", event='{"a":"x "}')),
        (
            METRIC,
            {"m": "cpu", "v": 3, "app": "web"},
            told(host="h", event="metric", fields={"metric_name": "cpu", "_value": 3, "app": "web"}),
        ),
        (
            f"{METRIC}\nmetrics_from_event false\n<fields>\n</fields>",
            {"m": "cpu", "v": 3, "app": "web"},
            told(host="h", event="metric", fields={"metric_name": "cpu", "_value": 3}),
        ),
    ],
)
async def test_what_is_sent(splunk: HecPeer, more: str, record: Record, expected: dict[str, Any]) -> None:
    """The event as text, and beside it what the settings name."""
    before = json.dumps(record, default=str)
    assert await sent(splunk, more, record) == [expected]
    assert json.dumps(record, default=str) == before


async def test_metrics_of_an_event(splunk: HecPeer) -> None:
    """One for each field."""
    found = await sent(splunk, "data_type metric\nhost h", {"cpu": 0.5, "mem": 7})
    assert [event["fields"] for event in found] == [
        {"metric_name": "cpu", "_value": 0.5},
        {"metric_name": "mem", "_value": 7},
    ]


async def test_what_is_not_sent(splunk: HecPeer) -> None:
    """An empty event; and what is not UTF-8, where that is an error."""
    found = await sent(splunk, "coerce_to_utf8 false", {}, {"a": b"\xff"}, {"a": 1}, errors=1)
    assert [event["event"] for event in found] == ['{"a":1}']


async def test_requests(splunk: HecPeer) -> None:
    """Their URL, headers and compression; the token stands nowhere else."""
    more = (
        'full_url http://127.0.0.1:%d/base/\nhec_endpoint /x/event\ncustom_headers {"X-A": "b"}\ngzip_compression true'
    )
    more = f"{more % splunk.port}\napp_name mine\napp_version 7\nidle_timeout 9"
    assert len(await sent(splunk, more, {"a": 1})) == 1
    (request,) = splunk.requests
    assert request.path == "/base/x/event"
    names = ("X-A", "__splunk_app_name", "__splunk_app_version", "Content-Type")
    assert [request.headers[name] for name in names] == ["b", "mine", "7", "application/json"]
    assert client_settings(SplunkHecOptions(hec_token=TOKEN, hec_host="a", idle_timeout=9)).idle_seconds == 9
    assert SplunkHecOptions.settings()["hec_token"].secret


async def test_events_that_are_refused(splunk: HecPeer) -> None:
    """Each of them is a dead letter with the reason; the others are delivered in the same attempt."""
    async with drive(SplunkHec, conf(splunk, NOW)) as stage:
        await stage.feed("t", *({"n": n, "refuse": n in {1, 3}} for n in range(5)))
        await stage.flush()
    letters = [(letter.record["n"], letter.reason) for letter in stage.dead_letters() if letter.record is not None]
    assert letters == [(1, "400 Invalid data format"), (3, "400 Invalid data format")]
    assert splunk.taken == {0, 2, 4}
    assert len(splunk.requests) == 3


async def test_refusals_that_are_tried_again(splunk: HecPeer) -> None:
    """With `consume_chunk_on_4xx_errors false`, until the collector takes them."""
    await splunk.become(Mood.REFUSING_ALL)
    async with drive(SplunkHec, conf(splunk, f"consume_chunk_on_4xx_errors false\n{NOW}")) as stage:
        await stage.feed("t", {"n": 1})
        await stage.wait_for(lambda: len(splunk.requests) > 2)
        await splunk.become(Mood.WELL)
        await stage.flush()
    assert (splunk.taken, stage.dead_letters()) == ({1}, [])


async def test_a_wrong_token(splunk: HecPeer) -> None:
    """It is no event's fault: all waits, and the log does not show it."""
    async with drive(SplunkHec, conf(splunk, NOW).replace(TOKEN, "wrong-one")) as stage:
        await stage.feed("t", {"n": 1})
        await stage.wait_for(lambda: len(splunk.requests) > 1)
        said = "".join(stage.log.texts("warning"))
        assert "403 Invalid token" in said
        assert "wrong-one" not in said
        assert not stage.dead_letters()


@pytest.mark.parametrize(
    ("more", "is_taken"),
    [
        ("ca_file {0}/ca.pem", True),
        ("ca_path {0}/ca\nssl_ciphers ECDHE-RSA-AES128-GCM-SHA256,ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("insecure_ssl true\nrequire_ssl_min_version false", True),
        ("", False),
    ],
)
async def test_tls(splunk: HecPeer, tmp_path: Path, more: str, *, is_taken: bool) -> None:
    """Nobody is sent events who is not trusted."""
    write(tmp_path)
    (tmp_path / "ca").mkdir()
    for path in ("ca.pem", "ca/one.pem"):
        AUTHORITY.cert_pem.write_to_path(tmp_path / path)
    own = f"client_cert {tmp_path}/cert.pem\nclient_key {tmp_path}/key.pem"
    buffer = NOW.replace("</buffer>", "retry_max_times 1\n</buffer>")
    async with Front("127.0.0.1", splunk.port).standing(tls=server_context(tmp_path)) as front:
        where = f"protocol https\nhec_host localhost\nhec_port {front.port}\nhec_token {TOKEN}"
        async with drive(SplunkHec, f"{where}\n{own}\n{more.format(tmp_path)}\n{buffer}") as stage:
            await stage.feed("app", {"n": 1})
            await stage.flush()
    assert (splunk.taken, len(stage.dead_letters())) == (({1}, 0) if is_taken else (set(), 1))


def test_versions_of_tls() -> None:
    """TLSv1_2 at least, or as the setting says."""
    settings = [SplunkHecOptions(hec_token=TOKEN, hec_host="h", require_ssl_min_version=each) for each in (True, False)]
    assert [client_settings(each).tls.min_version for each in settings] == ["TLSv1_2", "TLSv1"]


@pytest.mark.slow("each mood is gone through twice, and silence is waited for")
@pytest.mark.parametrize("mood", sorted(HecPeer.moods, key=lambda mood: mood.name))
async def test_a_collector_in_a_mood(mood: Mood, splunk: HecPeer) -> None:
    """Nothing is lost, all is delivered in the end, it stops in time, and what waits is bounded."""
    more = f"read_timeout 1\nopen_timeout 1\n<buffer>\n{SMALL}\n</buffer>"
    await check_output_against_peer(SplunkHec, conf(splunk, more), splunk, mood, most_bytes=2 * 1024 * 1024)


async def test_a_collector_that_is_away_at_the_start_and_in_a_reload(splunk: HecPeer) -> None:
    """Nothing is lost, and nothing is given up."""
    await check_output_over_reload(SplunkHec, conf(splunk, f"read_timeout 1\n<buffer>\n{SMALL}\n</buffer>"), splunk)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("hec_token x", "One of `hec_host` or `full_url` is required."),
        ("hec_host h", '"hec_token" is required'),
        ("hec_token x\nhec_host a b", "is no URL"),
        ("hec_token x\nfull_url ftp://a", "is no URL"),
        ("hec_token x\nhec_host h\nindex a\nindex_key b", "Can not set index and index_key at the same time."),
        ("hec_token x\nhec_host h\ndata_type metric\nmetrics_from_event false", "`metric_name_key` is required"),
        ("hec_token x\nhec_host h\ndata_type metric\nmetric_name_key a", "`metric_value_key` is required"),
        ("hec_token x\nhec_host h\nread_timeout 0", "read_timeout must be more than 0"),
        ('hec_token "a\\nb"\nhec_host h', "hec_token cannot stand in a header"),
    ],
)
def test_settings_that_cannot_work(more: str, message: str) -> None:
    """Each is an error of the configuration."""
    with pytest.raises(ConfigError) as raised:
        configure(SplunkHec, more)
    assert message in str(raised.value)


async def test_it_keeps_what_every_plugin_promises() -> None:
    await check_plugin(SplunkHec, "hec_host h\nhec_token x")
