"""Loggers of others, as they are installed: what they send arrives."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiofluent
import pytest
from fluent.sender import EventTime, FluentSender

from logpipe.builtin.in_forward import Forward
from logpipe.testing import drive
from tests.builtin.in_forward.sender import NOW, port_of

LOCAL = "bind 127.0.0.1\nport 0\n"
RECORD = {"text": "grüße", "number": -7, "nested": {"list": [1, None, True, 1.5]}}


@pytest.mark.parametrize("is_precise", [True, False])
async def test_fluent_logger(is_precise: bool) -> None:  # noqa: FBT001
    """fluent-logger, of the makers of Fluentd: blocking, and so in a thread."""
    async with drive(Forward, LOCAL) as running:
        sender = FluentSender("app", "127.0.0.1", port_of(running), nanosecond_precision=is_precise)
        time: Any = EventTime.from_unix_nano(NOW + 5) if is_precise else NOW // 10**9
        for _ in range(3):
            assert await asyncio.to_thread(sender.emit_with_time, "own", time, RECORD)
        await running.wait_for(lambda: len(running.events("app.own")) == 3)
        assert {event.time for event in running.events()} == {NOW + 5 * is_precise}
        assert running.records() == [RECORD] * 3
        await asyncio.to_thread(sender.close)


async def test_aiofluent() -> None:
    """aiofluent-python, which speaks from the loop."""
    async with drive(Forward, LOCAL) as running:
        sender = aiofluent.FluentSender("127.0.0.1", port_of(running), nanosecond_precision=True)
        await sender.emit("app", RECORD)
        await running.wait_for(lambda: running.events("app"))
        assert running.records() == [RECORD]
        await sender.close()


async def test_json_by_hand() -> None:
    """As with netcat: one line each, and never a word back."""
    async with drive(Forward, LOCAL) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
        for number in range(3):
            writer.write(json.dumps(["app", 1, {"n": number}]).encode() + b"\n")
        await running.wait_for(lambda: len(running.events("app")) == 3)
        writer.close()
