"""`logpipe plugins`: lists the plugins that a configuration may name."""

from __future__ import annotations

import argparse
import sys

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser, add_plugin_options, registry_from
from logpipe.config.reference import sections
from logpipe.registry import KINDS, UnknownPluginError


def main(program: str, arguments: list[str]) -> int:
    """List one plugin a line: kind, type, origin; 1 where a plugin file cannot be used."""
    parser = Parser(prog=program, description=COMMANDS["plugins"], allow_abbrev=False)
    add_plugin_options(parser)
    registry, is_whole = registry_from(program, parser.parse(arguments))
    for found in registry.installed():
        row = (found.kind, found.type, found.origin, found.target)
        print("  ".join(text.ljust(width) for text, width in zip(row, (9, 22, 24, 0), strict=True)).rstrip())
    return 0 if is_whole else 1


def show_settings(program: str, given: argparse.Namespace) -> int:
    """Print a plugin's settings, one a line: `logpipe --show-plugin-config input:tail`; 1 where it does not exist."""
    kind, _, name = given.show_plugin_config.partition(":")
    if kind not in KINDS or not name:
        said = f"{program}: --show-plugin-config {given.show_plugin_config}: write KIND:TYPE"
        print(f"{said}, where KIND is one of {', '.join(KINDS)}", file=sys.stderr)
        return 2
    registry, is_whole = registry_from(program, given)
    try:
        cls = registry.find(kind, name)
    except UnknownPluginError as problem:
        print(f"{program}: {problem} ({problem.hint})", file=sys.stderr)
        return 1
    # compat: supervisor.rb prints this line and, since 1.0, only a hint to use another program
    print(f"Show config for {kind}:{name}")
    for path, rows in sections(cls.options_class):
        if path:
            print(path)
        for row in rows:
            default = row.default.strip("`") or "nil"
            print(f"{row.name}: {row.type}: ({default}) # {row.doc}")
    return 0 if is_whole else 1
