"""`logpipe` without a command: runs a configuration, with fluentd's flags."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from logpipe.cli import COMMANDS, print_version
from logpipe.cli.arguments import Parser, add_config_options, settings_from

T = TypeVar("T")

CONFIG_PATHS: Final = (
    "/etc/fluent/fluent.conf",
    "/etc/fluent/fluentd.conf",
    "/etc/td-agent/td-agent.conf",
    "/etc/logpipe/logpipe.conf",
)

# flags for what is always so
ALWAYS: Final = {
    "--use-v1-config": "always so, without --use-v0-config",
    "--suppress-config-dump": "always so: `logpipe config` prints the configuration",
    "--enable-input-metrics": "always so, without --disable-input-metrics",
}

TRUE: Final = ("true", "yes", "+")
FALSE: Final = ("false", "no", "-")
# compat: Ruby's optparse takes these for its class TrueClass


def main(program: str, arguments: list[str]) -> int:
    """Run until a signal, or do what another flag requests and exit."""
    parser = run_parser(program)
    given = parser.parse(arguments)
    if given.version:
        return print_version(program)
    if given.setup is not None:
        from logpipe.cli.setup import set_up

        return set_up(program, Path(given.setup))
    if given.show_plugin_config is not None:
        from logpipe.cli.plugins import show_settings

        return show_settings(program, given)
    path = given.config or os.environ.get("FLUENT_CONF") or _default_config(program)
    if path is None:
        parser.error(f"no configuration: none of {', '.join(CONFIG_PATHS)} exists; give one with -c")
    if not given.config:
        arguments = [*arguments, f"--config={path}"]  # workers do not know by which name the program was started
    if given.inline_config == "-":
        given.inline_config = sys.stdin.read()
        arguments = [*arguments, f"--inline-config={given.inline_config}"]  # workers cannot read it again

    ignored = {"-g": given.gemfile, "-G": given.gem_path}
    settings = replace(
        settings_from(path, given),
        arguments=tuple(arguments),
        log_path=Path(given.log) if given.log and given.log != "-" else None,
        log_level=_level(given.verbose, given.quiet),
        strict=given.strict,
        without_source=given.without_source,
        ends_source_only=given.ends_source_only,
        worker_id=given.under_supervisor,
        no_supervisor=given.no_supervisor,
        daemon=Path(given.daemon) if given.daemon else None,
        user=given.user,
        group=given.group,
        umask=given.umask,
        ignored_flags=tuple(flag for flag, is_given in ignored.items() if is_given),
        system=tuple(_system(given)),
    )
    if given.dry_run:
        from logpipe.cli.check import check_files

        return check_files([settings], verbose=bool(given.verbose), strict=given.strict)

    from logpipe.supervisor import run

    return run(settings)


def _system(given: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Return the flags that override `<system>`; see `Settings.system`."""
    valued = {
        "--workers": ("workers", given.workers),
        "--emit-error-log-interval": ("emit_error_log_interval", given.emit_error_log_interval),
        "--suppress-repeated-stacktrace": ("suppress_repeated_stacktrace", _said(given.suppress_repeated_stacktrace)),
        "--log-rotate-age": ("log.rotate_age", given.log_rotate_age),
        "--log-rotate-size": ("log.rotate_size", given.log_rotate_size),
    }
    switches = {
        "--log-event-verbose": ("log_event_verbose", given.log_event_verbose),
        "--with-source-only": ("with_source_only", given.with_source_only),
        "--enable-size-metrics": ("enable_size_metrics", given.enable_size_metrics),
        "--disable-shared-socket": ("disable_shared_socket", given.disable_shared_socket),
    }
    off = {"--disable-input-metrics": ("enable_input_metrics", given.disable_input_metrics)}
    said = [(f"{flag} {value}", name, value) for flag, (name, value) in valued.items() if value is not None]
    said += [(flag, name, "true") for flag, (name, is_given) in switches.items() if is_given]
    return said + [(flag, name, "false") for flag, (name, is_given) in off.items() if is_given]


def _said(word: str | None) -> str | None:
    return word if word is None else str(word in TRUE).lower()


def run_parser(program: str) -> Parser:
    """Return the parser of the flags."""
    commands = "\n".join(f"  {name:12}{text}" for name, text in COMMANDS.items())
    parser = Parser(
        prog=program,
        description="A log pipeline that runs Fluentd's configuration files unchanged.",
        epilog=f"commands (`{program} COMMAND --help` for more):\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("-c", "--config", metavar="PATH", help=f"configuration file (default: $FLUENT_CONF, {', '.join(CONFIG_PATHS)})")
    add_config_options(parser)
    _add_running(add)
    _add_log(add)
    add("--version", action="store_true", help="print the version and exit")
    add("-s", "--setup", nargs="?", const="/etc/fluent", metavar="DIR", help="write a sample configuration and exit")
    add("--show-plugin-config", metavar="KIND:TYPE", help="print a plugin's settings and exit: input:tail")
    add("-g", "--gemfile", metavar="PATH", help="no effect: logpipe plugins are Python packages")
    add("-G", "--gem-path", metavar="PATH", help="no effect")
    _add_metrics(add)
    for flag, why in ALWAYS.items():
        add(flag, action="store_true", help=why)
    return parser


def _add_running(add: Callable[..., Any]) -> None:
    add("-d", "--daemon", metavar="PIDFILE", help="run in the background and write the process id to this file")
    add("--dry-run", action="store_true", help="check the configuration and exit: 0 if it can run, 1 if not")
    add("--strict", action="store_true", help="take warnings about the configuration for errors")
    add("--no-supervisor", action="store_true", help="run in one process")
    add("--under-supervisor", metavar="N", nargs="?", const=0, type=int, help=argparse.SUPPRESS)
    add("--workers", metavar="N", type=_checked(_workers), help="number of worker processes")
    add("--user", help="user to run as, by name or number")
    add("--group", help="group to run as (default: the user's)")
    add("--umask", type=_checked(_umask), help="umask, octal (default: as it is; 0 with -d or --no-supervisor)")
    add("--without-source", action="store_true", help="run without any <source>")
    add("--with-source-only", action="store_true", help="run sources only, and keep what they emit in files")
    add("--ends-source-only", action="store_true", help=argparse.SUPPRESS)
    add("--disable-shared-socket", action="store_true", help="let each worker open its listening sockets for itself")


def _add_metrics(add: Callable[..., Any]) -> None:
    add("--disable-input-metrics", action="store_true", help="do not show what inputs have emitted")
    add("--enable-size-metrics", action="store_true", help="count the bytes of the events of each stage")


def _add_log(add: Callable[..., Any]) -> None:
    add("-o", "--log", metavar="PATH", help="write the log to this file")
    add(
        "--log-rotate-age",
        metavar="AGE",
        type=_checked(_rotation_age),
        help="daily, weekly, monthly, or how many files of the log to keep",
    )
    add(
        "--log-rotate-size",
        metavar="BYTES",
        type=_checked(_bytes),
        help="size from which on a new file of the log is begun",
    )
    add("--log-event-verbose", action="store_true", help="route log events of the stop as well")
    add("-v", "--verbose", action="count", default=0, help="write debug messages (-vv: trace)")
    add("-q", "--quiet", action="count", default=0, help="write warnings and errors only (-qq: errors)")
    add("--emit-error-log-interval", metavar="SECONDS", type=_checked(_seconds), help="least time between two of these")
    add(
        "--suppress-repeated-stacktrace",
        nargs="?",
        const="true",
        choices=[*TRUE, *FALSE],
        metavar="BOOL",
        help="write a stack trace that repeats the last one only once (default: true)",
    )


def _checked(read: Callable[[str], T]) -> Callable[[str], T]:
    """Wrap `read` so that argparse shows a ValueError's message."""

    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return checked


def _workers(text: str) -> str:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is no number of workers: give 1 or more")
    return text


def _umask(text: str) -> int:
    from logpipe.engine.system import convert_umask

    return convert_umask(text)


def _rotation_age(text: str) -> str:
    from logpipe.engine.logging.file import rotation_age

    rotation_age(text)
    return text


def _bytes(text: str) -> str:
    from logpipe.config.values import convert_size

    if convert_size(text, strict=True) < 1:
        raise ValueError(f"{text!r} is no size: give a number of bytes, or 10m for example")
    return text


def _seconds(text: str) -> str:
    from logpipe.config.values import convert_time

    if convert_time(text, strict=True) < 0:
        raise ValueError(f"{text!r} is no time: give a number of seconds")
    return text


def _default_config(program: str) -> str | None:
    paths = CONFIG_PATHS if program != "td-agent" else ("/etc/td-agent/td-agent.conf", *CONFIG_PATHS)
    return next((path for path in paths if Path(path).is_file()), None)


def _level(verbose: int, quiet: int) -> str | None:
    if verbose:
        return "debug" if verbose == 1 else "trace"
    if quiet:
        return "warn" if quiet == 1 else "error"
    return None
