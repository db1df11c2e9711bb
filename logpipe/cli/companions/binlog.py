"""`logpipe binlog`, and `fluent-binlog-reader`: prints the events of fluentd's buffer files. command/binlog_reader.rb.

Compressed files are read, too, and what is damaged is left out and counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from logpipe.builtin.buffers.file.fluentd_content import Content, NotReadableError
from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser, add_plugin_folders, plugin_dirs
from logpipe.config.diagnostic import ConfigError, Diagnostic, Position
from logpipe.config.element import Element
from logpipe.errors import FormatError, LogpipeError
from logpipe.event import Record, Time
from logpipe.plugin import Formatter
from logpipe.registry import Registry, UnknownPluginError
from logpipe.testing import FakeHost

HEAD: Final = 5
LIMIT: Final = 1 << 40


def main(program: str, arguments: list[str]) -> int:
    """Print events, or what they can be printed as; 1 where a file cannot be read whole."""
    given = parser(program).parse(arguments)
    registry = Registry(plugin_dirs(given.plugin))
    if given.command == "formats":
        print("\n".join(found.type for found in registry.installed() if found.kind == "formatter"))
        return 0
    try:
        formatter = _formatter(registry, given.format, given.e)
        content = _content(Path(given.file))
        _print(_formatted(formatter, given.file, content, given.n))
    except (LogpipeError, NotReadableError) as problem:
        print(f"{program}: {problem}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"{program}: {problem.filename or given.file}: {problem.strerror}", file=sys.stderr)
        return 1
    if content.damages:
        print(f"{program}: {given.file}: {content.damages} damaged parts were left out", file=sys.stderr)
    return 1 if content.damages else 0


def parser(program: str) -> Parser:
    """Return the parser of its arguments."""
    made = Parser(prog=program, description=COMMANDS["binlog"])
    commands = made.add_subparsers(dest="command", required=True, parser_class=Parser)
    for name, purpose in (("cat", "print all events"), ("head", "print the first events")):
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("file", help="a chunk file of fluentd's")
        command.add_argument("-f", "--format", default="out_file", metavar="TYPE", help="formatter (default: out_file)")
        command.add_argument("-e", action="append", default=[], metavar="KEY=VALUE", help="setting of the formatter")
        if name == "head":
            command.add_argument("-n", type=_count, default=HEAD, metavar="COUNT", help=f"how many (default: {HEAD})")
        else:
            command.set_defaults(n=None)
        add_plugin_folders(command)
    formats = commands.add_parser("formats", help="list the formatters")
    add_plugin_folders(formats)
    return made


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of events")
    return int(text)


def _content(path: Path) -> Content:
    """Open a file.

    Raises:
        LogpipeError: there are no events in it.
        OSError, NotReadableError: it cannot be read.
    """
    content = Content(path, limit=LIMIT)
    if not content.has_events and path.stat().st_size:
        hint = "it is what its output has formatted, or a file of logpipe's: try `logpipe buffer cat`"
        raise LogpipeError(f"{path} has no events: {hint}")
    return content


def _formatter(registry: Registry, kind: str, settings: list[str]) -> Formatter[Any]:
    """Return the formatter.

    Raises:
        LogpipeError: there is none, or its settings are wrong.
    """
    try:
        cls = registry.find("formatter", kind)
    except UnknownPluginError as problem:
        raise LogpipeError(f"{problem} ({problem.hint})") from None
    place = Position("-e")
    element = Element("format", position=place, arg_position=place)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise LogpipeError(f"-e {setting}: write KEY=VALUE")
        element.set(name, value, place)
    found: list[Diagnostic] = []
    options = cls.options_class.read(element, found.append)
    if mistakes := [each for each in found if each.severity == "error"]:
        raise ConfigError(mistakes)
    formatter = cls(options, FakeHost())
    assert isinstance(formatter, Formatter)  # noqa: S101 - the registry looks at the kind
    return formatter


def _formatted(formatter: Formatter[Any], path: str, content: Content, most: int | None) -> Iterator[bytes]:
    """Yield events as bytes; the tag is the file's path, as in fluentd."""
    events: Iterator[tuple[Time, Record]] = (event for block in content.events() for event in block)
    for time, record in islice(events, most):
        try:
            yield formatter.format(path, time, record)
        except FormatError as problem:
            print(f"an event cannot be written: {problem}", file=sys.stderr)


def _print(pieces: Iterator[bytes]) -> None:
    if sys.stdout.isatty():  # whose stream escapes control characters
        for piece in pieces:
            sys.stdout.write(piece.decode("utf-8", "surrogateescape"))
        return
    for piece in pieces:
        sys.stdout.buffer.write(piece)
