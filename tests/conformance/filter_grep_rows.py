"""Rows of kind `filter` whose type is grep or stdout: one event, and what passes."""

from __future__ import annotations

import asyncio
import io
from contextlib import redirect_stdout
from typing import Any

from logpipe.registry import Registry
from logpipe.testing import drive
from tests.conformance.clock import nanoseconds, utc

TYPES = frozenset({"grep", "stdout"})


def run(row: dict[str, Any]) -> str | None:
    """Return None where the events that pass, and those that fail, are fluentd's; else what differs."""
    with utc(), redirect_stdout(io.StringIO()):
        return asyncio.run(_run(row))


async def _run(row: dict[str, Any]) -> str | None:
    async with drive(Registry().find("filter", row["type"]), row["config"]) as stage:
        await stage.feed(row["tag"], row["record"], times=[nanoseconds(row["time"])])
        passed = list(stage.events())
        failed = len(stage.errors)
    expected = [(nanoseconds(event["time"]), event["record"]) for event in row["expect"]]
    same = passed == expected and failed == len(row["errors"])
    return None if same else f"got {passed}, {failed} failed"
