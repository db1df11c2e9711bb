"""`symlink_path` of out_file: a link to the file of the newest chunk."""

from __future__ import annotations

from pathlib import Path

import pytest

from logpipe import ConfigError
from logpipe.builtin.out_file import FileOutput
from logpipe.cli import main
from logpipe.testing import Pipeline, drive, pipeline

DAY = 86_400 * 1_000_000_000
NOW = 1_466_000_000_000_000_000


def conf(folder: Path, link: str, *more: str, keys: str = "time", path: str = "out", settings: str = "") -> str:
    """Return the body of a file output whose chunks wait until they have two events."""
    buffer = f"<buffer {keys}>\n@type file\npath {folder}/buffer\nflush_mode lazy\nflush_at_shutdown false\n"
    times = "timekey 1d\ntimekey_use_utc true\ntimekey_wait 1000000d\n" if "time" in keys else ""
    lines = "\n".join((f"path {folder}/{path}", f"symlink_path {link}", *more))
    return f"{lines}\n{buffer}{times}chunk_limit_records 2\n{settings}\n</buffer>"


def problems(running: Pipeline) -> list[str]:
    """Return what was said of the link."""
    return [text for text in running.log.texts("warning") if "symlink_path" in text]


async def test_leads_to_the_newest_chunk(tmp_path: Path) -> None:
    """Its file is there, and holds what the chunk does; the next chunk takes the link over."""
    link = tmp_path / "new" / "current.log"
    async with drive(FileOutput, conf(tmp_path, str(link))) as stage:
        await stage.feed("app", {"n": "first"}, times=[NOW])
        first = link.readlink()
        assert first.parent == tmp_path / "buffer"
        assert b"first" in link.read_bytes()
        await stage.feed("app", {"n": "full"}, times=[NOW])
        await stage.feed("app", {"n": "second"}, times=[NOW])
        assert link.readlink() != first
        assert b"second" in link.read_bytes()
        assert sorted(path.name for path in link.parent.iterdir()) == ["current.log"]
        assert problems(stage) == []


async def test_what_it_leads_to_is_shown(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """`logpipe buffer cat` takes the link, and prints the lines alone."""
    link = tmp_path / "current.log"
    async with drive(FileOutput, conf(tmp_path, str(link), "<format>\n@type single_value\n</format>")) as stage:
        await stage.feed("app", {"message": "a line"}, times=[NOW])
        assert main(["buffer", "cat", str(link)]) == 0
    assert capfdbinary.readouterr().out == b"a line\n"


async def test_an_older_slice_does_not_take_it(tmp_path: Path) -> None:
    """Events that come late begin a chunk of yesterday, and the link stays with today's."""
    link = tmp_path / "current.log"
    async with drive(FileOutput, conf(tmp_path, str(link))) as stage:
        await stage.feed("app", {"n": "today"}, times=[NOW])
        await stage.feed("app", {"n": "yesterday"}, times=[NOW - DAY])
        assert b"today" in link.read_bytes()
        await stage.feed("app", {"n": "tomorrow"}, times=[NOW + DAY])
        assert b"tomorrow" in link.read_bytes()


async def test_without_time_slices(tmp_path: Path) -> None:
    """The chunk that was begun last is the newest."""
    link = tmp_path / "current.log"
    async with drive(FileOutput, conf(tmp_path, str(link), keys="[]")) as stage:
        await stage.feed("app", {"n": "first"})
        assert b"first" in link.read_bytes()
        await stage.feed("app", {"n": "full"})
        await stage.feed("app", {"n": "second"})
        assert b"second" in link.read_bytes()


async def test_relative(tmp_path: Path) -> None:
    """From the link's own folder, which may be a link itself."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "short").symlink_to(tmp_path / "a" / "b")
    link = tmp_path / "short" / "current.log"
    async with drive(FileOutput, conf(tmp_path, str(link), "symlink_path_use_relative true")) as stage:
        await stage.feed("app", {"n": "first"}, times=[NOW])
        assert link.readlink().parent == Path("../../buffer")
        assert b"first" in link.read_bytes()


async def test_placeholders(tmp_path: Path) -> None:
    """Each tag has its own link, and the folder of its day."""
    text = conf(tmp_path, f"{tmp_path}/%Y-%m-%d/${{tag}}.log", keys="tag,time", path="${tag}")
    async with drive(FileOutput, text) as stage:
        await stage.feed("a", {"n": "of a"}, times=[NOW])
        await stage.feed("b", {"n": "of b"}, times=[NOW])
        for name in "ab":
            assert f"of {name}".encode() in (tmp_path / "2016-06-15" / f"{name}.log").read_bytes()
        assert problems(stage) == []


async def test_chunks_that_share_a_link(tmp_path: Path) -> None:
    """It is said at the start that they do, in fluentd's words."""
    async with drive(FileOutput, conf(tmp_path, f"{tmp_path}/l", keys="tag,n,time", path="${tag}${n}")) as stage:
        tag, field = problems(stage)
        assert "doesn't have tag placeholder" in tag
        assert "keys n" in field
        assert all("multiple chunks are competing for a single symlink_path" in text for text in (tag, field))


@pytest.mark.parametrize("placeholder", ["${tag}", "${n}"])
async def test_placeholders_that_no_chunk_key_serves(tmp_path: Path, placeholder: str) -> None:
    """A mistake, as in `path`."""
    with pytest.raises(ConfigError, match=r"symlink_path .* has (tag )?placeholders, but"):
        async with drive(FileOutput, conf(tmp_path, f"{tmp_path}/{placeholder}")):
            pass


async def test_a_value_leads_nowhere_else(tmp_path: Path) -> None:
    """What an event says makes no link outside of the folder that the configuration names."""
    (tmp_path / "links").mkdir()
    text = conf(tmp_path, f"{tmp_path}/links/${{n}}/current", keys="n,time", path="f_${n}")
    async with drive(FileOutput, text) as stage:
        await stage.feed("app", {"n": ".."}, times=[NOW])
        assert not (tmp_path / "current").is_symlink()
        assert len(problems(stage)) == 1
        await stage.feed("app", {"n": "a"}, times=[NOW])
        assert (tmp_path / "links" / "a" / "current").is_symlink()


@pytest.mark.parametrize("kind", ["file", "folder"])
async def test_what_is_no_link_stays(tmp_path: Path, kind: str) -> None:
    """It is said once, and the events are taken and delivered all the same."""
    link = tmp_path / "current.log"
    if kind == "file":
        link.write_text("mine")
    else:
        link.mkdir()
    text = conf(tmp_path, str(link), settings="flush_at_shutdown true")
    async with drive(FileOutput, text) as stage:
        for number in range(3):
            await stage.feed("app", {"n": number}, times=[NOW])
        (said,) = problems(stage)
        assert "there is something that is no link" in said
        assert link.read_text() == "mine" if kind == "file" else not any(link.iterdir())
        await stage.flush()
    assert len([*tmp_path.glob("out.*.log")]) == 2
    assert not [*tmp_path.glob(".*")]


async def test_a_link_of_before_is_replaced(tmp_path: Path) -> None:
    """The link alone: what it led to stays, be it a file or a folder. A chunk that a run goes on with is a new one."""
    (tmp_path / "other").write_text("other's")
    (tmp_path / "folder").mkdir()
    link = tmp_path / "current.log"
    for before in ("other", "folder", "nowhere"):
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / before)
        async with drive(FileOutput, conf(tmp_path, str(link))) as stage:
            await stage.feed("app", {"n": before}, times=[NOW])
            assert link.readlink().parent == tmp_path / "buffer"
            assert problems(stage) == []
    assert (tmp_path / "other").read_text() == "other's"
    assert [*(tmp_path / "folder").iterdir()] == []


async def test_a_buffer_in_memory(tmp_path: Path) -> None:
    """There is nothing to lead to, which is said once."""
    text = (
        conf(tmp_path, f"{tmp_path}/l").replace("@type file", "@type memory").replace(f"path {tmp_path}/buffer\n", "")
    )
    async with drive(FileOutput, text) as stage:
        for number in range(3):
            await stage.feed("app", {"n": number}, times=[NOW])
        (said,) = problems(stage)
        assert "in memory has no files" in said
        assert not (tmp_path / "l").is_symlink()


async def test_in_a_secondary(tmp_path: Path) -> None:
    """It has no chunks of its own."""
    secondary = f"<secondary>\n@type file\npath {tmp_path}/second\nsymlink_path {tmp_path}/l\n</secondary>\n"
    text = f"<match **>\n@type file\n{conf(tmp_path, f'{tmp_path}/first')}\n{secondary}</match>\n"
    async with pipeline(text) as running:
        await running.feed("app", {"n": 1}, times=[NOW])
        (said,) = problems(running)
        assert "no effect in <secondary>" in said
        assert (tmp_path / "first").is_symlink()
        assert not (tmp_path / "l").is_symlink()
