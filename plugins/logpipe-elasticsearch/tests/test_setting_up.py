"""What is set up before documents come: templates, aliases, policies, data streams; and when it does not go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logpipe import Output
from logpipe.testing import drive
from logpipe.testing.http_peer import Answer
from logpipe_elasticsearch.indexes.templates import DEFAULT_POLICY
from logpipe_elasticsearch.out_data_stream import ElasticsearchDataStream, OpenSearchDataStream
from logpipe_elasticsearch.out_elasticsearch import ElasticsearchOutput
from logpipe_elasticsearch.out_opensearch import OpenSearchOutput
from logpipe_elasticsearch.testing import SearchPeer, of_json

DAY = 1_704_110_400 * 1_000_000_000
NOW = "flush_mode immediate\nretry_wait 0.01\nretry_max_interval 0.02\n"


class Managing(SearchPeer):
    """Manages the lives of indexes, and fails when it is told to."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.failures = list(answers)
        self.ilm: Any = {"available": True, "enabled": True}

    def call(self, method: str, path: str, body: bytes) -> Answer:
        if path == "/_xpack":
            return of_json({"features": {} if self.ilm is None else {"ilm": self.ilm}})
        if method == "PUT" and self.failures:
            return self.failures.pop(0)
        return super().call(method, path, body)


def template(folder: Path, content: Any) -> str:
    """Write a template; return its settings."""
    (folder / "t.json").write_text(json.dumps(content))
    return f"template_name t-name\ntemplate_file {folder}/t.json"


async def run(
    server: SearchPeer,
    conf: str,
    *tags: str,
    cls: type[Output[Any]] = ElasticsearchOutput,
    until: str = "",
) -> tuple[list[tuple[str, str]], Any]:
    """Feed an event for each tag, and wait `until` something is set up.

    Return what was asked before or beside the bulk requests, and the trace.
    """
    text = f"host 127.0.0.1\nport {server.port}\n{conf}\n<buffer tag>\n{NOW}</buffer>"
    async with drive(cls, text) as running:
        for tag in tags:
            await running.feed(tag, {"n": 1}, times=[DAY])
            await running.flush()
        await running.wait_for(lambda: until in server.things or not until)
    asked = [(request.method, request.path) for request in server.requests]
    return [each for each in asked if each not in {("GET", "/"), ("POST", "/_bulk")}], running


@pytest.mark.parametrize(
    ("conf", "path"),
    [("", "/_template/t-name"), ("use_legacy_template false", "/_index_template/t-name")],
)
async def test_a_template(conf: str, path: str, tmp_path: Path, server: SearchPeer) -> None:
    """It is installed once, before the first event, and not over one that is there unless it is to be."""
    text = f"{template(tmp_path, {'a': 1})}\n{conf}"
    asked, _ = await run(server, text, "a", "b")
    assert (asked, server.things) == ([("GET", path), ("PUT", path)], {path: {"a": 1}})
    server.requests.clear()
    server.things[path] = {"old": 1}
    assert (await run(server, text, "a"))[0] == [("GET", path)]
    server.requests.clear()
    assert (await run(server, f"{text}\ntemplate_overwrite true", "a"))[0] == [("PUT", path)]
    assert server.things[path] == {"a": 1}


async def test_a_customized_template_and_more_of_them(tmp_path: Path, server: SearchPeer) -> None:
    """Texts are replaced by what placeholders give, in lower case, for each name that comes of it."""
    (tmp_path / "u.json").write_text('{"u": 1}')
    conf = template(tmp_path, {"index_patterns": "<<IT>>-*"}).replace("t-name", "t-${tag}")
    conf += f'\ncustomize_template {{"<<IT>>": "X-${{tag}}"}}\ntemplates {{"more": "{tmp_path}/u.json"}}'
    await run(server, conf, "a", "b", "a")
    assert server.things == {
        "/_template/more": {"u": 1},
        "/_template/t-a": {"index_patterns": "x-a-*"},
        "/_template/t-b": {"index_patterns": "x-b-*"},
    }
    assert sum(request.method == "PUT" for request in server.requests) == 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "you must specify a valid template file"), ("{", "is no JSON"), ("[]", "is no template")],
)
async def test_a_file_that_is_no_template(content: str | None, problem: str, tmp_path: Path) -> None:
    """It stops the start."""
    if content is not None:
        (tmp_path / "t.json").write_text(content)
    conf = f"template_name t\ntemplate_file {tmp_path}/t.json\n<buffer>\n</buffer>"
    with pytest.raises(ExceptionGroup) as raised:
        async with drive(ElasticsearchOutput, conf):
            pass
    assert problem in repr(raised.value.exceptions)


@pytest.mark.parametrize("answer", [Answer(400, b"no"), Answer(503), Answer(429)])
async def test_what_cannot_be_set_up_is_tried_again(answer: Answer, tmp_path: Path) -> None:
    """Nothing is sent meanwhile."""
    async with Managing(answer, answer).serving() as server:
        _, running = await run(server, template(tmp_path, {"a": 1}), "a")
        order = [request.path for request in server.requests if request.method in {"PUT", "POST"}]
    assert order == ["/_template/t-name"] * 3 + ["/_bulk"]
    assert running.log.texts("warning")


async def test_or_given_up_where_the_settings_say_so(tmp_path: Path) -> None:
    """After so many failures, and events are sent."""
    async with Managing(*[Answer(400)] * 9).serving() as server:
        conf = f"{template(tmp_path, {})}\nmax_retry_putting_template 1\nfail_on_putting_template_retry_exceed false"
        await run(server, conf, "a", "b")
        assert (len(server.documents), sum(request.method == "PUT" for request in server.requests)) == (2, 2)


ROLLOVER = {"index.lifecycle.name": "p", "index.lifecycle.rollover_alias": "logs"}


@pytest.mark.parametrize(
    ("legacy", "kind", "expected"),
    [
        (True, "_template", {"index_patterns": "logs-*", "settings": {"x": 1, **ROLLOVER}, "order": 51}),
        (
            False,
            "_index_template",
            {"index_patterns": ["logs-*"], "template": {"settings": {"x": 1, **ROLLOVER}}, "priority": 101},
        ),
    ],
)
async def test_index_lifecycle_management(legacy: bool, kind: str, expected: Any, tmp_path: Path) -> None:  # noqa: FBT001
    """A template for the alias, the first index with the alias, and the policy, before any event comes."""
    settings = {"settings": {"x": 1}}
    conf = template(tmp_path, settings if legacy else {"template": settings})
    conf += f"\nenable_ilm true\nindex_name logs\nilm_policy_id p\nuse_legacy_template {str(legacy).lower()}"
    async with Managing().serving() as server:
        await run(server, conf, "a")
        assert server.things == {
            f"/{kind}/logs": expected,
            "/<logs-default-{now/d}-000001>": {"aliases": {"logs": {"is_write_index": True}}},
            "/_ilm/policy/p": DEFAULT_POLICY,
        }
        assert server.documents[0][1] == "logs"


async def test_policies_of_ones_own(tmp_path: Path) -> None:
    """By name; and over one that is there, where that is wanted."""
    policy = '{"policy": {"phases": {}}}'
    async with Managing().serving() as server:
        server.things["/_ilm/policy/p"] = {"old": 1}
        conf = f"{template(tmp_path, {})}\nenable_ilm true\nilm_policy_id p\nilm_policy {policy}"
        await run(server, conf, "a")
        assert server.things["/_ilm/policy/p"] == {"old": 1}
        await run(server, f"{conf}\nilm_policy_overwrite true", "a")
        assert server.things["/_ilm/policy/p"] == {"policy": {"phases": {}}}
        conf = f'{template(tmp_path, {})}\nenable_ilm true\nilm_policy_id q\nilm_policies {{"q": {policy}}}'
        await run(server, conf, "a")
        assert server.things["/_ilm/policy/q"] == {"policy": {"phases": {}}}


async def test_lifecycles_of_daily_indexes(tmp_path: Path) -> None:
    """With `logstash_format` each day's index is an alias of its own."""
    conf = f"{template(tmp_path, {})}\nenable_ilm true\nlogstash_format true\napplication_name App\nilm_policy_id p"
    async with Managing().serving() as server:
        await run(server, conf, "a")
        assert server.things == {
            "/_template/logstash-2024.01.01": {
                "index_patterns": "logstash-app-2024.01.01-*",
                "settings": {
                    "index.lifecycle.name": "p",
                    "index.lifecycle.rollover_alias": "logstash-2024.01.01",
                },
                "order": 53,
            },
            "/<logstash-app-2024.01.01-000001>": {"aliases": {"logstash-2024.01.01": {"is_write_index": True}}},
            "/_ilm/policy/p": DEFAULT_POLICY,
        }


async def test_a_rollover_index_without_lifecycle(tmp_path: Path, server: SearchPeer) -> None:
    """An index and its alias."""
    conf = f'{template(tmp_path, {})}\nrollover_index true\ndeflector_alias d\nindex_name i\nindex_date_pattern ""'
    conf += "\nindex_separator ."
    await run(server, conf, "a")
    assert server.things == {
        "/_template/t-name": {},
        "/<i.default-000001>": {"aliases": {"d": {"is_write_index": True}}},
    }


@pytest.mark.parametrize(
    ("ilm", "problem"),
    [(None, "installed"), ({"available": False}, "available"), ({"available": True, "enabled": False}, "enabled")],
)
async def test_a_server_without_lifecycles(ilm: Any, problem: str, tmp_path: Path) -> None:
    """It is said what is missing, and nothing is sent."""
    async with Managing().serving() as server:
        server.ilm = ilm
        conf = (
            f"host 127.0.0.1\nport {server.port}\n{template(tmp_path, {})}\nenable_ilm true\n<buffer>\n{NOW}</buffer>"
        )
        async with drive(ElasticsearchOutput, conf) as running:
            await running.feed("a", {"n": 1})
            said = f"Index Lifecycle management is enabled in Fluentd, but not {problem} in your Elasticsearch"
            said = said.replace("installed in", "installed on")
            await running.wait_for(lambda: any(said in text for text in running.log.texts("warning")))
            assert server.documents == []
            server.ilm = {"available": True, "enabled": True}
            await running.flush()
        assert len(server.documents) == 1


async def test_what_was_set_up_is_looked_at_again(tmp_path: Path, server: SearchPeer) -> None:
    """With `truncate_caches_interval`."""
    await run(server, f"{template(tmp_path, {'a': 1})}\ntruncate_caches_interval 0.000001", "a", "b")
    assert [request.method for request in server.requests if "_template" in request.path][:3] == ["GET", "PUT", "GET"]


async def test_a_data_stream_of_elasticsearch(server: SearchPeer) -> None:
    """Policy, template and stream, at the start where the name is known; once for each name that comes."""
    asked, _ = await run(server, "data_stream_name logs", cls=ElasticsearchDataStream, until="/_data_stream/logs")
    stream = {
        "index_patterns": ["logs*"],
        "data_stream": {},
        "template": {"settings": {"index.lifecycle.name": "logs_policy"}},
    }
    assert server.things["/_index_template/logs_template"] == stream
    assert server.things["/_ilm/policy/logs_policy"] == DEFAULT_POLICY
    assert asked[-1] == ("PUT", "/_data_stream/logs")
    server.requests.clear()
    conf = (
        "data_stream_name l-${tag}\ndata_stream_template_name t-${tag}\ndata_stream_ilm_name p-${tag}\n"
        'data_stream_ilm_policy {"policy":{}}\ndata_stream_template_use_index_patterns_wildcard false'
    )
    await run(server, conf, "a", "b", "a", cls=ElasticsearchDataStream)
    assert server.things["/_index_template/t-b"]["index_patterns"] == ["l-b"]
    assert server.things["/_ilm/policy/p-a"] == {"policy": {}}
    assert sum(request.method == "PUT" for request in server.requests) == 6
    server.requests.clear()
    await run(server, f"{conf}\ndata_stream_ilm_policy_overwrite true", "a", cls=ElasticsearchDataStream)
    assert [request.path for request in server.requests if request.method == "PUT"] == ["/_ilm/policy/p-a"]


async def test_a_data_stream_of_opensearch(tmp_path: Path, server: SearchPeer) -> None:
    """Its template, from a file where there is one; the server creates the stream."""
    await run(server, "data_stream_name logs", "a", cls=OpenSearchDataStream)
    assert server.things == {"/_index_template/logs_template": {"index_patterns": ["logs*"], "data_stream": {}}}
    conf = f"{template(tmp_path, {'mine': 1})}\ndata_stream_name m-${{tag}}"
    await run(server, conf, "a", "a", cls=OpenSearchDataStream)
    assert server.things["/_index_template/m-a_template"] == {"mine": 1}


async def test_a_template_of_opensearch(tmp_path: Path, server: SearchPeer) -> None:
    """As that of Elasticsearch, without a question for the version."""
    await run(server, template(tmp_path, {"a": 1}), "a", cls=OpenSearchOutput)
    assert server.things == {"/_template/t-name": {"a": 1}}
    assert not any(request.path == "/" for request in server.requests)
