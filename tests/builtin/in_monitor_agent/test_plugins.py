"""What /api/plugins says of each plugin, by fluentd's names."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest

from logpipe.testing import ManualClock, pipeline
from tests.builtin.in_monitor_agent.client import COLLECT, ask, plugins, source
from tests.builtin.in_monitor_agent.stages import Vault

OF_OUTPUTS = {
    "plugin_id", "plugin_category", "type", "output_plugin", "retry_count", "emit_records", "emit_size", "emit_count",
    "write_count", "write_secondary_count", "rollback_count", "slow_flush_count", "flush_time_count",
    "drop_oldest_chunk_count",
}  # fmt: skip
OF_BUFFERS = {
    "buffer_queue_length", "buffer_timekeys", "buffer_total_queued_size", "buffer_stage_length",
    "buffer_stage_byte_size", "buffer_queue_byte_size", "buffer_available_buffer_space_ratios",
}  # fmt: skip

BUFFERED = "<match {}>\n@type vault\n@id vault\n{}\n<buffer {}>\nflush_mode {}\n{}\n</buffer>\n</match>\n"


async def test_each_plugin_by_its_category() -> None:
    """Inputs, then outputs and filters of the root, then those of labels; each counts events in its own way."""
    text = (
        source()
        + "<source>\n@type sample\n@id made\ntag other\nrate 0\n</source>\n"
        + "<filter app>\n@type grep\n@id picked\n<exclude>\nkey n\npattern /^1$/\n</exclude>\n</filter>\n"
        + "<match app>\n@type relabel\n@id sent\n@label @OUT\n</match>\n"
        + "<match other>\n@type null\n@id nothing\n</match>\n"
        + "<label @OUT>\n<filter **>\n@type stdout\n@id shown\n</filter>\n"
        + "<match **>\n@type test\n@id kept\n</match>\n</label>\n"
    )
    async with pipeline(text) as running:
        await running.feed("app", {"n": 1}, {"n": 2}, {"n": 3})
        await running.feed("app", {"n": 4})
        found = await plugins(running)
        said = [(each["plugin_id"], each["plugin_category"], each["type"]) for each in found.values()]
        assert said == [
            ("monitor", "input", "monitor_agent"),
            ("made", "input", "sample"),
            ("sent", "output", "relabel"),
            ("nothing", "output", "null"),
            ("picked", "filter", "grep"),
            ("kept", "output", "test"),
            ("shown", "filter", "stdout"),
        ]
        counted = {
            name: (each["emit_records"], each["output_plugin"], each["retry_count"]) for name, each in found.items()
        }
        assert counted == {
            "monitor": (0, False, None),
            "made": (0, False, None),
            "sent": (3, True, 0),
            "nothing": (0, True, 0),
            "picked": (3, False, None),
            "kept": (3, True, 0),
            "shown": (3, False, None),
        }
        assert set(found["sent"]) >= OF_OUTPUTS
        assert not set(found["sent"]) & OF_BUFFERS
        assert found["sent"]["emit_count"] == 2
        assert all(not {"config", "retry", "instance_variables"} & set(each) for each in found.values())


async def test_a_buffer() -> None:
    """Lengths, bytes, the room that is left, and its time slices."""
    clock = ManualClock(1_466_000_000_000_000_000)
    text = source() + BUFFERED.format(
        "**", "", "time", "lazy", "timekey 1h\ntotal_limit_size 1000\nchunk_limit_size 900"
    )
    async with pipeline(text, Vault, clock=clock) as running:
        empty = (await plugins(running))["vault"]
        assert set(empty) >= OF_OUTPUTS | OF_BUFFERS
        assert (empty["buffer_timekeys"], empty["buffer_available_buffer_space_ratios"]) == ([], 100.0)
        assert "buffer_oldest_timekey" not in empty
        hour = 1_465_999_200
        await running.feed("app", {"n": "x" * 92}, {"n": "y" * 92}, times=[hour * 10**9, (hour + 3600) * 10**9])
        filled = (await plugins(running))["vault"]
        assert filled["buffer_timekeys"] == [hour, hour + 3600]
        assert (filled["buffer_oldest_timekey"], filled["buffer_newest_timekey"]) == (hour, hour + 3600)
        assert (filled["buffer_stage_length"], filled["buffer_queue_length"]) == (2, 0)
        assert filled["buffer_total_queued_size"] == filled["buffer_stage_byte_size"] == 200
        assert filled["buffer_available_buffer_space_ratios"] == 80.0
        await running.flush()
        written = (await plugins(running))["vault"]
        assert (written["write_count"], written["buffer_total_queued_size"]) == (2, 0)


async def test_slow_flushes() -> None:
    """Those over the threshold are counted, the milliseconds of all of them."""
    clock = ManualClock()
    text = source() + BUFFERED.format("app", "slow_flush_log_threshold 5", "", "immediate", "")
    async with pipeline(text, Vault, clock=clock) as running:
        for written, seconds in enumerate((2.5, 7)):
            running.plugin(Vault).seconds = seconds
            await running.feed("app", {"n": 1})
            await running.wait_for(lambda: clock.sleepers)
            await clock.advance(seconds)
            await running.wait_for(lambda written=written: running.metric("write_count") == written + 1)
        found = (await plugins(running))["vault"]
        assert (found["slow_flush_count"], found["flush_time_count"]) == (1, 9500)


async def test_retries() -> None:
    """With include_retry: when it began to fail, how many steps ago, and when it is tried again."""
    clock = ManualClock()
    conf = "retry_wait 10s\nretry_randomize false\nretry_type periodic"
    async with pipeline(
        source("include_retry true") + BUFFERED.format("app", "", "", "immediate", conf), Vault, clock=clock
    ) as running:
        assert (await plugins(running))["vault"]["retry"] == {}
        assert "retry" not in (await plugins(running))["monitor"]
        vault = running.plugin(Vault)
        vault.down = True
        await running.feed("app", {"n": 1})
        await running.wait_for(lambda: running.metric("retry_count") == 1)
        await clock.advance(10)
        await running.wait_for(lambda: running.metric("retry_count") == 2)
        found = (await plugins(running))["vault"]
        assert (found["retry_count"], found["rollback_count"], found["retry"]["steps"]) == (2, 2, 1)
        start, following = (_seconds(found["retry"][name]) for name in ("start", "next_time"))
        assert (start, following) == (1_466_000_000, 1_466_000_020)
        assert "retry" not in (await plugins(running, "?with_retry=no"))["vault"]
        vault.down = False
        await clock.advance(10)
        await running.wait_for(lambda: running.metric("write_count") == 1)
        assert (await plugins(running))["vault"]["retry"] == {}


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").timestamp()


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("?tag=app.web", ["web"]),
        ("?tag=other", ["rest"]),
        ("?@id=web", ["web"]),
        ("?id=web", ["web"]),
        ("?@id=nobody", []),
        ("?@type=null", ["web", "rest"]),
        ("?type=monitor_agent", ["monitor"]),
        ("?@type=nothing", []),
        ("?tag=app.web&@id=monitor", ["web"]),
    ],
)
async def test_a_few_of_them(query: str, ids: list[str]) -> None:
    """By the tag that an output gets, by id, by type; the first of these that is given decides."""
    text = source() + "<match app.*>\n@type null\n@id web\n</match>\n<match **>\n@type null\n@id rest\n</match>\n"
    async with pipeline(text) as running:
        assert list(await plugins(running, query)) == ids


async def test_a_tag_that_nobody_wants() -> None:
    """No plugin, and nothing is remembered of what strangers ask for."""
    async with pipeline(source() + "<match app>\n@type null\n</match>\n") as running:
        known = set(running.graph.routers["@ROOT"]._chains)
        assert await plugins(running, "?tag=" + "x" * 500) == {}
        assert await plugins(running, "?tag=app") != {}
        assert set(running.graph.routers["@ROOT"]._chains) == known


@pytest.mark.parametrize(
    ("setting", "query", "is_shown"),
    [
        ("include_config true", "", True),
        ("include_config true", "?with_config=true", True),
        ("include_config true", "?with_config=no", False),
        ("include_config true", "?with_config=false", False),
        ("", "", False),
        ("", "?with_config=yes", False),
        ("include_config false", "?with_config=true", False),
    ],
)
async def test_config(setting: str, query: str, *, is_shown: bool) -> None:
    """The parameters of the section as they were written; a query can leave them out, and never ask for more."""
    async with pipeline(source(setting) + COLLECT) as running:
        shown = (await plugins(running, query))["monitor"].get("config")
        written = {"@type": "monitor_agent", "@id": "monitor", "bind": "127.0.0.1", "port": "0"}
        assert shown == ({**written, "include_config": "true"} if is_shown else None)


SECRETS = (
    "pin Hidden-1\nshared_key Hidden-2\nproxy http://joe:Hidden-3@proxy:80/",
    "code Hidden-1\naws_sec_key Hidden-2\nproxy http://:Hidden-3@proxy:80/",
)


@pytest.mark.parametrize("secrets", SECRETS)
@pytest.mark.parametrize(
    "path", ["/api/plugins", "/api/plugins.json", "/api/config.json", "/api/ledger.json", "/metrics"]
)
async def test_secrets_are_masked(path: str, secrets: str) -> None:
    """What a plugin declares, what is named like a secret, and what stands in a URL."""
    text = source("include_config true\ninclude_debug_info true") + BUFFERED.format("app", secrets, "", "lazy", "")
    async with pipeline(text, Vault) as running:
        reply = await ask(running, f"{path}?debug=1&with_ivars=options,host,_options&with_config=true")
        assert reply.status == 200
        assert "Hidden" not in reply.text
        assert "instance_variables" not in reply.text
        config = (await plugins(running))["vault"]["config"]
        assert list(config.values())[2:4] == ["xxxxxx", "xxxxxx"]
        assert re.fullmatch(r"http://(joe)?:xxxxxx@proxy:80/", config["proxy"])


async def test_lines() -> None:
    """LTSV: a line a plugin, lists with commas, nothing for null, no objects."""
    text = source("include_config true\ninclude_retry true")
    async with pipeline(text + BUFFERED.format("app", "", "time", "lazy", "timekey 1h"), Vault) as running:
        await running.feed("app", {"n": 1}, {"n": 2}, times=[0, 3600 * 10**9])
        reply = await ask(running, "/api/plugins")
        assert reply.content_type.startswith("text/plain")
        monitor, vault = ([field.split(":", 1) for field in line.split("\t")] for line in reply.text.splitlines())
        assert monitor[:5] == [
            ["plugin_id", "monitor"],
            ["plugin_category", "input"],
            ["type", "monitor_agent"],
            ["output_plugin", "false"],
            ["retry_count", ""],
        ]
        fields: dict[str, Any] = dict(vault)
        assert (fields["output_plugin"], fields["buffer_timekeys"], fields["emit_records"]) == ("true", "0,3600", "2")
        assert not {"config", "retry"} & set(fields)


async def test_debug_indents() -> None:
    """?debug=1 is for people's eyes; the content is the same."""
    async with pipeline(source() + COLLECT) as running:
        plain, indented = [await ask(running, f"/api/plugins.json{query}") for query in ("", "?debug=1")]
        assert "\n" not in plain.text
        assert "\n  " in indented.text
        assert json.loads(indented.text) == plain.document


async def test_events() -> None:
    """With `tag` the same comes as events every emit_interval, without config and retry."""
    clock = ManualClock()
    text = source("tag monitor.all\nemit_interval 30s\ninclude_config true\ninclude_retry true")
    async with pipeline(text + "<match monitor.*>\n@type test\n@id kept\n</match>\n", clock=clock) as running:
        await running.wait_for(lambda: clock.sleepers)
        start = clock.now()
        await clock.advance(29)
        assert running.events("monitor.all") == []
        await clock.advance(1)
        await clock.advance(30)
        events = running.events("monitor.all")
        assert [event.time - start for event in events] == [30 * 10**9] * 2 + [60 * 10**9] * 2
        assert [event.record["plugin_id"] for event in events] == ["monitor", "kept"] * 2
        assert [event.record["emit_records"] for event in events] == [0, 0, 2, 2]
        assert not {"config", "retry"} & set(events[0].record) | {"config", "retry"} & set(events[1].record)


async def test_events_with_settings() -> None:
    """0.12's emit_config puts each plugin's parameters into its event."""
    clock = ManualClock()
    async with pipeline(
        source("tag m\nemit_config true") + "<match m>\n@type test\n</match>\n", clock=clock
    ) as running:
        await running.wait_for(lambda: clock.sleepers)
        await clock.advance(60)
        assert [event.record["config"]["@type"] for event in running.events("m")] == ["monitor_agent", "test"]


async def test_events_that_nobody_takes() -> None:
    """They are counted as lost, and the next ones are made."""
    clock = ManualClock()
    async with pipeline(source("tag m") + "<match m>\n@type test\n</match>\n", clock=clock) as running:
        await running.wait_for(lambda: clock.sleepers)
        running.collector().refuse = RuntimeError("full")
        await clock.advance(60)
        running.collector().refuse = None
        await clock.advance(60)
        assert (running.metric("lost_records"), len(running.events("m"))) == (2, 2)
