"""`logpipe config`: prints a configuration as it is read."""

from __future__ import annotations

import sys

from logpipe.cli.arguments import file_parser, settings_from
from logpipe.config.diagnostic import Diagnostic, render_all
from logpipe.supervisor import effective


def main(program: str, arguments: list[str]) -> int:
    """Print the configuration; 1 if it cannot be read."""
    parser = file_parser(program, "config")
    parser.add_argument("file", metavar="FILE", help="configuration file")
    parser.add_argument("--defaults", action="store_true", help="write the defaults of what is not written")
    given = parser.parse(arguments)

    found: list[Diagnostic] = []
    text = effective(settings_from(given.file, given), found.append, defaults=given.defaults)
    for said in render_all(found):
        print(said, file=sys.stderr)
    if any(diagnostic.severity == "error" for diagnostic in found):
        return 1
    print(text, end="")
    return 0
