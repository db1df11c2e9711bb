"""What becomes of journal files, of the place in them, and of outputs that do not take what is read."""

from __future__ import annotations

import errno
import itertools
import shutil
from pathlib import Path
from typing import ClassVar

import pytest

from logpipe import EventBatch, Options, Output, Receipt
from logpipe.testing import Pipeline, drive, pipeline, wait_for
from logpipe_systemd.cursors import Cursors
from logpipe_systemd.in_systemd import SystemdInput
from logpipe_systemd.library import library
from logpipe_systemd.testing import Journals
from tests.e2e.program import Logpipe


def conf(journals: Journals, more: str = "read_from_head true") -> str:
    """Return the body of a source."""
    return f"tag t\npath {journals.folder}\n{more}"


def numbers(stage: Pipeline) -> list[int]:
    """Return the numbers of the entries."""
    return [int(record["N"]) for record in stage.records()]


async def test_rotated_files(journals: Journals) -> None:
    """Each entry comes once while files are renamed and new ones come, in folders below, too."""
    journals.count(range(2))
    async with drive(SystemdInput, conf(journals)) as stage:
        for first in (2, 4, 6):
            await stage.wait_for(lambda first=first: len(numbers(stage)) == first)
            (journals.folder / "a.journal").rename(journals.folder / f"a@{first}.journal")
            journals.count(range(first, first + 2))
        await stage.wait_for(lambda: len(numbers(stage)) == 8)
        assert numbers(stage) == [*range(8)]


@pytest.mark.parametrize("is_running", [True, False])
async def test_vacuumed_files(journals: Journals, tmp_path: Path, *, is_running: bool) -> None:
    """What was read is not read again where its file is gone, and nothing of what is there is left out."""
    storage = f"read_from_head true\n<storage>\npath {tmp_path}/pos.json\n</storage>"
    old = journals.count(range(3), "a.journal")
    async with drive(SystemdInput, conf(journals, storage)) as stage:
        await stage.wait_for(lambda: len(numbers(stage)) == 3)
        if is_running:
            old.unlink()
            journals.count(range(3, 6), "b.journal")
            await stage.wait_for(lambda: len(numbers(stage)) == 6)
            assert numbers(stage) == [*range(6)]
    if not is_running:
        old.unlink()
        journals.count(range(3, 6), "b.journal")
        async with drive(SystemdInput, conf(journals, storage)) as stage:
            await stage.wait_for(lambda: len(numbers(stage)) == 3)
            assert numbers(stage) == [3, 4, 5]


async def test_a_folder_that_is_made_anew(journals: Journals) -> None:
    """It is followed again."""
    journals.count(range(2))
    async with drive(SystemdInput, conf(journals)) as stage:
        await stage.wait_for(lambda: len(numbers(stage)) == 2)
        shutil.rmtree(journals.folder)
        journals.folder.mkdir()
        journals.count(range(2, 4))
        await stage.wait_for(lambda: len(numbers(stage)) == 4)
        assert numbers(stage) == [*range(4)]


async def test_a_file_that_is_damaged(journals: Journals) -> None:
    """It is named, and the others are read."""
    journals.count(range(2), "a.journal")
    journals.count(range(2, 4), "b.journal")
    damaged = journals.folder / "a.journal"
    damaged.write_bytes(b"x" * 4096 + damaged.read_bytes()[4096:])
    async with drive(SystemdInput, conf(journals)) as stage:
        await stage.wait_for(lambda: len(numbers(stage)) == 2)
        assert numbers(stage) == [2, 3]
        (said,) = [text for text in stage.log.texts("warning") if "is not read" in text]
        assert f"{damaged}: Bad message" in said


async def test_a_field_that_is_damaged(journals: Journals) -> None:
    """It is left out, of which libsystemd says nothing; the others are there."""
    path = journals.write(*({"MESSAGE": f"text of {n}", "N": str(n)} for n in range(3)))
    content = path.read_bytes()
    start = content.index(b"MESSAGE=text of 1") - 64  # the header of the object that holds it
    path.write_bytes(content[:start] + b"\xff" * 16 + content[start + 16 :])
    async with drive(SystemdInput, conf(journals)) as stage:
        await stage.wait_for(lambda: len(numbers(stage)) == 3)
        assert [record.get("MESSAGE") for record in stage.records()] == ["text of 0", None, "text of 2"]


async def test_a_field_that_cannot_be_read(journals: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entry goes to `@ERROR` with the others; the next entries go on."""
    journals.count(range(3))
    functions, calls = library(), itertools.count()
    read = functions.enumerate_data
    # as of a field that is compressed in a way which this library was built without
    monkeypatch.setattr(
        functions, "enumerate_data", lambda *given: -errno.EPROTONOSUPPORT if next(calls) == 4 else read(*given)
    )
    async with drive(SystemdInput, conf(journals)) as stage:
        await stage.wait_for(lambda: numbers(stage) == [0, 2])
        ((_, _, record, error),) = stage.errors
        assert (record["N"], str(error)) == ("1", "an entry is damaged: Protocol not supported")
        assert stage.metric("damaged_entries") == 1


class RefusingOptions(Options):
    """None."""


class Refusing(Output[RefusingOptions], type="refusing"):
    """Refuses each second batch, and keeps the receipts of the others."""

    receipts: ClassVar[list[Receipt]] = []
    taken: ClassVar[list[str]] = []
    asked: ClassVar[int] = 0

    async def process(self, batch: EventBatch) -> None:
        """Take it or not."""
        Refusing.asked += 1
        if Refusing.asked % 2:
            raise RuntimeError("not now")
        assert batch.receipt is not None
        batch.receipt.hold()
        Refusing.receipts.append(batch.receipt)
        Refusing.taken += [record["N"] for record in batch.records]


async def test_what_is_refused_is_read_again(journals: Journals, tmp_path: Path) -> None:
    """Nothing is left out, and nothing is past before its receipt has settled."""
    journals.count(range(3))
    storage = f"<storage>\npath {tmp_path}/pos.json\npersistent true\n</storage>"
    text = f"<source>\n@type systemd\n{conf(journals)}\n{storage}\n</source>\n<match>\n@type refusing\n</match>"
    async with pipeline(text, Refusing, expect_gaps=True) as running:
        await running.wait_for(lambda: Refusing.taken == ["0", "1", "2"])
        assert not (tmp_path / "pos.json").exists()
        Refusing.receipts.pop().release()
        await running.wait_for((tmp_path / "pos.json").exists)


def test_receipts_that_settle_in_another_order() -> None:
    """The place moves over what is settled from the front."""
    moved: list[str] = []
    cursors = Cursors(lambda: moved.append(cursors.settled))
    first, second, third = map(cursors.expect, "abc")
    second.release()
    assert cursors.settled == ""
    first.release()
    third.release()
    assert moved == ["b", "c"]


async def test_killed_between_receipts(journals: Journals, tmp_path: Path) -> None:
    """After a kill -9 no entry is missing, and none is there that was past."""
    config, out = tmp_path / "logpipe.conf", tmp_path / "out"
    config.write_text(
        f"<source>\n@type systemd\n{conf(journals)}\n<storage>\npath {tmp_path}/pos.json\npersistent true\n</storage>\n"
        f"</source>\n<match>\n@type file\npath {out}/o\nappend true\n<format>\n@type single_value\nmessage_key N\n"
        f"</format>\n<buffer []>\n@type file\npath {tmp_path}/b\nflush_mode interval\nflush_interval 0.1\n</buffer>\n"
        "</match>\n"
    )

    def written() -> list[str]:
        return [line for path in sorted(out.glob("*")) for line in path.read_text().split()] if out.exists() else []

    with Logpipe(config, tmp_path / "log").start() as logpipe:
        journals.count(range(5))
        await wait_for(lambda: len(written()) == 5)
        journals.count(range(5, 1505))
        await wait_for(lambda: len(written()) > 5)
        logpipe.kill()
        journals.count(range(1505, 1510))
        logpipe.start()
        await wait_for(lambda: written()[-1:] == ["1509"])
        assert logpipe.stop() == 0
    assert [*dict.fromkeys(written())] == [str(n) for n in range(1510)]
    assert written()[:5] == [str(n) for n in range(5)]
    assert written().count("0") == 1
