"""The ledger: every event of a run stands in exactly one place of it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logpipe import BufferFull, Chunk, EventBatch, Filter, Options, Output, PermanentError, Record, RetryLater, Time
from logpipe.engine.running.ledger import Ledger, OutputLine, RouteLine
from logpipe.monitor import SourceAccount
from logpipe.testing import Pipeline, pipeline

OWN_LOG = "<label @FLUENT_LOG>\n<match **>\n@type test\nname own\n</match>\n</label>\n"


class Picky(Filter[Options], type="picky"):
    """Drops what is odd, and cannot handle what is negative."""

    def filter(self, tag: str, time: Time, record: Record) -> Record | None:
        if record["n"] < 0:
            raise ValueError(f"{tag} at {time}: {record['n']} is below zero")
        return None if record["n"] % 2 else record


class Broken(Filter[Options], type="broken"):
    """Fails whole batches."""

    def process(self, batch: EventBatch) -> EventBatch:
        raise RuntimeError(f"{len(batch)} events")


class Direct(Output[Options], type="direct"):
    """Takes or refuses, as it is told."""

    refuses: Exception | None = None

    async def process(self, batch: EventBatch) -> None:
        if self.refuses is not None:
            raise self.refuses
        for time, record in batch.events():
            if record["n"] == 13:
                self.host.emit_error(batch.tag, time, record, ValueError("unlucky"))


class Confirming(Output[Options], type="confirming"):
    """Counts what its peer has confirmed."""

    async def process(self, batch: EventBatch) -> None:
        self.host.counter("emit_records", "Confirmed.").add(sum(record["n"] for record in batch.records))


class Buffered(Output[Options], type="buffered"):
    """Raises what it is told."""

    raises: ClassVar[list[Exception]] = []

    async def write(self, chunk: Chunk) -> None:
        discarded = sum(record["n"] == 99 for batch in chunk.batches() for record in batch.records)
        self.host.counter("discarded_records", "Unwanted by the settings.").add(discarded)
        if self.raises:
            raise self.raises.pop()
        for batch in chunk.batches():
            for record in batch.records:
                if record["n"] == 13:
                    raise PermanentError("13 is never taken")


PLUGINS = (Picky, Broken, Direct, Confirming, Buffered)


def route(ledger: Ledger, name: str) -> RouteLine:
    """Return a route's line."""
    return next(line for line in ledger.routes if line.name == name)


def output(ledger: Ledger, plugin_id: str) -> OutputLine:
    """Return an output's line."""
    return next(line for line in ledger.outputs if line.plugin_id == plugin_id)


async def test_filters_and_unmatched_events_are_accounted_for() -> None:
    """What filters drop, what they cannot handle and what no output wants each have a place."""
    text = OWN_LOG + "<filter a>\n@type picky\n@id p\n</filter>\n<match a>\n@type direct\n@id d\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", {"n": -1}, {"n": 1}, {"n": 2}, {"n": 4})
        await running.feed("b", {"n": 1})
    line = route(running.graph.ledger(), "@ROOT")
    assert (line.emitted, line.unmatched, line.passed) == (5, 1, 2)
    assert (dict(line.filtered), dict(line.errors)) == ({"p": 1}, {"p": 1})
    assert output(running.graph.ledger(), "d").delivered == 2


async def test_a_filter_that_fails_a_batch() -> None:
    """All of it is errors, none of it dropped."""
    text = OWN_LOG + "<filter a>\n@type broken\n@id b\n</filter>\n<match a>\n@type direct\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", {"n": 1}, {"n": 2})
    line = route(running.graph.ledger(), "@ROOT")
    assert (dict(line.filtered), dict(line.errors)) == ({"b": 0}, {"b": 2})


async def test_a_refused_batch_is_nobodys() -> None:
    """It counts as refused, and whoever emitted it makes it again."""
    text = OWN_LOG + "<match a>\n@type direct\n@id d\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        for refusal in (BufferFull("full"), RetryLater("later"), OSError("down")):
            running.plugin(Direct).refuses = refusal
            try:
                await running.feed("a", {"n": 1})
            except type(refusal):
                pass
            else:
                raise AssertionError("it was taken")
        running.plugin(Direct).refuses = None
        await running.feed("a", {"n": 1}, {"n": 13})
    ledger = running.graph.ledger()
    assert (route(ledger, "@ROOT").refused, route(ledger, "@ROOT").passed) == (3, 2)
    assert output(ledger, "d") == OutputLine("d", taken=2, delivered=1, errors=1)


async def test_a_batch_that_goes_to_the_error_label_whole() -> None:
    """It was taken by the output that could not deliver it."""
    text = (
        OWN_LOG
        + "<match a>\n@type direct\n@id d\n</match>\n<label @ERROR>\n<match **>\n@type test\n</match>\n</label>\n"
    )
    async with pipeline(text, *PLUGINS) as running:
        running.plugin(Direct).refuses = OSError("down")
        await running.feed("a", {"n": 1}, {"n": 2})
        await running.wait_for(lambda: len(running.records()) == 2)
    ledger = running.graph.ledger()
    assert output(ledger, "d") == OutputLine("d", taken=2, errors=2)
    assert (route(ledger, "@ERROR").emitted, route(ledger, "@ERROR").passed) == (2, 2)


async def test_an_output_that_confirms_later() -> None:
    """What is not confirmed waits; what is confirmed and never came is a mistake."""
    text = OWN_LOG + "<match a>\n@type confirming\n@id c\n</match>\n"
    async with pipeline(text, *PLUGINS, expect_gaps=True) as running:
        await running.feed("a", {"n": 1}, {"n": 0})
        assert output(running.graph.ledger(), "c") == OutputLine("c", taken=2, delivered=1, waiting=1)
        await running.feed("a", {"n": 4})
        assert output(running.graph.ledger(), "c") == OutputLine("c", taken=3, delivered=5, unexplained=-2)


async def test_a_batch_that_a_buffer_cannot_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the output's error, and was never in the buffer."""
    text = OWN_LOG + "<match a>\n@type buffered\n@id b\n</match>\n"
    text += "<label @ERROR>\n<match **>\n@type test\n</match>\n</label>\n"

    async def refuse(_batch: EventBatch) -> None:
        raise OSError("broken")

    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", {"n": 1})
        with monkeypatch.context() as patch:
            patch.setattr(running.graph.outlets[0].staging, "process", refuse)
            await running.feed("a", {"n": 2}, {"n": 3})
        await running.wait_for(lambda: len(running.records()) == 2)
    assert output(running.graph.ledger(), "b") == OutputLine("b", taken=3, delivered=1, errors=2)


async def test_what_has_not_happened_is_zero() -> None:
    """In the document as well, of outputs with a buffer and without."""
    direct = "<match a>\n@type direct\n@id d\n</match>\n"
    buffered = "<match b>\n@type buffered\n@id b\n</match>\n"
    async with pipeline(OWN_LOG + direct + buffered, *PLUGINS) as running:
        await running.feed("a", {"n": 1})
        await running.feed("b", {"n": 1})
    document = running.graph.ledger().document()
    for line in document["outputs"]:
        if line["plugin_id"] in {"d", "b"}:
            assert {name: count for name, count in line.items() if count} == {
                "plugin_id": line["plugin_id"],
                "taken": 1,
                "delivered": 1,
            }
    root = next(line for line in document["routes"] if line["name"] == "@ROOT")
    assert {name: count for name, count in root.items() if count} == {"name": "@ROOT", "emitted": 2, "passed": 2}
    assert (document["gaps"], document["unexplained"]) == ([], 0)


async def test_what_a_buffer_still_holds_is_waiting() -> None:
    """An output that is down at the end leaves its events waiting, not delivered."""
    text = OWN_LOG + "<match a>\n@type buffered\n@id b\n<buffer>\nflush_mode immediate\n</buffer>\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        Buffered.raises = [OSError("down")] * 9
        await running.feed("a", {"n": 1}, {"n": 2})
        await running.wait_for(lambda: len(Buffered.raises) < 9)
    assert output(running.graph.ledger(), "b") == OutputLine("b", taken=2, waiting=2)
    Buffered.raises = []


async def test_what_an_output_throws_away_by_its_settings_is_dropped() -> None:
    """It is not delivered, though its chunk is done."""
    text = OWN_LOG + "<match a>\n@type buffered\n@id b\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", {"n": 1}, {"n": 99})
    assert output(running.graph.ledger(), "b") == OutputLine("b", taken=2, delivered=1, dropped=1)


async def test_the_last_line_of_the_log_is_the_ledger() -> None:
    """It says what became of everything, after everything has stopped."""
    text = "<match a>\n@type buffered\n@id b\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", {"n": 1}, {"n": 13}, {"n": 2})
    _, last = running.log.messages[-1]
    assert last == "ledger: taken=3 delivered=2 errors=1 unexplained=0"


async def test_a_previous_runs_chunks_are_resumed(tmp_path: Path) -> None:
    """What is found on disk at the start comes in by a line of its own."""
    text = f"{OWN_LOG}<match a>\n@type buffered\n@id b\n<buffer>\n@type file\npath {tmp_path}/b\n</buffer>\n</match>\n"
    async with pipeline(text, *PLUGINS) as running:
        await running.feed("a", {"n": 1}, {"n": 2})
    assert output(running.graph.ledger(), "b").waiting == 2
    async with pipeline(text, *PLUGINS) as running:
        await running.flush()
    line = output(running.graph.ledger(), "b")
    assert (line.taken, line.resumed, line.delivered, line.waiting) == (0, 2, 2, 0)


FATES = st.sampled_from(["ok", "down", "never", "bad data"])


@given(
    batches=st.lists(st.lists(st.integers(-2, 14), min_size=1, max_size=6), max_size=8),
    fates=st.lists(FATES, max_size=12),
    kind=st.sampled_from(["memory", "file"]),
    limit=st.sampled_from(["8m", "200"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_it_adds_up_whatever_happens(
    tmp_path_factory: object, batches: list[list[int]], fates: list[str], kind: str, limit: str
) -> None:
    """Under any mixture of failures nothing is unexplained, and what came in is what the fates made of it."""
    folder = tmp_path_factory.mktemp("buffer")  # type: ignore[attr-defined]  # pytest's factory
    errors: dict[str, Exception] = {
        "down": OSError("down"),
        "never": PermanentError("never"),
        "bad data": ValueError("odd"),
    }
    text = (
        f"{OWN_LOG}<filter **>\n@type picky\n</filter>\n<match **>\n@type buffered\n@id b\n<buffer>\n@type {kind}\n"
        + (f"path {folder}\n" if kind == "file" else "")
        + f"chunk_limit_size {limit}\nflush_mode immediate\nretry_wait 0.01\nretry_max_times 2\n</buffer>\n</match>\n"
    )
    async with pipeline(text, *PLUGINS) as running:
        Buffered.raises = [errors[fate] for fate in fates if fate != "ok"]
        for batch in batches:
            await running.feed("a", *({"n": n} for n in batch))
        await running.wait_for(lambda: output(running.graph.ledger(), "b").waiting == 0)
    Buffered.raises = []
    line = output(running.graph.ledger(), "b")
    numbers = [n for batch in batches for n in batch]
    assert line.taken == sum(n >= 0 and n % 2 == 0 for n in numbers)
    assert line.taken == line.delivered + line.errors + line.dead_letters
    _letters_are_those_given_up(running, line)


def _letters_are_those_given_up(running: Pipeline, line: OutputLine) -> None:
    queue = running.graph.world.dead_letters
    assert queue.filed.value == queue.count.value
    assert line.dead_letters == running.metric("given_up_records")


async def test_an_input_counts_its_unmatched_lines(tmp_path: Path) -> None:
    """They are no events, and yet what was read has to add up for whoever looks."""
    (tmp_path / "log").write_text('{"a":1}\nnone\nneither\n')
    tail = f"@type tail\n@id t\npath {tmp_path}/log\ntag a\npos_file {tmp_path}/pos\nread_from_head true\n"
    text = f"<source>\n{tail}<parse>\n@type json\n</parse>\n</source>\n<match a>\n@type test\n</match>\n"
    async with pipeline(text) as running:
        await running.wait_for(running.records)
    ledger = running.graph.ledger()
    assert "ledger of input t: emitted=1 unmatched=2" in ledger.lines()
    assert ledger.sums()["unmatched_lines"] == 2


def test_sources_are_named_where_bytes_are_lost_or_unexplained() -> None:
    """One of the two is enough; a source that was read as it should be is in the sums alone."""
    fine = SourceAccount("fine", written=1, read=1)
    cut = SourceAccount("cut", written=3, read=1, abandoned={"truncated": 2})
    odd = SourceAccount("odd", written=2, read=1)
    assert Ledger((fine, cut, odd), inputs=(), routes=(), outputs=()).lines()[:-1] == [
        "ledger of source cut: written=3 read=1 abandoned.truncated=2",
        "ledger of source odd: written=2 read=1 unexplained=1",
    ]
