"""`logpipe` without a command: runs a configuration, with fluentd's flags."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from logpipe.cli import COMMANDS, print_version
from logpipe.cli.arguments import Parser, add_reading

CONFIG_PATHS: Final = (
    "/etc/fluent/fluent.conf",
    "/etc/fluent/fluentd.conf",
    "/etc/td-agent/td-agent.conf",
    "/etc/logpipe/logpipe.conf",
)

# fluentd's flags that mean nothing to a program in Python: taken, and said to be without effect
IGNORED: Final = {
    "--use-v1-config": 0,
    "--suppress-config-dump": 0,
    "--log-event-verbose": 0,
    "--disable-input-metrics": 0,
    "--enable-input-metrics": 0,
    "--enable-size-metrics": 0,
    "--disable-shared-socket": 0,
    "--with-source-only": 0,
    "--suppress-repeated-stacktrace": "?",
    "--emit-error-log-interval": 1,
    "--log-rotate-age": 1,
    "--log-rotate-size": 1,
    "--show-plugin-config": 1,
}


def main(program: str, arguments: list[str]) -> int:
    """Run until a signal, or exit after what was asked for instead."""
    parser = _run_parser(program)
    given = parser.parse(arguments)
    if given.version:
        return print_version(program)
    path = given.config or os.environ.get("FLUENT_CONF") or _default_config(program)
    if path is None:
        parser.error(f"no configuration: none of {', '.join(CONFIG_PATHS)} exists; give one with -c")

    from logpipe.cli.reading import reading

    ignored = [flag for flag in IGNORED if flag in {argument.partition("=")[0] for argument in arguments}]
    settings = replace(
        reading(path, given),
        arguments=tuple(arguments),
        log_path=Path(given.log) if given.log else None,
        log_level=_level(given.verbose, given.quiet),
        strict=given.strict,
        without_source=given.without_source,
        workers=given.workers,
        worker_id=given.under_supervisor,
        no_supervisor=given.no_supervisor,
        daemon=Path(given.daemon) if given.daemon else None,
        user=given.user,
        group=given.group,
        umask=int(given.umask, 8) if given.umask else 0o077,
        load_path=tuple(given.load_path),
        require=tuple(given.require),
        ignored_flags=tuple(ignored),
    )
    if given.dry_run:
        from logpipe.cli.check import check_files

        return check_files([settings], verbose=bool(given.verbose), strict=given.strict)

    from logpipe.supervisor import run

    return run(settings)


def _run_parser(program: str) -> Parser:
    commands = "\n".join(f"  {name:10}{text}" for name, text in COMMANDS.items())
    parser = Parser(
        prog=program,
        description="A log pipeline that runs Fluentd's configuration files unchanged.",
        epilog=f"commands (`{program} COMMAND --help` for more):\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-c", "--config", metavar="PATH", help=f"configuration file (default: $FLUENT_CONF, {', '.join(CONFIG_PATHS)})")
    add("-p", "--plugin", metavar="DIR", action="append", default=[], help="folder of plugin files; may be repeated")
    add_reading(parser)
    add(
        "-I", metavar="PATH", action="append", default=[], dest="load_path", help="folder to import Python modules from"
    )
    add("-r", metavar="NAME", action="append", default=[], dest="require", help="Python module to import at start")
    add("-o", "--log", metavar="PATH", help="write the log to this file")
    add("-v", "--verbose", action="count", default=0, help="write debug messages (-vv: trace)")
    add("-q", "--quiet", action="count", default=0, help="write warnings and errors only (-qq: errors)")
    add("-d", "--daemon", metavar="PIDFILE", help="run in the background and write the process id to this file")
    add("--dry-run", action="store_true", help="check the configuration and exit: 0 if it can run, 1 if not")
    add("--strict", action="store_true", help="take warnings about the configuration for errors")
    add("--no-supervisor", action="store_true", help="run in one process")
    add("--under-supervisor", metavar="N", nargs="?", const=0, type=int, help=argparse.SUPPRESS)
    add("--workers", metavar="N", type=int, help="number of worker processes")
    add("--user", help="user to run as")
    add("--group", help="group to run as")
    add("--umask", help="umask, octal (default 0077)")
    add("--without-source", action="store_true", help="run without any <source>")
    add("--version", action="store_true", help="print the version and exit")
    add("-s", "--setup", nargs="?", const="/etc/fluent", metavar="DIR", help="write a sample configuration and exit")
    add("-g", "--gemfile", metavar="PATH", help="no effect: logpipe plugins are Python packages")
    add("-G", "--gem-path", metavar="PATH", help="no effect")
    for flag, count in IGNORED.items():
        options: dict[str, Any] = {"action": "store_true"} if count == 0 else {"nargs": "?"} if count == "?" else {}
        add(flag, help=argparse.SUPPRESS, **({"const": "", **options} if count == "?" else options))
    return parser


def _default_config(program: str) -> str | None:
    paths = CONFIG_PATHS if program != "td-agent" else ("/etc/td-agent/td-agent.conf", *CONFIG_PATHS)
    return next((path for path in paths if Path(path).is_file()), None)


def _level(verbose: int, quiet: int) -> str | None:
    if verbose:
        return "debug" if verbose == 1 else "trace"
    if quiet:
        return "warn" if quiet == 1 else "error"
    return None
