"""`logpipe plugins`: lists the plugins that a configuration may name."""

from __future__ import annotations

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser, plugin_dirs
from logpipe.registry import Registry


def main(program: str, arguments: list[str]) -> int:
    """One plugin a line: kind, type, where it comes from."""
    parser = Parser(prog=program, description=COMMANDS["plugins"], allow_abbrev=False)
    parser.add_argument("-p", "--plugin", metavar="DIR", action="append", default=[], help="folder of plugin files")
    given = parser.parse(arguments)

    rows = [
        (found.kind, found.type, found.origin, found.target)
        for found in Registry(plugin_dirs(given.plugin)).installed()
    ]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, (9, 22, 24, 0), strict=True)).rstrip())
    return 0
