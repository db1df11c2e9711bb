"""`logpipe companions`: gives the programs that come with fluentd their names, as links to logpipe.

    cat.py       fluent-cat                     sends events of standard input
    ctl.py       fluent-ctl                     signals to a running process
    binlog.py    fluent-binlog-reader           prints fluentd's buffer files
    ca.py        fluent-ca-generate             a certificate authority
    settings.py  fluent-plugin-config-format    the settings of a plugin
    generate.py  fluent-plugin-generate         the skeleton of a plugin
    gem.py       fluent-gem                     what to install for a plugin of fluentd's
    refused.py   fluent-debug, fluent-cap-ctl   what there is instead

Each is a command of logpipe, too; which is which stands in `logpipe.cli.COMPANIONS`.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from logpipe.cli import COMMANDS, COMPANIONS, ENGINES
from logpipe.cli.arguments import Parser

LINKS: Final = (*ENGINES, *COMPANIONS)
"""The names that links can have."""
FOLDER: Final = "/usr/local/bin"


def main(program: str, arguments: list[str]) -> int:
    """Make, remove or list the links; 1 where a name belongs to something else."""
    parser = Parser(prog=program, description=COMMANDS["companions"], allow_abbrev=False)
    parser.add_argument("action", choices=["install", "remove", "list"], help="what to do with the links")
    parser.add_argument("folder", nargs="?", default=FOLDER, help=f"where they are (default: {FOLDER})")
    parser.add_argument("names", nargs="*", metavar="name", help="some of them only: fluent-cat, for example")
    given = parser.parse(arguments)
    if unknown := [name for name in given.names if name not in LINKS]:
        parser.error(f"{unknown[0]} is none of {', '.join(LINKS)}")
    logpipe = _program()
    if logpipe is None:
        print(f"{program}: there is no program logpipe to link to: install it with pip", file=sys.stderr)
        return 1
    folder = Path(given.folder)
    if not folder.is_dir():
        print(f"{program}: {folder} is no folder: give one that is in $PATH", file=sys.stderr)
        return 1
    problems = list(_done(given.action, folder, given.names or LINKS, logpipe))
    for problem in problems:
        print(f"{program}: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _done(action: str, folder: Path, names: Iterable[str], logpipe: Path) -> Iterator[str]:
    """Do it for each name; yields what could not be done."""
    for name in names:
        path = folder / name
        is_ours = path.is_symlink() and path.resolve() == logpipe.resolve()
        try:
            if is_ours and action == "remove":
                path.unlink()
                print(f"{path} removed")
            elif is_ours:
                print(f"{path} -> {logpipe}")
            elif action == "install" and os.path.lexists(path):
                yield f"{path} is there and is not logpipe's: it stays; remove it, or give another folder"
            elif action == "install":
                path.symlink_to(logpipe)
                print(f"{path} -> {logpipe}")
        except OSError as problem:
            yield f"{path}: {problem.strerror}"


def _program() -> Path | None:
    """Return the program `logpipe`: the one that runs, else the one that this Python has installed."""
    running = Path(sys.argv[0]).absolute()
    for path in (running, Path(sysconfig.get_path("scripts")) / "logpipe"):
        if path.name == "logpipe" and os.access(path, os.X_OK) and path.is_file():
            return path
    return None
