"""`logpipe settings`, and `fluent-plugin-config-format`: a plugin's settings. Fluentd's plugin_config_formatter.rb."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Final

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser, add_plugin_options, registry_from
from logpipe.config.options import PluginClass
from logpipe.config.reference import document_of, page, sections
from logpipe.registry import KINDS, UnknownPluginError

FORMATS: Final = ("markdown", "txt", "json")


def main(program: str, arguments: list[str]) -> int:
    """Print them; 1 where there is no such plugin."""
    given = parser(program).parse(arguments)
    if given.kind == "storage":
        print(f"{program}: <storage> is no plugin here: its settings are those of `local`", file=sys.stderr)
        return 1
    registry, is_whole = registry_from(program, given)
    try:
        cls = registry.find(given.kind, given.name)
    except UnknownPluginError as problem:
        print(f"{program}: {problem} ({problem.hint})", file=sys.stderr)
        return 1
    write = {"markdown": _markdown, "txt": _text, "json": _json}[given.format]
    print("\n".join(write(cls, is_compact=given.compact)))
    return 0 if is_whole else 1


def parser(program: str) -> Parser:
    """Return the parser of its arguments."""
    made = Parser(prog=program, description=COMMANDS["settings"])
    add = made.add_argument
    add("kind", choices=[*KINDS, "storage"], metavar="TYPE", help=f"one of {', '.join(KINDS)}")
    add("name", metavar="NAME", help="the plugin's @type")
    add("-f", "--format", choices=FORMATS, default="markdown", help="of the output (default: markdown)")
    add("-c", "--compact", action="store_true", help="without what is said of each (markdown), on one line (json)")
    add("-t", "--table", action="store_true", help="as tables, as markdown always is here")
    add_plugin_options(made)
    add("--verbose", action="store_true", help="no effect: the settings of all bases are shown")
    return made


def _markdown(cls: PluginClass, *, is_compact: bool) -> Iterator[str]:
    if is_compact:
        yield f"## {cls.types[0]}\n"
        for path, rows in sections(cls.options_class):
            yield from ([f"### {path}\n"] if path else [])
            yield from (f"* **{row.name}** ({row.type}): {row.default or '-'}" for row in rows)
            yield ""
        return
    yield page(cls).partition("\n\n")[2].rstrip("\n")


def _text(cls: PluginClass, *, is_compact: bool) -> Iterator[str]:
    for path, rows in sections(cls.options_class):
        indent = " " * len(path.split())
        yield from ([f"{indent[1:]}{path.split()[-1]}"] if path else [])
        for row in rows:
            said = "" if is_compact else f" # {row.doc}"
            yield f"{indent}{row.name}: {row.type}: ({row.default.strip('`') or 'nil'}){said}"


def _json(cls: PluginClass, *, is_compact: bool) -> Iterator[str]:
    yield json.dumps(document_of(cls), indent=None if is_compact else 2, ensure_ascii=False)
