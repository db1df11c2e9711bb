"""`logpipe generate`, and `fluent-plugin-generate`: the skeleton of a plugin's distribution, with tests that pass."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path
from typing import Final

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser
from logpipe.cli.companions.skeletons import FILES, MODULES

KINDS: Final = tuple(MODULES)


def main(program: str, arguments: list[str]) -> int:
    """Write it below the current folder; nothing that is there is changed. 1 where that fails."""
    given = parser(program).parse(arguments)
    if given.kind == "storage":
        print(f"{program}: <storage> is no plugin here: a stage uses logpipe.storage", file=sys.stderr)
        return 1
    folder = Path(f"logpipe-{given.name.replace('_', '-')}")
    try:
        folder.mkdir()
        for name, template in FILES.items():
            path = folder / _filled(name, given)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(_filled(template, given))
            print(f"\tcreate {path}")
    except FileExistsError as problem:
        print(f"{program}: {problem.filename} is there already: give another name, or remove it", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"{program}: {problem.filename}: {problem.strerror}", file=sys.stderr)
        return 1
    print(f"try it: pip install -e ./{folder} && python -m pytest {folder}")
    return 0


def parser(program: str) -> Parser:
    """Return the parser of its arguments."""
    made = Parser(prog=program, description=COMMANDS["generate"])
    add = made.add_argument
    add("kind", choices=[*KINDS, "storage"], metavar="TYPE", help=f"one of {', '.join(KINDS)}")
    add("name", type=_name, metavar="NAME", help="the plugin's @type")
    add("--license", default="Apache-2.0", metavar="NAME", help="what pyproject.toml names (default: Apache-2.0)")
    add("--no-license", action="store_const", const="", dest="license", help="name none")
    return made


def _name(text: str) -> str:
    name = text.removeprefix("fluent-plugin-").replace("-", "_")
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: write small letters, digits and _")
    return name


def _filled(template: str, given: argparse.Namespace) -> str:
    module = MODULES[given.kind]
    words = {
        "@KIND@": given.kind,
        "@NAME@": given.name,
        "@DASHED@": given.name.replace("_", "-"),
        "@CLASS@": "".join(map(str.capitalize, given.name.split("_"))) + given.kind.capitalize(),
        "@LICENSE@": f'license = "{given.license}"\n' if given.license else "",
    }
    for word, text in {
        "@MODULE@": module.code,
        "@CONF@": module.conf,
        "@TEST@": module.test,
        "@IMPORTS@": module.imports,
        **words,
    }.items():
        template = template.replace(word, text)
    return template
