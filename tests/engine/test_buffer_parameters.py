"""Each parameter of `<buffer>` that no other test is about, by what it does to an output."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from logpipe import BufferFull, Chunk, Event, Host, Output, PermanentError, RetryLater
from logpipe.testing import ManualClock, Pipeline, pipeline, settle
from tests.engine.test_delivery import QUIET, Lines, Sink, SinkOptions, conf, sink

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE


class Slow(Sink, type="slow"):
    """Each write waits for `open`; knows how many wait."""

    def __init__(self, options: SinkOptions, host: Host) -> None:
        super().__init__(options, host)
        self.open = asyncio.Event()
        self.waiting = 0
        self.most = 0

    async def write(self, chunk: Chunk) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1
        await super().write(chunk)


class Named(Output[SinkOptions], type="named"):
    """Keeps what its `name` becomes for each chunk."""

    def __init__(self, options: SinkOptions, host: Host) -> None:
        super().__init__(options, host)
        self.names: list[str] = []
        self.ids: list[str] = []

    async def write(self, chunk: Chunk) -> None:
        self.names.append(self.host.expand(self.options.name, chunk))
        self.ids.append(chunk.id)


async def slices(settings: str, times: list[int]) -> list[int | None]:
    """Return the time slices that events of these times fall into, oldest chunk first."""
    text = conf(settings, arg="time")
    async with pipeline(text, Sink, clock=ManualClock()) as running:
        await running.feed("a", *({"n": n} for n in range(len(times))), times=times)
        await running.flush()
        return [key.timekey for key, _ in sink(running).chunks]


async def test_slices_are_cut_in_the_zone_that_is_named() -> None:
    """Whole days there; UTC where that is asked for, whatever the zone."""
    noon = 1_466_000_000 // 86_400 * 86_400 + 43_200
    assert await slices("timekey 1d\ntimekey_zone +0900", [noon * 10**9]) == [noon - 21 * 3600]
    assert await slices("timekey 1d\ntimekey_use_utc true", [noon * 10**9]) == [noon - 43_200]
    assert await slices("timekey 1d\ntimekey_use_utc true\ntimekey_zone +0900", [noon * 10**9]) == [noon - 43_200]


async def test_slices_follow_summer_time() -> None:
    """A day in Berlin begins at 23:00 UTC in winter, at 22:00 in summer."""
    winter, summer = 1_458_946_800, 1_459_116_000  # 2016-03-26 and 2016-03-28, midnight there
    times = [(winter + 43_200) * 10**9, (summer + 43_200) * 10**9]
    assert await slices("timekey 1d\ntimekey_zone Europe/Berlin", times) == [winter, summer]


PLACEHOLDERS = [
    ("tag,time,k", "%Y%m%d-${tag}-${tag[0]}-${tag[-1]}-${k}", "19700101-a.b.c-a-c-v"),
    ("$.d.e", "${$.d.e}", "w"),
    ("tag", "${tag[7]}", ""),
    ("tag", "${tag[2]}-${tag[3]}-${tag[-3]}-${tag[-4]}", "c--a-"),
    ("tag", "100%Y", "100%Y"),
    ("k", "${k}/x", "v/x"),
    ("tag", "${tag[0]}/x", "a/x"),
    ("k", "${missing}", ""),
    ("absent", "<${absent}>", "<>"),
    ("[]", "${tag}", "${tag}"),
]


@pytest.mark.parametrize(("arg", "template", "expected"), PLACEHOLDERS)
async def test_placeholders(arg: str, template: str, expected: str) -> None:
    """Filled from what the chunk's events share; strftime only with time among the keys."""
    keys = "" if arg == "[]" else arg
    buffer = f"<buffer {keys}>\n{'timekey 1d' if 'time' in keys else ''}\ntimekey_use_utc true\n</buffer>"
    text = f"<match **>\n@type named\nname {template}\n{buffer}\n</match>\n{QUIET}"
    async with pipeline(text, Named) as running:
        await running.feed("a.b.c", {"k": "v", "d": {"e": "w"}}, times=[0])
        await running.flush()
        assert running.plugin(Named).names == [expected]
        unknown = "chunk key placeholder" in "".join(running.log.texts("warning"))
        assert unknown == (template == "${missing}")


@pytest.mark.parametrize(
    ("template", "event"), [("${k}/x", {"k": ""}), ("${k}/x", {"k": "/"}), ("a/${k}/x", {"k": ".."})]
)
async def test_a_value_does_not_choose_the_folder(template: str, event: dict[str, str]) -> None:
    """What it would lead to is refused, and not tried again."""
    text = f"<match **>\n@type named\nname {template}\n<buffer k>\n</buffer>\n</match>\n{QUIET}"
    async with pipeline(text, Named) as running:
        await running.feed("a", event)
        await running.flush()
        assert running.plugin(Named).names == []
    assert [letter.record for letter in running.dead_letters()] == [event]


async def test_the_chunk_id_is_a_placeholder_always() -> None:
    """Also without chunk keys."""
    text = f"<match **>\n@type named\nname ${{chunk_id}}\n<buffer>\n</buffer>\n</match>\n{QUIET}"
    async with pipeline(text, Named) as running:
        await running.feed("a", {"n": 1})
        await running.flush()
        assert running.plugin(Named).names == running.plugin(Named).ids


async def test_lazy_waits_for_size_alone() -> None:
    """Neither age nor a batch queues a chunk; chunk_full_threshold of its size does."""
    clock = ManualClock()
    text = conf("flush_mode lazy\nchunk_limit_size 1000\nchunk_full_threshold 0.5")
    async with pipeline(text, Sink, clock=clock) as running:
        await running.feed("a", {"pad": "x" * 400})
        await clock.advance(120)
        assert sink(running).chunks == []
        await running.feed("a", {"pad": "x" * 100})
        await running.wait_for(lambda: len(sink(running).records) == 2)


async def test_chunk_limit_records_closes_a_chunk() -> None:
    """At the limit, not behind it; what is over goes to the next."""
    text = conf("flush_mode lazy\nchunk_limit_records 3")
    async with pipeline(text, Sink) as running:
        for n in range(7):
            await running.feed("a", {"n": n})
        await running.wait_for(lambda: len(sink(running).records) == 6)
        assert [len(events) for _, events in sink(running).chunks] == [3, 3]


async def test_time_is_a_reason_to_queue_while_few_are_queued() -> None:
    """queued_chunks_limit_size holds chunks staged, where they may grow, while so many wait; one more is a probe."""
    clock = ManualClock()
    text = conf("flush_interval 1s\nqueued_chunks_limit_size 2\nretry_wait 1h\nretry_randomize false", arg="tag")
    async with pipeline(text, Sink, clock=clock) as running:
        sink(running).always = OSError("down")
        for tag in "abcde":
            await running.feed(tag, {"tag": tag})
        await clock.advance(10)
        assert running.metric("buffer_queue_length") == 3
        assert running.metric("buffer_stage_length") == 2
        sink(running).always = None


async def test_chunks_that_are_due_together_follow_one_another_at_once() -> None:
    """The limit is for what waits: none waits for the timer's next turn because others had theirs."""
    clock = ManualClock()
    async with pipeline(conf("flush_interval 11s", arg="tag"), Sink, clock=clock) as running:
        for number in range(50):
            await running.feed(f"tag.{number}", {"n": number})
        await clock.advance(12)
        assert [record["n"] for record in sink(running).records] == list(range(50))


@pytest.mark.parametrize("count", [1, 3])
async def test_flush_threads_are_concurrent_writes(count: int) -> None:
    """So many at most, so many if there is work."""
    text = conf(f"flush_mode immediate\nflush_thread_count {count}", kind="slow")
    async with pipeline(text, Slow) as running:
        out: Slow = running.plugin(Slow)
        for n in range(5):
            await running.feed("a", {"n": n})
        await running.wait_for(lambda: out.waiting == count)
        await settle()
        out.open.set()
        await running.wait_for(lambda: len(out.records) == 5)
        assert out.most == count


async def test_retries_have_no_end_where_that_is_asked_for() -> None:
    """retry_forever beats timeout, times and secondary."""
    clock = ManualClock()
    buffer = "flush_mode immediate\nretry_forever true\nretry_timeout 1s\nretry_max_times 1\nretry_max_interval 10s"
    more = "<secondary>\n@type sink\nname second\n</secondary>"
    async with pipeline(conf(buffer, more=more), Sink, clock=clock) as running:
        sink(running).always = OSError("down")
        await running.feed("a", {"n": 1})
        await settle()
        for _ in range(30):
            await clock.advance(12)
        assert sink(running).attempts > 25
        assert sink(running, "second").attempts == 0
        sink(running).always = None
        await clock.advance(12)
        assert sink(running).records == [{"n": 1}]
        assert any("with 'retry_forever', only unrecoverable" in str(warning) for warning in running.warnings)


async def test_after_retry_timeout_there_is_no_other_attempt() -> None:
    """The last one is at that moment; then the chunk that has failed for so long is given up, and no other."""
    clock = ManualClock()
    buffer = "flush_interval 5s\nretry_timeout 10s\nretry_wait 4s\nretry_randomize false\nqueued_chunks_limit_size 9"
    async with pipeline(conf(buffer, arg="tag"), Sink, clock=clock) as running:
        sink(running).always = OSError("down")
        await running.feed("a", {"n": 1})
        await running.feed("b", {"n": 2})
        await clock.advance(13)
        await running.feed("c", {"n": 3})
        assert running.metric("given_up_records") == 0
        await clock.advance(3.5)
        await running.wait_for(lambda: running.metric("given_up_records") == 1)
        assert any("Hit limit for retries. giving up chunk" in text for text in running.log.texts("error"))
        sink(running).always = None
        await clock.advance(9)
        assert {record["n"] for record in sink(running).records} == {2, 3}
    assert [letter.record for letter in running.dead_letters()] == [{"n": 1}]


async def test_retry_max_times_is_a_number_of_retries() -> None:
    """One attempt and as many again."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate\nretry_max_times 2\nretry_wait 1s"), Sink, clock=clock) as running:
        sink(running).always = OSError("down")
        await running.feed("a", {"n": 1})
        await settle()
        await clock.advance(60)
        await running.wait_for(lambda: running.metric("given_up_records") == 1)
        assert sink(running).attempts == 3


@pytest.mark.parametrize(("share", "moment"), [("0.5", 5), ("0.9", 9)])
async def test_the_secondary_is_used_after_its_share_of_the_time(share: str, moment: int) -> None:
    """retry_secondary_threshold of retry_timeout; both outcomes are told apart in the log."""
    clock = ManualClock()
    buffer = f"flush_mode immediate\nretry_timeout 10s\nretry_randomize false\nretry_secondary_threshold {share}"
    more = "<secondary>\n@type sink\nname second\n</secondary>"
    async with pipeline(conf(buffer, more=more), Sink, clock=clock) as running:
        sink(running).always = OSError("down")
        second = sink(running, "second")
        second.failures = [OSError("down too")]
        await running.feed("a", {"n": 1})
        await settle()
        await clock.advance(moment - 0.2)
        assert second.attempts == 0
        await clock.advance(0.3)
        assert second.attempts == 1
        await clock.advance(1)
        await running.wait_for(lambda: second.records == [{"n": 1}])
        said = "\n".join(running.log.texts("warning"))
        assert "failed to flush the buffer with secondary output" in said
        assert "retry succeeded by secondary" in said


@pytest.mark.parametrize(("setting", "kept"), [("true", 0), ("false", 1)])
async def test_backup_may_be_declined(setting: str, kept: int) -> None:
    """disable_chunk_backup throws away what is given up, and says so."""
    text = conf(f"flush_mode immediate\ndisable_chunk_backup {setting}")
    async with pipeline(text, Sink) as running:
        sink(running).always = PermanentError("never")
        await running.feed("a", {"n": 1})
        done = "given_up_records" if kept else "thrown_away_records"
        await running.wait_for(lambda: running.metric(done) == 1)
        assert len(running.dead_letters()) == kept
        assert any("is lost" in text for text in running.log.texts("error")) == (not kept)


async def test_a_chunk_may_be_larger_than_the_buffer() -> None:
    """As in fluentd it runs: the whole buffer is one chunk then, and full when that is."""
    async with pipeline(conf("total_limit_size 1000\nflush_interval 1h\noverflow_action block"), Sink) as running:
        for n in range(30):
            await running.feed("a", {"n": n, "pad": "x" * 100})
        await running.flush()
        assert [record["n"] for record in sink(running).records] == list(range(30))


async def test_the_limit_of_0_12_is_a_number_of_chunks() -> None:
    """queue_limit_length times chunk_limit_size is what total_limit_size would be."""
    text = conf("chunk_limit_size 100\nqueue_limit_length 2\nflush_interval 1h\ntotal_limit_size 1")
    async with pipeline(text, Sink) as running:
        sink(running).always = RetryLater("down")
        for _ in range(2):
            await running.feed("a", {"pad": "x" * 90})
        with pytest.raises(BufferFull):
            await running.feed("a", {"pad": "y"})
        sink(running).always = None


SAID = [("", False), ("slow_flush_log_threshold 5", False), ("slow_flush_log_threshold 4.9", True)]


@pytest.mark.parametrize(("setting", "is_said"), SAID)
async def test_a_slow_write_is_said(setting: str, is_said: bool) -> None:  # noqa: FBT001 - a table of cases
    """Past slow_flush_log_threshold, 20 seconds by default."""
    clock = ManualClock()
    text = conf("flush_mode immediate", kind="slow", more=setting)
    async with pipeline(text, Slow, clock=clock) as running:
        out: Slow = running.plugin(Slow)
        await running.feed("a", {"n": 1})
        await running.wait_for(lambda: out.waiting == 1)
        await clock.advance(5)
        out.open.set()
        await running.wait_for(lambda: len(out.records) == 1)
        await settle()
        said = [text for text in running.log.texts("warning") if "slow_flush_log_threshold" in text]
        assert bool(said) == is_said


@pytest.mark.parametrize("setting", ["true", "false"])
async def test_what_is_left_at_the_end(setting: str) -> None:
    """flush_at_shutdown decides; without it the inputs keep what memory had."""
    async with pipeline(conf(f"flush_interval 1h\nflush_at_shutdown {setting}"), Sink) as running:
        await running.feed("a", {"n": 1})
        out = sink(running)
    assert out.records == ([{"n": 1}] if setting == "true" else [])


@pytest.mark.parametrize("kind", ["memory", "file"])
@pytest.mark.parametrize("action", ["throw_exception", "block", "drop_oldest_chunk"])
async def test_a_full_buffer_does_as_it_is_told(action: str, kind: str, tmp_path: Any) -> None:
    """Refuses, waits, or drops the oldest of the queue; the rest is delivered in order."""
    place = f"path {tmp_path}/buffer" if kind == "file" else ""
    text = conf(
        f"@type {kind}\n{place}\nchunk_limit_records 1\nchunk_limit_size 1k\ntotal_limit_size 2k\n"
        f"flush_mode immediate\noverflow_action {action}\nretry_wait 0\nretry_max_interval 0"
    )
    async with pipeline(text, Sink) as running:
        out = sink(running)
        out.always = OSError("down")
        accepted, waiting = await _fill(running, waits=action == "block")
        await running.wait_for(lambda: any("buffer overflow" in text for text in running.log.texts("warning")))
        out.always = None
        await asyncio.gather(*waiting)
        await running.wait_for(lambda: running.metric("buffer_total_queued_size") == 0)
        found = [record["n"] for record in out.records]
    assert found == sorted(found)
    if action == "drop_oldest_chunk":
        assert running.metric("drop_oldest_chunk_count") == 10 - len(found) > 0
        assert found[-1] == 9
    else:
        assert found == (list(range(10)) if action == "block" else accepted)
        assert len(found) > 1
    assert any(f"buffer overflow action={action}" in text for text in running.log.texts("warning"))


async def _fill(running: Pipeline, *, waits: bool) -> tuple[list[int], list[asyncio.Future[None]]]:
    """Feed ten records of 600 bytes; returns those that were taken, and what waits where a full buffer lets it."""
    accepted: list[int] = []
    waiting: list[asyncio.Future[None]] = []
    for n in range(10):
        feeding = asyncio.ensure_future(running.feed("a", {"n": n, "pad": "x" * 600}))  # noqa: TID251 - no host
        if waits:
            waiting.append(feeding)
            await settle()
            continue
        with suppress(BufferFull):
            await feeding
            accepted.append(n)
    return accepted, waiting


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (conf("", arg="a,b,c,d"), "many chunk keys specified"),
        (conf("timekey 1d\nflush_interval 1s", arg="time"), "'flush_interval' is ignored"),
        (conf("total_limit_size 4k"), "larger than the whole buffer may be"),
        (conf("", more="<secondary>\n@type lines\n</secondary>"), "Use different plugin for secondary"),
    ],
)
async def test_what_works_otherwise_than_it_reads_is_warned_about(text: str, expected: str) -> None:
    """As fluentd says it."""
    async with pipeline(text, Sink, Lines) as running:
        assert any(expected in str(warning) for warning in running.warnings)


async def test_events_have_times_to_the_nanosecond() -> None:
    """time_as_integer is about fluentd's chunks: logpipe's hold times as they are."""
    async with pipeline(conf("flush_interval 1h"), Sink) as running:
        await running.feed("a", {"n": 1}, times=[HOUR + 7])
        await running.flush()
        ((_, events),) = sink(running).chunks
        assert events == [Event(HOUR + 7, {"n": 1})]
