"""`<system>`: settings of the process, names and defaults of fluentd's system_config.rb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from logpipe.config.conversion import Seconds, Size
from logpipe.config.declare import InvalidSetting, argument, param, section
from logpipe.config.options import Options

NOT_YET = "accepted for fluentd's sake; it has no effect yet"


class LogOptions(Options):
    """`<log>` inside `<system>`."""

    path: str | None = param("File to write the log to.", default=None)
    format: Literal["text", "json"] = param("Shape of the log's lines.", default="text")
    time_format: str = param("How the log's lines write the time.", default="%Y-%m-%d %H:%M:%S %z")
    rotate_age: str | None = param("Age at which the log file is rotated; " + NOT_YET + ".", default=None)
    rotate_size: Size | None = param("Size at which the log file is rotated; " + NOT_YET + ".", default=None)
    forced_stacktrace_level: str | None = param("Level of stack traces; " + NOT_YET + ".", default=None)


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
    suppress_repeated_stacktrace: bool | None = param("Write the same stack trace once; " + NOT_YET + ".", default=None)
    ignore_repeated_log_interval: Seconds | None = param(
        "Drop a message that repeats the one before within this time.", default=None
    )
    ignore_same_log_interval: Seconds | None = param("Drop a message seen within this time.", default=None)
    emit_error_log_interval: Seconds | None = param("Least time between two messages of a failed emit.", default=None)
    suppress_config_dump: bool | None = param("Do not write the configuration to the log at start.", default=None)
    log_event_verbose: bool | None = param("Keep log events of start and stop; " + NOT_YET + ".", default=None)
    without_source: bool | None = param("Run without any <source>.", default=None)
    with_source_only: bool | None = param("Run inputs only; " + NOT_YET + ".", default=None)
    rpc_endpoint: str | None = param("host:port of the RPC server; " + NOT_YET + ".", default=None)
    enable_get_dump: bool | None = param("Offer the configuration by RPC; " + NOT_YET + ".", default=None)
    process_name: str | None = param("Name shown in the process list; " + NOT_YET + ".", default=None)
    file_permission: str | None = param("Mode of written files, octal.", default=None)
    dir_permission: str | None = param("Mode of made folders, octal.", default=None)
    strict_config_value: bool | None = param("Refuse values that are no numbers or booleans.", default=None)
    enable_msgpack_time_support: bool | None = param("Ruby's own; " + NOT_YET + ".", default=None)
    disable_shared_socket: bool | None = param("Do not share sockets among workers; " + NOT_YET + ".", default=None)
    enable_input_metrics: bool = param("Count what inputs emit; always on.", default=True)
    enable_size_metrics: bool | None = param("Count bytes that are emitted; " + NOT_YET + ".", default=None)
    enable_jit: bool = param("Ruby's own; no effect.", default=False)
    config_include_dir: str | None = param("Folder of further configuration files; " + NOT_YET + ".", default=None)
    compat: Literal["1", "0.12"] = param(
        "Which Fluentd's rules hold where its versions differ, for plugins that know both.", default="1"
    )
    shutdown_timeout: Seconds = param(
        "How long stopping may take before what is left stays undelivered.", default="20s"
    )
    log: LogOptions = section("Where and how the log is written.")

    def check(self) -> Iterator[str | InvalidSetting]:
        """Yield what cannot run."""
        if self.workers < 1:
            yield InvalidSetting("workers must be at least 1", param="workers")
