"""The settings of concat: fluent-plugin-concat 2.6.2, filter_concat.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from logpipe import InvalidSetting, Options, Seconds, Size, param
from logpipe.ruby import ExpressionError, RecordAccessor, compile_regexp, split_regexp


def _regexp(text: str) -> re.Pattern[str]:
    """Read `/…/`; of a text without slashes the original cuts the first character and the last one all the same."""
    source, flags = split_regexp(text)
    if source == text:
        raise ValueError(f"{text!r} is no regular expression: write /…/")
    try:
        return compile_regexp(source, flags)
    except ExpressionError as problem:
        raise ValueError(f"{problem}{f': {problem.hint}' if problem.hint else ''}") from None


_MODES: Final = "n_lines, multiline_start_regexp, multiline_end_regexp, partial_key, use_partial_metadata"


class ConcatOptions(Options):
    """Settings of `<filter> @type concat`."""

    key: str = param("Field whose text is joined; events without it pass.")
    separator: str = param("What stands between the texts.", default="\n")
    n_lines: int | None = param("How many events are one.", default=None)
    multiline_start_regexp: re.Pattern[str] | None = param(
        "Regular expression, `/…/`, of the first text of an event.", default=None, convert=_regexp
    )
    multiline_end_regexp: re.Pattern[str] | None = param(
        "Regular expression, `/…/`, of the last text of an event.", default=None, convert=_regexp
    )
    continuous_line_regexp: re.Pattern[str] | None = param(
        "Regular expression, `/…/`, of the texts between; another one ends the event, and goes on by itself.",
        default=None,
        convert=_regexp,
    )
    stream_identity_key: RecordAccessor | None = param(
        "Field that says which events may be one, beside their tag: `container_id` or `$.docker.container_id`.",
        default=None,
    )
    flush_interval: Seconds = param("How long an event waits for its next text; 0 for as long as it takes.", default=60)
    timeout_label: str | None = param(
        "Label for events that have waited that long, or wait at the end; without it they go on behind the filter.",
        default=None,
    )
    use_first_timestamp: bool = param("Give a joined event the time of its first text, not of its last.", default=False)
    partial_key: str | None = param("Field that says whether a text goes on.", default=None)
    partial_value: str | None = param("What `partial_key` holds where the text goes on.", default=None)
    keep_partial_key: bool = param("Leave `partial_key` in the record, or `partial_cri_logtag_key`.", default=False)
    use_partial_metadata: bool = param("Join by the fields that Docker's log drivers add to parts.", default=False)
    partial_metadata_format: Literal["docker-fluentd", "docker-journald", "docker-journald-lowercase"] = param(
        "Which log driver's fields these are.", default="docker-fluentd"
    )
    keep_partial_metadata: bool = param("Leave the log driver's fields in the record.", default=False)
    use_partial_cri_logtag: bool = param("Join by the log tag, P or F, of container runtimes.", default=False)
    partial_cri_logtag_key: str | None = param("Field that holds the log tag.", default=None)
    partial_cri_stream_key: str = param(
        "Field that holds stdout or stderr, whose parts are not joined; it is taken out of the record.",
        default="stream",
    )
    buffer_limit_size: Size = param("Bytes of an event's parts that are joined.", default="500k")
    buffer_overflow_method: Literal["ignore", "truncate", "drop", "new"] = param(
        "What becomes of more: it is joined all the same (ignore), left out (truncate), left out with all before it "
        "(drop), or the next event (new). With `partial_key` only, as in the original.",
        default="ignore",
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield missing and contradicting modes, as the original does."""
        by_regexp = self.multiline_start_regexp is not None or self.multiline_end_regexp is not None
        modes = {
            "n_lines": self.n_lines is not None,
            "multiline_start_regexp/multiline_end_regexp": by_regexp,
            "partial_key": self.partial_key is not None,
            "use_partial_metadata": self.use_partial_metadata,
            "use_partial_cri_logtag": self.use_partial_cri_logtag,
        }
        # compat: filter_concat.rb lets use_partial_metadata win over use_partial_cri_logtag
        written = [name for name, is_set in modes.items() if is_set and name != "use_partial_cri_logtag"]
        if not any(modes.values()):
            yield f"nothing says which events are one: add one of {_MODES} or use_partial_cri_logtag"
        elif len(written) > 1 or (written not in ([], ["use_partial_metadata"]) and self.use_partial_cri_logtag):
            names = [name for name, is_set in modes.items() if is_set]
            yield f"{' and '.join(names)} are exclusive: remove all but one"
        if self.n_lines is not None and self.n_lines < 1:
            yield InvalidSetting("n_lines must be 1 or more", param="n_lines")
        if self.partial_key is not None and self.partial_value is None:
            yield InvalidSetting("partial_value is required when partial_key is specified", param="partial_key")
        if self.use_partial_cri_logtag and self.partial_cri_logtag_key is None and not self.use_partial_metadata:
            text = "partial_cri_logtag_key is required with it: write logtag, as the parser cri calls it"
            yield InvalidSetting(text, param="use_partial_cri_logtag")
