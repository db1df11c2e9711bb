"""`logpipe buffer export`: chunks as fluentd finds them, when it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe.testing import ManualClock
from tests.builtin.buffers.stages import conf, files, lines, running, sink
from tests.cli.chunk_files import LONG, SECOND, Run, damage, fill
from tests.fluentd_folder import resume_file, resume_single

START = 1_700_000_000 * SECOND
HOSTILE = "../../etc/passwd~\n\0%2e é"


async def test_chunks_become_queued_ones_of_fluentds(tmp_path: Path, buffer: Run) -> None:
    """With their key, their time to the nanosecond and their number; ours are as they were."""
    folder = await fill(tmp_path / "ours")
    before = {file: file.read_bytes() for file in files(folder)}
    done = buffer("export", "--fluentd", tmp_path / "theirs", folder)
    assert done.status == 0, done
    assert "2 chunks, 4 records written for fluentd: ours stay" in done.out
    found = resume_file(tmp_path / "theirs")
    assert [(chunk.queued, chunk.size, chunk.metadata["tag"]) for chunk in found] == [(True, 2, "a"), (True, 2, "b")]
    assert [chunk.events for chunk in found] == [
        [(START, {"n": 0}), (START + 2, {"n": 2})],
        [(START + 1, {"n": 1}), (START + 3, {"n": 3})],
    ]
    assert [chunk.id.hex() for chunk in found] == [file.name.split(".")[1][1:] for file in before]
    assert {file: file.read_bytes() for file in files(folder)} == before


async def test_they_can_be_moved_in_place(tmp_path: Path, buffer: Run) -> None:
    """Then logpipe has them no more, but for fluentd's: it takes those over again as any."""
    folder = await fill(tmp_path / "ours")
    assert buffer("export", "--in-place", "--move", folder).status == 0
    assert files(folder) == []
    assert [chunk.size for chunk in resume_file(folder)] == [2, 2]
    again = buffer("export", "--in-place", "--move", folder)
    assert again.status == 0
    assert again.out.count("fluentd's already") == 2
    async with running(conf(folder, LONG, arg="tag")) as pipe:
        await pipe.wait_for(lambda: len(sink(pipe).chunks) == 2)
        assert [(key.tag, len(events)) for key, events in sink(pipe).chunks] == [("a", 2), ("b", 2)]
    assert files(folder, "*.q*") == []


async def test_a_configuration_names_all_its_buffers(tmp_path: Path, buffer: Run) -> None:
    """Each beside its own chunks; into one folder they would be mixed."""
    texts = []
    for name in ("one", "two"):
        await fill(tmp_path / name)
        text = f"<buffer tag>\n@type file\npath {tmp_path / name}\n</buffer>"
        texts.append(f"<match {name}>\n@type http\n@id {name}\nendpoint http://127.0.0.1/\n{text}\n</match>")
    config = tmp_path / "td.conf"
    config.write_text("\n".join(texts))
    refused = buffer("export", "--fluentd", tmp_path / "theirs", "-c", config)
    assert refused.status == 2
    assert "several buffers" in refused.err
    assert not (tmp_path / "theirs").exists()
    assert buffer("export", "--in-place", "-c", config).status == 0
    assert [len(resume_file(tmp_path / name)) for name in ("one", "two")] == [2, 2]


@pytest.mark.parametrize(("arg", "field"), [("", ""), ("k", "k")])
async def test_file_single_has_its_key_in_the_name(arg: str, field: str, tmp_path: Path, buffer: Run) -> None:
    """Whatever is in it: no value of an event is a path."""
    text = conf(tmp_path / "ours", LONG, arg=arg, buffer="file_single")
    async with running(text) as pipe:
        await pipe.feed("t", {"k": HOSTILE, "n": 1}, {"k": "b", "n": 2})
    theirs = tmp_path / "deep/theirs"
    assert buffer("export", "--fluentd", theirs, tmp_path / "ours").status == 0
    found = resume_single(theirs, field=field)
    if arg:
        assert {chunk.metadata["variables"]["k"]: chunk.events[0][1]["n"] for chunk in found} == {HOSTILE: 1, "b": 2}
    else:
        assert [len(chunk.events) for chunk in found] == [2]
    assert not list(theirs.glob("*.meta")), "fluentd would leave them behind"
    assert {path.name for path in tmp_path.iterdir()} == {"ours", "deep"}
    assert {path.name for path in theirs.parent.iterdir()} == {"theirs"}


async def test_a_name_that_no_file_can_have_is_said(tmp_path: Path, buffer: Run) -> None:
    """The other chunks are written, and this one stays."""
    async with running(conf(tmp_path, LONG, arg="k", buffer="file_single")) as pipe:
        await pipe.feed("t", {"k": "x" * 300}, {"k": "fine"})
    done = buffer("export", "--in-place", "--move", tmp_path)
    assert done.status == 1
    assert "not exported" in done.out
    assert "too long" in done.out
    assert [chunk.metadata["variables"]["k"] for chunk in resume_single(tmp_path, field="k")] == ["fine"]
    assert len(files(tmp_path, "*.c*.buf")) == 1


async def test_what_an_output_encoded_stays_as_it_is(tmp_path: Path, buffer: Run) -> None:
    """Fluentd's outputs with a format store its result, too."""
    async with running(conf(tmp_path, LONG, arg="tag", kind="lines")) as pipe:
        lines(pipe).always = OSError("down")
        await pipe.feed("t", {"n": 1}, {"n": 2})
    assert buffer("export", "--in-place", tmp_path).status == 0
    (chunk,) = resume_file(tmp_path)
    assert (chunk.content, chunk.size) == (b"t:1\nt:2\n", 2)


async def test_a_compressed_chunk_stays_compressed(tmp_path: Path, buffer: Run) -> None:
    """Then fluentd's buffer has the same setting, and reads members."""
    async with running(conf(tmp_path, f"{LONG}\ncompress gzip", arg="tag")) as pipe:
        await pipe.feed("t", {"n": 1})
        await pipe.feed("t", {"n": 2})
    assert buffer("export", "--in-place", tmp_path).status == 0
    (chunk,) = resume_file(tmp_path, compress="gzip")
    assert [record for _, record in chunk.events] == [{"n": 1}, {"n": 2}]


async def test_any_event_that_was_stored_is_written(tmp_path: Path, buffer: Run) -> None:
    """Bytes, lone surrogates and times past all clocks; what MessagePack has no form for is text."""
    records = [{"b": b"\xff"}, {"s": "\udc80"}, {"i": 1 << 70}, {"old": True}, {1: 2.5}]
    times = [START, START + 1, START + 2, -SECOND, 1 << 63]
    text = conf(tmp_path, f"{LONG}\ntimekey 1d", arg="time,tag,n")
    async with running(text, clock=ManualClock(start=START)) as pipe:
        await pipe.feed("t", *records, times=times)
    assert buffer("export", "--in-place", tmp_path).status == 0
    found = resume_file(tmp_path)
    events = [event for chunk in found for event in chunk.events]
    expected = [{"b": b"\xff"}, {"s": "\udc80"}, {"i": str(1 << 70)}, {"old": True}, {1: 2.5}]
    assert sorted(map(repr, (record for _, record in events))) == sorted(
        repr({"s": "\udced\udcb2\udc80"} if "s" in record else record)  # as UTF-8 has a lone surrogate
        for record in expected
    )
    assert sorted(time for time, _ in events) == sorted([*times[:4], (1 << 63) // SECOND * SECOND])
    assert all(chunk.metadata["variables"] == {"n": None} for chunk in found)


async def test_damage_is_repaired_first(tmp_path: Path, buffer: Run) -> None:
    """So that nothing of it is lost sight of."""
    folder = await fill(tmp_path)
    damage(files(folder)[0], 100)
    done = buffer("export", "--in-place", "--move", folder)
    assert done.status == 1
    assert "repair it first" in done.out
    assert (len(resume_file(folder)), len(files(folder))) == (1, 1)
    assert buffer("repair", "--apply", folder).status == 0
    assert buffer("export", "--in-place", "--move", folder).status == 0
    assert (len(resume_file(folder)), files(folder)) == (2, [])


async def test_not_while_logpipe_runs(tmp_path: Path, buffer: Run) -> None:
    """It may be writing to the chunk."""
    async with running(conf(tmp_path, LONG, arg="tag")) as pipe:
        await pipe.feed("t", {"n": 1})
        refused = buffer("export", "--in-place", tmp_path)
    assert refused.status == 2
    assert "in use by another process" in refused.err


def test_where_to_is_asked_for(tmp_path: Path, buffer: Run) -> None:
    """A folder, or the chunks' own."""
    with pytest.raises(SystemExit):
        buffer("export", tmp_path)
