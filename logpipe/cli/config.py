"""`logpipe config`: prints a configuration as it is read."""

from __future__ import annotations

import sys
from pathlib import Path

from logpipe.cli.arguments import file_parser, plugin_dirs
from logpipe.config.diagnostic import Diagnostic
from logpipe.config.render import render
from logpipe.supervisor import Settings, effective


def main(program: str, arguments: list[str]) -> int:
    """Print the configuration; 1 if it cannot be read."""
    parser = file_parser(program, "config")
    parser.add_argument("file", metavar="FILE", help="configuration file")
    parser.add_argument("--defaults", action="store_true", help="write the defaults of what is not written")
    given = parser.parse(arguments)

    found: list[Diagnostic] = []
    settings = Settings(
        Path(given.file),
        plugin_dirs=plugin_dirs(given.plugin),
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
