"""`logpipe docs`: writes the reference of every setting."""

from __future__ import annotations

import sys
from pathlib import Path

from logpipe.cli import COMMANDS, programs
from logpipe.cli.arguments import Parser
from logpipe.config.reference import write_pages
from logpipe.engine.system import SystemOptions
from logpipe.registry import Registry, UnknownPluginError


def main(program: str, arguments: list[str]) -> int:
    """Write the pages, or check whether they are current."""
    parser = Parser(prog=program, description=COMMANDS["docs"], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="exit with 1 if the committed pages are not current")
    parser.add_argument("--folder", default="docs/reference", help="where the pages are (default: docs/reference)")
    given = parser.parse(arguments)

    registry = Registry()
    classes, broken = [], []
    for found in registry.installed():
        try:
            classes.append(registry.find(found.kind, found.type))
        except UnknownPluginError as problem:
            broken.append(problem)
            print(f"{program}: {problem} ({problem.hint})", file=sys.stderr)
    folder = Path(given.folder)
    listed = folder / "programs.tsv"
    more = {}
    if listed.is_file():
        more["programs.md"] = programs.page(programs.compare(programs.read_lines(listed.read_text("utf-8"))))
    stale = write_pages(
        classes,
        folder,
        check=given.check,
        others={"system": SystemOptions},
        more=more,
    )
    for path in stale:
        print(f"{path} {'is not current: run `make docs`' if given.check else 'written'}")
    return 1 if broken or (given.check and stale) else 0
