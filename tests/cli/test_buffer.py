"""`logpipe buffer`: what it shows of chunks and of damage, also while an engine works on them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from logpipe.builtin.buffers.file import inspection
from logpipe.cli import main
from tests.builtin.buffers.stages import conf, files, running, sink
from tests.builtin.buffers.test_fluentd_chunks import event, leave
from tests.cli.chunk_files import LONG, SECOND, Done, Run, damage, fill
from tests.cli.test_command_line import environment


async def test_ls_shows_each_chunk(buffer: Run, tmp_path: Path) -> None:
    """Oldest first, with what its events share; the newest of a key may still take events."""
    await fill(tmp_path)
    done = buffer("ls", tmp_path, "--format", "json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [(row["tag"], row["key"], row["state"], row["records"], row["damage"]) for row in rows] == [
        ("a", {"tag": "a"}, "staged", 2, ""),
        ("b", {"tag": "b"}, "staged", 2, ""),
    ]
    assert [row["chunk"] in file.name for row, file in zip(rows, files(tmp_path), strict=True)] == [True, True]
    assert [row["bytes"] for row in rows] == [file.stat().st_size for file in files(tmp_path)]
    assert rows[0]["created"] == 1_700_000_000

    text = buffer("ls", tmp_path)
    assert (text.status, text.err) == (0, "")
    assert f"{tmp_path}: 2 chunks, 4 records" in text.out
    assert "tag=a" in text.out


async def test_ls_tells_time_slices_fields_and_older_chunks(buffer: Run, tmp_path: Path) -> None:
    """A chunk behind which another of its key was begun takes nothing more."""
    text = conf(tmp_path, "timekey 60\ntimekey_use_utc true\nchunk_limit_records 1", arg="time,$.k.app")
    async with running(text) as pipe:
        sink(pipe).always = OSError("down")
        await pipe.feed("x", {"k": {"app": "y"}}, times=[600 * SECOND])
        await pipe.feed("x", {"k": {}}, times=[600 * SECOND])
        await pipe.feed("x", {"k": {"app": "y"}}, times=[601 * SECOND])
    rows = [json.loads(line) for line in buffer("ls", tmp_path, "--format", "json").out.splitlines()]
    assert [(row["key"], row["state"]) for row in rows] == [
        ({"timekey": 600, "$.k.app": "y"}, "queued"),
        ({"timekey": 600, "$.k.app": None}, "staged"),
        ({"timekey": 600, "$.k.app": "y"}, "staged"),
    ]


async def test_ls_is_safe_to_look_at(buffer: Run, tmp_path: Path) -> None:
    """What somebody logged is no message to the terminal; slices are moments."""
    text = conf(tmp_path, "timekey 1h\ntimekey_use_utc true", arg="time,tag,k")
    async with running(text) as pipe:
        await pipe.feed("a\udcff", {"k": "\x1b[31mred\n"}, times=[3600 * SECOND])
    (row,) = buffer("ls", tmp_path).out.splitlines()[2:]
    assert r"timekey=1970-01-01T01:00:00Z tag=a\udcff k=\x1b[31mred\n" in row


async def test_cat_prints_events(buffer: Run, tmp_path: Path) -> None:
    """As JSON, one a line; `--chunk` and `--limit` narrow it."""
    await fill(tmp_path)
    lines = [json.loads(line) for line in buffer("cat", tmp_path).out.splitlines()]
    assert lines[0] == {"time": "2023-11-14T22:13:20.000000000Z", "tag": "a", "record": {"n": 0}}
    assert [line["record"]["n"] for line in lines] == [0, 2, 1, 3]
    assert lines[1]["time"] == "2023-11-14T22:13:20.000000002Z"
    limited = buffer("cat", tmp_path, "--limit", 3)
    assert len(limited.out.splitlines()) == 3
    second = files(tmp_path)[1]
    for named in ([second], [tmp_path, "--chunk", second.name.split(".")[1][1:]]):
        assert [json.loads(line)["tag"] for line in buffer("cat", *named).out.splitlines()] == ["b", "b"]


async def test_cat_prints_what_json_cannot_hold(buffer: Run, tmp_path: Path) -> None:
    """Bytes, huge integers, times outside the calendar."""
    async with running(conf(tmp_path, LONG)) as pipe:
        await pipe.feed("x", {"b": b"\xff", "i": 1 << 80}, times=[-(1 << 62)])
    (line,) = buffer("cat", tmp_path).out.splitlines()
    assert json.loads(line)["record"] == {"b": "\ufffd", "i": 1 << 80}


async def test_cat_gives_payloads_as_they_are(buffer: Run, tmp_path: Path) -> None:
    """With a note beside them."""
    await fill(tmp_path, kind="lines")
    done = buffer("cat", tmp_path)
    assert done.out == "a:0\na:2\nb:1\nb:3\n"
    assert "own encoding" in done.err


async def test_a_reader_that_has_seen_enough_is_no_mistake(tmp_path: Path) -> None:
    """`logpipe buffer cat … | head`."""
    async with running(conf(tmp_path, LONG)) as pipe:
        for _ in range(20):
            await pipe.feed("x", *({"n": n, "pad": "x" * 100} for n in range(1000)))
    command = f"{sys.executable} -m logpipe buffer cat {tmp_path} | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False, text=True, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["record"]["n"] == 0


async def test_verify_names_place_and_count(buffer: Run, tmp_path: Path) -> None:
    """The status is 1 where anything is damaged."""
    await fill(tmp_path)
    whole = buffer("verify", tmp_path)
    assert whole.status == 0
    assert whole.out.endswith("2 chunks, 4 records intact, 0 chunks damaged\n")
    broken, _ = files(tmp_path)
    damage(broken, broken.stat().st_size // 4)
    done = buffer("verify", tmp_path)
    assert done.status == 1
    assert f"{broken}: DAMAGED, 1 records intact" in done.out or f"{broken}: DAMAGED, 2 records intact" in done.out
    assert "are damaged:" in done.out
    assert done.out.endswith("1 chunks damaged\n")


async def test_while_an_engine_runs(buffer: Run, tmp_path: Path) -> None:
    """Reading works, repair is refused and names the process; the engine notices nothing."""
    async with running(conf(tmp_path, LONG, arg="tag")) as pipe:
        await pipe.feed("a", {"n": 1})
        assert f"in use by process {os.getpid()}" in buffer("ls", tmp_path).out
        assert len(buffer("cat", tmp_path).out.splitlines()) == 1
        assert buffer("verify", tmp_path).status == 0
        refused = buffer("repair", tmp_path)
        assert refused.status == 2
        assert f"pid {os.getpid()}" in refused.err
        await pipe.flush()
        assert sink(pipe).records == [{"n": 1}]
    assert "in use" not in buffer("ls", tmp_path).out


async def test_what_is_being_written_is_no_damage(buffer: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that becomes whole while it is looked at."""
    await fill(tmp_path)
    file, _ = files(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    pauses: list[float] = []

    def go_on(seconds: float) -> None:
        pauses.append(seconds)
        file.write_bytes(content)

    clock = SimpleNamespace(time=time.time, monotonic=time.monotonic, sleep=go_on)
    monkeypatch.setattr(inspection, "time", clock)
    assert buffer("verify", tmp_path).status == 0
    assert len(pauses) == 1


async def test_a_chunk_that_is_delivered_meanwhile_is_left_out(
    buffer: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone between the look at the folder and the look at the file."""
    await fill(tmp_path)
    gone, _ = files(tmp_path)
    stay = os.open

    def vanish(path: str, *more: int) -> int:
        gone.unlink(missing_ok=True)
        return stay(path, *more)

    for command, expected in (("verify", "1 chunks, 2 records"), ("ls", "1 chunks, 2 records"), ("cat", '"tag":"b"')):
        kept = gone.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", vanish)
            done = buffer(command, tmp_path)
        assert done.status == 0
        assert expected in done.out
        gone.write_bytes(kept)


def test_chunks_of_fluentd(buffer: Run, tmp_path: Path) -> None:
    """States by their names, keys and ages by their meta files; compressed ones too."""
    leave(tmp_path, 1, event(1) + event(2), state="q", meta={"tag": "a.x", "timekey": 60, "variables": {"k": "v"}})
    leave(tmp_path, 2, gzip.compress(event(3)) + gzip.compress(event(4)), meta={"tag": "b"})
    rows = [json.loads(line) for line in buffer("ls", tmp_path, "--format", "json").out.splitlines()]
    assert [(row["state"], row["tag"], row["records"], row["created"], row["note"]) for row in rows] == [
        ("queued", "a.x", 2, 1466000000, "fluentd's"),
        ("staged", "b", 2, 1466000000, "fluentd's"),
    ]
    assert rows[0]["key"] == {"timekey": 60, "tag": "a.x", "k": "v"}
    events = [json.loads(line) for line in buffer("cat", tmp_path).out.splitlines()]
    assert [(each["tag"], each["record"]["n"]) for each in events] == [("a.x", 1), ("a.x", 2), ("b", 3), ("b", 4)]
    assert buffer("verify", tmp_path).status == 0


async def test_file_single_and_folders_in_folders(buffer: Run, tmp_path: Path) -> None:
    """Whatever buffers are below a folder are found, each by itself."""
    await fill(tmp_path / "one", buffer="file_single")
    single = leave(tmp_path / "one", 1, event(7), name="fsb.app%2Fx")
    single.rename(single.with_suffix(".buf"))
    await fill(tmp_path / "deep" / "two")
    rows = [json.loads(line) for line in buffer("ls", tmp_path, "--format", "json").out.splitlines()]
    assert [(Path(row["folder"]).name, row["tag"]) for row in rows] == [
        ("two", "a"),
        ("two", "b"),
        ("one", "app/x"),
        ("one", "a"),
        ("one", "b"),
    ]


async def test_a_configuration_names_its_buffers(buffer: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every worker's, also under root_dir; outputs without files have none."""
    monkeypatch.setenv("FLUENT_BACKUP_DIR", str(tmp_path / "backup"))  # where no other test leaves dead letters
    text = f"""
<system>
  root_dir {tmp_path}/root
  workers 2
</system>
<match a>
  @type stdout
  @id first
  <buffer tag>
    @type file
  </buffer>
</match>
<match b>
  @type stdout
  <buffer tag>
    @type file
    path {tmp_path}/named
  </buffer>
</match>
<match c>
  @type stdout
</match>
"""
    file = tmp_path / "logpipe.conf"
    file.write_text(text)
    await fill(tmp_path / "root" / "worker0" / "first" / "buffer")
    await fill(tmp_path / "root" / "worker1" / "first" / "buffer")
    await fill(tmp_path / "named" / "worker1")
    await fill(tmp_path / "other")
    rows = [json.loads(line) for line in buffer("ls", "-c", file, "--format", "json").out.splitlines()]
    assert [str(Path(row["folder"]).relative_to(tmp_path)) for row in rows[::2]] == [
        "root/worker0/first/buffer",
        "root/worker1/first/buffer",
        "named/worker1",
    ]
    file.write_text("<match c>\n@type stdout\n</match>\n")
    assert "keeps chunks in files" in buffer("ls", "-c", file).err
    file.write_text("<match c>\n@type stdoot\n</match>\n")
    refused = buffer("ls", "-c", file)
    assert (refused.status, "stdoot" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["ls"], "give the folder of a buffer, or a configuration"),
        (["ls", "/nowhere"], "/nowhere is not there"),
        (["cat", __file__], "is not named like a chunk"),
        (["cat", "folder", "--limit", "x"], "is no number of events"),
        (["look"], "invalid choice: 'look'"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: list[str], expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Status 2, and what to do."""
    try:
        status: object = main(["buffer", *arguments])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert expected in capfd.readouterr().err


async def test_an_empty_folder(buffer: Run, tmp_path: Path) -> None:
    """It is said that there is nothing."""
    assert buffer("ls", tmp_path) == Done(0, "", f"no chunks in {tmp_path}\n")
