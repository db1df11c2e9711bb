"""What events bring as chunk keys: times without a date, values of every type, clocks that change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from logpipe import Chunk, ChunkKey, EventBatch, Options, Output, Receipt
from logpipe.ruby import to_s
from logpipe.testing import ManualClock, pipeline
from tests.builtin.test_out_file import files

SECOND = 1_000_000_000
NOON = 1_709_208_000  # 2024-02-29 12:00:00 UTC
DATELESS = (-62_167_219_201, 10**18, -99_999_999_999_999, 253_402_300_800)
JSON = "<format>\n@type json\n</format>\n"
MEMORY = "@type memory\nflush_mode immediate\n"


@pytest.fixture
def machine_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Put the machine into a time zone, until the test ends."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


class Encoder(Output[Options], type="encoder"):
    """Fails on an event that it does not expect, as third-party code may."""

    payloads: list[bytes]

    async def start(self) -> None:
        self.payloads = []

    def encode(self, batch: EventBatch) -> list[bytes]:
        return [b"%d" % record["n"] for record in batch.records]

    async def write(self, chunk: Chunk) -> None:
        self.payloads += chunk.payloads()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("seconds", DATELESS)
async def test_a_time_without_a_date_is_the_exception(
    seconds: int, zone: str, machine_in: Callable[[str], None], tmp_path: Path
) -> None:
    """Of its batch all others are written, and nothing is read again for ever."""
    machine_in(zone)
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    text = f"<match app>\n@type file\npath {tmp_path}/f\n{JSON}</match>\n"
    async with pipeline(text) as running:
        times = [NOON * SECOND, seconds * SECOND, NOON * SECOND]
        await running.feed("app", {"n": 1}, {"n": 2}, {"n": 3}, times=times, receipt=receipt)
        receipt.release()
        await running.flush()
        await running.wait_for(lambda: settled)
    assert files(tmp_path) == {"f.20240229_0.log": '{"n":1}\n{"n":3}\n'}
    (letter,) = running.dead_letters()
    assert letter.record == {"n": 2}
    assert letter.time == seconds * SECOND
    assert "has no date" in letter.reason


@pytest.mark.parametrize(
    ("second", "day"),
    [(-62_135_596_800, "00010101"), (-62_167_219_200, "00000101"), (253_402_300_799, "99991231"), (0, "19700101")],
)
async def test_every_time_with_a_date_has_its_file(second: int, day: str, tmp_path: Path) -> None:
    """Go's zero time is year 1, and common."""
    buffer = "<buffer time>\ntimekey 1d\ntimekey_use_utc true\n</buffer>\n"
    async with pipeline(f"<match app>\n@type file\npath {tmp_path}/f\n{JSON}{buffer}</match>\n") as running:
        await running.feed("app", {"n": 1}, times=[second * SECOND])
        await running.flush()
    assert files(tmp_path) == {f"f.{day}_0.log": '{"n":1}\n'}


async def test_copy_delivers_once_what_a_later_store_cannot_date(tmp_path: Path) -> None:
    """The event goes to `@ERROR`, whose own file cannot date it either, and from there to a dead letter."""
    output = f"<store>\n@type test\n</store>\n<store>\n@type file\npath {tmp_path}/f\n{JSON}</store>\n"
    error = f"<label @ERROR>\n<match **>\n@type file\npath {tmp_path}/error\n{JSON}</match>\n</label>\n"
    async with pipeline(f"<match app>\n@type copy\n{output}</match>\n{error}") as running:
        await running.feed("app", {"n": 1}, {"n": 2}, times=[NOON * SECOND, 10**18 * SECOND])
        await running.wait_for(running.dead_letters)
        assert running.records() == [{"n": 1}, {"n": 2}]
        await running.flush()
    assert files(tmp_path) == {"f.20240229_0.log": '{"n":1}\n'}
    (letter,) = running.dead_letters()
    assert letter.record == {"n": 2}


async def test_a_renewed_time_without_a_date(tmp_path: Path) -> None:
    """The filter lets it pass, and the output that needs a date does not."""
    renew = "<filter **>\n@type record_transformer\nrenew_time_key t\nremove_keys t\n</filter>\n"
    async with pipeline(f"{renew}<match app>\n@type file\npath {tmp_path}/f\n{JSON}</match>\n") as running:
        await running.feed("app", {"n": 1, "t": 10**18}, {"n": 2, "t": NOON})
        await running.flush()
    assert files(tmp_path) == {"f.20240229_0.log": '{"n":2}\n'}
    assert [letter.record for letter in running.dead_letters()] == [{"n": 1}]


@pytest.mark.parametrize("wrong", [{"n": "text"}, {}])
async def test_an_event_that_cannot_be_encoded_is_the_exception(wrong: dict[str, Any]) -> None:
    """Whatever `encode` raises for it: the input would else read the batch for ever."""
    text = f"<match app>\n@type encoder\n<buffer>\n{MEMORY}</buffer>\n</match>\n"
    async with pipeline(text, Encoder) as running:
        await running.feed("app", {"n": 1}, wrong, {"n": 3})
        await running.flush()
        assert running.plugin(Encoder).payloads == [b"1", b"3"]
        assert [record for _, _, record, _ in running.errors] == [wrong]


VALUES: list[tuple[Any, str]] = [
    (True, "true"),
    (1, "1"),
    (1.0, "1.0"),
    ("1", "1"),
    (False, "false"),
    (0, "0"),
    (0.0, "0.0"),
    (-0.0, "-0.0"),
    (None, ""),
    ("", ""),
    (1e20, "1.0e+20"),
    (12345678901234567890123, "12345678901234567890123"),
    ({"x": 1}, '{"x"=>1}'),
    ({"x": True}, '{"x"=>true}'),
    ([1, "a", None], '[1, "a", nil]'),
    ([True, "a", None], '[true, "a", nil]'),
    ({"a": {"b": ['q"', "\n"]}}, '{"a"=>{"b"=>["q\\"", "\\n"]}}'),
    ("{'x': 1}", "{'x': 1}"),
    (float("inf"), "Infinity"),
    (b"caf\xe9", "caf\udce9"),
]


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_values_of_each_type_have_chunks_of_their_own(kind: str, tmp_path: Path) -> None:
    """Python takes true for 1, 1.0 for 1, and 0.0 for -0.0; the files' names are what Ruby's to_s gives."""
    buffer = f"<buffer k>\n@type {kind}\npath {tmp_path}/buffer\n</buffer>\n"
    async with pipeline(f"<match app>\n@type file\npath {tmp_path}/out/${{k}}\n{JSON}{buffer}</match>\n") as running:
        await running.feed("app", *({"k": value, "n": n} for n, (value, _) in enumerate(VALUES)))
        assert running.metric("buffer_stage_length") == len(VALUES)
        await running.flush()
    names = {text for _, text in VALUES}
    assert {name.rpartition("_")[0].removeprefix("out/") for name in files(tmp_path)} == names


async def test_keys_hold_their_type_over_a_restart(tmp_path: Path) -> None:
    """Chunks that a run left in files go where they would have gone."""
    buffer = f"<buffer k>\n@type file\npath {tmp_path}/buffer\nflush_at_shutdown false\n</buffer>\n"
    text = f"<match app>\n@type file\npath {tmp_path}/out/${{k}}\n{JSON}{buffer}</match>\n"
    values = [value for value, _ in VALUES if value is not None and value != ""]
    async with pipeline(text) as running:
        await running.feed("app", *({"k": value} for value in values))
        await running.wait_for(lambda: len(list((tmp_path / "buffer").glob("*.log"))) == len(values))
    async with pipeline(text) as running:
        await running.feed("app", *({"k": value} for value in values))
        await running.flush()
    counts = [content.count("\n") for name, content in files(tmp_path).items() if name.startswith("out/")]
    assert counts == [2] * len(values)


async def test_one_chunk_for_what_is_not_a_number() -> None:
    """NaN equals nothing, itself least of all."""
    text = "<match app>\n@type encoder\n<buffer k>\n@type memory\n</buffer>\n</match>\n"
    async with pipeline(text, Encoder) as running:
        for n in range(3):
            await running.feed("app", {"k": float("nan"), "n": n})
        assert running.metric("buffer_stage_length") == 1


def test_keys_are_equal_with_their_types() -> None:
    """For whoever keeps something by them."""
    keys = {ChunkKey(variables=(("k", value),)) for value, _ in VALUES}
    assert len(keys) == len(VALUES)
    assert ChunkKey(variables=(("k", True),)) != ChunkKey(variables=(("k", 1),))
    assert ChunkKey(1, "a", (("k", [1]),)) == ChunkKey(1, "a", (("k", [1]),))
    assert ChunkKey(1, "a") == (1, "a", (), False)


@pytest.mark.parametrize("depth", [200, 900])
async def test_a_value_that_no_text_holds_is_the_exception(depth: int) -> None:
    """Nested past all sense, or longer than any name."""
    deep: Any = "x"
    for _ in range(depth):
        deep = {"k": deep}
    text = f"<match app>\n@type encoder\n<buffer k>\n{MEMORY}</buffer>\n</match>\n"
    async with pipeline(text, Encoder) as running:
        await running.feed("app", {"k": "a", "n": 1}, {"k": deep, "n": 2}, {"k": "y" * 70_000, "n": 3}, {"n": 4})
        await running.flush()
        assert sorted(running.plugin(Encoder).payloads) == [b"1", b"4"]
        assert [record["n"] for _, _, record, _ in running.errors] == [2, 3]


async def test_days_are_those_of_the_machine(machine_in: Callable[[str], None], tmp_path: Path) -> None:
    """Two in the morning of 29 February in Tokyo is the 28th in Greenwich, and its file is that of the 29th."""
    machine_in("Asia/Tokyo")
    two_at_night = int(datetime(2024, 2, 29, 2, tzinfo=ZoneInfo("Asia/Tokyo")).timestamp())
    async with pipeline(f"<match app>\n@type file\npath {tmp_path}/f\n{JSON}</match>\n") as running:
        await running.feed("app", {"n": 1}, times=[two_at_night * SECOND])
        await running.flush()
    assert files(tmp_path) == {"f.20240229_0.log": '{"n":1}\n'}


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("month", "day"), [(3, 31), (10, 27)])
async def test_a_day_on_which_clocks_change_is_one_day(
    month: int, day: int, *, named: bool, machine_in: Callable[[str], None], tmp_path: Path
) -> None:
    """It has 23 hours or 25, and one file, which is written when it is over and not before."""
    machine_in("UTC" if named else "Europe/Berlin")
    start = int(datetime(2024, month, day, tzinfo=BERLIN).timestamp())
    end = int(datetime(2024, month, day + 1, tzinfo=BERLIN).timestamp()) if day < 31 else start + 23 * 3600
    zone = "timekey_zone Europe/Berlin\n" if named else ""
    buffer = f"<buffer time>\n@type memory\ntimekey 1d\ntimekey_wait 0\n{zone}</buffer>\n"
    clock = ManualClock((end - 60) * SECOND)
    text = f"<match app>\n@type file\npath {tmp_path}/f\n{JSON}{buffer}</match>\n"
    async with pipeline(text, clock=clock) as running:
        seconds = range(start, end, 3600)
        await running.feed("app", *({"n": n} for n in seconds), times=[second * SECOND for second in seconds])
        assert running.metric("buffer_stage_length") == 1
        await clock.advance(30)
        assert files(tmp_path) == {}
        await clock.advance(60)
        name = tmp_path / f"f.2024{month:02d}{day:02d}_0.log"
        await running.wait_for(name.exists)
    assert len(name.read_text().splitlines()) == len(seconds)


async def test_the_hour_that_comes_twice_has_one_name(machine_in: Callable[[str], None], tmp_path: Path) -> None:
    """Summer time ends at 3: both hours from 2 to 3 are of that name, and of no other."""
    machine_in("Europe/Berlin")
    two = int(datetime(2024, 10, 27, 0, tzinfo=UTC).timestamp())
    buffer = "<buffer time>\n@type memory\ntimekey 1h\n</buffer>\n"
    text = f"<match app>\n@type file\nappend true\npath {tmp_path}/f\n{JSON}{buffer}</match>\n"
    async with pipeline(text) as running:
        times = [(two + minutes * 60) * SECOND for minutes in (-1, 1, 61, 121)]
        await running.feed("app", *({"n": n} for n in range(4)), times=times)
        await running.flush()
    assert files(tmp_path) == {
        "f.2024102701.log": '{"n":0}\n',
        "f.2024102702.log": '{"n":1}\n{"n":2}\n',
        "f.2024102703.log": '{"n":3}\n',
    }


def test_text_is_what_ruby_writes() -> None:
    """One function for paths, topics and tags."""
    assert [to_s(value) for value, _ in VALUES] == [text for _, text in VALUES]
