"""What became of lines, in numbers that add up.

    read_lines = emitted_records - additional_records + eventless_lines + skipped_lines
               + unmatched_lines (not with emit_unmatched_lines, which makes records of them)

Nothing goes to `@ERROR` here: a line that is in no format is warned about, and is emitted where the user wants that.
"""

from __future__ import annotations

from logpipe import Host
from logpipe.builtin.in_tail.events import Made


class Counts:
    """The counters of what is read."""

    def __init__(self, host: Host) -> None:
        self._bytes = host.counter(
            "read_bytes", "Bytes of batches that were accepted, and of the lines that were left out of them."
        )
        self.lines = host.counter(
            "read_lines",
            "Lines that were dealt with: emitted_records without additional_records, eventless_lines, skipped_lines "
            "and, unless emit_unmatched_lines made records of them, unmatched_lines.",
        )
        self._additional = host.counter("additional_records", "Records beyond one a line, where lines hold several.")
        self._eventless = host.counter("eventless_lines", "Lines in the parser's format that hold no event.")
        self._unmatched = host.counter("unmatched_lines", "Lines that are not in the parser's format.")
        self.skipped_lines = host.counter("skipped_lines", "Lines longer than max_line_size, which are left out.")
        self.long_line_bytes = host.counter(
            "skipped_long_line_bytes", "Bytes of the lines in skipped_lines, and of what was cut off."
        )
        self.nul_bytes = host.counter("skipped_nul_bytes", "NUL bytes at the start of lines, which are left out.")
        self.cut_lines = host.counter("cut_lines", "Lines that were too long, of which the beginning was read.")
        self.refusals = host.counter("refused_batches", "Batches that outputs did not accept and that are made again.")

    def accepted(self, size: int, lines: int, made: Made) -> None:
        """Count a batch that was accepted, or was empty; its records are counted by the host."""
        self._bytes.value += size
        self.lines.value += lines
        self._unmatched.value += made.unmatched
        if made.surplus > 0:
            self._additional.value += made.surplus
        elif made.surplus < 0:
            self._eventless.value -= made.surplus
