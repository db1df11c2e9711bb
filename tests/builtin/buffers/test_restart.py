"""What a run left in the buffer's files is delivered by the next, under its key, oldest first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest

from logpipe import LogpipeError, Receipt, Record
from logpipe.builtin.buffers.file import FileSingleBuffer
from logpipe.testing import ManualClock, settle
from tests.builtin.buffers.stages import conf, files, lines, running, sink

LONG = "flush_interval 1h"
NOON = 1_466_000_000_000_000_000 // 86_400_000_000_000 * 86_400_000_000_000 + 43_200_000_000_000


async def leave(text: str, *batches: tuple[str, Record], clock: ManualClock | None = None) -> None:
    """Run, take the batches, and stop without delivering them."""
    async with running(text, clock=clock) as pipe:
        sink(pipe).always = OSError("down")
        for tag, record in batches:
            await pipe.feed(tag, record)


async def test_chunks_are_delivered_by_the_next_run(tmp_path: Path) -> None:
    """In the order in which they were begun, with their tags, keys and times."""
    text = conf(tmp_path, LONG, arg="tag")
    await leave(text, ("b", {"n": 1}), ("a", {"n": 2}), ("b", {"n": 3}))
    async with running(text) as pipe:
        await pipe.flush()
        assert [(key.tag, [event.record["n"] for _, event in events]) for key, events in sink(pipe).chunks] == [
            ("b", [1, 3]),
            ("a", [2]),
        ]
    assert list(tmp_path.iterdir()) == []


async def test_stopping_delivers_where_that_is_asked_for(tmp_path: Path) -> None:
    """flush_at_shutdown is false for files unless it is set."""
    async with running(conf(tmp_path, f"{LONG}\nflush_at_shutdown true")) as pipe:
        await pipe.feed("a", {"n": 1})
        out = sink(pipe)
    assert out.records == [{"n": 1}]
    assert files(tmp_path) == []


async def test_what_is_being_delivered_is_waited_for(tmp_path: Path) -> None:
    """To break it off would deliver it twice; nothing else is begun."""
    async with running(conf(tmp_path, "flush_mode immediate")) as pipe:
        out = sink(pipe)
        out.open.clear()
        await pipe.feed("a", {"n": 1})
        await pipe.feed("a", {"n": 2})
        await pipe.wait_for(lambda: out.attempts == 1)
        pipe.graph.request_stop()
        await settle(50)
        out.open.set()
    assert out.records == [{"n": 1}]
    assert len(files(tmp_path)) == 1


async def test_a_chunk_that_was_not_full_takes_more_events(tmp_path: Path) -> None:
    """One chunk in the end, in one file, with one id."""
    text = conf(tmp_path, LONG)
    await leave(text, ("a", {"n": 1}))
    (before,) = files(tmp_path)
    await leave(text, ("b", {"n": 2}))
    assert files(tmp_path) == [before]
    async with running(text) as pipe:
        await pipe.feed("c", {"n": 3})
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == [1, 2, 3]
        assert sink(pipe).ids == [before.name.split(".")[1][1:]]


async def test_its_age_counts_from_when_it_was_begun(tmp_path: Path) -> None:
    """Half of flush_interval before the restart, half after it."""
    text, clock = conf(tmp_path, "flush_interval 60s"), ManualClock(start=NOON)
    await leave(text, ("a", {"n": 1}), clock=clock)
    clock = ManualClock(start=NOON + 40_000_000_000)
    async with running(text, clock=clock) as pipe:
        await clock.advance(18)
        assert sink(pipe).records == []
        await clock.advance(4)
        await pipe.wait_for(lambda: sink(pipe).records == [{"n": 1}])


async def test_a_time_slice_goes_on_after_a_restart(tmp_path: Path) -> None:
    """It stays staged, and leaves in one piece when it is over."""
    text = conf(tmp_path, "timekey 60s\ntimekey_wait 0s\ntimekey_use_utc true", arg="time")
    await leave(text, ("a", {"n": 1}), clock=ManualClock(start=NOON))
    clock = ManualClock(start=NOON + 20_000_000_000)
    async with running(text, clock=clock) as pipe:
        await pipe.feed("a", {"n": 2})
        await clock.advance(39)
        assert sink(pipe).chunks == []
        await clock.advance(3)
        await pipe.wait_for(lambda: len(sink(pipe).records) == 2)
        assert len(sink(pipe).chunks) == 1


async def test_other_chunk_keys_let_old_chunks_go_at_once(tmp_path: Path) -> None:
    """What was filled under other settings can never be added to."""
    await leave(conf(tmp_path, LONG, arg="tag"), ("a", {"n": 1}))
    async with running(conf(tmp_path, LONG, arg="n")) as pipe:
        await pipe.wait_for(lambda: sink(pipe).records == [{"n": 1}])
    await leave(conf(tmp_path, LONG), ("a", {"n": 2}))
    async with running(conf(tmp_path, LONG, kind="lines")) as pipe:
        await pipe.feed("a", {"n": 3})
        await pipe.wait_for(lambda: len(lines(pipe).ids) == 1)


async def test_what_another_output_encoded_is_never_thrown_away(tmp_path: Path) -> None:
    """An output that wants events gets no payloads: dead letters do."""
    head = f"<system>\nroot_dir {tmp_path}/root\n</system>\n"
    await leave(conf(tmp_path / "b", LONG, kind="lines"), ("a", {"n": 1}))
    async with running(conf(tmp_path / "b", LONG, head=head)) as pipe:
        await pipe.wait_for(lambda: list((tmp_path / "root").rglob("*.jsonl")))
        (saved,) = (tmp_path / "root").rglob("*.jsonl")
        assert b64decode(json.loads(saved.read_text())["payload"]) == b"a:1\n"
        assert sink(pipe).records == []


async def test_what_a_killed_repair_leaves_is_removed(tmp_path: Path) -> None:
    """It never took the chunk's place; files of other names stay."""
    await leave(conf(tmp_path, LONG), ("a", {"n": 1}))
    (file,) = files(tmp_path)
    unfinished, other = file.with_name(f"{file.name}.tmp"), tmp_path / "notes.tmp"
    unfinished.write_bytes(file.read_bytes())
    other.touch()
    async with running(conf(tmp_path, LONG)) as pipe:
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}]
        assert (unfinished.exists(), other.exists()) == (False, True)


async def test_empty_and_alien_files_are_no_reason_to_stop(tmp_path: Path) -> None:
    """Empty ones of ours go, others stay as they are."""
    text = conf(tmp_path, LONG)
    await leave(text, ("a", {"n": 1}))
    empty = tmp_path / f"buffer.c{'0' * 32}.log"
    empty.touch()
    alien = {
        "notes.txt": b"mine",
        "buffer.log": b"x",
        "buffer.cxyz.log": b"x",
        f"other.c{'1' * 32}.log": b"x",
        f"buffer.c{'1' * 31}.log": b"x",
    }
    for name, content in alien.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / f"buffer.c{'2' * 32}.log").mkdir()
    (tmp_path / f"buffer.c{'3' * 32}.log").symlink_to("/etc/passwd")
    async with running(text) as pipe:
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}]
    assert not empty.exists()
    assert {path.name for path in tmp_path.iterdir()} - {f"buffer.c{digit * 32}.log" for digit in "23"} == set(alien)
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize("memory", ["0", "32m"])
async def test_a_damaged_file_delivers_what_is_intact(memory: str, tmp_path: Path) -> None:
    """The rest goes to corrupt/ with a report, and is warned about; later files are not kept waiting."""
    text = conf(tmp_path, f"{LONG}\nmemory_limit_size {memory}", arg="tag")
    async with running(text) as pipe:
        await pipe.feed("a", *({"n": n} for n in range(5)))
        await pipe.feed("a", *({"n": n} for n in range(5, 10)))
        await pipe.feed("b", {"n": 10})
    damaged, whole = files(tmp_path)
    data = bytearray(damaged.read_bytes())
    data[data.index(b'{"n":2}') + 5] ^= 1
    damaged.write_bytes(data[: data.index(b'{"n":8}') + 3])
    async with running(text) as pipe:
        await pipe.flush()
        assert sorted(record["n"] for record in sink(pipe).records) == [0, 1, 3, 4, 5, 6, 7, 10]
        assert any("damaged in 2 places" in text for text in pipe.log.texts("warning"))
        assert pipe.metric("buffer_salvaged_records") == 7
        assert pipe.metric("buffer_damaged_records") == 3
    report = json.loads((tmp_path / "corrupt" / f"{damaged.name}.json").read_text())
    assert report["records_saved"] == 7
    assert report["records_lost"] == 3
    assert len(report["damages"]) == 2
    moved = tmp_path / "corrupt" / f"{damaged.name}.damaged"
    assert b'{"n":1}' in moved.read_bytes()
    assert moved.stat().st_mode & 0o777 == 0o644
    assert files(tmp_path) == []
    assert whole.name not in report["file"]


async def test_a_torn_chunk_takes_no_more_events(tmp_path: Path) -> None:
    """New ones go to a file of their own."""
    text = conf(tmp_path, LONG)
    await leave(text, ("a", {"n": 1}), ("a", {"n": 2}))
    (torn,) = files(tmp_path)
    torn.write_bytes(torn.read_bytes()[:-10])
    async with running(text) as pipe:
        await pipe.feed("a", {"n": 3})
        await pipe.flush()
        assert sorted(record["n"] for record in sink(pipe).records) == [1, 2, 3]
        assert len(sink(pipe).chunks) == 2


async def test_a_torn_chunk_overtakes_none_of_its_key(tmp_path: Path) -> None:
    """It takes no more events, so it is delivered at once: what was begun before it goes before it."""
    await leave(conf(tmp_path, f"{LONG}\nchunk_limit_records 1", arg="tag"), ("a", {"n": 1}), ("a", {"n": 2}))
    older, newer = files(tmp_path)
    with newer.open("ab") as file:
        file.write(b"\0" * 100)
    async with running(conf(tmp_path, LONG, arg="tag")) as pipe:
        await pipe.wait_for(lambda: len(sink(pipe).records) == 2)
        assert sink(pipe).records == [{"n": 1}, {"n": 2}]
        assert sink(pipe).ids == [file.name.split(".")[1][1:] for file in (older, newer)]


async def test_a_file_of_nonsense_is_moved_and_delivers_nothing(tmp_path: Path) -> None:
    """However much of it there is."""
    for size in (100, 17 << 20):
        name = f"buffer.c{size:032x}.log"
        (tmp_path / name).write_bytes(b"?" * size)
        async with running(conf(tmp_path, LONG)) as pipe:
            await pipe.flush()
            assert sink(pipe).attempts == 0
        assert files(tmp_path) == []
        kept = [path for path in (tmp_path / "corrupt").glob(f"{name}*") if path.suffix != ".json"]
        assert [path.stat().st_size for path in kept] == [size]


async def test_a_file_that_was_removed_is_said_to_be_gone(tmp_path: Path) -> None:
    """What is in memory of it is delivered all the same."""
    async with running(conf(tmp_path, f"{LONG}\nmemory_limit_size 30")) as pipe:
        await pipe.feed("a", {"n": 1})
        await pipe.feed("a", {"n": 2, "pad": "x" * 50})
        (file,) = files(tmp_path)
        file.unlink()
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}]
        assert any("was removed, and 1 events" in text for text in pipe.log.texts("error"))


async def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    """What was in it and not in memory is gone, and said to be; everything after it is stored and delivered."""
    folder = tmp_path / "deep" / "buffer"
    async with running(conf(folder, f"{LONG}\nmemory_limit_size 0", arg="tag")) as pipe:
        await pipe.feed("a", {"n": 1})
        shutil.rmtree(folder.parent)
        settled: list[int] = []
        receipt = Receipt(lambda: settled.append(1))
        await pipe.feed("a", {"n": 2}, receipt=receipt)
        receipt.release()
        await pipe.wait_for(lambda: settled == [1])
        await pipe.feed("b", {"n": 3})
        assert len(files(folder)) == 2
        await pipe.flush()
        assert sorted(record["n"] for record in sink(pipe).records) == [2, 3]
        assert any("was removed" in said for said in pipe.log.texts("error"))


async def test_a_file_that_somebody_else_wrote_to_is_left_alone(tmp_path: Path) -> None:
    """What was accepted is delivered, new events go elsewhere."""
    async with running(conf(tmp_path, f"{LONG}\nmemory_limit_size 0")) as pipe:
        await pipe.feed("a", {"n": 1})
        (file,) = files(tmp_path)
        with file.open("ab") as other:
            other.write(b"from elsewhere")
        sink(pipe).always = OSError("down")
        with pytest.raises(LogpipeError, match="cannot be written"):
            await pipe.feed("a", {"n": 2})
        await pipe.feed("a", {"n": 2})
        assert len(files(tmp_path)) == 2
        assert file.read_bytes().endswith(b"from elsewhere")
        sink(pipe).always = None
        await pipe.flush()
        assert [record["n"] for record in sink(pipe).records] == [1, 2]


async def test_workers_have_folders_of_their_own(tmp_path: Path) -> None:
    """And worker 0 takes over what a single worker left."""
    text = conf(tmp_path, LONG)
    await leave(text, ("a", {"n": 1}))
    several = "<system>\nworkers 2\n</system>\n" + text
    async with running(several, worker_id=1) as pipe:
        await pipe.feed("a", {"n": 2})
        assert sink(pipe).records == []
    assert len(files(tmp_path / "worker1")) == 1
    async with running(several, worker_id=0) as pipe:
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}]
    assert files(tmp_path) == []


async def test_root_dir_gives_a_named_output_its_folder(tmp_path: Path) -> None:
    """As in fluentd: ROOT/workerN/ID/buffer."""
    text = conf(None, LONG, head=f"<system>\nroot_dir {tmp_path}\n</system>\n")
    await leave(text, ("a", {"n": 1}))
    assert len(files(tmp_path / "worker0" / "out" / "buffer")) == 1
    async with running(text) as pipe:
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}]


async def test_a_prefix_names_the_files(tmp_path: Path) -> None:
    """`name.*.ext`, `name.*`, and an existing file as a prefix."""
    (tmp_path / "there").touch()
    cases = {
        "a.*.buf": "a.c*.buf",
        "b.*": "b.c*.log",
        "c.*.": "c.c*.",
        "there": "there.c*.log",
        "new": "new/buffer.c*.log",
    }
    for path, pattern in cases.items():
        text = conf(tmp_path / path, LONG)
        await leave(text, ("a", {"n": 1}))
        assert len(files(tmp_path, pattern)) == 1, path
        async with running(text) as pipe:
            await pipe.flush()
            assert sink(pipe).records == [{"n": 1}]
        assert files(tmp_path, pattern) == []


async def test_file_single_has_names_of_its_own(tmp_path: Path) -> None:
    """Everything else is the same."""
    text = conf(tmp_path, LONG, buffer="file_single", arg="tag")
    async with running(text, buffer=FileSingleBuffer) as pipe:
        await pipe.feed("a", {"n": 1})
    assert len(files(tmp_path, "fsb.c*.buf")) == 1
    async with running(text, buffer=FileSingleBuffer) as pipe:
        await pipe.flush()
        assert [(key.tag, len(events)) for key, events in sink(pipe).chunks] == [("a", 1)]


async def test_the_first_chunk_leaves_before_the_others_are_read(tmp_path: Path) -> None:
    """However many wait: a file is checked when its turn comes."""
    text = conf(tmp_path, f"{LONG}\nchunk_limit_records 1")
    await leave(text, *(("a", {"n": n}) for n in range(20)))
    for file in files(tmp_path)[1:]:
        file.write_bytes(b"?" * 300)
    async with running(text) as pipe:
        out = sink(pipe)
        await pipe.wait_for(lambda: out.records == [{"n": 0}])
        await pipe.flush()
        assert out.records == [{"n": 0}]
    assert len(list((tmp_path / "corrupt").glob("*.json"))) == 19


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """With a clear message; the first goes on."""
    text = conf(tmp_path / "b", LONG)
    config = tmp_path / "second.conf"
    buffer = f"<buffer>\n@type file\npath {tmp_path}/b\n</buffer>"
    config.write_text(f"<match **>\n@type stdout\n{buffer}\n</match>\n")
    async with running(text) as pipe:
        await pipe.feed("a", {"n": 1})
        second = subprocess.run(
            [sys.executable, "-m", "logpipe", "-c", str(config)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode != 0
        said = second.stdout + second.stderr
        assert f"buffer {tmp_path}/b is in use by another process (pid {os.getpid()}" in said
        assert "Traceback" not in said
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}]
    await settle()
    assert not (tmp_path / "b" / "buffer.lock").exists()
