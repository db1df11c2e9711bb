"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from logpipe.cli import COMMANDS

if TYPE_CHECKING:
    from logpipe.config.diagnostic import Diagnostic
    from logpipe.registry import Registry
    from logpipe.supervisor import Settings


_SHORTENED: Final = frozenset({"--config"})
"""Flags that go before others which begin alike: in 0.12 there were none."""


class Parser(argparse.ArgumentParser):
    """Reports an unknown argument with the nearest known one; takes abbreviated flags, as Ruby's optparse does."""

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        """Return what an abbreviated flag may mean."""
        found: list[Any] = super()._get_option_tuples(option_string)
        names = [each[1] for each in found]
        shortest = min(names, key=len, default="")
        # compat: of several, optparse takes the one that all others begin with
        wanted = next((name for name in names if name in _SHORTENED), shortest)
        is_clear = wanted in _SHORTENED or all(name.startswith(shortest) for name in names)
        return [each for each in found if each[1] == wanted] if is_clear else found

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the parsed arguments; an invalid one ends the program with a message."""
        known, unknown = self.parse_known_args(arguments)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            near = difflib.get_close_matches(unknown[0], [*flags, *COMMANDS], n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            self.error(f"unknown argument {unknown[0]}{hint}")
        return known

    def error(self, message: str) -> NoReturn:
        """Exit with 2, argparse's status for invalid arguments."""
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` lists what there is\n")


def file_parser(program: str, command: str) -> Parser:
    """Return a parser for a command that reads a configuration file."""
    parser = Parser(prog=program, description=COMMANDS[command], allow_abbrev=False)
    add_config_options(parser)
    return parser


def add_config_options(parser: Parser) -> None:
    """Add the arguments of how a configuration is read and where its plugins are."""
    add_plugin_options(parser)
    add = parser.add_argument
    add("-i", "--inline-config", metavar="TEXT", help="text to append to the configuration; \\n is a new line")
    add("--use-v0-config", action="store_true", help="read the configuration as fluentd 0.10 wrote it")
    add("--compat", choices=["1", "0.12"], default="", help="whose rules hold where Fluentd's versions differ")
    add("--config-file-type", choices=["guess", "yaml", "yml"], default="guess", help="language of the configuration")
    add("--conf-encoding", metavar="NAME", default="utf-8", help="encoding of the configuration (default: utf-8)")
    add("--allow-http-include", action="store_true", help="let @include read http and https addresses")
    add("--strict-config-value", action="store_true", help="refuse values that are no numbers or booleans")


def add_plugin_options(parser: Parser) -> None:
    """Add the arguments of where plugins are, and what they import."""
    add_plugin_folders(parser)
    add = parser.add_argument
    add("-I", metavar="PATH", action="append", default=[], dest="load_path", help="folder to import modules from")
    add("-r", metavar="NAME", action="append", default=[], dest="require", help="Python module to import at start")


def add_plugin_folders(parser: Parser) -> None:
    """Add the argument of where plugin files are; see `plugin_dirs`."""
    text = "folder of plugin files; may be repeated"
    parser.add_argument("-p", "--plugin", metavar="DIR", action="append", default=[], help=text)


def plugin_dirs(given: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders of plugin files: the default one if it exists, then those of -p."""
    default = os.environ.get("FLUENT_PLUGIN") or "/etc/fluent/plugin"
    folders = [*([default] if Path(default).is_dir() else []), *given]
    return tuple(Path(folder) for folder in folders)


def registry_from(program: str, given: argparse.Namespace) -> tuple[Registry, bool]:
    """Return what the arguments of `add_plugin_options` give, and whether all of it can be used; else it is printed."""
    from logpipe.supervisor import Settings, registry_of

    found: list[Diagnostic] = []
    folders = plugin_dirs(given.plugin)
    settings = Settings(Path(), plugin_dirs=folders, load_path=tuple(given.load_path), require=tuple(given.require))
    registry = registry_of(settings, found.append)
    for diagnostic in found:
        print(f"{program}: {diagnostic.message} ({diagnostic.hint})", file=sys.stderr)
    return registry, not found


def settings_from(path: str | Path, given: argparse.Namespace) -> Settings:
    """Return the settings given with -p and the arguments of `add_config_options`."""
    from logpipe.supervisor import Settings

    return Settings(
        Path(path),
        plugin_dirs=plugin_dirs(given.plugin),
        load_path=tuple(given.load_path),
        require=tuple(given.require),
        inline=given.inline_config,
        dialect="v0" if given.use_v0_config else "v1",
        compat=given.compat,
        file_type=given.config_file_type,
        encoding=given.conf_encoding,
        allow_http_include=given.allow_http_include,
        strict_values=given.strict_config_value,
    )
