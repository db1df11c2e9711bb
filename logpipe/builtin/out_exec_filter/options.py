"""The settings of exec_filter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from logpipe import InvalidSetting, Options, PluginConf, Seconds, Size, param, plugin_section, section
from logpipe.builtin.command_output.options import (
    check_command,
    filter_parse_defaults,
    inject_for_filter,
    time_defaults,
)
from logpipe.codec import ExtractOptions, InjectOptions

FLAT: Final[Mapping[str, Mapping[str, str]]] = {
    # the later of two names for one wins, as in out_exec_filter.rb
    "inject": {
        "in_tag_key": "tag_key",
        "in_time_key": "time_key",
        "in_time_format": "time_format",
        "tag_key": "tag_key",
        "time_key": "time_key",
        "time_format": "time_format",
        "localtime": "localtime",
        "timezone": "timezone",
    },
    "format": {"in_format": "@type", "in_keys": "keys"},
    "parse": {"out_format": "@type", "out_keys": "keys", "out_stream_buffer_size": "stream_buffer_size"},
    "extract": {
        "out_tag_key": "tag_key",
        "out_time_key": "time_key",
        "out_time_format": "time_format",
        "tag_key": "tag_key",
        "time_key": "time_key",
        "time_format": "time_format",
        "localtime": "localtime",
        "timezone": "timezone",
    },
}
"""0.12's parameters, and where they stand now."""

FOREVER: Final = -1


def respawns_of(text: str) -> int:
    """Return how often a command is started again, `FOREVER` for any number of times.

    Raises:
        ValueError: it is no such thing.
    """
    words = {"none": 0, "inf": FOREVER, "-1": FOREVER}
    if text in words:
        return words[text]
    if text.isascii() and text.isdigit():
        return int(text)
    # compat: the message of out_exec_filter.rb
    raise ValueError("child_respawn option argument invalid: none(or 0), inf(or -1) or positive number")


class ExecFilterOptions(Options):
    """Settings of `<match> @type exec_filter`."""

    command: str = param(
        "What the shell is to run. Nothing in it is filled in: what events say comes by standard input."
    )
    tag: str | None = param(
        "Tag of the events that the command writes; required unless `<extract>` has a `tag_key`.", default=None
    )
    remove_prefix: str | None = param(
        "What is taken off the tag that `<inject>` writes, with the dot behind it.",
        default=None,
        deprecated="use @label instead for event routing",
    )
    add_prefix: str | None = param(
        "What is put before a tag of `<extract>`, with a dot behind it.",
        default=None,
        deprecated="use @label instead for event routing",
    )
    read_block_size: Size = param("Bytes that are read at a time.", default="10240")
    num_children: int = param("How many commands run side by side; chunks go to them in turn.", default=1)
    child_respawn: int | None = param(
        "How often each of them is started again when it has ended: `none` or 0, a number, `inf` or -1. Where it ends "
        "soon after, the next start waits, for up to half a minute.",
        default=None,
        convert=respawns_of,
    )
    suppress_error_log_interval: Seconds = param(
        "After a message about what cannot be read, how long there is no other.", default="0"
    )
    format: PluginConf = plugin_section("How an event is written.", kind="formatter", default_type="tsv")
    inject: InjectOptions | None = section(
        "Fields to add. A time is whole seconds unless there is a `time_type` or a `time_format`.",
        defaults=inject_for_filter,
    )
    parse: PluginConf = plugin_section(
        "How what the command writes is read.", kind="parser", default_type="tsv", defaults=filter_parse_defaults
    )
    extract: ExtractOptions | None = section(
        "Takes tag and time from fields of what is written. A time is a number unless there is a `time_format`.",
        defaults=time_defaults,
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be run, or has no tag."""
        yield from check_command(self.command)
        if self.tag is None and (self.extract is None or self.extract.tag_key is None):
            yield "'tag' or '<extract> tag_key </extract>' option is required on exec_filter output: add tag"
        if self.num_children < 1:
            yield InvalidSetting("num_children must be at least 1", param="num_children")
