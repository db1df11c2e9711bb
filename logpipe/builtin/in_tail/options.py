"""The settings of `@type tail`, by fluentd's names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Final, Literal

from logpipe import InvalidSetting, Options, PluginConf, Seconds, Size, param, plugin_section, section
from logpipe.builtin.in_tail.archive import SUFFIX
from logpipe.codec import find_zone

_RESERVED: Final = ("/", "*", "%")
_CONTAINER_LOG: Final = (
    r"/^\/var\/log\/containers\/(?<podname>[a-z0-9]([-a-z0-9]*[a-z0-9])?(\/[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)"
    r"_(?<namespace>[^_]+)_(?<container>.+)-(?<docker_id>[a-z0-9]{64})\.log$/"
)


class RuleOptions(Options):
    """One `<rule>` of `<group>`."""

    match: dict[str, re.Pattern[str]] = param(
        "Which files the rule is for: names of groups in `pattern`, each with the regular expression it must match.",
        default='{"namespace": "/.*/", "podname": "/.*/"}',
    )
    limit: int = param(
        "Lines per rate_period for all files of the rule together, shared equally between them; -1 is no limit, 0 "
        "reads nothing.",
        default=-1,
    )

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot be."""
        if self.limit < -1:
            yield InvalidSetting("limit must be -1 (none), 0 or a number of lines", param="limit")


class GroupOptions(Options):
    """`<group>`: limits how fast files are read."""

    pattern: re.Pattern[str] = param(
        "Regular expression with named groups, matched against each file's path.", default=_CONTAINER_LOG
    )
    rate_period: Seconds = param("The time in which `limit` lines may be read.", default="5")
    rule: list[RuleOptions] = section("A limit for some of the files.", many=True, required=True)


class TailOptions(Options):
    """Settings of the tail input."""

    _extra: ClassVar = re.compile(r"format\d{1,2}|format_firstline")

    path: str = param("Files to follow: paths, with wildcards and strftime's `%Y`, separated by path_delimiter.")
    path_delimiter: str = param("What separates the paths.", default=",")
    glob_policy: Literal["backward_compatible", "extended", "always"] = param(
        "Which paths have wildcards: those with `*`, also those with `?` or `[]`, or also those with `{}`.",
        default="backward_compatible",
    )
    exclude_path: list[str] = param("Paths and wildcards that are not to be followed.", default=[])
    tag: str = param("Tag of the events; a `*` in it becomes the file's path with dots for slashes.")
    pos_file: str | None = param(
        "File that remembers how far each file is read and delivered; without it, or with /dev/null, that is forgotten "
        "at every stop.",
        default=None,
    )
    pos_file_compaction_interval: Seconds | None = param(
        "How often the rows of files that are not at their path leave pos_file. Without it that is after a day "
        "without a trace of the file.",
        default=None,
    )
    read_from_head: bool = param(
        "Whether files that are there at the first start are read from their beginning rather than from their end.",
        default=False,
    )
    read_compressed_rotated: bool = param(
        "Whether a rotated file that was compressed with gzip before it was read to its end (`app.log.2.gz`, "
        "`app.log-20260101.gz`) is read on from where it was left. It is known by how its content begins, so the "
        "offset alone of a pos_file that fluentd wrote does not do. Names that end in .gz are then not followed by "
        "themselves.",
        default=False,
    )
    rotate_wait: Seconds = param(
        "How long a file that was rotated away must be quiet before it is let go.", default="5"
    )
    refresh_interval: Seconds = param("How often to look for files whose coming was not noticed.", default="60")
    skip_refresh_on_startup: bool = param(
        "Whether nothing is looked for before refresh_interval has passed.", default=False
    )
    limit_recently_modified: Seconds | None = param(
        "Of the files that wildcards find, follow only those written within this time.", default=None
    )
    path_timezone: str | None = param("Time zone of the strftime parts of path: `+09:00`, `Asia/Tokyo`.", default=None)
    path_key: str | None = param("Record field to which the file's path is written.", default=None)
    read_lines_limit: int | None = param(
        "Most lines in one batch of events; unless given, as many as one read brings, and at most 8192.", default=None
    )
    read_bytes_limit_per_second: Size = param(
        "Most bytes per second and file, at least 8192; -1 is no limit.", default=-1
    )
    max_line_size: Size | None = param(
        "Longest line, its line feed counted: longer ones are skipped. Without it a line is cut after 4 MiB, and the "
        "rest is read as the next line.",
        default=None,
    )
    emit_unmatched_lines: bool = param(
        "Whether a line that is not in the format becomes an event with the field unmatched_line.", default=False
    )
    encoding: str | None = param(
        "The files' encoding, by Ruby's or Python's name; UTF-8 unless given. What is not in it stays as it came.",
        default=None,
    )
    from_encoding: str | None = param(
        "The files' encoding where `encoding` says what to turn it into: U+FFFD stands for what cannot be.",
        default=None,
    )
    multiline_flush_interval: Seconds | None = param(
        "How long an event of several lines (`<parse> @type multiline`) waits for more of them; without it until the "
        "next event begins, the file is rotated away, or everything ends.",
        default=None,
    )
    enable_watch_timer: bool = param("Whether files are also looked at every second or so.", default=True)
    enable_stat_watcher: bool = param("Whether inotify is used.", default=True)
    open_on_every_update: bool = param("Whether files are closed between reads.", default=False)
    follow_inodes: bool = param(
        "Whether a file that was renamed is still the same file. It always is here; fluentd wants it said.",
        default=False,
    )
    ignore_repeated_permission_error: bool = param(
        "Whether to warn only once about a file that cannot be read. It is always once here.", default=False
    )
    blocking_timeout: Seconds = param(
        "A setting of fluentd 0.12's event loop.", default="0.5", deprecated="remove it: it has no effect"
    )
    group: GroupOptions | None = section("Limits on the lines read per time from groups of files.")
    parse: PluginConf = plugin_section("How to read a line.", kind="parser", required=True)

    @property
    def archive_suffix(self) -> str:
        """How names of compressed files end; empty where such files are not read."""
        return SUFFIX if self.read_compressed_rotated else ""

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what fluentd's in_tail.rb refuses, in its words where they say what to do."""
        yield from self._check_paths()
        if not self.enable_watch_timer and not self.enable_stat_watcher:
            yield "either of enable_watch_timer or enable_stat_watcher must be true"
        if self.follow_inodes and self.pos_file is None:
            yield InvalidSetting("can't follow inodes without pos_file: write one", param="follow_inodes")
        if self.from_encoding is not None and self.encoding is None:
            yield InvalidSetting("from_encoding must be specified with encoding", param="from_encoding")
        if self.read_bytes_limit_per_second > 0 and not self.enable_watch_timer:
            yield InvalidSetting("read_bytes_limit_per_second needs enable_watch_timer", param="enable_watch_timer")
        for name in ("read_lines_limit", "max_line_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                yield InvalidSetting(f"{name} must be at least 1, not {value}", param=name)

    def _check_paths(self) -> Iterator[InvalidSetting]:
        delimiter = self.path_delimiter
        if not delimiter or delimiter in _RESERVED:
            reserved = ", ".join(_RESERVED)
            yield InvalidSetting(f'"{delimiter}" separates no paths: {reserved} are reserved', param="path_delimiter")
        elif not self.path.replace(delimiter, "").strip():
            yield InvalidSetting("path names no file", param="path")
        if self.glob_policy == "always" and delimiter == ",":
            problem = 'glob_policy always needs another path_delimiter than ",": it separates what stands in braces'
            yield InvalidSetting(problem, param="glob_policy")
        if self.glob_policy == "extended" and re.search(r"\{.*,.*\}", self.path):
            yield InvalidSetting("braces need glob_policy always", param="path")
        if self.path_timezone is not None:
            try:
                find_zone(self.path_timezone)
            except ValueError as problem:
                yield InvalidSetting(str(problem), param="path_timezone")
