"""What is shown of the other stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe import Chunk, ConfigError, Options, Output, Plugin
from logpipe.testing import ManualClock, check_plugin, configure, pipeline
from logpipe_prometheus.monitors.in_monitor import PrometheusMonitor
from logpipe_prometheus.monitors.in_output_monitor import PrometheusOutputMonitor
from logpipe_prometheus.monitors.in_tail_monitor import PrometheusTailMonitor
from logpipe_prometheus.testing import Ask

ENDPOINT = "<source>\n@type prometheus\nport 0\n</source>\n"
MONITORS = [PrometheusMonitor, PrometheusOutputMonitor, PrometheusTailMonitor]


class Shut(Output[Options], type="shut"):
    """Delivers nothing."""

    async def write(self, chunk: Chunk) -> None:  # noqa: ARG002 - it takes none
        raise OSError("it is shut")


@pytest.mark.parametrize("cls", MONITORS)
async def test_keeps_the_contract(cls: type[Plugin[Options]]) -> None:
    """As any input."""
    await check_plugin(cls)


def monitoring(kind: str, conf: str = "") -> str:
    """Return an endpoint, a monitor, and a failing output with a buffer by time."""
    buffer = "<buffer time>\ntimekey 10\nflush_mode immediate\nretry_wait 3\nretry_randomize false\n</buffer>"
    match = f"<match a>\n@type shut\n@id shut\n{buffer}\n</match>\n"
    return f"{ENDPOINT}<source>\n@type {kind}\n{conf}\n</source>\n{match}<match b>\n@type null\n@id none\n</match>\n"


async def test_monitor(ask: Ask) -> None:
    """Buffers and retries; an output without a buffer has retries alone."""
    clock = ManualClock()
    labels = "<labels>\nhost ${hostname} w${worker_id}\ntype mine\n</labels>"
    async with pipeline(monitoring("prometheus_monitor", labels), Shut, clock=clock) as running:
        await running.feed("a", {"n": 1}, {"n": 2}, times=[25_000_000_000, 31_000_000_000])
        await running.wait_for(lambda: running.metric("retry_count"))
        page = await ask(running)
        base = (("host", f"{running.graph.world.hostname} w0"), ("plugin_category", "output"))
        found = {name: value for (name, each), value in page.values.items() if ("plugin_id", "shut") in each}
        assert found["fluentd_status_buffer_total_bytes"] > 0
        assert {**found, "fluentd_status_buffer_total_bytes": 0} == {
            "fluentd_status_buffer_newest_timekey": 30,
            "fluentd_status_buffer_oldest_timekey": 20,
            "fluentd_status_buffer_queue_length": running.metric("buffer_queue_length"),
            "fluentd_status_buffer_total_bytes": 0,
            "fluentd_status_retry_count": running.metric("retry_count"),
        }
        labels_of_none = (*base, ("plugin_id", "none"), ("type", "null"))
        assert page.values["fluentd_status_retry_count", labels_of_none] == 0
        assert set(page.kinds.values()) == {"gauge"}


async def test_output_monitor(ask: Ask) -> None:
    """Everything that outputs count, and how long a failing one waits."""
    clock = ManualClock()
    text = monitoring("prometheus_output_monitor", "gauge_all false")
    async with pipeline(text, Shut, clock=clock) as running:
        await running.feed("a", {"n": 1}, {"n": 2}, times=[25_000_000_000] * 2)
        await running.feed("b", {"n": 1})
        await running.wait_for(lambda: running.metric("rollback_count"))
        page = await ask(running)
        names = {name for name, _ in page.values}
        found = {name: page.of(name, "plugin_id") for name in names}
        # the parser calls the samples of a counter NAME_total, as OpenMetrics does
        shorten = {name: name.removeprefix("fluentd_output_status_").removesuffix("_total") for name in names}
        short = {shorten[name]: values for name, values in found.items()}
        assert short.pop("buffer_total_bytes") == short.pop("buffer_queue_byte_size")
        assert short == {
            "buffer_stage_length": {"shut": 0},
            "buffer_stage_byte_size": {"shut": 0},
            "buffer_queue_length": {"shut": 1},
            "buffer_available_space_ratio": {"shut": 100},
            "buffer_newest_timekey": {"shut": 20},
            "buffer_oldest_timekey": {"shut": 20},
            "retry_count": {"shut": 1, "none": 0},
            "num_errors": {"shut": 1, "none": 0},
            "emit_count": {"shut": 1, "none": 1},
            "emit_records": {"shut": 2, "none": 1},
            "write_count": {"shut": 0, "none": 0},
            "rollback_count": {"shut": 1, "none": 0},
            "flush_time_count": {"shut": 0, "none": 0},
            "slow_flush_count": {"shut": 0, "none": 0},
            "retry_wait": {"shut": 3, "none": 0},
        }
        kinds = {name.removeprefix("fluentd_output_status_"): kind for name, kind in page.kinds.items()}
        growing = {"retry_count", "num_errors", "emit_count", "emit_records", "write_count"}
        growing |= {"flush_time_count", "slow_flush_count"}
        assert {name for name, kind in kinds.items() if kind == "counter"} == growing


async def test_gauges_all(ask: Ask) -> None:
    """Unless `gauge_all` is false; without an output that fails nothing waits."""
    async with pipeline(monitoring("prometheus_output_monitor"), Shut) as running:
        page = await ask(running)
        assert set(page.kinds.values()) == {"gauge"}
        assert page.of("fluentd_output_status_retry_wait", "plugin_id") == {"shut": 0, "none": 0}


async def test_tail_monitor(ask: Ask, tmp_path: Path) -> None:
    """A series for each file that is there."""
    one, two = tmp_path / "a.log", tmp_path / "b.log"
    one.write_text("1\n22\n")
    two.write_text("1\n")
    tail = (
        f"<source>\n@type tail\n@id files\ntag t\npath {tmp_path}/*.log\npos_file {tmp_path}/pos\nread_from_head true\n"
        "<parse>\n@type none\n</parse>\n</source>\n<match t>\n@type test\n</match>\n"
    )
    monitor = "<source>\n@type prometheus_tail_monitor\n<labels>\nzone x\n</labels>\n</source>\n"
    async with pipeline(ENDPOINT + monitor + tail) as running:
        await running.wait_for(lambda: len(running.records()) == 3)
        page = await ask(running)
        assert page.of("fluentd_tail_file_position", "path") == {str(one): 5, str(two): 2}
        assert page.of("fluentd_tail_file_inode", "path") == {str(path): path.stat().st_ino for path in (one, two)}
        assert page.of("fluentd_tail_file_opened", "path") == {str(one): 2, str(two): 2}
        for name in ("closed", "rotated", "throttled"):
            assert page.of(f"fluentd_tail_file_{name}", "zone") == {"x": 0}
        assert page.of("fluentd_tail_file_inode", "plugin_id").keys() == {"files"}


@pytest.mark.parametrize("cls", MONITORS)
@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("<labels>\na $.b\n</labels>", "no event is looked at here"),
        ("<labels>\na-b c\n</labels>", "no name of a label"),
        ("<labels>\na b\n</labels>\n<labels>\nc d\n</labels>", "once"),
    ],
)
def test_labels_that_are_refused(cls: type[Plugin[Options]], conf: str, said: str) -> None:
    """A path has no record, and names are Prometheus'."""
    with pytest.raises(ConfigError, match=said):
        configure(cls, conf)


async def test_two_monitors(ask: Ask) -> None:
    """With other labels they are others' series, with the same ones they are there once."""
    text = "".join(
        f"<source>\n@type prometheus_monitor\ninterval 1\n<labels>\na {value}\n</labels>\n</source>\n"
        for value in ("x", "x", "y")
    )
    async with pipeline(ENDPOINT + text + "<match **>\n@type null\n</match>\n") as running:
        assert (await ask(running)).of("fluentd_status_retry_count", "a") == {"x": 0, "y": 0}
