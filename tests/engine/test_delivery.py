"""Buffered outputs: chunks, flush modes, retry, secondary, backup, receipts, overflow, drain."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from logpipe import (
    BufferFull,
    Chunk,
    ConfigError,
    Event,
    EventBatch,
    Host,
    Options,
    Output,
    PermanentError,
    Receipt,
    RetryLater,
    param,
)
from logpipe.engine.dead_letters.letters import Culprit
from logpipe.testing import ManualClock, Pipeline, pipeline, settle

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"


class SinkOptions(Options):
    """Settings of the output below."""

    name: str = param("Which sink it is.", default="")


class Sink(Output[SinkOptions], type="sink"):
    """Keeps chunks; raises what `failures` holds, one for each write."""

    def __init__(self, options: SinkOptions, host: Host) -> None:
        super().__init__(options, host)
        self.chunks: list[tuple[Any, list[Event]]] = []
        self.ids: list[str] = []
        self.failures: list[Exception] = []
        self.attempts = 0
        self.always: Exception | None = None

    async def write(self, chunk: Chunk) -> None:
        self.attempts += 1
        self.ids.append(chunk.id)
        if self.always is not None:
            raise self.always
        if self.failures:
            raise self.failures.pop(0)
        self.chunks.append((chunk.key, [event for batch in chunk.batches() for event in batch.events()]))

    @property
    def records(self) -> list[Any]:
        return [event.record for _, events in self.chunks for event in events]


class Lines(Sink, type="lines"):
    """Encodes on entry."""

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [repr(record).encode() for record in batch.records]

    async def write(self, chunk: Chunk) -> None:
        self.chunks.append((chunk.key, [Event(0, {"payload": payload}) for payload in chunk.payloads()]))


class Confirmed(Sink, type="confirmed"):
    """Hands over, and waits for a peer that forgets to confirm the first chunk."""

    delayed_commit = True

    async def write(self, chunk: Chunk) -> None:
        self.attempts += 1
        if self.attempts == 1:
            await asyncio.Event().wait()
        await super().write(chunk)


def sink(running: Pipeline, name: str = "") -> Sink:
    return next(
        stage.plugin
        for stage in running.graph.stages.outputs
        if isinstance(stage.plugin, Sink) and stage.plugin.options.name == name
    )


def conf(buffer: str, *, arg: str = "", more: str = "", kind: str = "sink") -> str:
    return f"<match **>\n@type {kind}\n<buffer {arg}>\n{buffer}\n</buffer>\n{more}\n</match>\n{QUIET}"


async def test_a_chunk_is_delivered_when_it_is_old_enough() -> None:
    """flush_interval is the age at which a chunk is queued."""
    clock = ManualClock()
    async with pipeline(conf("flush_interval 10s"), Sink, clock=clock) as running:
        await running.feed("a", {"n": 1})
        await running.feed("b", {"n": 2})
        await clock.advance(9)
        assert sink(running).chunks == []
        await clock.advance(2)
        assert sink(running).records == [{"n": 1}, {"n": 2}]
        assert len(sink(running).chunks) == 1


async def test_immediate_mode_delivers_each_batch() -> None:
    """flush_mode immediate queues after every append."""
    async with pipeline(conf("flush_mode immediate"), Sink) as running:
        await running.feed("a", {"n": 1})
        await running.wait_for(lambda: sink(running).records == [{"n": 1}])


async def test_chunk_keys_divide_events() -> None:
    """Tag, time and fields each make chunks of their own; a missing field is its own value."""
    clock = ManualClock()
    text = conf("timekey 60\ntimekey_wait 0s\ntimekey_use_utc true", arg="tag,time,$.k.app")
    async with pipeline(text, Sink, clock=clock) as running:
        minute = 60_000_000_000
        times = [10 * minute, 10 * minute + 1, 11 * minute]
        await running.feed("a", {"k": {"app": "x"}}, {"k": {"app": "y"}}, {}, times=times)
        await running.feed("b", {"k": {"app": "x"}}, times=times[:1])
        await running.flush()

        found = {(key.tag, key.timekey, key.variables): len(events) for key, events in sink(running).chunks}
        assert found == {
            ("a", 600, (("$.k.app", "x"),)): 1,
            ("a", 600, (("$.k.app", "y"),)): 1,
            ("a", 660, (("$.k.app", None),)): 1,
            ("b", 600, (("$.k.app", "x"),)): 1,
        }


async def test_a_slice_waits_for_its_end_and_for_late_events() -> None:
    """With the chunk key time the mode is lazy: a slice goes timekey_wait after its end."""
    clock = ManualClock(start=1_000_000 * 60_000_000_000)
    text = conf("timekey 60\ntimekey_wait 30s\ntimekey_use_utc true", arg="time")
    async with pipeline(text, Sink, clock=clock) as running:
        await running.feed("a", {"n": 1})
        await clock.advance(85)
        assert sink(running).chunks == []
        await clock.advance(10)
        assert sink(running).records == [{"n": 1}]


async def test_a_batch_larger_than_a_chunk_is_divided_and_order_is_kept() -> None:
    """Chunks respect chunk_limit_records, and a record too large for any chunk goes to @ERROR alone."""
    async with pipeline(conf("chunk_limit_size 300\nflush_mode immediate"), Sink) as running:
        records = [{"n": number, "pad": "x" * (400 if number == 5 else 20)} for number in range(10)]
        await running.feed("a", *records)
        await running.flush()

        assert [record["n"] for record in sink(running).records] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
        (error,) = running.errors
        assert error[2]["n"] == 5
        assert "chunk_limit_size" in str(error[3])


async def test_a_failing_write_is_tried_again_with_the_same_chunk() -> None:
    """Back-off doubles; the chunk keeps its id; success is said."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate\nretry_randomize false"), Sink, clock=clock) as running:
        out = sink(running)
        out.failures = [OSError("one"), OSError("two")]
        await running.feed("a", {"n": 1})
        await settle()
        assert out.attempts == 1
        await clock.advance(1)
        assert out.attempts == 2
        await clock.advance(1.9)
        assert out.attempts == 2
        await clock.advance(0.2)
        assert out.records == [{"n": 1}]
        assert len(set(out.ids)) == 1
        assert any("retry succeeded" in text for text in running.log.texts("warning"))


async def test_a_chunk_that_nobody_confirms_is_taken_back() -> None:
    """With delayed commit the wait for the peer ends after delayed_commit_timeout, and a retry follows."""
    text = conf("flush_mode immediate\ndelayed_commit_timeout 0.05\nretry_wait 0s", kind="confirmed")
    async with pipeline(text, Confirmed) as running:
        await running.feed("a", {"n": 1})
        await running.wait_for(lambda: sink(running).records == [{"n": 1}])
        assert running.metric("rollback_count") == 1
        assert any("timeout to commit" in text for text in running.log.texts("warning"))


async def test_a_peer_that_asks_for_patience_gets_it() -> None:
    """RetryLater's wait is kept."""
    clock = ManualClock()
    async with pipeline(conf("flush_mode immediate"), Sink, clock=clock) as running:
        out = sink(running)
        out.failures = [RetryLater("busy", after=30)]
        await running.feed("a", {"n": 1})
        await settle()
        await clock.advance(29)
        assert out.attempts == 1
        await clock.advance(2)
        assert out.records == [{"n": 1}]


async def test_after_the_last_retry_the_queue_is_saved(tmp_path: Path) -> None:
    """Giving up makes dead letters of the events, in the folder where fluentd saves bad chunks."""
    text = f"<system>\nroot_dir {tmp_path}\n</system>\n" + conf(
        "flush_mode immediate\nretry_max_times 1\nretry_wait 0s"
    )
    async with pipeline(text, Sink) as running:
        out = sink(running)
        out.always = OSError("down")
        await running.feed("a", {"n": 1})
        await running.wait_for(lambda: list(tmp_path.rglob("*.jsonl")))
        await running.wait_for(lambda: running.metric("given_up_records") == 1)

        assert out.attempts == 2
        (saved,) = tmp_path.rglob("*.jsonl")
        assert saved.parent.parent.name == "worker0"
        (letter,) = running.dead_letters()
        assert (letter.tag, letter.record, letter.reason) == ("a", {"n": 1}, "down")
        assert letter.culprit == Culprit("output", "sink", "output_sink", "@ROOT")
        assert saved.stat().st_mode & 0o777 == 0o644


async def test_a_permanent_error_is_not_tried_again(tmp_path: Path) -> None:
    """It goes to the secondary at once, or becomes dead letters."""
    more = "<secondary>\n@type sink\nname second\n</secondary>"
    async with pipeline(conf("flush_mode immediate", more=more), Sink) as running:
        sink(running).always = PermanentError("never")
        await running.feed("a", {"n": 1})
        await running.wait_for(lambda: sink(running, "second").records == [{"n": 1}])
        assert sink(running).attempts == 1
    text = f"<system>\nroot_dir {tmp_path}\n</system>\n" + conf("flush_mode immediate")
    async with pipeline(text, Sink) as running:
        sink(running).always = PermanentError("never")
        await running.feed("a", {"n": 1})
        await running.wait_for(lambda: list(tmp_path.rglob("*.jsonl")))


async def test_the_secondary_takes_over_late_in_the_retry_time() -> None:
    """After retry_secondary_threshold of the retry time the secondary is tried."""
    clock = ManualClock()
    buffer = "flush_mode immediate\nretry_randomize false\nretry_timeout 10s"
    more = "<secondary>\n@type sink\nname second\n</secondary>"
    async with pipeline(conf(buffer, more=more), Sink, clock=clock) as running:
        sink(running).always = OSError("down")
        await running.feed("a", {"n": 1})
        await settle()
        await clock.advance(7.9)
        assert sink(running, "second").records == []
        await clock.advance(0.2)
        assert sink(running, "second").records == [{"n": 1}]


async def test_a_receipt_settles_when_the_chunk_is_delivered() -> None:
    """Memory survives no kill -9: the input may move on only after delivery."""
    settled: list[int] = []
    async with pipeline(conf("flush_mode immediate"), Sink) as running:
        out = sink(running)
        out.always = OSError("down")
        receipt = Receipt(lambda: settled.append(1))
        await running.feed("a", {"n": 1}, receipt=receipt)
        receipt.release()
        await running.wait_for(lambda: out.attempts)
        assert settled == []
        out.always = None
        await running.wait_for(lambda: settled == [1])
        assert out.records == [{"n": 1}]


async def test_a_full_buffer_refuses_or_waits() -> None:
    """throw_exception raises BufferFull, block waits for room."""
    async with pipeline(conf("total_limit_size 100\nchunk_limit_size 100\nflush_interval 1h"), Sink) as running:
        sink(running).always = OSError("down")
        await running.feed("a", {"pad": "x" * 80})
        await running.feed("a", {"pad": "x" * 80})
        with pytest.raises(BufferFull):
            await running.feed("a", {"pad": "y"})
    text = conf(
        "total_limit_size 100\nchunk_limit_size 100\nflush_mode immediate\noverflow_action block\nretry_wait 0s"
    )
    async with pipeline(text, Sink) as running:
        out = sink(running)
        out.always = OSError("down")
        await running.feed("a", {"pad": "x" * 80})
        await running.feed("a", {"pad": "y" * 80})
        waiting = asyncio.ensure_future(running.feed("a", {"pad": "z"}))  # noqa: TID251 - a test has no host
        await settle()
        assert not waiting.done()
        out.always = None
        await waiting
        await running.wait_for(lambda: len(out.records) == 3)


async def test_drop_oldest_chunk_makes_room_and_counts() -> None:
    """The oldest queued chunk goes, and it is an error in the log."""
    text = conf("total_limit_size 100\nchunk_limit_size 100\nflush_mode immediate\noverflow_action drop_oldest_chunk")
    async with pipeline(text, Sink) as running:
        sink(running).always = OSError("down")
        for number in range(4):
            await running.feed("a", {"n": number, "pad": "x" * 80})
            await settle()
        assert running.metric("drop_oldest_chunk_count") >= 1


async def test_stopping_delivers_what_is_left() -> None:
    """flush_at_shutdown is the default for memory."""
    async with pipeline(conf("flush_interval 1h"), Sink) as running:
        await running.feed("a", {"n": 1})
        out = sink(running)
    assert out.records == [{"n": 1}]


async def test_stopping_with_a_failing_peer_ends_and_leaves_the_receipt_owed() -> None:
    """Each chunk is tried once more; what fails is read again after the restart."""
    settled: list[int] = []
    async with pipeline(conf("flush_interval 1h"), Sink) as running:
        out = sink(running)
        out.always = OSError("down")
        receipt = Receipt(lambda: settled.append(1))
        await running.feed("a", {"n": 1}, receipt=receipt)
        receipt.release()
    assert out.attempts == 1
    assert settled == []


async def test_payloads_are_made_once_on_entry() -> None:
    """An output that encodes gets its payloads back in order."""
    async with pipeline(conf("flush_interval 1h", kind="lines"), Lines) as running:
        await running.feed("a", {"n": 1}, {"n": 2})
        await running.flush()
        (chunk,) = next(
            stage.plugin for stage in running.graph.stages.outputs if isinstance(stage.plugin, Lines)
        ).chunks
        assert [event.record["payload"] for event in chunk[1]] == [b"{'n': 1}", b"{'n': 2}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (conf("", arg="time"), "needs timekey"),
        (conf("timekey 1d\nflush_mode lazy\nflush_interval 1s", arg="time"), "'flush_interval' can't be specified"),
        (conf("flush_thread_count -1"), "flush_thread_count must be at least 0"),
        ("<match **>\n@type relabel\n@label @A\n<buffer>\n</buffer>\n</match>\n" + QUIET, "non-buffered plugin"),
        (conf("@type nowhere"), 'unknown buffer plugin "nowhere"'),
        (conf("", more="<buffer tag>\n</buffer>"), "<buffer> cannot be written twice"),
        (conf("", more="<secondary>\n@type sink\n</secondary>\n" * 2), "<secondary> cannot be written twice"),
    ],
)
async def test_buffers_that_cannot_work_are_refused(text: str, expected: str) -> None:
    """With their place."""
    with pytest.raises(ConfigError, match=expected):
        async with pipeline(text, Sink):
            pass
