"""`<buffer> @type file`: what is accepted is on the disk, and is delivered once."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import stat
from pathlib import Path

import pytest

from logpipe import BufferFull, ConfigError, LogpipeError, Receipt, RecordTooLarge, StoredChunk
from logpipe.builtin.buffers.file import FileBuffer, FileSingleBuffer
from logpipe.testing import ManualClock, check_plugin, settle, wait_for
from tests.builtin.buffers.stages import Lines, Sink, conf, file_buffer, files, lines, running, sink

LONG = "flush_interval 1h"


async def test_it_keeps_what_plugins_promise(tmp_path: Path) -> None:
    """check_plugin."""
    await check_plugin(FileBuffer, f"path {tmp_path}/buffer")
    await check_plugin(FileSingleBuffer, f"path {tmp_path}/buffer")
    assert not (tmp_path / "buffer").exists()


async def test_events_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Tags, times, records, in order; the file is gone when they are delivered."""
    async with running(conf(tmp_path / "b", LONG)) as pipe:
        await pipe.feed("a", {"n": 1}, {"n": {"x": [None, 1.5]}}, times=[5, 6])
        await pipe.feed("b", {"n": 3}, times=[7])
        (file,) = files(tmp_path / "b")
        assert b'"n":3' in file.read_bytes()
        await pipe.flush()

        ((_, events),) = sink(pipe).chunks
        assert [(tag, *event) for tag, event in events] == [
            ("a", 5, {"n": 1}),
            ("a", 6, {"n": {"x": [None, 1.5]}}),
            ("b", 7, {"n": 3}),
        ]
        assert files(tmp_path / "b") == []


async def test_a_flush_lasts_until_the_files_are_gone(tmp_path: Path) -> None:
    """However long after the delivery that is."""
    removing, may_remove = asyncio.Event(), asyncio.Event()

    class Slow(FileBuffer, type="file"):
        async def purge(self, chunk: StoredChunk) -> None:
            removing.set()
            await may_remove.wait()
            await super().purge(chunk)

    async with running(conf(tmp_path / "b", LONG), buffer=Slow) as pipe:
        await pipe.feed("a", {"n": 1})
        flushing = asyncio.ensure_future(pipe.flush())  # noqa: TID251 - a test has no host
        await removing.wait()
        looks = itertools.count()
        await wait_for(lambda: next(looks) == 5)  # the flush looks as often
        assert not flushing.done()
        may_remove.set()
        await flushing
        assert files(tmp_path / "b") == []


async def test_what_is_not_in_memory_is_read_back(tmp_path: Path) -> None:
    """The same without memory, and with memory for some of it."""
    for memory in (0, 400, "32m"):
        for compress in ("text", "gzip", "zstd"):
            more = f"{LONG}\nmemory_limit_size {memory}\ncompress {compress}"
            async with running(conf(tmp_path / "b", more)) as pipe:
                for number in range(40):
                    await pipe.feed(f"t{number % 3}", {"n": number, "pad": "x" * 10})
                await pipe.flush()
                assert [record["n"] for record in sink(pipe).records] == list(range(40))
                assert len(sink(pipe).chunks) == 1


async def test_payloads_are_stored_as_they_are(tmp_path: Path) -> None:
    """Where the output encodes on entry."""
    for memory in (0, "32m"):
        text = conf(tmp_path / "b", f"{LONG}\nmemory_limit_size {memory}", kind="lines")
        async with running(text) as pipe:
            await pipe.feed("a", {"n": 1}, {"n": 2})
            await pipe.feed("b", {"n": 3})
            (file,) = files(tmp_path / "b")
            assert b"a:1\na:2\n" in file.read_bytes()
            await pipe.flush()
            assert lines(pipe).payloads == [b"a:1\n", b"a:2\n", b"b:3\n"]


async def test_chunk_keys_make_files_of_their_own(tmp_path: Path) -> None:
    """One file each, all delivered with their keys."""
    async with running(conf(tmp_path / "b", LONG, arg="tag,k")) as pipe:
        await pipe.feed("a", {"k": 1, "n": 1}, {"k": 2, "n": 2}, {"n": 3})
        await pipe.feed("b", {"k": 1, "n": 4})
        assert len(files(tmp_path / "b")) == 4
        await pipe.flush()
        found = {(key.tag, key.variables[0][1]): events[0][1].record["n"] for key, events in sink(pipe).chunks}
        assert found == {("a", 1): 1, ("a", 2): 2, ("a", None): 3, ("b", 1): 4}


async def test_a_receipt_settles_when_its_bytes_are_synced(tmp_path: Path) -> None:
    """Not before, although the input may go on; delivery is another matter."""
    syncing = asyncio.Event()
    may_sync = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(descriptor: int) -> None:
        loop.call_soon_threadsafe(syncing.set)
        asyncio.run_coroutine_threadsafe(may_sync.wait(), loop).result()
        os.fdatasync(descriptor)

    settled: list[int] = []
    async with running(conf(tmp_path / "b", LONG), buffer=file_buffer(fdatasync=slow)) as pipe:
        sink(pipe).always = OSError("down")
        receipt = Receipt(lambda: settled.append(1))
        await pipe.feed("a", {"n": 1}, receipt=receipt)
        receipt.release()
        await syncing.wait()
        await settle()
        assert settled == []

        without = asyncio.ensure_future(pipe.feed("a", {"n": 2}))  # noqa: TID251 - a test has no host
        await settle()
        assert not without.done(), "who gave no receipt waits"
        may_sync.set()
        await without
        assert settled == [1]


async def test_who_appends_meanwhile_shares_the_next_sync(tmp_path: Path) -> None:
    """Group commit: many batches, few syncs."""
    async with running(conf(tmp_path / "b", LONG)) as pipe:
        await asyncio.gather(*(pipe.feed("a", {"n": number}) for number in range(100)))
        assert pipe.metric("buffer_sync_count") <= 3
        await pipe.flush()
        assert sorted(record["n"] for record in sink(pipe).records) == list(range(100))


async def test_inputs_with_receipts_run_ahead_a_little_only(tmp_path: Path) -> None:
    """A disk that does not sync stops them."""
    may_sync = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck(descriptor: int) -> None:
        asyncio.run_coroutine_threadsafe(may_sync.wait(), loop).result()
        os.fdatasync(descriptor)

    accepted: list[int] = []
    async with running(conf(tmp_path / "b", LONG), buffer=file_buffer(fdatasync=stuck)) as pipe:

        async def feed() -> None:
            for number in range(100):
                await pipe.feed("a", {"n": number, "pad": "x" * 500_000}, receipt=Receipt(lambda: None))
                accepted.append(number)

        feeding = asyncio.ensure_future(feed())  # noqa: TID251 - a test has no host
        await wait_for(lambda: len(accepted) >= 8)
        await settle(100)
        assert len(accepted) < 15
        may_sync.set()
        await feeding


async def test_the_modes_of_files_and_folders(tmp_path: Path) -> None:
    """Fluentd's 0644 and 0755 unless told otherwise."""
    for more, file_mode, folder_mode in (
        ("", 0o644, 0o755),
        ("file_permission 0660\ndir_permission 777", 0o660, 0o777),
    ):
        folder = tmp_path / f"{file_mode:o}" / "b"
        async with running(conf(folder, f"{LONG}\n{more}")) as pipe:
            await pipe.feed("a", {"n": 1})
            (file,) = files(folder)
            assert stat.S_IMODE(file.stat().st_mode) == file_mode
            assert stat.S_IMODE(folder.stat().st_mode) == folder_mode
            assert stat.S_IMODE(folder.parent.stat().st_mode) == folder_mode


async def test_a_time_slice_is_queued_when_it_is_over(tmp_path: Path) -> None:
    """The clock decides, not the machine's time."""
    clock = ManualClock(start=1_000_000 * 60_000_000_000)
    text = conf(tmp_path / "b", "timekey 60\ntimekey_wait 0s\ntimekey_use_utc true", arg="time")
    async with running(text, clock=clock) as pipe:
        await pipe.feed("a", {"n": 1})
        await clock.advance(59)
        assert sink(pipe).chunks == []
        await clock.advance(3)
        await pipe.wait_for(lambda: sink(pipe).records == [{"n": 1}])


async def test_ids_grow_though_the_clock_goes_back(tmp_path: Path) -> None:
    """Names sort by age."""
    clock = ManualClock()
    async with running(conf(tmp_path / "b", LONG, arg="tag"), clock=clock) as pipe:
        for number in range(5):
            clock._start -= 3_600_000_000_000
            await pipe.feed(f"t{number}", {"n": number})
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == list(range(5))
        assert sorted(sink(pipe).ids) == sink(pipe).ids


async def test_an_event_that_nothing_can_hold_goes_to_the_error_label(tmp_path: Path) -> None:
    """Nested without end; the rest of its batch is stored."""
    deep: list[object] = []
    for _ in range(3000):
        deep = [deep]
    async with running(conf(tmp_path / "b", LONG)) as pipe:
        await pipe.feed("a", {"n": 1}, {"n": 2, "deep": deep}, {"n": 3})
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}, {"n": 3}]
        assert [record["n"] for _, _, record, _ in pipe.errors] == [2]


async def test_one_record_too_large_is_refused_alone(tmp_path: Path) -> None:
    """The others of its batch are stored."""
    async with running(conf(tmp_path / "b", f"{LONG}\nchunk_limit_size 300")) as pipe:
        await pipe.feed("a", *({"n": n, "pad": "x" * (400 if n == 5 else 20)} for n in range(10)))
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
        assert isinstance(pipe.errors[0][3], RecordTooLarge)


@pytest.mark.parametrize("memory", ["0", "32m"])
@pytest.mark.parametrize("kind", ["sink", "lines"])
async def test_a_failing_peer_gets_the_same_chunk_again(kind: str, memory: str, tmp_path: Path) -> None:
    """From memory and from the file."""
    text = conf(tmp_path / "b", f"flush_mode immediate\nretry_wait 0s\nmemory_limit_size {memory}", kind=kind)
    async with running(text) as pipe:
        out = sink(pipe) if kind == "sink" else lines(pipe)
        out.always = OSError("down")
        await pipe.feed("a", {"n": 1})
        await pipe.wait_for(lambda: out.attempts >= 3)
        out.always = None
        await pipe.wait_for(lambda: out.records)
        assert len(out.records) == 1
        await pipe.wait_for(lambda: files(tmp_path / "b") == [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (conf(None, head=""), "buffer path is not configured"),
        (conf("/x", "file_permission rw"), "no file mode"),
        (conf("/x", "dir_permission 99"), "no file mode"),
        (conf("/x", buffer="file_single", arg="tag,k"), "one chunk key"),
        (conf("/x.*.log", head="<system>\nworkers 2\n</system>\n"), "2 workers cannot share"),
        (conf("/x") + conf("/x").replace("@id out", "@id other"), "already used by"),
    ],
)
async def test_settings_that_cannot_work_are_refused(text: str, expected: str) -> None:
    """Before anything is touched."""
    kind = FileSingleBuffer if "file_single" in text else FileBuffer
    with pytest.raises(ConfigError, match=expected):
        async with running(text, buffer=kind):
            pass
    assert not Path("/x").exists()


@pytest.mark.parametrize("compress", ["text", "gzip"])
async def test_limits_hold_for_what_is_on_the_disk(compress: str, tmp_path: Path) -> None:
    """Indexes of small events count, what compression saves does not."""
    text = conf(tmp_path, f"{LONG}\nchunk_limit_size 20k\ntotal_limit_size 100k\ncompress {compress}")
    async with running(text) as pipe:
        sink(pipe).always = OSError("down")
        with pytest.raises(BufferFull):  # noqa: PT012 - whichever feed it is
            for _ in range(10_000):
                await pipe.feed("a", *({"n": n} for n in range(10)))
        sizes = [file.stat().st_size for file in files(tmp_path)]
        assert pipe.metric("buffer_total_queued_size") == sum(sizes)
        assert 100_000 <= sum(sizes) < 110_000
        assert max(sizes) < 22_000
        assert min(sizes[:-1]) > 15_000


async def test_names_end_with_path_suffix(tmp_path: Path) -> None:
    """In a folder; other files in it are not ours."""
    text = conf(tmp_path, f"{LONG}\npath_suffix .chunk")
    async with running(text) as pipe:
        await pipe.feed("a", {"n": 1})
    assert len(files(tmp_path, "buffer.c*.chunk")) == 1
    async with running(conf(tmp_path, LONG)) as pipe:
        await pipe.flush()
        assert sink(pipe).records == []
    async with running(text) as pipe:
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}]


async def test_settings_of_fluentds_that_mean_nothing_here_are_taken(tmp_path: Path) -> None:
    """Without a warning; events are counted all the same."""
    more = "calc_num_records false\nchunk_format text\ndelayed_commit_timeout 5\nflush_thread_interval 9"
    text = conf(tmp_path, f"{LONG}\n{more}\nflush_thread_burst_interval 9", buffer="file_single")
    async with running(text, buffer=FileSingleBuffer) as pipe:
        assert pipe.warnings == []
        await pipe.feed("a", {"n": 1}, {"n": 2})
        await pipe.flush()
        assert len(sink(pipe).records) == 2


async def test_two_outputs_may_share_a_folder_by_prefix(tmp_path: Path) -> None:
    """Each finds its own files."""
    both = "".join(
        f"<match {name}>\n@type {kind}\n<buffer>\n@type file\npath {tmp_path}/{name}.*.log\n{LONG}\n</buffer>\n"
        "</match>\n"
        for name, kind in (("a", "sink"), ("b", "lines"))
    )
    text = both + "<label @FLUENT_LOG>\n<match **>\n@type test\n</match>\n</label>\n"
    async with running(text) as pipe:
        await pipe.feed("a", {"n": 1})
        await pipe.feed("b", {"n": 2})
    assert sorted(path.name.split(".")[0] for path in tmp_path.iterdir()) == ["a", "b"]
    async with running(text) as pipe:
        await pipe.flush()
        outputs = [stage.plugin for stage in pipe.graph.stages.outputs if isinstance(stage.plugin, Sink)]
        assert [out.records for out in outputs if not isinstance(out, Lines)] == [[{"n": 1}]]
        assert [out.payloads for out in outputs if isinstance(out, Lines)] == [[b"b:2\n"]]


async def test_the_name_of_a_resumed_file_is_synced_before_more_is_accepted(tmp_path: Path) -> None:
    """The run before may have been killed between the bytes of the file and its name."""
    synced: list[str] = []
    failures = 0

    def fsync(descriptor: int) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        os.fsync(descriptor)

    text = conf(tmp_path, f"{LONG}\nflush_at_shutdown false")
    for failing in (False, True):
        async with running(text) as pipe:
            await pipe.feed("a", {"n": 1})
        failures = int(failing)
        async with running(text, buffer=file_buffer(fsync=fsync)) as pipe:
            assert synced == []
            if failing:
                with pytest.raises(LogpipeError, match=r"buffer file .* cannot be written: Input/output error"):
                    await pipe.feed("a", {"n": 2})
            await pipe.feed("a", {"n": 2})
            assert synced == [str(tmp_path)]
            await pipe.feed("a", {"n": 3})
            assert synced == [str(tmp_path)]
            await pipe.flush()
            assert [record["n"] for record in sink(pipe).records] == [1, 2, 3]
        synced.clear()
