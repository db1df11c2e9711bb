"""Dead letters: events that nothing takes are in files, each with all that replaying it needs."""

from __future__ import annotations

import asyncio
import math
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logpipe import Chunk, ChunkKey, Filter, Options, Output, Receipt, Record, Time
from logpipe.engine.dead_letters import queue
from logpipe.engine.dead_letters.files import DeadLetterFiles
from logpipe.engine.dead_letters.letters import Culprit, Letter, decode, encode
from logpipe.testing import ManualClock, Pipeline, pipeline, settle

OWN_LOG = "<label @FLUENT_LOG>\n<match **>\n@type test\nname own\n</match>\n</label>\n"
TEXT = OWN_LOG + "<filter **>\n@type touchy\n@id t\n</filter>\n<match **>\n@type test\n</match>\n"


class Touchy(Filter[Options], type="touchy"):
    """Handles nothing that is marked."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        if "bad" in record:
            raise ValueError(f"{tag} at {time} is marked")
        return record


class Keeping(Output[Options], type="keeping"):
    """Keeps what its buffer delivers."""

    async def write(self, chunk: Chunk) -> None:
        """Take it."""


async def test_an_event_that_goes_to_no_error_label_is_in_a_file() -> None:
    """With its tag, its time, the plugin and the reason; the log has it too, as with fluentd."""
    async with pipeline(TEXT, Touchy) as running:
        await running.feed("a", {"n": 1}, {"bad": b"\xff"}, {"n": 2}, times=[1, 2, 3])
        await running.wait_for(running.dead_letters)
    (letter,) = running.dead_letters()
    assert (letter.tag, letter.time, letter.record) == ("a", 2, {"bad": b"\xff"})
    assert letter.culprit == Culprit("filter", "touchy", "t", "@ROOT")
    assert (letter.error_class, letter.reason) == ("ValueError", "a at 2 is marked")
    assert sum("dump an error event" in text for _, text in running.log.messages) == 1


async def test_the_receipt_settles_when_the_letter_is_on_disk() -> None:
    """Not before: the source is all that a crash would leave."""
    settled: list[int] = []
    async with pipeline(TEXT, Touchy) as running:
        receipt = Receipt(lambda: settled.append(len(running.dead_letters())))
        await running.feed("a", {"bad": 1}, receipt=receipt)
        receipt.release()
        assert settled == []
        await running.wait_for(lambda: settled)
        assert settled == [1]


async def test_a_letter_that_cannot_be_written_is_kept_and_tried_again(tmp_path: Path) -> None:
    """Other events go on meanwhile; its receipt settles when there is room for it."""
    obstacle = tmp_path / "backup"
    obstacle.write_text("a file stands in the way")
    settled: list[int] = []
    clock = ManualClock()
    async with pipeline(f"<system>\nroot_dir {tmp_path}\n</system>\n{TEXT}", Touchy, clock=clock) as running:
        receipt = Receipt(lambda: settled.append(1))
        await running.feed("a", {"bad": 1}, {"n": 1}, receipt=receipt)
        receipt.release()
        assert running.records() == [{"n": 1}]
        await running.wait_for(lambda: "They are kept" in " ".join(running.log.texts("error")))
        assert not settled
        obstacle.unlink()
        await clock.advance(60)
        await running.wait_for(lambda: settled)
        letters = running.dead_letters()
    assert [letter.record for letter in letters] == [{"bad": 1}]


async def test_a_letter_that_was_half_written_is_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk fills up in the middle of it: that half is taken back, or else it takes no other letter with it."""
    write, cut = os.writev, os.ftruncate
    sound, cuts = True, True

    def writev(descriptor: int, pieces: list[bytes]) -> int:
        if sound or ".jsonl" not in _name(descriptor):
            return write(descriptor, pieces)
        write(descriptor, [b"".join(pieces)[:30]])
        raise OSError(28, "No space left on device")

    def ftruncate(descriptor: int, size: int) -> None:
        if not cuts:
            raise OSError(5, "Input/output error")
        cut(descriptor, size)

    monkeypatch.setattr(os, "writev", writev)
    monkeypatch.setattr(os, "ftruncate", ftruncate)
    settled: list[int] = []
    clock = ManualClock()
    async with pipeline(f"<system>\nroot_dir {tmp_path}\n</system>\n{TEXT}", Touchy, clock=clock) as running:

        async def feed(number: int) -> None:
            receipt = Receipt(lambda: settled.append(number))
            await running.feed("a", {"bad": number}, receipt=receipt)
            receipt.release()

        async def failed(times: int) -> None:
            await running.wait_for(lambda: " ".join(running.log.texts("error")).count("They are kept") >= times)

        await feed(1)
        await running.wait_for(lambda: settled == [1])
        (file,) = tmp_path.rglob("*.jsonl")
        whole, sound = file.read_bytes(), False
        await feed(2)
        await failed(1)
        assert file.read_bytes() == whole
        cuts = False
        await clock.advance(60)
        await failed(2)
        assert file.read_bytes() != whole
        sound = True
        await clock.advance(60)
        await running.wait_for(lambda: settled == [1, 2])
        lines = file.read_bytes().splitlines()
        file.write_bytes(whole)  # the harness reads it, and expects letters only
    assert [decode(line).record for line in (lines[0], lines[-1])] == [{"bad": 1}, {"bad": 2}]
    assert len(lines) > 2


async def test_a_letter_is_safe_when_its_receipt_settles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes, and where the file is new the file's name."""
    synced: list[str] = []
    for call in ("fsync", "fdatasync"):
        sync = getattr(os, call)
        monkeypatch.setattr(
            os, call, lambda descriptor, sync=sync: (sync(descriptor), synced.append(_name(descriptor)))
        )
    settled: list[list[str]] = []
    async with pipeline(f"<system>\nroot_dir {tmp_path}\n</system>\n{TEXT}", Touchy) as running:
        for number in (1, 2):
            receipt = Receipt(lambda: settled.append(synced.copy()))
            await running.feed("a", {"bad": number}, receipt=receipt)
            receipt.release()
            await running.wait_for(lambda count=number: len(settled) == count)
            (file,) = tmp_path.rglob("*.jsonl")
            new = [str(file.parent)] if number == 1 else []
            assert settled[-1][-1 - len(new) :] == [*new, str(file)]
            synced.clear()
    assert len(settled) == 2


def _name(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


async def test_a_letter_that_was_never_written_stays_owed_to_its_source(tmp_path: Path) -> None:
    """At the end, too: the source is read again by the next run. Nobody else waits for it."""
    (tmp_path / "backup").write_text("a file stands in the way")
    settled: list[int] = []
    system = f"<system>\nroot_dir {tmp_path}\nshutdown_timeout 0\n</system>\n"
    healthy = "<match b>\n@type keeping\n<buffer>\nflush_mode immediate\n</buffer>\n</match>\n"
    async with pipeline(f"{system}{healthy}{TEXT}", Touchy, Keeping) as running:
        receipt = Receipt(lambda: settled.append(1))
        await running.feed("a", {"bad": 1}, receipt=receipt)
        receipt.release()
        await running.feed("b", {"n": 1})
        await running.wait_for(lambda: running.metric("write_count"))
    assert not settled
    assert any("1 error events went neither to @ERROR nor to a file" in text for text in running.log.texts("error"))


async def test_inputs_wait_while_too_many_letters_do(tmp_path: Path) -> None:
    """What cannot be written is bounded in memory, even where nothing but errors comes."""
    (tmp_path / "backup").write_text("a file stands in the way")
    system = f"<system>\nroot_dir {tmp_path}\nshutdown_timeout 0\n</system>\n"
    async with pipeline(f"{system}{TEXT}", Touchy) as running:
        await running.feed("a", *[{"bad": 1}] * 10_000)
        async with asyncio.TaskGroup() as group:
            more = group.create_task(running.feed("a", {"bad": 2}))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not more.done()
            (tmp_path / "backup").unlink()


async def test_inputs_wait_while_letters_take_too_much_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few they are; and no longer than that."""
    monkeypatch.setattr(queue, "MOST_WAITING_BYTES", 1000)
    (tmp_path / "backup").write_text("a file stands in the way")
    system = f"<system>\nroot_dir {tmp_path}\nshutdown_timeout 0\n</system>\n"
    async with pipeline(f"{system}{TEXT}", Touchy) as running:
        await running.feed("a", {"bad": 1})
        await running.feed("a", {"bad": "x" * 1000})
        async with asyncio.TaskGroup() as group:
            more = group.create_task(running.feed("a", {"bad": 2}))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not more.done()
            (tmp_path / "backup").unlink()
        await running.wait_for(lambda: len(running.dead_letters()) == 3)
        await running.feed("a", {"bad": 3})


async def test_letters_that_cannot_be_written_are_tried_again_ever_later(tmp_path: Path) -> None:
    """After twice the pause each time, and after ten seconds at most."""
    clock = ManualClock()
    (tmp_path / "backup").write_text("a file stands in the way")
    system = f"<system>\nroot_dir {tmp_path}\n</system>\n"
    async with pipeline(f"{system}{TEXT}", Touchy, clock=clock) as running:
        await running.feed("a", {"bad": 1})
        for count in range(1, 11):
            await running.wait_for(lambda: len(pauses(running)) >= count)  # noqa: B023 - it is used at once
            await settle()
            await clock.advance(10)
        (tmp_path / "backup").unlink()
        await running.wait_for(lambda: len(pauses(running)) > 10)
        assert pauses(running)[:10] == [0, 0, 0, 1, 2, 3, 6, 10, 10, 10]
        await settle()
        await clock.advance(10)
        await running.wait_for(running.dead_letters)


def pauses(running: Pipeline) -> list[int]:
    """Return the seconds, rounded, that letters were said to wait before they are tried again."""
    said = "".join(running.log.texts("error"))
    return [int(seconds) for seconds in re.findall(r"tried again in (\d+) seconds", said)]


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it could read the events, or put others in their place."""
    if os.getuid() == 0:
        os.chown(tmp_path, 4321, -1)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    files = DeadLetterFiles(tmp_path, 0, ManualClock())
    with pytest.raises(PermissionError, match="belongs to user"):
        files.append([b"{}\n"], "p")


def test_a_file_that_was_taken_away_is_made_anew(tmp_path: Path) -> None:
    """What replays a file renames it first; the next letters go to another."""
    files = DeadLetterFiles(tmp_path, 0, ManualClock())
    first = files.append([b"1\n"], "p")
    first.rename(first.with_suffix(".replaying"))
    second = files.append([b"2\n"], "p")
    assert second.read_bytes() == b"2\n"
    assert first.with_suffix(".replaying").read_bytes() == b"1\n"


@pytest.mark.parametrize("plugin_id", ["../../etc", "a/b", ".", "..", "", "x:y|z"])
def test_an_id_is_no_path(tmp_path: Path, plugin_id: str) -> None:
    """Letters stay below the backup folder whatever a plugin is called."""
    path = DeadLetterFiles(tmp_path, 0, ManualClock()).append([b"{}\n"], plugin_id)
    assert path.parent.parent == tmp_path / "backup" / "worker0"


NAMES = st.text() | st.sampled_from(["$bytes", "$$bytes"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(record=st.dictionaries(NAMES, VALUES, max_size=4), time=st.integers(-(2**62), 2**62), tag=st.text())
def test_a_letter_comes_back_as_it_was(record: Record, time: int, tag: str) -> None:
    """Any record: surrogates, bytes and what looks like them, integers of any size."""
    letter = Letter(1, Culprit("filter", "t", "i", "@L"), "why", "E", tag, time, record)
    line = encode(letter)
    assert line.count(b"\n") == 1
    assert decode(line) == letter


def test_payloads_and_keys_come_back() -> None:
    """With what their chunk had in common."""
    key = ChunkKey(1_500_000_000, "t", (("$.a", 1), ("b", None)))
    letter = Letter(
        1, Culprit("output", "t", "i", "@ROOT"), "why", "E", "t", payload=b"\x00\xff", chunk_id="ab", key=key
    )
    assert decode(encode(letter)) == letter


def test_what_json_cannot_hold_is_kept_as_text() -> None:
    """Records that are nested without end, hold themselves, or objects, are still letters."""
    deep: Record = {}
    for _ in range(100_000):
        deep = {"d": deep}
    circle: Record = {"n": 1}
    circle["self"] = circle
    for record in (deep, circle, {"o": object()}, {"nan": math.nan}, {1: 2}):
        letter = decode(encode(Letter(1, Culprit("filter", "t", "i"), "why", "E", "t", 1, record)))
        assert letter.record is not None
        assert len(letter.record) == len(record)
        assert letter.record.get("n") == record.get("n"), "what it can hold stays as it is"


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"3", b"{}", b'{"at_ns": 1}', b"\xff", b"null"])
def test_what_is_no_letter_is_refused(line: bytes) -> None:
    """With a ValueError, whatever it is."""
    with pytest.raises(ValueError, match="not a dead letter"):
        decode(line)
