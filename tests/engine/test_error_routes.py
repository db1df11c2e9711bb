"""Events that fail again after `@ERROR`, routes that never end, and routes that are only long."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from logpipe import EventBatch, Filter, Input, Options, Output, Receipt, Record, Time
from logpipe.testing import pipeline

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type null\n</match>\n</label>\n"


class Refuse(Filter[Options], type="refuse"):
    """Handles no event that is marked."""

    def filter(self, _tag: str, _time: Time, record: Record) -> Record | None:
        if record.get("bad"):
            raise ValueError("a bad record")
        return record


class Again(Output[Options], type="again"):
    """Emits what it gets anew, without its receipt."""

    async def process(self, batch: EventBatch) -> None:
        await self.host.emit(EventBatch(batch.tag, batch.times, batch.records))


class AgainLater(Output[Options], type="again_later"):
    """Emits what its buffer delivers."""

    async def write(self, chunk: Any) -> None:
        for batch in chunk.batches():
            await self.host.emit(EventBatch(batch.tag, list(batch.times), list(batch.records), batch.receipt))


class Other(Input[Options], type="other"):
    """A source that has nothing to do with what goes round."""

    emitted = 0

    async def run(self) -> None:
        for number in itertools.count():
            await self.host.emit(EventBatch("other", [0], [{"n": number}]))
            Other.emitted += 1
            await asyncio.sleep(0)


ROOT = "<filter bad.**>\n@type refuse\n</filter>\n<match **>\n@type test\n</match>\n"


@pytest.mark.parametrize(
    "way_back",
    [
        "@type relabel\n@label @ROOT",
        "@type copy\n<store>\n@type relabel\n@label @ROOT\n</store>\n<store>\n@type null\n</store>",
        "@type rewrite_tag_filter\n<rule>\nkey bad\npattern /.+/\ntag ${tag}.again\nlabel @ROOT\n</rule>",
        "@type again\n@label @ROOT",
        "@type again_later\n@label @ROOT\n<buffer>\nflush_mode immediate\n</buffer>",
        "@type relabel\n@label @VIA",
        "@type relabel\n@label @LATER",
    ],
    ids=["relabel", "copy", "retag", "without-receipt", "buffered", "two-labels", "buffered-in-a-file-elsewhere"],
)
@pytest.mark.parametrize("with_receipt", [True, False])
async def test_an_event_goes_to_the_error_label_once(tmp_path: Path, way_back: str, *, with_receipt: bool) -> None:
    """What fails after it came from there is a dead letter with its reason, and its source is told."""
    via = "<label @VIA>\n<filter **>\n@type refuse\n</filter>\n<match **>\n@type test\nname via\n</match>\n</label>\n"
    buffer = f"<buffer>\n@type file\npath {tmp_path}\nflush_mode immediate\n</buffer>\n"
    later = f"<label @LATER>\n<match **>\n@type again_later\n@label @ROOT\n{buffer}</match>\n</label>\n"
    text = f"{QUIET}<label @ERROR>\n<match **>\n{way_back}\n</match>\n</label>\n{via}{later}{ROOT}"
    settled: list[int] = []
    async with pipeline(text, Refuse, Again, AgainLater) as running:
        receipt = Receipt(lambda: settled.append(1)) if with_receipt else None
        await running.feed("bad.a", {"bad": 1}, {"n": 1}, receipt=receipt)
        if receipt is not None:
            receipt.release()
        await running.wait_for(running.dead_letters)
        await running.graph.world.dead_letters.settle()
        await running.wait_for(lambda: settled or not with_receipt)
        assert running.records() == [{"n": 1}]
    (letter,) = running.dead_letters()
    assert (letter.record, letter.reason) == ({"bad": 1}, "a bad record")
    assert len(running.errors) == 2


async def test_a_restart_does_not_forget_what_came_through_the_error_label(tmp_path: Path) -> None:
    """A chunk in a file says it, beside others of events that did not."""
    text = (
        f"{QUIET}<label @ERROR>\n<match **>\n@type relabel\n@label @LATER\n</match>\n</label>\n{ROOT}"
        "<label @LATER>\n<match **>\n@type again_later\n@label @ROOT\n"
        f"<buffer>\n@type file\npath {tmp_path}\nflush_interval INTERVAL\n</buffer>\n</match>\n</label>\n"
    )
    async with pipeline(text.replace("INTERVAL", "1h"), Refuse, AgainLater) as running:
        await running.feed("bad.a", {"bad": 1})
        await running.feed("bad.a", {"bad": 2}, label="@LATER")
        await running.graph.world.dead_letters.settle()
    async with pipeline(text.replace("INTERVAL", "0"), Refuse, AgainLater) as running:
        await running.wait_for(lambda: len(running.dead_letters()) == 2)
    assert sorted(letter.record["bad"] for letter in running.dead_letters()) == [1, 2]
    assert [record for _, _, record, _ in running.errors].count({"bad": 1}) == 1
    assert [record for _, _, record, _ in running.errors].count({"bad": 2}) == 2


async def test_an_event_that_the_error_label_refuses_is_a_dead_letter_and_no_others_wait() -> None:
    """A ValueError of an output in `@ERROR` blames the event, once it is tried alone."""

    class Picky(Output[Options], type="picky"):
        """Takes all but one."""

        async def process(self, batch: EventBatch) -> None:
            if any(record["n"] == 2 for record in batch.records):
                raise ValueError("not this one")
            taken.extend(record["n"] for record in batch.records)

    taken: list[int] = []
    text = f"{QUIET}<label @ERROR>\n<match **>\n@type picky\n</match>\n</label>\n{ROOT}"
    async with pipeline(text, Refuse, Picky) as running:
        await running.feed("bad.a", *({"bad": 1, "n": number} for number in range(5)))
        await running.graph.world.dead_letters.settle()
    (letter,) = running.dead_letters()
    assert (letter.record, letter.reason) == ({"bad": 1, "n": 2}, "not this one")
    assert sorted(taken) == [0, 1, 3, 4]


async def test_a_retag_that_matches_itself_ends_in_a_dead_letter_and_others_go_on() -> None:
    """After many rounds, with one clear line, and not one less of the other source's events."""
    rule = "<rule>\nkey bad\npattern /.+/\ntag x.${tag}\n</rule>"
    text = f"""{QUIET}
    <source>
      @type other
    </source>
    <match other>
      @type null
    </match>
    <match round.** x.**>
      @type rewrite_tag_filter
      {rule}
    </match>
    """
    async with pipeline(text, Other) as running:
        before = Other.emitted
        await running.feed("round", {"bad": 1})
        await running.wait_for(running.dead_letters)
        assert Other.emitted > before + 10
    (letter,) = running.dead_letters()
    assert letter.error_class == "RoutingCircle"
    assert letter.tag is not None
    assert letter.tag.startswith("x.x.x.")
    assert "RecursionError" not in "".join(text for _, text in running.log.messages)


async def test_a_retag_that_doubles_the_tag_takes_no_memory() -> None:
    """Thirty rounds of it would take a gigabyte."""
    rule = "<rule>\nkey bad\npattern /.+/\ntag ${tag}.${tag}\n</rule>"
    text = f"{QUIET}<match **>\n@type rewrite_tag_filter\n{rule}\n</match>\n<match never>\n@type null\n</match>\n"
    async with pipeline(text.replace("<match **>\n@type rew", "<match a.**>\n@type rew")) as running:
        await running.feed("a.b", {"bad": 1})
        await running.wait_for(running.dead_letters)
    (letter,) = running.dead_letters()
    assert len(letter.tag or "") <= 16384


@pytest.mark.parametrize("through", ["relabel", "copy"])
@pytest.mark.parametrize("length", [200, 1000])
async def test_a_long_chain_of_labels_delivers(through: str, length: int) -> None:
    """Routing costs no stack."""

    def way(number: int) -> str:
        relabel = f"@type relabel\n@label @L{number}\n"
        return relabel if through == "relabel" else f"@type copy\n<store>\n{relabel}</store>\n"

    labels = "".join(
        f"<label @L{number}>\n<match **>\n{way(number + 1)}</match>\n</label>\n" for number in range(length)
    )
    text = (
        f"{QUIET}<match **>\n{way(0)}</match>\n{labels}<label @L{length}>\n<match **>\n@type test\n</match>\n</label>\n"
    )
    async with pipeline(text) as running:
        await running.feed("a", {"n": 1})
        assert running.records() == [{"n": 1}]


async def test_errors_of_a_kind_are_said_less_and_less() -> None:
    """The first, second, fourth, eighth … that goes to `@ERROR`: the events are there."""
    rescue = "<label @ERROR>\n<match **>\n@type test\n</match>\n</label>\n"
    text = f"{QUIET}<filter **>\n@type refuse\n</filter>\n<match **>\n@type null\n</match>\n{rescue}"
    async with pipeline(text, Refuse) as running:
        await running.feed("a", *({"bad": n} for n in range(1, 11)))
        await running.wait_for(lambda: len(running.records()) == 10)
        said = [text for text in running.log.texts("warning") if text.startswith("send an error event to @ERROR")]
    assert [text.rpartition("count=")[2] for text in said] == ["1", "2", "4", "8"]


async def test_filters_run_for_events_that_no_match_takes() -> None:
    """As in fluentd, where a pipeline of filters ends in the warning."""
    filters = "<filter **>\n@type refuse\n</filter>\n<filter a>\n@type stdout\n</filter>\n"
    text = f"{QUIET}{filters}<match b>\n@type test\n</match>\n"
    async with pipeline(text, Refuse) as running:
        await running.feed("a", {"n": 1}, {"bad": 1})
        await running.wait_for(running.dead_letters)
        assert "no patterns matched tag='a'" in running.log.texts("warning")
        assert running.metric("passed_records") == 2
        ledger = running.graph.ledger()
    assert next(line for line in ledger.routes if line.name == "@ROOT").unmatched == 1


async def test_a_long_tag_is_not_kept() -> None:
    """Tags may be made of what strangers write."""
    async with pipeline(f"{QUIET}<match **>\n@type test\n</match>\n") as running:
        router = running.graph.routers["@ROOT"]
        for number in range(10):
            await running.feed(f"{number}" * 2000, {})
        assert len(running.records()) == 10
        assert router.chain("1" * 2000) is not router.chain("1" * 2000)
