"""The settings that both stages have: fluent-plugin-detect-exceptions 0.0.16, out_detect_exceptions.rb."""

from __future__ import annotations

from collections.abc import Iterator

from logpipe import InvalidSetting, Options, Seconds, param
from logpipe_community.detect_exceptions.traces import LANGUAGES


class TraceOptions(Options):
    """Settings of traces."""

    message: str = param(
        "Field that holds the line; without it, `message` or `log`, whichever the first event has.", default=""
    )
    languages: list[str] = param(
        "Languages whose traces are looked for: java, js, csharp, python, go, php, ruby, dart; without it, all.",
        default=[],
    )
    multiline_flush_interval: Seconds | None = param(
        "How long a trace waits for its next line, from its first one on; without it, a minute.", default=None
    )
    max_lines: int = param("Lines after which a trace goes on as it is; 0 for no limit.", default=1000)
    max_bytes: int = param("Characters after which it does; 0 for no limit.", default=0)
    stream: str = param("Field that tells streams of one tag apart; without it, a tag is a stream.", default="")
    force_line_breaks: bool = param("Put a newline between lines that have none.", default=False)

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield languages that are not known."""
        for language in self.languages:
            if language.lower() not in LANGUAGES:
                known = ", ".join(LANGUAGES)
                yield InvalidSetting(f"Unknown language: {language}: write one of {known}", param="languages")
