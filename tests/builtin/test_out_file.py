"""Files: their names, what is in them, and what a failure leaves."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from logpipe import ConfigError, Receipt
from logpipe.builtin import file_store
from logpipe.builtin.out_file import FileOutput
from logpipe.durable import Disk, Files
from logpipe.testing import ManualClock, check_plugin, drive, pipeline

DAY = 1466000000_000000000  # 2016-06-15 14:13:20 UTC
DISK = Disk(Files(), "out_file")
JSON = "<format>\n@type json\n</format>\n"


def buffer(arg: str = "time", settings: str = "") -> str:
    return f"<buffer {arg}>\ntimekey_use_utc true\n{settings}\n</buffer>\n"


def files(folder: Path) -> dict[str, str]:
    """Return every file below a folder with its text."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


async def test_keeps_the_contract(tmp_path: Path) -> None:
    """An output like any other."""
    await check_plugin(FileOutput, f"path {tmp_path}/f")
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("conf", "name"),
    [
        (f"path DIR/f\n{buffer()}", "f.20160615_0.log"),
        (f"path DIR/f\nappend true\n{buffer()}", "f.20160615.log"),
        (f"path DIR/f\n{buffer(settings='timekey 1h')}", "f.2016061514_0.log"),
        (f"path DIR/f\n{buffer(settings='timekey 10m')}", "f.201606151410_0.log"),
        (f"path DIR/f\n{buffer(settings='timekey 30')}", "f.20160615141300_0.log"),
        (f"path DIR/f\n{buffer(settings='timekey 2d')}", "f.20160614_0.log"),
        (f"path DIR/f.*.data\n{buffer()}", "f.20160615_0.data"),
        (f"path DIR/f.*.data\nappend true\n{buffer()}", "f.20160615.data"),
        (f"path DIR/%Y/%m/%d/f\n{buffer()}", "2016/06/15/f_0.log"),
        (f"path DIR/%Y%m%d/f\nappend true\nadd_path_suffix false\n{buffer()}", "20160615/f"),
        (f"path DIR/f\npath_suffix .txt\n{buffer()}", "f.20160615_0.txt"),
        (f"path DIR/${{tag}}/${{tag[1]}}-${{k}}\n{buffer('time,tag,k')}", "app.web/web-v.20160615_0.log"),
        ("path DIR/f\n<buffer []>\n</buffer>", "f_0.log"),
        ("path DIR/f\nappend true\n<buffer []>\n</buffer>", "f.log"),
        ("path DIR/${k}\n<buffer k>\n</buffer>", "v_0.log"),
        ("path DIR/f\ntime_slice_format %Y%m%d%H\nutc", "f.2016061514_0.log"),
        ("path DIR/f.*.x\ntime_slice_format %Y-%m-%d\nutc", "f.2016-06-15_0.x"),
    ],
)
async def test_names(conf: str, name: str, tmp_path: Path) -> None:
    """Fluentd's names: time slice, number, suffix, placeholders; 0.12's spelling too."""
    conf = conf.replace("DIR", str(tmp_path))
    if "utc" not in conf.splitlines():
        conf += "\n" + JSON
    async with drive(FileOutput, conf) as stage:
        await stage.feed("app.web", {"k": "v"}, times=[DAY])
        await stage.flush()
    ((found, text),) = files(tmp_path).items()
    assert found == name
    assert '{"k":"v"}\n' in text


@pytest.mark.parametrize(
    ("append", "expected"),
    [
        ("false", {"f.20160615_0.log": '{"n":1}\n', "f.20160615_1.log": '{"n":2}\n', "f.20160615_2.log": '{"n":3}\n'}),
        ("true", {"f.20160615.log": '{"n":1}\n{"n":2}\n{"n":3}\n'}),
    ],
)
async def test_several_chunks(append: str, expected: dict[str, str], tmp_path: Path) -> None:
    """Each chunk gets the next free number, also in a second run, or all go to the end of one file."""
    conf = f"path {tmp_path}/f\nappend {append}\n{JSON}{buffer()}"
    async with drive(FileOutput, conf) as stage:
        for n in (1, 2):
            await stage.feed("app", {"n": n}, times=[DAY])
            await stage.flush()
    async with drive(FileOutput, conf) as stage:
        await stage.feed("app", {"n": 3}, times=[DAY])
        await stage.flush()
    assert files(tmp_path) == expected


async def test_a_file_for_each_slice(tmp_path: Path) -> None:
    """Events are sorted into files by their own time."""
    async with drive(FileOutput, f"path {tmp_path}/f\n{JSON}{buffer()}") as stage:
        await stage.feed("app", {"n": 1}, {"n": 2}, {"n": 3}, times=[DAY, DAY + 86_400_000_000_000, DAY])
        await stage.flush()
    assert files(tmp_path) == {"f.20160615_0.log": '{"n":1}\n{"n":3}\n', "f.20160616_0.log": '{"n":2}\n'}


async def test_default_line(tmp_path: Path) -> None:
    """Without a `<format>`: time, tag and JSON."""
    async with drive(FileOutput, f"path {tmp_path}/f\nutc\n{buffer()}") as stage:
        await stage.feed("app", {"n": 1}, times=[DAY])
        await stage.flush()
    assert files(tmp_path) == {"f.20160615_0.log": '2016-06-15T14:13:20Z\tapp\t{"n":1}\n'}


@pytest.mark.parametrize("append", ["true", "false"])
@pytest.mark.parametrize("word", ["gz", "gzip"])
async def test_gzip(append: str, word: str, tmp_path: Path) -> None:
    """Compressed files can be read as one, whether chunks were appended or not."""
    conf = f"path {tmp_path}/f\nappend {append}\ncompress {word}\n{JSON}{buffer()}"
    async with drive(FileOutput, conf) as stage:
        for n in (1, 2):
            await stage.feed("app", {"n": n}, times=[DAY])
            await stage.flush()
    found = sorted(path for path in tmp_path.iterdir() if path.is_file())
    assert [path.suffixes for path in found] == [
        [".20160615" + ("" if append == "true" else f"_{n}"), ".log", ".gz"] for n in range(len(found))
    ]
    assert b"".join(gzip.decompress(path.read_bytes()) for path in found) == b'{"n":1}\n{"n":2}\n'


async def test_inject(tmp_path: Path) -> None:
    """Fields are added to what is written."""
    conf = f"path {tmp_path}/f\n{JSON}<inject>\ntag_key tag\n</inject>\n{buffer()}"
    async with drive(FileOutput, conf) as stage:
        await stage.feed("app", {"n": 1}, times=[DAY])
        await stage.flush()
    assert files(tmp_path) == {"f.20160615_0.log": '{"n":1,"tag":"app"}\n'}


async def test_receipt_settles_when_written(tmp_path: Path) -> None:
    """From memory: a receipt settles when the events are in the file, and not before."""
    settled: list[dict[str, str]] = []
    receipt = Receipt(lambda: settled.append(files(tmp_path)))
    async with drive(FileOutput, f"path {tmp_path}/f\n{JSON}{buffer(settings='@type memory')}") as stage:
        await stage.feed("app", {"n": 1}, times=[DAY], receipt=receipt)
        receipt.release()
        assert not settled
        await stage.flush()
        await stage.wait_for(lambda: settled)
    assert settled == [{"f.20160615_0.log": '{"n":1}\n'}]


async def test_by_default_events_wait_in_files_under_the_path(tmp_path: Path) -> None:
    """As in fluentd: a slice that is not over stays in the buffer when logpipe stops, and is written when it is."""
    conf = f"path {tmp_path}/f\n{JSON}{buffer()}"
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    async with drive(FileOutput, conf, clock=ManualClock(DAY)) as stage:
        await stage.feed("app", {"n": 1}, times=[DAY], receipt=receipt)
        receipt.release()
        await stage.wait_for(lambda: settled)
    (name,) = files(tmp_path)
    assert name.startswith("f/buffer.c")
    async with drive(FileOutput, conf, clock=ManualClock(DAY)) as stage:
        await stage.feed("app", {"n": 2}, times=[DAY])
        await stage.flush()
    assert files(tmp_path) == {"f.20160615_0.log": '{"n":1}\n{"n":2}\n'}


async def test_a_named_output_buffers_under_root_dir(tmp_path: Path) -> None:
    """Where there is one."""
    output = f"<match **>\n@type file\n@id days\npath {tmp_path}/f\n{buffer()}</match>\n"
    text = f"<system>\nroot_dir {tmp_path}/root\n</system>\n{output}"
    async with pipeline(text) as running:
        await running.feed("app", {"n": 1}, times=[DAY])
    (name,) = files(tmp_path)
    assert name.startswith("root/worker0/days/buffer/buffer.c")


async def test_fields_do_not_choose_the_folder(tmp_path: Path) -> None:
    """A value that would leave the folder is never a path: the chunk is given up, the next one written."""
    conf = f"path {tmp_path}/in/${{k}}\n{JSON}<buffer k>\ndisable_chunk_backup true\n</buffer>"
    async with drive(FileOutput, conf) as stage:
        await stage.feed("app", {"k": "../../evil"}, {"k": "good"})
        stage.graph.flush()
        await stage.wait_for((tmp_path / "in" / "good_0.log").exists)
        await stage.wait_for(lambda: any("invalid path component" in text for text in stage.log.texts()))
    assert list(files(tmp_path)) == ["in/good_0.log"]


async def test_secondary(tmp_path: Path) -> None:
    """As `<secondary>` it writes chunks cut, and left unencoded, by another output."""
    text = f"""
        <match app>
          @type null
          never_flush true
          <buffer tag>
            flush_mode immediate
            retry_max_times 1
            retry_wait 0.01
          </buffer>
          <secondary>
            @type file
            path {tmp_path}/second
            <format>
              @type json
            </format>
          </secondary>
        </match>
    """
    async with pipeline(text) as running:
        await running.feed("app", {"n": 1})
        await running.wait_for(lambda: running.metric("write_secondary_count") == 1)
    assert files(tmp_path) == {"second_0.log": '{"n":1}\n'}


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("", '"path" is required'),
        (f"path /d/%Y/f\n{buffer()}", "insufficient timestamp placeholders in path: add %m %d"),
        (f"path /d/%Y%m%d\n{buffer(settings='timekey 1h')}", "insufficient timestamp placeholders in path: add %H"),
        ("path /d/*\n<buffer []>\n</buffer>", "path including '[*]' must be used with buffer chunk key 'time'"),
        ("path /d/%Y\n<buffer []>\n</buffer>", "has timestamp placeholders, but chunk key 'time'"),
        (f"path /d/f\n{buffer('time,tag')}", "doesn't have tag placeholder"),
        (f"path /d/f\n{buffer('time,a,b')}", "doesn't have enough placeholders for keys a,b"),
        (f"path /d/${{tag}}\n{buffer()}", "has tag placeholders, but chunk key 'tag'"),
        (f"path /d/${{a}}\n{buffer()}", "chunk keys doesn't have keys a"),
        (f"path /d/f\ncompress bz2\n{buffer()}", "not one of the choices"),
        ("path /d/f\ntime_slice_format %Y", "cuts no slices of a day or less"),
    ],
)
async def test_settings_that_cannot_work(conf: str, message: str) -> None:
    """Chunks that would share a name, and other mistakes, are found at start."""
    with pytest.raises(ConfigError, match=message):
        async with drive(FileOutput, conf):
            pass


async def test_default_slice_is_told_of(tmp_path: Path) -> None:
    """That files appear once a day surprises people, so it is said."""
    async with drive(FileOutput, f"path {tmp_path}/f") as stage:
        assert any("default timekey interval (1d)" in text for text in stage.log.texts("warning"))
    async with drive(FileOutput, f"path {tmp_path}/f\n{buffer(settings='timekey 1d')}") as stage:
        assert [text for text in stage.log.texts("warning") if "timekey" in text] == []


def broken_write(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let writes fail as on a full disk, when so many bytes have been written."""
    real = os.write
    written = 0

    def write(descriptor: int, data: bytes | memoryview) -> int:
        nonlocal written
        if written >= after:
            raise OSError(28, "No space left on device")
        count = real(descriptor, bytes(data)[: after - written])
        written += count
        return count

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: write(descriptor, b"".join(pieces)))


def test_failed_append_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while a chunk is appended leaves the file as it was."""
    path = tmp_path / "deep" / "f"
    file_store.append(path, [b"first\n"], DISK)
    with monkeypatch.context() as patch:
        broken_write(patch, after=4)
        with pytest.raises(OSError, match="No space left"):
            file_store.append(path, [b"second\n"], DISK)
    assert path.read_bytes() == b"first\n"
    file_store.append(path, [b"third\n"], DISK)
    assert path.read_bytes() == b"first\nthird\n"


def test_what_a_crash_left_of_a_line_stays_by_itself(tmp_path: Path) -> None:
    """The next line begins on a line of its own; formats whose events end otherwise are left alone."""
    path = tmp_path / "f"
    for torn, data, expected in (
        (b"whole\nto", b"next\n", b"whole\nto\nnext\n"),
        (b"whole\n", b"next\n", b"whole\nnext\n"),
        (b"to", b"next", b"tonext"),
        (b"", b"next\n", b"next\n"),
    ):
        path.write_bytes(torn)
        file_store.append(path, [data], DISK)
        assert path.read_bytes() == expected


def test_new_files_and_folders_survive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of each is synced, once."""
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "fdatasync", fsync)
    for _ in range(2):
        file_store.append(tmp_path / "a/b/f", [b"line\n"], DISK)
    assert synced == [".", "a", "a/b", "a/b/f", "a/b/f"]


def test_failed_file_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while a file is written leaves nothing behind."""
    with monkeypatch.context() as patch:
        broken_write(patch, after=4)
        with pytest.raises(OSError, match="No space left"):
            file_store.create_first_free(f"{tmp_path}/f_**", [b"second\n"], placeholder="_**", name="x", disk=DISK)
    assert files(tmp_path) == {}


@pytest.mark.parametrize(("append", "name"), [("true", "f.log"), ("false", "f_0.log")])
async def test_a_name_that_cannot_be_synced(
    append: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Appended or whole, nothing of the attempt is left: the chunk is written again, and is there once."""
    sync = os.fsync
    failures = 0

    def fsync(descriptor: int) -> None:
        nonlocal failures
        if not failures and Path(f"/proc/self/fd/{descriptor}").readlink() == tmp_path:
            failures += 1
            raise OSError(5, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    waits = "@type memory\nretry_wait 0.01"
    async with drive(FileOutput, f"path {tmp_path}/f\nappend {append}\n{JSON}{buffer('[]', waits)}") as stage:
        await stage.feed("app", {"n": 1})
        stage.graph.flush()
        await stage.wait_for(lambda: failures and stage.metric("write_count") == 1)
    assert files(tmp_path) == {name: '{"n":1}\n'}


def test_a_link_is_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it leads, a file is made that survives."""
    synced: list[Path] = []
    sync = os.fsync
    (tmp_path / "volume").mkdir()
    (tmp_path / "f").symlink_to("volume/real")
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(Path(f"/proc/self/fd/{fd}").readlink()), sync(fd)))
    file_store.append(tmp_path / "f", [b"line\n"], DISK)
    assert (tmp_path / "f").is_symlink()
    assert (tmp_path / "volume/real").read_bytes() == b"line\n"
    assert synced == [tmp_path / "volume"]


def test_taken_numbers_are_passed_over(tmp_path: Path) -> None:
    """No file is ever written over, whoever made it."""
    for name in ("f_0", "f_1", "f_3"):
        (tmp_path / name).write_bytes(b"old")
    made = [
        file_store.create_first_free(f"{tmp_path}/f_**", [b"new"], placeholder="_**", name="x", disk=DISK)
        for _ in range(2)
    ]
    assert [path.name for path in made] == ["f_2", "f_4"]
    assert files(tmp_path) == {"f_0": "old", "f_1": "old", "f_2": "new", "f_3": "old", "f_4": "new"}
