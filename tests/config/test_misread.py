"""Values that are read as something else than a person means, each with its exact text."""

from __future__ import annotations

import pytest

from logpipe import Options, Seconds, Size, param
from logpipe.config.diagnostic import Diagnostic
from logpipe.tree import Element, Position


class Timed(Options):
    """Settings of every kind that fluentd reads sloppily."""

    time: Seconds = param("A time.", default="1s")
    size: Size | None = param("A size.", default=None)
    count: int = param("A number.", default=1)
    share: float = param("A share.", default=1.0)
    flag: bool = param("A flag.", default=False)


def said(name: str, text: str) -> list[str]:
    element = Element("match", "a")
    element.set(name, text, Position("f.conf", 2, 9))
    found: list[Diagnostic] = []
    Timed.read(element, found.append)
    return [str(diagnostic) for diagnostic in found]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("time", "300ms", "read as 5 hours (write 0.3)"),
        ("time", "0.5s", "read as 5 seconds (write 0.5)"),
        ("time", "1m30s", "read as 30 seconds (write 90s)"),
        ("time", "1.5m", "read as 5 minutes (write 90s)"),
        ("time", "1d12h", "read as 12 hours (write 36h)"),
        ("time", "2w", "read as 2 seconds (write 14d)"),
        ("time", "soon", "read as 0 seconds (write seconds, or 30s, 5m, 2h, 1d)"),
        ("time", "", "read as 0 seconds (write seconds, or 30s, 5m, 2h, 1d)"),
        ("size", "1.5k", "read as 5120 bytes (write 1536)"),
        ("size", "8 MB", "read as 8 bytes (write 8m)"),
        ("size", "10%", "read as 10 bytes (write bytes, or 64k, 8m, 1g)"),
        ("count", "1e3", "read as 1 (write a number)"),
        ("count", "0x10", "read as 0 (write a number)"),
        ("share", "half", "read as 0 (write a number)"),
        ("flag", "#yes", "read as true (write true or false; a comment goes on a line of its own)"),
    ],
)
def test_what_is_read_otherwise(name: str, text: str, expected: str) -> None:
    """It keeps its meaning, and the user is told which that is."""
    assert said(name, text) == [f'f.conf:2:9: warning: <match a>: "{name}": "{text}" is {expected} [misread-value]']


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("time", text) for text in ("10", "0.5", "-1", "10s", "5m", "5minutes", "10 s", "10S", "1_000")),
        *(("size", text) for text in ("8m", "8MB", "256MiB", "1024", "10KB", "")),
        *(("count", text) for text in ("10", "-1", " 3 ", "1_000")),
        *(("share", text) for text in ("0.5", "1e-3", "2")),
        *(("flag", text) for text in ("", "yes", "false")),
    ],
)
def test_what_is_read_as_meant(name: str, text: str) -> None:
    """Nothing is said about it, nor about an empty text in place of what may be unset."""
    assert said(name, text) == []
