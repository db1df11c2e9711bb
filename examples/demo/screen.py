"""The demo's output: a line of counts that is redrawn on a terminal, and plain text otherwise."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any


class Screen:
    """Standard output, as a terminal if it is one.

    Attributes:
        interval: seconds between two lines of counts.
    """

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self.interval = 0.1 if self._terminal else 1.0
        self._colour = self._terminal and "NO_COLOR" not in os.environ
        self._drawn = False

    def say(self, text: str = "") -> None:
        """Show text below the previous output."""
        self._write(f"\n{text}\n" if self._drawn else f"{text}\n")
        self._drawn = False

    def title(self, text: str) -> None:
        """Show a heading with an empty line before it."""
        self.say()
        self.say(f"\x1b[1m{text}\x1b[0m" if self._colour else text)

    def count(self, seconds: float, arrived: Mapping[str, int], written: int) -> None:
        """Show how many events each topic has: over the last such line on a terminal, below it elsewhere."""
        topics = "  ".join(f"{topic} {arrived[topic]:,}" for topic in sorted(arrived))
        line = f"{seconds:5.1f} s  {sum(arrived.values()):,} of {written:,} lines in kafka  {topics}"
        if not self._terminal:
            self.say(line)
            return
        # Never wider than the terminal: a line that wraps can't be drawn over.
        self._write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        self._drawn = True

    def record(self, record: Mapping[str, Any]) -> None:
        """Show one event."""
        self.say(json.dumps(record, indent=2, ensure_ascii=False))

    def table(self, rows: list[tuple[str, ...]]) -> None:
        """Show rows of cells, the first of each to the left and the others to the right of their columns."""
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        for first, *others in rows:
            cells = [first.ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
            self.say("  " + "  ".join(cells))

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
