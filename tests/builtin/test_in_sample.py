"""Events that are made up, with a clock that stands still."""

from __future__ import annotations

import pytest

from logpipe import ConfigError
from logpipe.builtin.in_sample import Sample
from logpipe.testing import ManualClock, Pipeline, check_plugin, drive


async def test_keeps_the_contract() -> None:
    """An input like any other."""
    await check_plugin(Sample, "tag t")


async def seconds(stage: Pipeline, clock: ManualClock, count: int) -> None:
    """Let so many seconds pass, but for the last half of a slice."""
    await stage.wait_for(lambda: clock.sleepers)
    await clock.advance(count - 0.05)


@pytest.mark.parametrize(
    ("conf", "events"),
    [("", 3), ("rate 5", 15), ("rate 25", 75), ("size 10", 30), ("rate 12\nsize 2", 72), ("rate 0", 0)],
)
async def test_rate(conf: str, events: int) -> None:
    """It makes `rate` times `size` events a second."""
    clock = ManualClock()
    async with drive(Sample, f"tag app\n{conf}", clock=clock) as stage:
        await seconds(stage, clock, 3)
        assert len(stage.events("app")) == events


async def test_events_are_spread_over_the_second() -> None:
    """Ten times a second, each with the clock's time."""
    clock = ManualClock()
    async with drive(Sample, "tag app\nrate 10", clock=clock) as stage:
        start = clock.now()
        await seconds(stage, clock, 1)
        assert [event.time for event in stage.events()] == [start + part * 100_000_000 for part in range(10)]


@pytest.mark.parametrize("word", ["sample", "dummy"])
@pytest.mark.parametrize(
    ("text", "records"),
    [
        ('{"a":1}', [{"a": 1}] * 4),
        ('[{"a":1},{"a":2},{"b":{"c":[3]}}]', [{"a": 1}, {"a": 2}, {"b": {"c": [3]}}, {"a": 1}]),
    ],
)
async def test_samples_take_turns(word: str, text: str, records: list[dict[str, object]]) -> None:
    """One object, or several in turn; 0.12 called them dummy."""
    clock = ManualClock()
    async with drive(Sample, f"tag app\nrate 4\n{word} {text}", clock=clock) as stage:
        await seconds(stage, clock, 1)
        assert stage.records() == records


async def test_auto_increment_key() -> None:
    """A number that counts up from 0, and a record of its own for each event."""
    clock = ManualClock()
    conf = 'tag app\nrate 3\nauto_increment_key id\nsample {"a":1}\nreuse_record true'
    async with drive(Sample, conf, clock=clock) as stage:
        await seconds(stage, clock, 1)
        assert stage.records() == [{"a": 1, "id": 0}, {"a": 1, "id": 1}, {"a": 1, "id": 2}]


async def test_default_sample() -> None:
    """Without a sample there is one."""
    clock = ManualClock()
    async with drive(Sample, "tag app", clock=clock) as stage:
        await seconds(stage, clock, 1)
        assert stage.records() == [{"message": "sample"}]


async def test_goes_on_when_nobody_accepts() -> None:
    """An output that refuses does not stop it; what was lost is counted."""
    clock = ManualClock()
    async with drive(Sample, "tag app\nrate 10", clock=clock) as stage:
        stage.collector().refuse = RuntimeError("full")
        await seconds(stage, clock, 1)
        lost = stage.metric("lost_records")
        stage.collector().refuse = None
        await seconds(stage, clock, 1)
        assert lost > 0
        assert len(stage.events()) + stage.metric("lost_records") >= 19


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("", '"tag" is required'),
        ("tag t\nsize 0", "size must be at least 1"),
        ("tag t\nrate -1", "rate must not be negative"),
        ('tag t\nsample "text"', "is not JSON"),
        ("tag t\nsample [1]", "0th element of sample, 1, is not a hash"),
        ("tag t\nsample []", "sample is empty"),
    ],
)
async def test_settings_that_cannot_work(conf: str, message: str) -> None:
    """Mistakes are found at start."""
    with pytest.raises(ConfigError, match=message):
        async with drive(Sample, conf):
            pass
