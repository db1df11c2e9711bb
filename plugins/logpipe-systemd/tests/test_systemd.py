"""The input on real journal files: what is read, as what, and from where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logpipe import ConfigError, LogpipeError
from logpipe.testing import check_plugin, configure, drive
from logpipe_systemd import library
from logpipe_systemd.in_systemd import SystemdInput
from logpipe_systemd.testing import START, Journals

ENTRY = {"_SYSTEMD_UNIT": "a.service", "_PID": "7", "MESSAGE": "hello", "PRIORITY": "6"}


async def read(journals: Journals, conf: str, count: int) -> list[Any]:
    """Return so many records, and no more."""
    async with drive(SystemdInput, f"tag t\npath {journals.folder}\nread_from_head true\n{conf}") as stage:
        await stage.wait_for(lambda: len(stage.events()) >= count)
        assert len(stage.events()) == count
        assert not stage.errors
        return stage.records()


async def test_entries(journals: Journals) -> None:
    """All fields, with the time of the entry; the last of several values; what is no UTF-8 as bytes."""
    journals.write(ENTRY, {"MESSAGE": b"a\xff\nb", "X": ["1", "2"]})
    async with drive(SystemdInput, f"tag t\npath {journals.folder}\nread_from_head true") as stage:
        await stage.wait_for(lambda: len(stage.events()) == 2)
        first, second = stage.events("t")
    assert (first.time, first.record) == ((START + 1) * 10**9, ENTRY)
    assert (second.time, second.record) == ((START + 2) * 10**9, {"MESSAGE": b"a\xff\nb", "X": "2"})


@pytest.mark.parametrize("name", ["matches", "filters"])
@pytest.mark.parametrize(
    ("matches", "expected"),
    [
        ('[{"_SYSTEMD_UNIT": "a.service"}]', "abc"),
        ('[{"_systemd_unit": "a.service", "_PID": 2}]', "b"),
        ('[{"_PID": [1, 2], "X": "y"}]', "a"),
        ('[{"_PID": 1}, {"_PID": "3"}]', "acd"),
        ("[]", "abcd"),
        ('{"X": "y"}', "a"),
    ],
)
async def test_matches(journals: Journals, name: str, matches: str, expected: str) -> None:
    """All fields of a hash, one of a list of values, one of the hashes."""
    journals.write(
        {"_SYSTEMD_UNIT": "a.service", "_PID": "1", "X": "y", "N": "a"},
        {"_SYSTEMD_UNIT": "a.service", "_PID": "2", "N": "b"},
        {"_SYSTEMD_UNIT": "a.service", "_PID": "3", "N": "c"},
        {"_SYSTEMD_UNIT": "b.service", "_PID": "3", "N": "d"},
    )
    found = await read(journals, f"{name} {matches}", len(expected))
    assert "".join(record["N"] for record in found) == expected


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("strip_underscores true", {"SYSTEMD_UNIT": "a.service", "PID": "7", "MESSAGE": "hello", "PRIORITY": "6"}),
        (
            "<entry>\nfields_strip_underscores true\nfields_lowercase true\n</entry>",
            {"systemd_unit": "a.service", "pid": "7", "message": "hello", "priority": "6"},
        ),
        (
            '<entry>\nfield_map {"message": "log", "_PID": ["log", "pid"], "X": "x"}\nfield_map_strict yes\n</entry>',
            {"log": "hello 7", "pid": "7"},
        ),
    ],
)
async def test_names_of_fields(journals: Journals, conf: str, expected: dict[str, str]) -> None:
    """As `<entry>` says; a field is found by its name in small letters, too."""
    journals.write(ENTRY)
    assert await read(journals, conf, 1) == [expected]


@pytest.mark.parametrize("entries", [1, 2, 3])
async def test_from_the_tail(journals: Journals, entries: int) -> None:
    """The last entry, as the plugin does, and what comes."""
    journals.count(range(entries))
    async with drive(SystemdInput, f"tag t\npath {journals.folder}") as stage:
        await stage.wait_for(stage.events)
        journals.count(range(entries, entries + 2))
        await stage.wait_for(lambda: len(stage.events()) == 3)
        assert [record["N"] for record in stage.records()] == [str(entries - 1 + n) for n in range(3)]


async def test_a_journal_that_is_not_there_yet(journals: Journals) -> None:
    """It is waited for, in no hurry; of one that was empty all is new."""
    journals.folder.rmdir()
    async with drive(SystemdInput, f"tag t\npath {journals.folder}") as stage:
        await stage.wait_for(lambda: "No such file or directory; retrying" in "".join(stage.log.texts("warning")))
        journals.folder.mkdir()
        await stage.wait_for(lambda: stage.plugin(SystemdInput)._from_head)
        journals.count(range(3))
        await stage.wait_for(lambda: len(stage.events()) == 3)
        assert sum("retrying" in text for text in stage.log.texts("warning")) == 1


async def test_an_entry_that_is_too_long(journals: Journals) -> None:
    """It is cut; fields of journald are read whatever the others have."""
    journals.write({"A": "x" * 5000, "B": "y" * 5000, "_PID": "7"}, {"A": "short"})
    async with drive(SystemdInput, f"tag t\npath {journals.folder}\nread_from_head true\nmax_entry_size 6000") as stage:
        await stage.wait_for(lambda: len(stage.events()) == 2)
        first, second = stage.records()
        assert (len(first["A"]) + len(first["B"]), first["_PID"], second) == (5996, "7", {"A": "short"})
        assert stage.metric("cut_fields") == 1


async def test_many_entries(journals: Journals) -> None:
    """In batches, in order."""
    journals.count(range(2500))
    assert [int(record["N"]) for record in await read(journals, "", 2500)] == [*range(2500)]


STORAGES = {
    "persistent": "<storage>\n@type local\npersistent true\npath {folder}/pos.json\n</storage>",
    "saved at the end": "<storage>\npath {folder}/pos.json\n</storage>",
    "pos_file": "pos_file {folder}/pos",
}


@pytest.mark.parametrize("storage", STORAGES)
async def test_the_place_is_kept(journals: Journals, tmp_path: Path, storage: str) -> None:
    """The next run goes on behind what was delivered."""
    conf = f"tag t\npath {journals.folder}\nread_from_head true\n{STORAGES[storage].format(folder=tmp_path)}"
    for first in (0, 2):
        journals.count(range(first, first + 2))
        async with drive(SystemdInput, conf) as stage:
            await stage.wait_for(lambda: len(stage.events()) == 2)
            assert [record["N"] for record in stage.records()] == [str(first), str(first + 1)]
            if storage == "persistent":
                await stage.wait_for(lambda: cursor_in(tmp_path / "pos.json"))
            assert not [text for text in stage.log.texts("warning") if "not kept" in text]


def cursor_in(path: Path) -> str:
    """Return the cursor in a storage file, as the plugin has it."""
    return str(json.loads(path.read_text()).get("journal", "")) if path.exists() else ""


async def test_a_place_that_is_taken_over(journals: Journals, tmp_path: Path) -> None:
    """From the file that version 0 wrote into a storage."""
    journals.count(range(2))
    old, new = tmp_path / "old.pos", tmp_path / "new.json"
    async with drive(SystemdInput, f"tag t\npath {journals.folder}\nread_from_head true\npos_file {old}") as stage:
        await stage.wait_for(old.exists)
    written = old.read_text()
    assert written.startswith("s=")
    journals.count([2])
    conf = f"tag t\npath {journals.folder}\npos_file {old}\n<storage>\npath {new}\n</storage>"
    async with drive(SystemdInput, conf) as stage:
        await stage.wait_for(stage.events)
        assert [record["N"] for record in stage.records()] == ["2"]
    assert old.read_text() == written
    assert cursor_in(new).startswith("s=")


async def test_a_cursor_that_is_none(journals: Journals, tmp_path: Path) -> None:
    """It is said, and reading begins where it would without."""
    (tmp_path / "pos.json").write_text('{"journal": "thisisinvalid"}')
    journals.count(range(3))
    conf = f"tag t\npath {journals.folder}\nread_from_head true\n<storage>\npath {tmp_path}/pos.json\n</storage>"
    async with drive(SystemdInput, conf) as stage:
        await stage.wait_for(lambda: len(stage.events()) == 3)
        (said,) = stage.log.texts("warning")
        assert "could not seek to cursor thisisinvalid" in said


async def test_a_place_that_is_not_kept(journals: Journals) -> None:
    """The log says so."""
    async with drive(SystemdInput, f"tag t\npath {journals.folder}") as stage:
        assert "not kept over a restart" in "".join(stage.log.texts("warning"))


async def test_without_the_library(journals: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not start, and says what to install."""
    monkeypatch.setattr(library, "NAME", "libsystemd-that-is-not-there.so")
    library.library.cache_clear()
    try:
        with pytest.raises(ExceptionGroup) as raised:
            async with drive(SystemdInput, f"tag t\npath {journals.folder}"):
                pass
    finally:
        library.library.cache_clear()
    assert raised.group_contains(LogpipeError, match="libsystemd0 on Debian")


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("", '"tag" is required'),
        ("tag t\nmatches [1]", "no list of hashes"),
        ("tag t\nmatches [{", "is not JSON"),
        ('tag t\nmatches [{"A-B": "x"}]', '"A-B" cannot be matched'),
        ('tag t\nmatches [{"A": {}}]', '"A" is to be a text'),
        ("tag t\nmax_entry_size 0", "max_entry_size must be 1 or more"),
        ('tag t\n<entry>\nfield_map {"a": 1}\n</entry>', "values must be strings or an array of strings"),
        ("tag t\n<entry>\nfield_map [1]\n</entry>", "is no hash"),
        ("tag t\n<entry>\nfield_map {\n</entry>", "is not JSON"),
    ],
)
def test_settings_that_cannot_work(conf: str, message: str) -> None:
    """Each is an error of the configuration."""
    with pytest.raises(ConfigError) as raised:
        configure(SystemdInput, conf)
    assert message in str(raised.value)


async def test_it_keeps_what_every_plugin_promises() -> None:
    await check_plugin(SystemdInput, "tag t")
