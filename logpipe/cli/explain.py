"""`logpipe explain`: shows the routes and generated functions of a configuration, without running it."""

from __future__ import annotations

import sys

from logpipe.cli.arguments import file_parser, settings_from
from logpipe.config.declare import Explained
from logpipe.config.diagnostic import Diagnostic, render_all
from logpipe.engine.building.explain import expressions, routes
from logpipe.supervisor import load, registry_of


def main(program: str, arguments: list[str]) -> int:
    """Exit status: 0, or 1 where the file or one of its expressions cannot be used."""
    parser = file_parser(program, "explain")
    parser.add_argument("file", metavar="FILE", help="configuration file")
    parser.add_argument("--expressions", action="store_true", help="show each expression's place, text and function")
    given = parser.parse(arguments)

    found: list[Diagnostic] = []
    settings = settings_from(given.file, given)
    root = load(settings, found.append)
    if not any(diagnostic.severity == "error" for diagnostic in found):
        if given.expressions:
            for explained in expressions(root, registry_of(settings, found.append), found.append):
                print(_shown(explained))
        else:
            for line in routes(root):
                print(line)
    errors = [diagnostic for diagnostic in found if diagnostic.severity == "error"]
    for text in render_all(errors):
        print(text, file=sys.stderr)
    return 1 if errors else 0


def _shown(explained: Explained) -> str:
    lines = [f"# {explained.place}  {explained.name}", *(f"#   {line}" for line in explained.text.splitlines())]
    return "\n".join([*lines, explained.source, ""])
