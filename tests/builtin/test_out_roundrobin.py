"""Batches that go to one output each, in turn."""

from __future__ import annotations

from collections import Counter

import pytest

from logpipe import ConfigError, Receipt
from logpipe.builtin.out_roundrobin import RoundRobin
from logpipe.testing import check_plugin, pipeline

QUIET = "<label @FLUENT_LOG>\n<match **>\n@type test\nname quiet\n</match>\n</label>\n"


def turns(*stores: str) -> str:
    """Return a roundrobin to `@type test` outputs, each given as `NAME SETTINGS`."""
    body = "".join(f"<store>\ntype test\nname {store.replace(' ', chr(10), 1)}\n</store>\n" for store in stores)
    return f"<match **>\ntype roundrobin\n{body}</match>\n{QUIET}"


async def test_keeps_the_contract() -> None:
    """An output like any other."""
    await check_plugin(RoundRobin, "<store>\n@type null\n</store>")


async def test_stores_take_turns() -> None:
    """In the order of the file, a batch each, and a weight is the owner's setting: nothing says it is not used."""
    async with pipeline(turns("a weight 1", "b", "c")) as running:
        for number in range(7):
            await running.feed("app", {"n": number}, {"n": number})
        assert [[record["n"] for record in running.records(name=name)][::2] for name in "abc"] == [
            [0, 3, 6], [1, 4], [2, 5],
        ]  # fmt: skip
        assert not [each for each in running.warnings if "weight" in each.message]


async def test_weights_are_shares() -> None:
    """Reduced to the smallest round; within it the order is any, and a weight of 0 gets nothing."""
    async with pipeline(turns("a weight 40", "b weight 20", "c weight 0")) as running:
        for number in range(30):
            await running.feed("app", {"n": number})
            if number % 3 == 2:
                assert Counter(len(running.records(name=name)) for name in "abc") == Counter(
                    (2 * (number + 1) // 3, (number + 1) // 3, 0)
                )


async def test_what_a_store_refuses_goes_to_the_next() -> None:
    """Said once; it has its turn all the same, and gets its share when it takes events again."""
    async with pipeline(turns("a", "b")) as running:
        running.collector("a").refuse = RuntimeError("no")
        for number in range(4):
            await running.feed("app", {"n": number})
        assert [record["n"] for record in running.records(name="b")] == [0, 1, 2, 3]
        assert len([text for text in running.log.texts("warning") if "store 1 (test) takes no events" in text]) == 1
        running.collector("a").refuse = None
        await running.feed("app", {"n": 4})
        assert running.records(name="a") == [{"n": 4}]
        assert any("store 1 (test) takes events again" in text for text in running.log.texts("info"))


async def test_what_all_refuse_goes_back_to_the_input() -> None:
    """With the last one's error; its receipt is not settled by it."""
    settled: list[bool] = []
    receipt = Receipt(lambda: settled.append(True))
    async with pipeline(turns("a", "b", "c weight 0")) as running:
        running.collector("a").refuse = RuntimeError("first")
        running.collector("b").refuse = RuntimeError("second")
        with pytest.raises(RuntimeError, match="second"):
            await running.feed("app", {"n": 1}, receipt=receipt)
        assert running.records(name="c") == []
        assert receipt.holds == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (turns(), "<store> section is required"),
        (turns("a weight -1"), "weight must not be negative"),
        (turns("a weight 0"), "nowhere to send events to"),
        (turns("a weight 100003", "b"), "write smaller ones"),
    ],
)
async def test_mistakes(text: str, message: str) -> None:
    """Found at start."""
    with pytest.raises(ConfigError, match=message):
        async with pipeline(text):
            pass
