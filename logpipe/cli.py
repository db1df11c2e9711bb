"""The command line: fluentd's flags to run, and commands to look at a configuration without running it."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from logpipe.version import __version__

if TYPE_CHECKING:
    from logpipe.config.diagnostic import Diagnostic
    from logpipe.supervisor import Checked

COMMANDS: Final = {
    "check": "say what is wrong with configuration files, without running them",
    "config": "print a configuration as it is read: includes in place, secrets masked",
    "plugins": "list the plugins that a configuration may name",
    "docs": "write the reference of every setting",
}

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


class _Parser(argparse.ArgumentParser):
    """Names what it does not know, with what was perhaps meant."""

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        known, unknown = self.parse_known_args(arguments)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            near = difflib.get_close_matches(unknown[0], [*flags, *COMMANDS], n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            self.error(f"unknown argument {unknown[0]}{hint}")
        return known

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` lists what there is\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    program = Path(sys.argv[0]).name if Path(sys.argv[0]).name in {"td-agent", "fluentd"} else "logpipe"
    if "--version" in given[:1]:
        return _version(program)
    if given and given[0] in COMMANDS:
        commands: dict[str, Callable[[str, list[str]], int]] = {
            "check": _check,
            "config": _config,
            "plugins": _plugins,
            "docs": _docs,
        }
        return commands[given[0]](f"{program} {given[0]}", given[1:])
    return _run(program, given)


def _version(program: str) -> int:
    print(f"{program} {__version__}" if program == "logpipe" else f"{program} (logpipe {__version__})")
    return 0


def _run_parser(program: str) -> _Parser:
    commands = "\n".join(f"  {name:10}{text}" for name, text in COMMANDS.items())
    parser = _Parser(
        prog=program,
        description="A log pipeline that runs Fluentd's configuration files unchanged.",
        epilog=f"commands (`{program} COMMAND --help` for more):\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-c", "--config", metavar="PATH", help=f"configuration file (default: $FLUENT_CONF, {', '.join(CONFIG_PATHS)})")
    add("-p", "--plugin", metavar="DIR", action="append", default=[], help="folder of plugin files; may be repeated")
    add(
        "-I", metavar="PATH", action="append", default=[], dest="load_path", help="folder to import Python modules from"
    )
    add("-r", metavar="NAME", action="append", default=[], dest="require", help="Python module to import at start")
    add("-o", "--log", metavar="PATH", help="write the log to this file")
    add("-i", "--inline-config", metavar="TEXT", help="text to append to the configuration; \\n is a new line")
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
    add("--use-v0-config", action="store_true", help="read the configuration as fluentd 0.10 wrote it")
    add("--compat", choices=["1", "0.12"], default="", help="whose rules hold where Fluentd's versions differ")
    add("--config-file-type", choices=["guess", "yaml", "yml"], default="guess", help="language of the configuration")
    add("--strict-config-value", action="store_true", help="refuse values that are no numbers or booleans")
    add("--conf-encoding", metavar="NAME", default="utf-8", help="encoding of the configuration (default: utf-8)")
    add("--version", action="store_true", help="print the version and exit")
    add("-s", "--setup", nargs="?", const="/etc/fluent", metavar="DIR", help="write a sample configuration and exit")
    add("-g", "--gemfile", metavar="PATH", help="no effect: logpipe plugins are Python packages")
    add("-G", "--gem-path", metavar="PATH", help="no effect")
    for flag, count in IGNORED.items():
        options: dict[str, Any] = {"action": "store_true"} if count == 0 else {"nargs": "?"} if count == "?" else {}
        add(flag, help=argparse.SUPPRESS, **({"const": "", **options} if count == "?" else options))
    return parser


def _run(program: str, arguments: list[str]) -> int:
    parser = _run_parser(program)
    given = parser.parse(arguments)
    if given.version:
        return _version(program)
    path = given.config or os.environ.get("FLUENT_CONF") or _default_config(program)
    if path is None:
        parser.error(f"no configuration: none of {', '.join(CONFIG_PATHS)} exists; give one with -c")
    if given.dry_run:
        return _check_files([path], given)

    from logpipe.supervisor import Settings, run

    ignored = [flag for flag in IGNORED if flag in {argument.partition("=")[0] for argument in arguments}]
    settings = Settings(
        config=Path(path),
        arguments=tuple(arguments),
        plugin_dirs=_plugin_dirs(given.plugin),
        log_path=Path(given.log) if given.log else None,
        log_level=_level(given.verbose, given.quiet),
        inline=given.inline_config,
        dialect="v0" if given.use_v0_config else "v1",
        file_type=given.config_file_type,
        strict=given.strict,
        strict_values=given.strict_config_value,
        compat=given.compat,
        encoding=given.conf_encoding,
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
    return run(settings)


def _default_config(program: str) -> str | None:
    paths = CONFIG_PATHS if program != "td-agent" else ("/etc/td-agent/td-agent.conf", *CONFIG_PATHS)
    return next((path for path in paths if Path(path).is_file()), None)


def _plugin_dirs(given: Sequence[str]) -> tuple[Path, ...]:
    default = os.environ.get("FLUENT_PLUGIN") or "/etc/fluent/plugin"
    folders = [*([default] if Path(default).is_dir() else []), *given]
    return tuple(Path(folder) for folder in folders)


def _level(verbose: int, quiet: int) -> str | None:
    if verbose:
        return "debug" if verbose == 1 else "trace"
    if quiet:
        return "warn" if quiet == 1 else "error"
    return None


def _file_parser(program: str, command: str) -> _Parser:
    parser = _Parser(prog=program, description=COMMANDS[command], allow_abbrev=False)
    add = parser.add_argument
    add("-p", "--plugin", metavar="DIR", action="append", default=[], help="folder of plugin files")
    add("--use-v0-config", action="store_true", help="read the configuration as fluentd 0.10 wrote it")
    add("-i", "--inline-config", metavar="TEXT", help="text to append to the configuration; \\n is a new line")
    return parser


def _check(program: str, arguments: list[str]) -> int:
    parser = _file_parser(program, "check")
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="configuration files, each checked by itself")
    add("--strict", action="store_true", help="exit with 2 if there are warnings")
    add("--verbose", action="store_true", help="show which of 0.12's parameters are read as which of today's")
    add("--format", choices=["text", "json"], default="text", help="json: one object a line, for editors")
    given = parser.parse(arguments)
    return _check_files(given.files, given)


def _check_files(files: Sequence[str], given: argparse.Namespace) -> int:
    from logpipe.supervisor import check

    worst = 0
    for path in files:
        found = check(
            Path(path),
            plugin_dirs=_plugin_dirs(given.plugin),
            inline=given.inline_config,
            dialect="v0" if given.use_v0_config else "v1",
        )
        if getattr(given, "format", "text") == "json":
            _print_json(found.diagnostics)
        else:
            _print_text(path, found, verbose=bool(given.verbose))
        worst = 1 if found.errors or worst == 1 else 2 if given.strict and found.warnings else worst
    return worst


def _print_text(path: str, found: Checked, *, verbose: bool) -> None:
    from logpipe.config.render import render

    for diagnostic in found.diagnostics:
        print(render(diagnostic), file=sys.stderr)
    for rewrite in found.rewrites if verbose else ():
        print(rewrite)
    verdict = "not usable" if found.errors else "ok"
    print(f"{path}: {verdict}, {found.errors} errors, {found.warnings} warnings")


def _print_json(diagnostics: Sequence[Diagnostic]) -> None:
    import json

    for diagnostic in diagnostics:
        place = diagnostic.position
        fields = {"file": place.file, "line": place.line, "column": place.column, "severity": diagnostic.severity}
        fields |= {"code": diagnostic.code, "message": diagnostic.message, "hint": diagnostic.hint}
        print(json.dumps(fields, ensure_ascii=False))


def _config(program: str, arguments: list[str]) -> int:
    parser = _file_parser(program, "config")
    parser.add_argument("file", metavar="FILE", help="configuration file")
    parser.add_argument("--defaults", action="store_true", help="write the defaults of what is not written")
    given = parser.parse(arguments)

    from logpipe.config.render import render
    from logpipe.supervisor import Settings, effective

    found: list[Diagnostic] = []
    settings = Settings(
        Path(given.file),
        plugin_dirs=_plugin_dirs(given.plugin),
        inline=given.inline_config,
        dialect="v0" if given.use_v0_config else "v1",
    )
    text = effective(settings, found.append, defaults=given.defaults)
    for diagnostic in found:
        print(render(diagnostic), file=sys.stderr)
    if any(diagnostic.severity == "error" for diagnostic in found):
        return 1
    print(text, end="")
    return 0


def _plugins(program: str, arguments: list[str]) -> int:
    parser = _Parser(prog=program, description=COMMANDS["plugins"], allow_abbrev=False)
    parser.add_argument("-p", "--plugin", metavar="DIR", action="append", default=[], help="folder of plugin files")
    given = parser.parse(arguments)

    from logpipe.registry import Registry

    rows = [
        (found.kind, found.type, found.origin, found.target)
        for found in Registry(_plugin_dirs(given.plugin)).installed()
    ]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, (9, 22, 24, 0), strict=True)).rstrip())
    return 0


def _docs(program: str, arguments: list[str]) -> int:
    parser = _Parser(prog=program, description=COMMANDS["docs"], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="exit with 1 if the committed pages are not current")
    parser.add_argument("--folder", default="docs/reference", help="where the pages are (default: docs/reference)")
    given = parser.parse(arguments)

    from logpipe.config.reference import write_pages
    from logpipe.registry import Registry

    registry = Registry()
    classes = [registry.find(found.kind, found.type) for found in registry.installed()]
    stale = write_pages(classes, Path(given.folder), check=given.check)
    for path in stale:
        print(f"{path} {'is not current: run `make docs`' if given.check else 'written'}")
    return 1 if given.check and stale else 0
