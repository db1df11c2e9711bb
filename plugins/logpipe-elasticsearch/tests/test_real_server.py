"""What only a real server shows, an OpenSearch: its own answers to documents, templates, and data streams."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from logpipe import Output
from logpipe.testing import drive
from logpipe_elasticsearch.out_data_stream import OpenSearchDataStream
from logpipe_elasticsearch.out_elasticsearch import ElasticsearchOutput
from logpipe_elasticsearch.out_opensearch import OpenSearchOutput

NOON = 1_704_110_400 * 1_000_000_000


async def deliver(port: int, cls: type[Output[Any]], conf: str, *records: dict[str, Any]) -> list[str]:
    """Feed records as one chunk; return the reasons of those that were refused."""
    text = f"host 127.0.0.1\nport {port}\nrequest_timeout 30\n{conf}\n<buffer tag>\nflush_mode immediate\n</buffer>"
    async with drive(cls, text) as running:
        await running.feed("app", *records, times=[NOON] * len(records))
        await running.flush()
    return [str(error) for *_, error in running.errors]


async def found(port: int, index: str) -> list[dict[str, Any]]:
    """Return what an index holds, in the order of `n`."""

    def ask() -> list[dict[str, Any]]:
        place = f"http://127.0.0.1:{port}/{index}"
        urllib.request.urlopen(f"{place}/_refresh").read()  # noqa: S310 - it is http
        with urllib.request.urlopen(f"{place}/_search?size=1000") as answer:  # noqa: S310 - the same
            return [hit["_source"] for hit in json.load(answer)["hits"]["hits"]]

    return sorted(await asyncio.to_thread(ask), key=lambda document: str(document.get("n")))


@pytest.mark.services
@pytest.mark.slow("a Java program starts")
async def test_a_real_server(opensearch: int, tmp_path: Path) -> None:
    """Documents, refusals one by one, ids, updates, a template and a data stream: one server, and so one test."""
    port, time = opensearch, "2024-01-01T12:00:00.000+00:00"
    (tmp_path / "t.json").write_text('{"index_patterns": ["t-*"], "mappings": {"properties": {"n": {"type": "long"}}}}')
    template = f"template_name t\ntemplate_file {tmp_path}/t.json"
    conf = f"{template}\nlogstash_format true\nlogstash_prefix t\ntime_precision 3"
    for cls in (ElasticsearchOutput, OpenSearchOutput):
        reasons = await deliver(port, cls, conf, {"n": 1}, {"n": "x"}, {"n": 2})
        assert len(reasons) == 1
        assert (
            "[error type]: mapper_parsing_exception [reason]: 'failed to parse field [n] of type [long]" in reasons[0]
        )
        assert 'caused by illegal_argument_exception: For input string: "x"' in reasons[0]
    times = {"@timestamp": time}
    assert await found(port, "t-2024.01.01") == [{"n": n, **times} for n in (1, 1, 2, 2)]

    # the same document twice is there once, and an update needs one
    conf = "index_name ids\nid_key id\nwrite_operation"
    assert not await deliver(port, ElasticsearchOutput, f"{conf} create", {"id": "a", "n": 1})
    assert not await deliver(port, ElasticsearchOutput, f"{conf} create", {"id": "a", "n": 1})
    assert not await deliver(port, ElasticsearchOutput, f"{conf} upsert", {"id": "b", "n": 2}, {"id": "a", "n": 3})
    (reason,) = await deliver(port, OpenSearchOutput, f"{conf} update", {"id": "c", "n": 4}, {"id": "b", "n": 5})
    assert reason.startswith("404 [error type]: document_missing_exception")
    assert await found(port, "ids") == [{"id": "a", "n": 3}, {"id": "b", "n": 5}]

    # an index that nobody may write to is a refusal, and holds nothing up; so is a request that is compressed
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/ids/_settings",
        b'{"index.blocks.write": true}',
        {"Content-Type": "application/json"},
        method="PUT",
    )
    await asyncio.to_thread(lambda: urllib.request.urlopen(request).read())  # noqa: S310 - the same
    conf = "target_index_key i\ncompression_level best_speed\nindex_name other"
    (reason,) = await deliver(port, OpenSearchOutput, conf, {"i": "ids", "n": 6}, {"n": 7})
    assert "cluster_block_exception" in reason
    assert await found(port, "other") == [{"n": 7}]

    conf = "data_stream_name logs-${tag}\ntime_precision 3"
    assert not await deliver(port, OpenSearchDataStream, conf, {"n": 1})
    assert await found(port, "logs-app") == [{"n": 1, **times}]
