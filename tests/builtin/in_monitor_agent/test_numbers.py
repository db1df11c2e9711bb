"""The ledger, and all numbers as Prometheus reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from logpipe import Host, Options, Output
from logpipe.testing import pipeline
from tests.builtin.in_monitor_agent.client import Reply, ask, plugins, source
from tests.builtin.in_monitor_agent.stages import Broken, Vault

ROUTE = (
    "<filter app>\n@type grep\n@id picked\n<exclude>\nkey n\npattern /^1$/\n</exclude>\n</filter>\n"
    "<match app>\n@type vault\n@id vault\n<buffer>\nflush_mode {}\n</buffer>\n</match>\n"
)

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
QUOTED = r'"(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{NAME}={QUOTED},?)*)\}})? (\S+)")


class Sample(NamedTuple):
    """One line of the exposition."""

    family: str
    kind: str
    labels: dict[str, str]
    value: float


def parse(reply: Reply) -> list[Sample]:
    """Read the text format, refusing what a Prometheus server would refuse."""
    assert reply.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.text.endswith("\n")
    return list(_samples(reply.text))


def _samples(text: str) -> Iterator[Sample]:
    family = kind = ""
    seen: set[str] = set()
    series: set[tuple[str, str]] = set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert re.fullmatch(rf"# HELP {NAME} (?:[^\\]|\\[\\n])+", line), line
        elif line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in seen, f"{family} is in two pieces"
            seen.add(family)
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] == family
            assert (family, found[2]) not in series, f"{line} is there twice"
            series.add((family, found[2]))
            labels = {key: value[1:-1] for key, value in re.findall(rf"({NAME})=({QUOTED})", found[2] or "")}
            yield Sample(family, kind, labels, float(found[3]))


async def test_ledger() -> None:
    """Sources, inputs, routes and outputs, with their sums; all of it is explained."""
    async with pipeline(source() + ROUTE.format("lazy"), Vault) as running:
        await running.feed("app", {"n": 1}, {"n": 2}, {"n": 3})
        await running.feed("stray", {"n": 4})
        ledger = (await ask(running, "/api/ledger.json")).document
        (route,) = ledger["routes"]
        assert (route["name"], route["emitted"], route["filtered"], route["unmatched"], route["passed"]) == (
            "@ROOT", 4, {"picked": 1}, 1, 2,
        )  # fmt: skip
        (vault,) = ledger["outputs"]
        assert (vault["plugin_id"], vault["taken"], vault["waiting"], vault["delivered"]) == ("vault", 2, 2, 0)
        assert [line["plugin_id"] for line in ledger["inputs"]] == ["monitor"]
        assert (ledger["sums"]["filtered"], ledger["sums"]["unmatched"], ledger["sums"]["waiting"]) == (1, 1, 2)
        assert ledger["unexplained"] == 0
        await running.flush()
        ledger = (await ask(running, "/api/ledger.json")).document
        assert (ledger["sums"]["delivered"], ledger["sums"]["waiting"], ledger["unexplained"]) == (2, 0, 0)


async def test_ledger_of_files(tmp_path: Path) -> None:
    """Each byte of a followed file: here all of them are read."""
    (tmp_path / "\udcff.log").write_text("a\nb\n")  # a name that is no UTF-8
    parse_none = "<parse>\n@type none\n</parse>"
    text = f"<source>\n@type tail\npath {tmp_path}/*.log\ntag app\nread_from_head true\n{parse_none}\n</source>\n"
    async with pipeline(source() + text + "<match app>\n@type test\n</match>\n") as running:
        await running.wait_for(lambda: len(running.records()) == 2)
        ledger = (await ask(running, "/api/ledger.json")).document
        (line,) = ledger["sources"]
        assert (line["written"], line["read"], line["waiting"], line["unexplained"]) == (4, 4, 0, 0)
        assert line["name"].endswith(".log")
        emitted = {each["plugin_id"]: each["emitted"] for each in ledger["inputs"]}
        assert emitted == {"monitor": 0, "input_tail": 2}
        assert (await plugins(running))["input_tail"]["emit_records"] == 2


async def test_metrics() -> None:
    """Counters end with _total, all have a plugin's labels, or a route's."""
    async with pipeline(source() + ROUTE.format("lazy"), Vault) as running:
        await running.feed("app", {"n": 1}, {"n": 2}, {"n": 3})
        await running.feed("stray", {"n": 4})
        samples = parse(await ask(running, "/metrics"))
        of_vault = {each.family: each for each in samples if each.labels.get("plugin_id") == "vault"}
        taken = of_vault["logpipe_taken_records_total"]
        assert (taken.kind, taken.value) == ("counter", 2)
        assert taken.labels == {"plugin_id": "vault", "plugin_category": "output", "type": "vault"}
        staged = of_vault["logpipe_buffer_stage_length"]
        assert (staged.kind, staged.value) == ("gauge", 1)
        assert 99 < of_vault["logpipe_buffer_available_buffer_space_ratios"].value <= 100
        others = {each.family: each for each in samples if "plugin_id" not in each.labels}
        unmatched = others["logpipe_route_unmatched_records_total"]
        assert (unmatched.labels, unmatched.value) == ({"label": "@ROOT"}, 1)
        assert (others["logpipe_ledger_unexplained"].kind, others["logpipe_ledger_unexplained"].value) == ("gauge", 0)
        assert others["logpipe_dead_letter_records_total"].value == 0
        assert others["logpipe_build_info"].value == 1
        assert all(each.family.endswith("_total") == (each.kind == "counter") for each in samples)


class Odd(Output[Options], type="odd"):
    """Counts by names and says things that the text format must escape."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        host.counter("odd-name.count", 'A "quoted" \\ back\nslash.').add(7)
        for name, value in (("nan", "nan"), ("up", "inf"), ("down", "-inf"), ("small", "1e-9")):
            host.gauge(name, lambda value=value: float(value))  # type: ignore[misc]  # mypy has no type for the default

    async def process(self, batch: object) -> None:
        pass


async def test_metrics_escape() -> None:
    """Names, labels, help and numbers that the format has rules for."""
    text = "<match **>\n@type odd\n@id 'a \"b\" \\\\c'\n</match>\n"
    async with pipeline(source() + text, Odd) as running:
        reply = await ask(running, "/metrics")
        mine = {each.family: each for each in parse(reply) if each.labels.get("type") == "odd"}
        assert mine["logpipe_odd_name_count_total"].value == 7
        assert mine["logpipe_up"].labels["plugin_id"] == 'a \\"b\\" \\\\c'
        assert '# HELP logpipe_odd_name_count_total A "quoted" \\\\ back\\nslash.\n' in reply.text
        values = [
            line.rsplit(" ", 1)[1]
            for line in reply.text.splitlines()
            if re.match(r"logpipe_(nan|up|down|small)\{", line)
        ]
        assert values == ["NaN", "+Inf", "-Inf", "1e-09"]


async def test_a_gauge_that_fails() -> None:
    """It is no number, the client learns nothing of why, the log does; all other numbers are there."""
    async with pipeline(source() + "<match **>\n@type broken\n@id broken\n</match>\n", Broken) as running:
        reply = await ask(running, "/metrics")
        (pressure,) = (each for each in parse(reply) if each.family == "logpipe_pressure")
        assert math.isnan(pressure.value)
        assert "logpipe_build_info" in reply.text
        assert "secret-detail" not in reply.text
        assert (await plugins(running, "?debug=1"))["broken"]["pressure"] is None
        assert "the number pressure cannot be read: LookupError('secret-detail')" in running.log.texts("warning")


async def test_an_answer_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client learns nothing of why, the log all; other answers come as before."""
    async with pipeline(source() + ROUTE.format("lazy"), Vault) as running:
        with monkeypatch.context() as patch:
            patch.setattr(running.graph, "ledger", _fail)
            reply = await ask(running, "/api/ledger.json")
        assert (reply.status, reply.document) == (500, {"message": "Internal error: the log says more"})
        assert any("cannot answer /api/ledger.json" in text for text in running.log.texts("error"))
        assert (await ask(running, "/api/health")).document == {"status": "ok"}


def _fail() -> None:
    raise LookupError("secret-detail")
