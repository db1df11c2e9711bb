"""The lines that records become: index, time, id, and what is added and left out."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from logpipe import Output
from logpipe.testing import check_plugin, drive, pipeline
from logpipe_elasticsearch.out_data_stream import ElasticsearchDataStream, OpenSearchDataStream
from logpipe_elasticsearch.out_elasticsearch import ElasticsearchOutput
from logpipe_elasticsearch.out_elasticsearch_dynamic import ElasticsearchDynamic
from logpipe_elasticsearch.out_opensearch import OpenSearchOutput
from logpipe_elasticsearch.testing import SearchPeer

SECOND = 1_000_000_000
NOON = 1_704_110_400 * SECOND + 123_456_789
"""2024-01-01T12:00:00.123456789Z."""
OUTPUTS = [ElasticsearchOutput, ElasticsearchDynamic, OpenSearchOutput]
STREAMS = [ElasticsearchDataStream, OpenSearchDataStream]


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


async def sent(
    server: SearchPeer,
    conf: str,
    *records: dict[str, Any],
    buffer: str = "tag",
    cls: type[Output[Any]] = ElasticsearchOutput,
    tag: str = "app.web",
) -> tuple[list[dict[str, Any]], Any]:
    """Feed records of one time; return the lines that came of it, and the pipeline's trace."""
    text = f"host 127.0.0.1\nport {server.port}\n{conf}\n<buffer {buffer}>\ntimekey 1d\nflush_mode immediate\n</buffer>"
    async with drive(cls, text) as running:
        await running.feed(tag, *records, times=[NOON] * len(records))
        await running.flush()
    return server.lines(), running


@pytest.mark.parametrize("cls", [*OUTPUTS, *STREAMS])
async def test_their_promises(cls: type[Output[Any]]) -> None:
    """Those of every plugin."""
    await check_plugin(cls, "data_stream_name a" if cls in STREAMS else "")


INDEX = {"index": {"_index": "fluentd"}}


DOCUMENTS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("", {"a": 1}, INDEX, {"a": 1}),
    ("index_name App-${tag}-${tag[1]}", {"a": 1}, {"index": {"_index": "app-app.web-web"}}, {"a": 1}),
    (
        "logstash_format true",
        {"a": 1},
        {"index": {"_index": "logstash-2024.01.01"}},
        {"a": 1, "@timestamp": "2024-01-01T12:00:00.123456789+00:00"},
    ),
    (
        "logstash_format true\nlogstash_prefix k-${tag}\nlogstash_prefix_separator _\nlogstash_dateformat %Y.%m\n"
        "time_precision 3",
        {},
        {"index": {"_index": "k-app.web_2024.01"}},
        {"@timestamp": "2024-01-01T12:00:00.123+00:00"},
    ),
    ("include_timestamp true\ntime_precision 0", {}, INDEX, {"@timestamp": "2024-01-01T12:00:00+00:00"}),
    (
        "logstash_format true",
        {"@timestamp": "2023-12-31T23:30:00-01:00"},
        {"index": {"_index": "logstash-2024.01.01"}},
        {"@timestamp": "2023-12-31T23:30:00-01:00"},
    ),
    (
        "logstash_format true\nutc_index false\ntime_key t",
        {"t": "2023-12-31T23:30:00-01:00"},
        {"index": {"_index": "logstash-2023.12.31"}},
        {"t": "2023-12-31T23:30:00-01:00", "@timestamp": "2023-12-31T23:30:00.000000000-01:00"},
    ),
    (
        "logstash_format true\ntime_key t\ntime_key_format %d/%b/%Y %H:%M\ntime_key_exclude_timestamp true",
        {"t": "05/Feb/2024 10:11"},
        {"index": {"_index": "logstash-2024.02.05"}},
        {"t": "05/Feb/2024 10:11"},
    ),
    (
        "include_timestamp true\ntime_key t\ntime_precision 1",
        {"t": 1704110400.5},
        INDEX,
        {"t": 1704110400.5, "@timestamp": "2024-01-01T12:00:00.5+00:00"},
    ),
    (
        "logstash_format true\ntime_precision 0",
        {"@timestamp": "soon"},
        {"index": {"_index": "logstash-2024.01.01"}},
        {"@timestamp": "soon"},
    ),
    ("include_tag_key true\ntag_key @log_name", {"a": 1}, INDEX, {"a": 1, "@log_name": "app.web"}),
    ("remove_keys a, b", {"a": 1, "b": 2, "c": 3}, INDEX, {"c": 3}),
    (
        "flatten_hashes true\nflatten_hashes_separator .",
        {"a": {"b": {"c": 1}, "d": [{"e": 1}]}, "f": 2},
        INDEX,
        {"a.b.c": 1, "a.d": [{"e": 1}], "f": 2},
    ),
    (
        "id_key $.k.id\nrouting_key r\nparent_key p.q\nremove_keys r",
        {"k": {"id": 7}, "r": "x", "p": {"q": "y"}},
        {"index": {"_index": "fluentd", "_id": 7, "_parent": "y", "routing": "x"}},
        {"k": {"id": 7}, "p": {"q": "y"}},
    ),
    ("pipeline p-${tag}", {"a": 1}, {"index": {"_index": "fluentd", "pipeline": "p-app.web"}}, {"a": 1}),
    ("target_index_key k.i", {"k": {"i": "Other", "x": 1}}, {"index": {"_index": "other"}}, {"k": {"x": 1}}),
    ("target_index_key k.i", {"k": "x"}, INDEX, {"k": "x"}),
    (
        "id_key i\nwrite_operation create",
        {"i": "x"},
        {"create": {"_index": "fluentd", "_id": "x"}},
        {"i": "x"},
    ),
    (
        "id_key i\nwrite_operation update\nremove_keys_on_update a,b",
        {"i": "x", "a": 1, "c": 2},
        {"update": {"_index": "fluentd", "_id": "x"}},
        {"doc": {"i": "x", "c": 2}},
    ),
    (
        "id_key i\nwrite_operation upsert",
        {"i": "x"},
        {"update": {"_index": "fluentd", "_id": "x"}},
        {"doc": {"i": "x"}, "doc_as_upsert": True},
    ),
    (
        "id_key i\nwrite_operation upsert\nremove_keys_on_update_key k",
        {"i": "x", "k": ["a"], "a": 1},
        {"update": {"_index": "fluentd", "_id": "x"}},
        {"doc": {"i": "x"}, "upsert": {"i": "x", "a": 1}},
    ),
    (
        "id_key i\nwrite_operation update\nsuppress_doc_wrap true",
        {"i": "x", "script": {"a": 1}},
        {"update": {"_index": "fluentd", "_id": "x"}},
        {"i": "x", "script": {"a": 1}},
    ),
    ("include_index_in_url true", {"a": 1}, {"index": {}}, {"a": 1}),
]
"""Settings, a record, and the two lines that it becomes."""


async def test_documents(server: SearchPeer) -> None:
    """As the plugin writes them to a server of version 8; records are not changed."""
    buffer = "<buffer tag>\nflush_mode immediate\n</buffer>"
    common = f"@type elasticsearch\nhost 127.0.0.1\nport {server.port}"
    conf = "".join(
        f"<match app.web.{number}>\n{common}\n{case[0].replace('${tag}', 'app.${tag[1]}')}\n{buffer}\n</match>\n"
        for number, case in enumerate(DOCUMENTS)
    )
    found = []
    async with pipeline(conf) as running:
        for number, (_, record, _, _) in enumerate(DOCUMENTS):
            before = json.dumps(record)
            await running.feed(f"app.web.{number}", record, times=[NOON])
            await running.flush()
            lines = [json.loads(line) for line in server.bulk_requests()[-1].body.splitlines()]
            lines[1] = {key: "app.web" if key == "@log_name" else value for key, value in lines[1].items()}
            found.append((lines, list(lines[1]), json.dumps(record) == before))
    assert found == [([head, source], list(source), True) for _, _, head, source in DOCUMENTS]


async def test_requests_by_index(server: SearchPeer) -> None:
    """With `include_index_in_url` each has its own, percent-encoded."""
    await sent(server, "include_index_in_url true\nindex_name a-${i}", {"i": "x%y"}, buffer="i")
    assert [request.path for request in server.bulk_requests()] == ["/a-x%25y/_bulk"]


async def test_the_time_of_a_chunk_and_its_id(server: SearchPeer) -> None:
    """`%Y` of `index_name` is the chunk's, and `<metadata>` adds the id that the log names."""
    conf = "index_name a-%Y%m\n<metadata>\ninclude_chunk_id true\nchunk_id_key c\n</metadata>"
    (head, source), _ = await sent(server, conf, {}, buffer="time")
    assert (head, len(source["c"])) == ({"index": {"_index": "a-202401"}}, 32)


async def test_an_event_without_an_id(server: SearchPeer) -> None:
    """It is dropped, or an error where the settings say so; the others are sent."""
    conf = "id_key i\nwrite_operation create"
    lines, running = await sent(server, conf, {"a": 1}, {"i": "x"})
    assert ([line for line in lines if "create" in line], running.errors) == (
        [{"create": {"_index": "fluentd", "_id": "x"}}],
        [],
    )
    assert running.metric("discarded_records") == 1
    _, running = await sent(server, f"{conf}\nemit_error_for_missing_id true", {"a": 1}, {"i": "x"})
    assert [str(error) for *_, error in running.errors] == ["Missing '_id' field. Write operation is create"]


async def test_a_record_that_is_no_json(server: SearchPeer) -> None:
    """It costs the others nothing."""
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"d": deep}
    lines, running = await sent(server, "", {"n": 1}, deep, {"n": 2})
    assert ([line["n"] for line in lines[1::2]], len(running.errors)) == ([1, 2], 1)


@pytest.mark.parametrize(
    ("conf", "value"),
    [
        ("target_index_key i", ".kibana"),
        ("target_index_key i", "_all"),
        ("target_index_key i", "-x"),
        ("target_index_key i", "a,b"),
        ("target_index_key i", "*"),
        ("target_index_key i", "<a-{now/d}>"),
        ("target_index_key i", "x" * 256),
        ("target_index_key i", "İ" * 127),
        ("target_index_key i", 7),
        ("target_index_key i", b"a\xff"),
        ("target_index_key i", "a\ud800"),
        ("include_index_in_url true\nindex_name a-${i}", b"\xff"),
        ("include_index_in_url true\nindex_name a-${i}", "\udcff"),
        ("index_name ${i}", ".security"),
        ("index_name ${i}", ""),
        ("index_name logs-${i}", "a,secret"),
        ("index_name logs-${i}", "../x"),
        ("index_name logs-${i}", "a b"),
        ("logstash_format true\nlogstash_prefix ${i}", "_x"),
        ("logstash_format true\nlogstash_prefix a-${i}", "*"),
        ("logstash_format true\nlogstash_dateformat ${i}", "a/b"),
    ],
)
async def test_an_index_that_an_event_must_not_choose(conf: str, value: Any, server: SearchPeer) -> None:
    """It goes to `@ERROR` or the dead letters, and nothing is sent but others."""
    lines, running = await sent(server, conf, {"i": value}, {"i": "fine"}, buffer="" if "target" in conf else "i")
    assert (len(lines), len(running.dead_letters())) == (2, 1)
    assert "fine" in server.documents[0][1]


@pytest.mark.parametrize("value", ["", "x" * 513, "ü" * 257, b"\xff", "\ud800", ["a"], {"a": 1}])
async def test_an_id_that_no_document_has(value: Any, server: SearchPeer) -> None:
    """The event is refused alone: the server would refuse all documents of its request, or take it for another."""
    lines, running = await sent(server, "id_key i", {"i": value}, {"i": "fine"}, {"i": "x" * 512})
    assert ([line["index"]["_id"][:4] for line in lines[::2]], len(running.errors)) == (["fine", "xxxx"], 1)


async def test_times_that_cannot_be_read_do_not_fill_the_log(server: SearchPeer) -> None:
    """One message a second is written, with the number of the others."""
    records = [{"@timestamp": f"soon {n}"} for n in range(100)]
    _, running = await sent(server, "logstash_format true", *records)
    assert len(server.documents) == 100
    assert len([text for text in running.log.texts("warning") if "own time is taken" in text]) < 10


async def test_a_date_out_of_an_event_is_no_directive(server: SearchPeer) -> None:
    """A value stays what it is."""
    (head, _), _ = await sent(server, "logstash_format true\nlogstash_dateformat ${i}-%Y", {"i": "%d"}, buffer="i")
    assert head == {"index": {"_index": "logstash-%d-2024"}}


@pytest.mark.parametrize("cls", STREAMS)
async def test_documents_of_a_data_stream(cls: type[Output[Any]], server: SearchPeer) -> None:
    """They are created, with a time, without types."""
    conf = "data_stream_name logs-${tag}\ninclude_tag_key true\nremove_keys b"
    lines, _ = await sent(server, conf, {"a": 1, "b": 2}, cls=cls, tag="web")
    time = {"@timestamp": "2024-01-01T12:00:00.123456789+00:00"}
    assert lines == [{"create": {"_index": "logs-web"}}, {"a": 1, **time, "tag": "web"}]
    await sent(server, conf, {}, cls=cls, tag="a b")
    assert len(server.documents) == 1


@pytest.mark.parametrize(
    ("conf", "record", "head"),
    [
        ("index_name a-${record['k']['n']}-${tag_parts[1]}", {"k": {"n": "X"}}, {"_index": "a-x-web"}),
        ("index_name viaq.${Time.at(time).getutc.strftime(@logstash_dateformat)}", {}, {"_index": "viaq.2024.01.01"}),
        (
            "logstash_format true\nlogstash_prefix ${record['p']}",
            {"p": "mine"},
            {"_index": "mine-2024.01.01"},
        ),
        ("id_key ${record['by']}\nindex_name i", {"by": "k", "k": 5}, {"_index": "i", "_id": 5}),
    ],
)
async def test_settings_with_ruby_in_them(
    conf: str, record: dict[str, Any], head: dict[str, Any], server: SearchPeer
) -> None:
    """They are run for each event."""
    lines, _ = await sent(server, conf, record, cls=ElasticsearchDynamic)
    assert lines[0] == {"index": head}


@pytest.mark.parametrize("value", [".kibana", "a,b", "<x>", "", None])
async def test_ruby_chooses_no_more_than_placeholders(value: Any, server: SearchPeer) -> None:
    """One that must not be chosen is an error of its event alone."""
    conf = "index_name ${record['i']}"
    lines, running = await sent(server, conf, {"i": value}, {"i": "ok"}, cls=ElasticsearchDynamic)
    assert ([line["index"] for line in lines[::2]], len(running.errors)) == ([{"_index": "ok"}], 1)


@pytest.mark.parametrize("value", ["%999999999d", "%-0100d", "%Y" * 128])
async def test_a_date_that_takes_all_memory(value: str, server: SearchPeer) -> None:
    """Of what an event says no text is made that is far longer."""
    conf = "logstash_format true\nlogstash_dateformat ${record['f']}"
    lines, running = await sent(server, conf, {"f": value}, {"f": "%Y"}, cls=ElasticsearchDynamic)
    assert ([line["index"]["_index"] for line in lines[::2]], len(running.errors)) == (["logstash-2024"], 1)


async def test_affinity() -> None:
    """A document that is there already is updated where it is."""

    class Knowing(SearchPeer):
        def call(self, method: str, path: str, body: bytes) -> Any:
            if path.endswith("_search"):
                self.question = (path, json.loads(body)["query"])
                hits = [{"_id": "x", "_index": "logstash-2023.12.30"}, {"_id": "x", "_index": "logstash-2023.12.29"}]
                self.things["/found"] = {"hits": {"hits": hits}}
                return super().call("GET", "/found", b"")
            return super().call(method, path, body)

    async with Knowing().serving() as server:
        conf = "logstash_format true\nid_key i\nwrite_operation upsert\ntarget_index_affinity true"
        _, running = await sent(server, conf, {"i": "x"}, {"i": "y"}, {"i": ["x"]}, {"i": "\ud800"}, {"i": "z" * 513})
        assert server.question == ("/logstash-*/_search", {"ids": {"values": ["x", "y"]}})
        assert len(running.errors) == 3
    assert [document[1] for document in server.documents] == ["logstash-2023.12.29", "logstash-2024.01.01"]


async def test_affinity_of_many_documents() -> None:
    """They are asked for in parts, beside the event loop; a server that has none is no failure."""

    class Empty(SearchPeer):
        ids: ClassVar[list[str]] = []

        def call(self, method: str, path: str, body: bytes) -> Any:
            if path.endswith("_search"):
                self.ids.extend(json.loads(body)["query"]["ids"]["values"])
                return super().call("GET", "/missing", b"")
            return super().call(method, path, body)

    async with Empty().serving() as server:
        conf = "logstash_format true\nid_key i\nwrite_operation upsert\ntarget_index_affinity true"
        await sent(server, conf, *({"i": str(n)} for n in range(1001)))
        searches = [request for request in server.requests if "_search" in request.path]
    assert (len(searches), sorted(server.ids, key=int)) == (3, [str(n) for n in range(1001)])
    assert len(server.documents) == 1001
