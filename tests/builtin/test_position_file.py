"""The position file: fluentd's format, read with care and replaced at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from logpipe import LogpipeError
from logpipe.builtin.position_file import UNWATCHED, Position, PositionFile, decode, encode, entry, is_storable

ROWS = st.lists(
    st.builds(
        Position,
        st.binary(min_size=1).map(os.fsdecode).filter(is_storable),
        st.integers(0, UNWATCHED - 1),
        st.integers(0, UNWATCHED),
        st.just(""),
        st.just(False),
    ),
    unique_by=lambda row: (row.path, row.inode),
)


def test_a_row_is_written_as_fluentd_writes_it() -> None:
    """Path, offset and inode, tabs between, 16 hexadecimal digits."""
    assert encode([Position("/var/log/a.log", 255, 16)]) == b"/var/log/a.log\t00000000000000ff\t0000000000000010\n"


@given(ROWS)
def test_what_was_written_is_read(rows: list[Position]) -> None:
    """Any path, in any bytes."""
    complaints: list[str] = []
    assert decode(encode(rows), complaints.append) == rows
    assert not complaints


@given(ROWS, st.data())
def test_damage_costs_only_the_rows_it_hits(rows: list[Position], data: st.DataObject) -> None:
    """Cut anywhere, every whole row before the cut is kept."""
    content = encode(rows)
    cut = data.draw(st.integers(0, len(content)))
    kept = content[:cut].count(b"\n")
    found = decode(content[:cut], lambda _: None)
    assert found[:kept] == rows[:kept]
    assert len(found) <= kept + 1


@given(st.binary())
def test_no_content_breaks_the_reader(content: bytes) -> None:
    """Whatever a file holds, reading it raises nothing."""
    for row in decode(content, lambda _: None):
        assert row.path
        assert row.offset != UNWATCHED


@pytest.mark.parametrize(
    ("content", "kept", "complaints"),
    [
        (b"", [], 0),
        (b"/a\t0000000000000001\t0000000000000002\n", ["/a"], 0),
        (b"/a\t0000000000000001\t0000000000000002", ["/a"], 0),
        (b"/a\t1\t2\n", ["/a"], 0),
        (b"/a\t0000000000000001\t00000000000000", [], 1),
        (b"/a\tffffffffffffffff\t0000000000000002\n", [], 0),
        (b"/a\t0000000000000001\t2\n/a\tffffffffffffffff\t2\n", [], 1),
        (b"/a\t000000/b\t0000000000000001\t0000000000000002\n/c\t1\t2\n", ["/c"], 1),
        (b"\0" * 40 + b"\n/c\t1\t2\n", ["/c"], 1),
        (b"/a\xff b\t1\t2\r\n", ["/a\udcff b"], 0),
        (b"\n\n/a\t1\t2\n", ["/a"], 2),
        (b"/a\t1\t11111111111111111\n", [], 1),
    ],
)
def test_rows(content: bytes, kept: list[str], complaints: int) -> None:
    """Each broken row is left out and complained about once."""
    said: list[str] = []
    assert [row.path for row in decode(content, said.append)] == kept
    assert len(said) == complaints


def test_the_last_of_equal_rows_counts(tmp_path: Path) -> None:
    """Rows of the same path and inode; with different inodes they are generations, and keep their order."""
    path = tmp_path / "pos"
    path.write_bytes(encode([Position("/a", 1, 1), Position("/a", 2, 2), Position("/a", 3, 1)]))
    file = PositionFile(str(path))
    loaded = file.load()
    assert loaded.positions == [Position("/a", 2, 2), Position("/a", 3, 1)]
    assert loaded.complaints == ["/a already exists. use latest one"]
    assert loaded.written_at == pytest.approx(path.stat().st_mtime)


def test_it_has_fluentds_mode_and_makes_its_folder(tmp_path: Path) -> None:
    """Mode 0644, in a folder that need not exist."""
    file = PositionFile(str(tmp_path / "not" / "there" / "pos"))
    assert file.save([entry([Position("/a", 1, 1)])])
    assert stat.S_IMODE((tmp_path / "not" / "there" / "pos").stat().st_mode) == 0o644
    file.close()


def test_it_keeps_the_mode_of_the_file_whose_place_it_takes(tmp_path: Path) -> None:
    """And so do those beside it: who could read the old one can read the new one, and nobody else."""
    file = PositionFile(str(tmp_path / "pos"))
    file.save([entry([Position("/a", 1, 1, "4:abcd")])], b"looks\n")
    paths = [tmp_path / name for name in ("pos", "pos.heads", "pos.looks")]
    for mode in (0o600, 0o664):
        before = [path.stat().st_ino for path in paths]
        for path in paths:
            path.chmod(mode)
        file.save([entry([Position("/a", mode, 1, f"4:{mode:04x}")])], b"looks %d\n" % mode)
        assert all(path.stat().st_ino != inode for path, inode in zip(paths, before, strict=True))
        assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [mode] * 3
    file.close()


def test_heads_are_kept_beside_it(tmp_path: Path) -> None:
    """What fluentd's format has no room for survives too, and fluentd's file needs none of it."""
    file = PositionFile(str(tmp_path / "pos"))
    rows = [Position("/a", 1, 1, "4:abcd"), Position("/b", 1, 2)]
    file.save([entry(rows)])
    assert (tmp_path / "pos").read_bytes() == encode(rows)
    assert file.load().positions == rows
    (tmp_path / "pos.heads").unlink()
    assert [row.fingerprint for row in file.load().positions] == ["", ""]
    file.close()


@given(ROWS, st.data())
def test_a_flipped_bit_costs_only_its_row(rows: list[Position], data: st.DataObject) -> None:
    """Or makes two rows one; the others are as they were."""
    content = bytearray(encode(rows))
    assume(content)
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    found = {*decode(bytes(content), lambda _: None)}
    assert len(set(rows) - found) <= 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) - 5],
        lambda content: bytes(len(content)),
        lambda _: b"\xff\xfe" * 50,
        lambda content: content.replace(b"\t", b" "),
        lambda content: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
    ],
    ids=["torn", "NULs", "rubbish", "edited", "half NULs"],
)
def test_the_write_before_stands_in_for_what_is_damaged(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """No path is forgotten: what is delivered twice is what came between two writes."""
    file = PositionFile(str(tmp_path / "pos"))
    paths = [f"/var/log/{number}.log" for number in range(5)]
    for offset in (1, 2, 3):
        file.save([entry([Position(path, offset, 7, "4:abcd") for path in paths])])
    (tmp_path / "pos").write_bytes(damage((tmp_path / "pos").read_bytes()))
    loaded = file.load()
    assert {row.path for row in loaded.positions} >= set(paths)
    assert {row.offset for row in loaded.positions if row.path in paths} <= {2, 3}
    assert {row.fingerprint for row in loaded.positions if row.path in paths} == {"4:abcd"}
    assert any("is damaged" in complaint for complaint in loaded.complaints)
    file.close()


def test_an_emptied_file_is_a_reset(tmp_path: Path) -> None:
    """Whoever empties it means to begin anew."""
    file = PositionFile(str(tmp_path / "pos"))
    for offset in (1, 2):
        file.save([entry([Position("/a", offset, 7)])])
    (tmp_path / "pos").write_bytes(b"")
    assert file.load().positions == []
    file.close()


def test_nothing_is_written_where_nothing_changed(tmp_path: Path) -> None:
    """The same rows again touch no disk."""
    file = PositionFile(str(tmp_path / "pos"))
    assert file.save([entry([Position("/a", 1, 1, "x")])], b"looks\n")
    inodes = [path.stat().st_ino for path in tmp_path.iterdir()]
    assert not file.save([entry([Position("/a", 1, 1, "x")])], b"looks\n")
    assert [path.stat().st_ino for path in tmp_path.iterdir()] == inodes
    assert len(inodes) == 3
    assert file.save([entry([Position("/a", 2, 1, "x")])], b"looks\n")
    assert file.save([entry([Position("/a", 2, 1, "x")])])
    assert not (tmp_path / "pos.looks").read_bytes()
    file.close()
    other = PositionFile(str(tmp_path / "other"))
    assert [other.save([entry([Position("/a", 1, 1)])]) for _ in range(2)] == [True, False]
    other.close()


@pytest.mark.parametrize("step", ["writev", "fsync", "rename"])
def test_a_write_that_fails_leaves_the_old_rows(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step of a write that fails can hurt what was there, and no scrap is left behind."""
    path = tmp_path / "pos"
    file = PositionFile(str(path))
    file.save([entry([Position("/a", 1, 1)])])
    with monkeypatch.context() as patch:
        where = Path if step == "rename" else os

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(where, step, fail)
        with pytest.raises(OSError, match="No space"):
            file.save([entry([Position("/a", 2, 1)])])
    assert [row.offset for row in file.load().positions] == [1]
    assert {entry.name for entry in tmp_path.iterdir()} <= {"pos", "pos.heads", "pos.old"}
    assert file.save([entry([Position("/a", 3, 1)])])
    assert [row.offset for row in file.load().positions] == [3]
    file.close()


def test_it_stays_locked_when_its_name_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows have their place then, and no other process may have them."""
    path = tmp_path / "pos"
    file, other = PositionFile(str(path)), PositionFile(str(path))
    file.save([entry([Position("/a", 1, 1)])])
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(5, "Input/output error")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            file.save([entry([Position("/a", 2, 1)])])
    with pytest.raises(LogpipeError, match="in use by another process"):
        other.open()
    assert file.save([entry([Position("/a", 2, 1)])])
    with pytest.raises(LogpipeError, match="in use by another process"):
        other.open()
    file.close()
    other.open()
    other.close()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes a few bytes at a time gets all of them."""
    really_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: really_write(descriptor, bytes(data[:7])))
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: really_write(descriptor, b"".join(pieces)[:7]))
    file = PositionFile(str(tmp_path / "pos"))
    rows = [Position("/a/long/path", 1, 1), Position("/b", 2, 2)]
    file.save([entry(rows)])
    assert file.load().positions == rows
    file.close()


def test_a_link_is_written_through(tmp_path: Path) -> None:
    """Where pos_file is a link the file behind it is replaced, and the link stays."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "pos").symlink_to(tmp_path / "volume" / "real")
    file = PositionFile(str(tmp_path / "pos"))
    file.save([entry([Position("/a", 1, 1)])])
    assert (tmp_path / "pos").is_symlink()
    assert (tmp_path / "volume" / "real").exists()
    file.close()


def test_no_row_is_written_without_its_head(tmp_path: Path) -> None:
    """Where the head cannot be written, the disk is full, the row is not: it would fit the next file of its inode."""
    file = PositionFile(str(tmp_path / "pos"))
    file.open()
    (tmp_path / "pos.heads.tmp").mkdir()  # stands in the way
    with pytest.raises(OSError, match=r"heads\.tmp"):
        file.save([entry([Position("/a.log", 5000, 7, "100:aa")])])
    file.close()
    assert PositionFile(str(tmp_path / "pos")).load().positions == []


def test_a_new_head_is_never_beside_the_offset_of_the_file_before(tmp_path: Path) -> None:
    """An inode that is another file's now: its row is written first, and until then nothing fits."""
    file = PositionFile(str(tmp_path / "pos"))
    file.save([entry([Position("/a.log", 5000, 7, "100:aa")])])
    (tmp_path / "pos.heads.tmp").mkdir()
    with pytest.raises(OSError, match=r"heads\.tmp"):
        file.save([entry([Position("/a.log", 9, 7, "100:bb")])])
    file.close()
    assert PositionFile(str(tmp_path / "pos")).load().positions == [Position("/a.log", 9, 7, "100:aa")]


def test_what_lay_in_folders_is_written_before_the_rows(tmp_path: Path) -> None:
    """Rows of a folder of which nothing is known would hide what came and went there."""
    file = PositionFile(str(tmp_path / "pos"))
    file.open()
    (tmp_path / "pos.looks.tmp").mkdir()
    with pytest.raises(OSError, match=r"looks\.tmp"):
        file.save([entry([Position("/a.log", 5, 7, "100:aa")])], b"F\t/\t0000000000000001\t\n")
    file.close()
    assert PositionFile(str(tmp_path / "pos")).load().positions == []
