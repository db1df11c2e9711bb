"""Passing events on: to several stores, to a label, to nowhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from logpipe import Chunk, ConfigError, EventBatch, Filter, Host, Options, Output, Receipt, Record
from logpipe.builtin.out_routing import Copy, Null, Relabel
from logpipe.testing import ManualClock, Pipeline, check_plugin, drive, pipeline

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"
LABEL = "<label @A>\n<match **>\n@type test\nname a\n</match>\n</label>\n"


def stores(*stores: str) -> str:
    """Return a copy to `@type test` outputs, each given as `ARG NAME`."""
    body = ""
    for store in stores:
        *words, name = store.split()
        body += f"<store {' '.join(words)}>\n@type test\nname {name}\n</store>\n"
    return f"<match **>\n@type copy\n{body}</match>\n{QUIET}"


async def test_keep_the_contract() -> None:
    """Plugins like any other."""
    await check_plugin(Copy, "<store>\n@type null\n</store>")
    await check_plugin(Relabel, "@label @A")
    await check_plugin(Null)


async def test_copy_gives_every_store_every_event() -> None:
    """Each store gets all events; the receipt settles when the round is over."""
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    async with pipeline(stores("a", "b", "c")) as running:
        await running.feed("app", {"n": 1}, {"n": 2}, receipt=receipt)
        for name in "abc":
            assert running.records(name=name) == [{"n": 1}, {"n": 2}]
        assert not settled
        receipt.release()
    assert settled == [True]


class Spoil(Filter[Options], type="spoil"):
    """Changes records at their top level and below it."""

    def filter(self, tag: str, time: int, record: Record) -> Record:
        """Change it."""
        del tag, time
        record["spoilt"] = True
        record["inner"]["spoilt"] = True
        return record


@pytest.mark.parametrize(
    ("mode", "spoilt"),
    [("no_copy", True), ("shallow", True), ("deep", False), ("marshal", False)],
)
async def test_copy_mode(mode: str, *, spoilt: bool) -> None:
    """A store never sees what another does to a record's top level, and with deep copies nothing below it either."""
    text = f"""
        <match **>
          @type copy
          copy_mode {mode}
          <store>
            @type relabel
            @label @SPOIL
          </store>
          <store>
            @type test
          </store>
        </match>
        <label @SPOIL>
          <filter **>
            @type spoil
          </filter>
          <match **>
            @type null
          </match>
        </label>
    """
    async with pipeline(text, Spoil) as running:
        await running.feed("app", {"n": 1, "inner": {"list": [1]}})
        inner = {"list": [1], "spoilt": True} if spoilt else {"list": [1]}
        assert running.records("app") == [{"n": 1, "inner": inner}]


async def feed_failing(running: Pipeline, name: str, *more: str) -> bool:
    """Feed an event while the named stores refuse; return whether it was accepted."""
    for refusing in (name, *more):
        running.collector(refusing).refuse = RuntimeError("no")
    try:
        await running.feed("app", {"n": 1})
    except RuntimeError:
        return False
    return True


async def test_a_failing_store_ends_the_round() -> None:
    """Of events that nobody sends again: the stores before it have them, and the input hears of it."""
    async with pipeline(stores("a", "b", "c")) as running:
        assert not await feed_failing(running, "b")
        assert [len(running.records(name=name)) for name in "abc"] == [1, 0, 0]


async def test_ignore_error() -> None:
    """A store that may fail is passed over with an error in the log."""
    async with pipeline(stores("a", "ignore_error b", "c")) as running:
        assert await feed_failing(running, "b")
        assert [len(running.records(name=name)) for name in "abc"] == [1, 0, 1]
        assert any("ignore emit error in store 2 (test)" in text for text in running.log.texts("error"))


@pytest.mark.parametrize(
    ("failing", "received"),
    [
        ((), [1, 0, 1]),
        (("a",), [0, 1, 0]),
        (("a", "b"), [0, 0, 1]),
    ],
)
async def test_ignore_if_prev_success(failing: tuple[str, ...], received: list[int]) -> None:
    """Only the store right before counts, and one that was passed over has not succeeded."""
    names = stores("ignore_error a", "ignore_error ignore_if_prev_success b", "ignore_if_prev_success c")
    async with pipeline(names) as running:
        for name in failing:
            running.collector(name).refuse = RuntimeError("no")
        await running.feed("app", {"n": 1})
        assert [len(running.records(name=name)) for name in "abc"] == received


async def test_all_stores_may_fail() -> None:
    """That is worth a question at start."""
    async with pipeline(stores("ignore_error a", "ignore_error b")) as running:
        assert any("Is this intended?" in text for text in running.log.texts("warning"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<match **>\n@type copy\n</match>\n", "<store> section is required"),
        ("<match **>\n@type copy\n<store>\n</store>\n</match>\n", 'needs an "@type"'),
        (stores("ignore_if_prev_success a", "b"), "must specify 2nd or later"),
        ("<match **>\n@type relabel\n</match>\n", '"@label" is required'),
        ("<match **>\n@type relabel\n@label @B\n</match>\n", 'label "@B" is not defined'),
    ],
)
async def test_mistakes(text: str, message: str) -> None:
    """Found at start."""
    with pytest.raises(ConfigError, match=message):
        async with pipeline(text + QUIET * ("FLUENT" not in text)):
            pass


async def test_relabel() -> None:
    """Events go on in another label, with their tag, and an error there comes back."""
    async with pipeline(f"<match **>\n@type relabel\n@label @A\n</match>\n{LABEL}{QUIET}") as running:
        await running.feed("app", {"n": 1})
        assert running.records("app", name="a") == [{"n": 1}]
        assert not await feed_failing(running, "a")


@pytest.mark.parametrize("conf", ["", "<buffer>\nflush_mode immediate\n</buffer>"])
async def test_null_drops(conf: str) -> None:
    """Directly or out of a buffer, the receipt settles."""
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    async with drive(Null, conf) as stage:
        await stage.feed("app", {"n": 1}, receipt=receipt)
        receipt.release()
        await stage.wait_for(lambda: settled)


async def test_null_never_flush() -> None:
    """Told to fail, it does."""
    async with drive(Null, "never_flush true") as stage:
        with pytest.raises(RuntimeError, match="failed to flush"):
            await stage.feed("app", {"n": 1})


class Away(Output[Options], type="away"):
    """Accepts some batches and waits then, as for a broker that is away; confirms nothing."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.room = 2
        self.back = asyncio.Event()
        self.receipts: list[Receipt] = []

    async def process(self, batch: EventBatch) -> None:
        if len(self.receipts) >= self.room:
            await self.back.wait()
        if batch.receipt is not None:
            batch.receipt.hold()
            self.receipts.append(batch.receipt)

    async def flush(self) -> None:
        """Has something to wait for, in principle."""


@pytest.mark.parametrize("first", [True, False])
async def test_an_ignored_store_that_waits_holds_up_no_other(monkeypatch: pytest.MonkeyPatch, *, first: bool) -> None:
    """Neither its sibling nor the input's position; it is waited for once, and used again when it is back."""
    monkeypatch.setattr("logpipe.builtin.ignored_store.PATIENCE", 0.05)
    stores = ["<store ignore_error>\n@type away\n</store>", "<store>\n@type test\n</store>"]
    text = "<match t>\n@type copy\n" + "\n".join(stores if first else stores[::-1]) + f"\n</match>\n{QUIET}"
    settled: list[int] = []
    async with pipeline(text, Away) as running:
        away: Away = running.plugin(Away)

        async def feed(n: int) -> None:
            receipt = Receipt(lambda: settled.append(n))
            await running.feed("t", {"n": n}, receipt=receipt)
            receipt.release()

        for n in range(2):
            await feed(n)
        assert settled == []  # it has them, and may still confirm
        for n in range(2, 10):
            await feed(n)
        assert sorted(settled) == list(range(10))
        assert [record["n"] for record in running.records("t")] == list(range(10))
        for receipt in away.receipts:
            receipt.release()
        away.back.set()
        away.room = 100
        await feed(10)
        assert settled[-1] != 10
        away.receipts[-1].release()
        assert settled[-1] == 10
        assert any("takes events again" in text for text in running.log.texts("info"))


class Stuck(Output[Options], type="stuck"):
    """Writes nothing until it is told to."""

    def __init__(self, options: Options, host: Host) -> None:
        super().__init__(options, host)
        self.open = asyncio.Event()
        self.records: list[Record] = []

    async def write(self, chunk: Chunk) -> None:
        await self.open.wait()
        self.records += [record for batch in chunk.batches() for record in batch.records]


TAIL = """
<source>
  @type tail
  path {folder}/app.log
  pos_file {folder}/app.pos
  tag app
  read_from_head true
  read_lines_limit 1
  <parse>
    @type json
  </parse>
</source>
"""


async def test_a_later_store_that_is_full_repeats_nothing_in_the_others(tmp_path: Path) -> None:
    """What one store has taken it does not get again while another refuses it, and the input waits for that one."""
    lines = [{"n": number, "pad": "x" * 400} for number in range(12)]
    text = (
        TAIL.format(folder=tmp_path)
        + """
        <match app>
          @type copy
          <store>
            @type test
          </store>
          <store>
            @type stuck
            <buffer>
              flush_mode immediate
              chunk_limit_size 500
              total_limit_size 1000
              overflow_action throw_exception
            </buffer>
          </store>
        </match>
    """
    )
    async with pipeline(text + QUIET, Stuck) as running:
        stuck: Stuck = running.plugin(Stuck)
        (tmp_path / "app.log").write_text("".join(f'{{"n":{line["n"]},"pad":"{line["pad"]}"}}\n' for line in lines))
        await running.wait_for(lambda: any("did not take events" in text for text in running.log.texts("warning")))
        assert 0 < len(running.records()) < len(lines)
        stuck.open.set()
        await running.wait_for(lambda: len(stuck.records) >= len(lines))
        assert stuck.records == lines
        assert running.records() == lines
        await running.wait_for(lambda: any("takes events again" in text for text in running.log.texts("info")))


async def test_a_later_store_that_refuses_is_sent_the_events_alone(tmp_path: Path) -> None:
    """For as long as it refuses; those before and behind it get what the file has once."""
    text = TAIL.format(folder=tmp_path) + stores("a", "b", "c")
    async with pipeline(text) as running:
        refusing = running.collector("b")
        refusing.refuse = RuntimeError("no")
        (tmp_path / "app.log").write_text('{"n":1}\n{"n":2}\n')
        await running.wait_for(lambda: any("store 2 (test) did not" in text for text in running.log.texts("warning")))
        assert [len(running.records(name=name)) for name in "abc"] == [1, 0, 0]
        refusing.refuse = None
        await running.wait_for(lambda: len(running.records(name="c")) == 2)
        for name in "abc":
            assert running.records(name=name) == [{"n": 1}, {"n": 2}]


async def test_a_store_that_changes_records_is_sent_them_unchanged() -> None:
    """Each time it is sent them anew: what it did to those that it then refused is not seen."""
    text = f"""
        <match **>
          @type copy
          <store>
            @type test
            name a
          </store>
          <store>
            @type relabel
            @label @SPOIL
          </store>
        </match>
        <label @SPOIL>
          <filter **>
            @type record_transformer
            <record>
              seen ${{record["seen"].to_i + 1}}
            </record>
            enable_ruby true
          </filter>
          <match **>
            @type test
            name b
          </match>
        </label>
        {QUIET}
    """
    clock = ManualClock()
    async with pipeline(text, clock=clock) as running, asyncio.TaskGroup() as group:
        running.collector("b").refuse = RuntimeError("no")
        group.create_task(running.feed("app", {"n": 1}, receipt=Receipt(lambda: None)))
        await running.wait_for(lambda: any("did not take events" in text for text in running.log.texts("warning")))
        await clock.advance(5)
        running.collector("b").refuse = None
        await clock.advance(10)
        assert running.records(name="a") == [{"n": 1}]
        assert running.records(name="b") == [{"n": 1, "seen": 1}]
