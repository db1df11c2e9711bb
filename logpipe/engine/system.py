"""`<system>`: settings of the process, names and defaults of fluentd's system_config.rb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from logpipe.config.conversion import FileMode, Seconds, Size
from logpipe.config.declare import InvalidSetting, argument, param, section
from logpipe.config.options import Options
from logpipe.engine.logging.file import Age, rotation_age
from logpipe.engine.logging.setup import TIME_FORMAT
from logpipe.sockets.address import HIGHEST_PORT, Address

_RUBY: Final = "it is about Ruby"
_COUNTERS: Final = "no stage counts with a server; monitor_agent shows what each has counted"
_ENDPOINT: Final = re.compile(r"\[?([0-9a-zA-Z:\-.]+)\]?:([0-9]+)")  # compat: rpc.rb


def convert_umask(text: str) -> int:
    """Return a umask.

    Raises:
        ValueError: the text is not one.
    """
    if not re.fullmatch("0*[0-7]{1,3}", text):
        raise ValueError(f"{text!r} is no umask: write octal digits, 022 for example")
    return int(text, 8)


class LogOptions(Options):
    """`<log>` inside `<system>`."""

    path: str | None = param("File to write the log to; `-` for standard output.", default=None)
    format: Literal["text", "json"] = param("Shape of the log's lines.", default="text")
    time_format: str = param("How the log's lines write the time, in Ruby's directives.", default=TIME_FORMAT)
    rotate_age: Age | None = param(
        "When a new file is begun: daily, weekly, monthly; or, with `rotate_size`, how many files are kept.",
        default=None,
        convert=rotation_age,
    )
    rotate_size: Size | None = param("Size from which on a new file is begun.", default=None)
    forced_stacktrace_level: Literal["none", "trace", "debug", "info", "warn", "error", "fatal"] = param(
        "Level that stack traces are written with, so that one below `log_level` leaves them out; none: that of their "
        "messages.",
        default="none",
    )


class MetricsOptions(Options):
    """`<metrics>` inside `<system>`."""

    type: Literal["local"] = param(
        "`local`, which is in memory; the `/metrics` of monitor_agent has all numbers for Prometheus.",
        name="@type",
        default="local",
    )
    labels: dict[str, str] = param(
        "Labels of the numbers.", default={}, no_effect="not in fluentd either: `local` has none"
    )


class CounterServerOptions(Options):
    """`<counter_server>` inside `<system>`."""

    scope: str = param("Scope of the counters.", no_effect=_COUNTERS)
    port: int | None = param("Port to listen to.", default=None, no_effect=_COUNTERS)
    bind: str | None = param("Address to listen to.", default=None, no_effect=_COUNTERS)
    backup_path: str = param("File that keeps the counters.", no_effect=_COUNTERS)


class CounterClientOptions(Options):
    """`<counter_client>` inside `<system>`."""

    port: int | None = param("Port of the server.", default=None, no_effect=_COUNTERS)
    host: str = param("Address of the server.", no_effect=_COUNTERS)
    timeout: Seconds | None = param("How long an operation may take.", default=None, no_effect=_COUNTERS)


class SourceOnlyBufferOptions(Options):
    """`<source_only_buffer>` inside `<system>`; its settings are those of a `<buffer>`."""

    flush_thread_count: int = param("How many chunks are delivered at once.", default=1)
    overflow_action: Literal["throw_exception", "block", "drop_oldest_chunk"] = param(
        "What happens when it is full.", default="drop_oldest_chunk"
    )
    path: str | None = param(
        "Its folder; unset: source-only-buffer in `root_dir`, else in $FLUENT_BACKUP_DIR or /tmp/fluent.", default=None
    )
    flush_interval: Seconds | None = param("How often it is delivered.", default=None)
    chunk_limit_size: Size | None = param("Most bytes of a chunk.", default=None)
    total_limit_size: Size | None = param("Most bytes of all chunks.", default=None)
    compress: Literal["text", "gzip"] | None = param("How it is compressed.", default=None)


class SystemOptions(Options):
    """`<system>`."""

    usage: str = argument("Unused.", default="")
    workers: int = param("How many worker processes run.", default=1)
    restart_worker_interval: Seconds = param("How long to wait before a worker is started again.", default="0")
    root_dir: str | None = param(
        "Folder of the buffers, storages and backups of plugins that have an @id.", default=None
    )
    log_level: Literal["trace", "debug", "info", "warn", "error", "fatal"] = param(
        "Least level of messages that are written.", default="info"
    )
    suppress_repeated_stacktrace: bool | None = param(
        "Write a stack trace that repeats the last one only once; true if not set.", default=None
    )
    ignore_repeated_log_interval: Seconds | None = param(
        "Leave out a message that repeats the one before within this time.", default=None
    )
    ignore_same_log_interval: Seconds | None = param(
        "Leave out a message that was written within this time, whatever came between.", default=None
    )
    emit_error_log_interval: Seconds | None = param(
        "Least time between two messages of an emit that failed.", default=None
    )
    suppress_config_dump: bool | None = param(
        "Do not write the configuration to the log at start, which is never done: `logpipe config` prints it.",
        default=None,
    )
    log_event_verbose: bool | None = param("Route log events while stopping as well.", default=None)
    without_source: bool | None = param("Run without any <source>.", default=None)
    with_source_only: bool | None = param(
        "Run inputs only, and keep what they emit in files, until the signal WINCH.", default=None
    )
    rpc_endpoint: str | None = param(
        "Address and port, 127.0.0.1:24444, of an HTTP server that takes commands: stop, flush, reload, restart. There "
        "is no way to ask who comes.",
        default=None,
    )
    enable_get_dump: bool | None = param(
        "Answer /api/config.getDump of `rpc_endpoint` with the configuration in use, secrets masked.", default=None
    )
    process_name: str | None = param("Name shown in the process list.", default=None)
    umask: int | None = param(
        "The umask, octal; that of the command line goes before.", default=None, convert=convert_umask
    )
    file_permission: FileMode | None = param(
        "Mode of the files that are made, octal; unset: 0644, cut by the umask.", default=None
    )
    dir_permission: FileMode | None = param(
        "Mode of the folders that are made, octal; unset: 0755, cut by the umask.", default=None
    )
    strict_config_value: bool | None = param("Refuse values that are no numbers or booleans.", default=None)
    enable_msgpack_time_support: bool | None = param("Whether Time is packed.", default=None, no_effect=_RUBY)
    disable_shared_socket: bool | None = param(
        "Each worker opens its listening sockets for itself, so that two cannot listen at one address.", default=None
    )
    enable_input_metrics: bool = param("Show how many events, and bytes, each input has emitted.", default=True)
    enable_size_metrics: bool | None = param(
        "Count the bytes of the events of each stage as MessagePack, `emit_size` of monitor_agent, which costs time.",
        default=None,
    )
    enable_jit: bool = param("Ruby's own.", default=False, no_effect=_RUBY)
    config_include_dir: str | None = param(
        "Folder of further configuration files; unset: $FLUENT_CONF_INCLUDE_DIR or /etc/fluent/conf.d.", default=None
    )
    compat: Literal["1", "0.12"] = param(
        "Which Fluentd's rules hold where its versions differ, for plugins that know both.", default="1"
    )
    shutdown_timeout: Seconds = param(
        "How long stopping may take before what is left stays undelivered.", default="20s"
    )
    dead_letter_limit_size: Size | None = param(
        "Most bytes of a worker's dead letters, of which the oldest files are deleted then; unset: a quarter of their "
        "disk, 64g at most.",
        default=None,
    )
    dead_letter_limit_age: Seconds | None = param(
        "How long dead letters are kept; unset: until they are replayed or too many.", default=None
    )
    log: LogOptions = section("Where and how the log is written.")
    metrics: MetricsOptions | None = section("What counts.")
    counter_server: CounterServerOptions | None = section("A server of counters.")
    counter_client: CounterClientOptions | None = section("A client of such a server.")
    source_only_buffer: SourceOnlyBufferOptions | None = section("The buffer of with_source_only.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot run."""
        if self.workers < 1:
            yield InvalidSetting("workers must be at least 1", param="workers")
        if self.rpc_endpoint is not None and self.rpc_address is None:
            message = f"rpc_endpoint {self.rpc_endpoint!r} is no address with a port: write 127.0.0.1:24444"
            yield InvalidSetting(message, param="rpc_endpoint")
        if self.with_source_only and self.without_source:
            yield InvalidSetting("with_source_only and without_source leave nothing to run", param="with_source_only")
        if self.suppress_config_dump is False:
            message = "the configuration is never written to the log, where secrets may be read: use `logpipe config`"
            yield InvalidSetting(message, param="suppress_config_dump", severity="warning")

    @property
    def rpc_address(self) -> Address | None:
        """Where commands are taken; None for nowhere."""
        found = _ENDPOINT.fullmatch(self.rpc_endpoint or "")
        if found is None or int(found[2]) > HIGHEST_PORT:
            return None
        return Address.tcp(found[1], int(found[2]))
