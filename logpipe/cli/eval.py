"""`logpipe eval`: tries an expression, as record_transformer with enable_ruby would run it."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import socket
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser
from logpipe.errors import ExpressionError, ParseError
from logpipe.event import Record, Time
from logpipe.expression import Dialect, Reading
from logpipe.expression.compiled import Template
from logpipe.expression.runtime.failures import MissingField, RubyError
from logpipe.expression.runtime.text import class_name, export, inspect
from logpipe.expression.single import compile_value
from logpipe.time_format import compile_free_parser

_STATUSES: Final = """\
Prints a line for each record, the value as by Ruby's inspect and its class, and the generated Python function, which
goes to standard error where records come from standard input. A record is a JSON object.

exit status:
  0  every record gave a value
  1  the expression is refused, or it failed on a record, or a line was no record; the other lines were tried
  2  the arguments cannot be used
"""


def main(program: str, arguments: list[str]) -> int:
    """Try one record, or each line of standard input; see `_STATUSES`."""
    given = _parser(program).parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # text in records need not be UTF-8
    expression, dialect = given.expression, Dialect(given.compat)
    is_template = "${" in expression
    text = expression if is_template else f"${{{expression}}}"
    # compat: filter_record_transformer.rb of 0.12: the value of a template is text
    is_old = dialect is Dialect.V0_12
    reading = Reading(auto_typecast=not is_template or not is_old, dialect=dialect, names_are_fields=is_old)
    try:
        template = compile_value(text, reading)
    except ExpressionError as problem:
        _point_at(problem, expression, 0 if is_template else len("${"), program)
        return 1
    return _try(template, given, program)


def _parser(program: str) -> Parser:
    parser = Parser(
        prog=program,
        description=COMMANDS["eval"],
        epilog=_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("expression", metavar="EXPR", help="Ruby, or a text with ${…} as in a <record> section")
    add("--record", metavar="JSON", type=_record, help="the record; without it, records are read line by line")
    add("--tag", metavar="TAG", default="test.tag", help="the event's tag (default: test.tag)")
    add("--time", metavar="TIME", type=_time, help="seconds since the epoch, or a date (default: now)")
    add("--compat", choices=["1", "0.12"], default="1", help="whose rules hold where Fluentd's versions differ")
    return parser


def _record(text: str) -> Record:
    try:
        record = json.loads(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"no JSON: {problem}") from None
    if not isinstance(record, dict):
        raise argparse.ArgumentTypeError('a record is a JSON object: write {"log":"x"}')
    return record


def _time(text: str) -> Time:
    if number := re.fullmatch(r"(\d+)(?:\.(\d{1,9})\d*)?", text):
        return int(number[1]) * 1_000_000_000 + int((number[2] or "").ljust(9, "0"))
    try:
        return compile_free_parser().one(text)
    except ParseError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _try(template: Template, given: argparse.Namespace, program: str) -> int:
    """Print the value for each record, and the generated function; return the exit status."""
    dialect = Dialect(given.compat)
    compute = template.bind(given.tag, hostname=socket.gethostname(), env=dict(os.environ))

    def shown(record: Record) -> str:
        return _shown(compute(record, time.time_ns() if given.time is None else given.time))

    needs_record = re.search(r"\brecord\b", given.expression) is not None
    stdin = sys.stdin
    if given.record is not None or stdin is None or (stdin.isatty() and not needs_record):
        failed = not _print(shown, given.record or {}, program, dialect)
        print(f"\n{_function(template)}")
        return int(failed)
    print(f"{_function(template)}\n", file=sys.stderr, flush=True)
    seen, failures = _try_lines(stdin.buffer, shown, program, dialect)
    if not seen and not needs_record:
        return int(not _print(shown, {}, program, dialect))
    return min(failures, 1)


def _try_lines(
    lines: Iterable[bytes], shown: Callable[[Record], str], program: str, dialect: Dialect
) -> tuple[int, int]:
    """Return the number of lines, and of lines that gave no value."""
    number = failures = 0
    for number, line in enumerate(lines, start=1):
        place = f"{program}: line {number}"
        try:
            record = json.loads(line)
        except ValueError as problem:
            print(f"{place}: no JSON: {problem}", file=sys.stderr)
            failures += 1
            continue
        if isinstance(record, dict):
            failures += not _print(shown, record, place, dialect)
        else:
            print(f"{place}: a record is a JSON object, not {line.decode(errors='replace').strip()}", file=sys.stderr)
            failures += 1
    return number, failures


def _print(shown: Callable[[Record], str], record: Record, place: str, dialect: Dialect) -> bool:
    try:
        print(shown(record), flush=True)
    except ExpressionError as problem:
        class_of_error = f"{problem.class_name}: " if isinstance(problem, RubyError) else ""
        # record_transformer turns such a failure into null rather than an error of the event
        is_null = dialect is Dialect.V0_12 or isinstance(problem, MissingField)
        outcome = "; in a <record> the value is null and its event goes on" if is_null else ""
        print(f"{place}: {class_of_error}{problem}{outcome}", file=sys.stderr)
        return False
    return True


def _shown(value: Any) -> str:
    """Return a value as by Ruby's inspect, its class, and its form in the record where that is different."""
    kept = export(value)
    changed = type(kept) is not type(value) or kept != value
    in_record = f"\t{json.dumps(kept, ensure_ascii=False)} in a record" if changed else ""
    return f"{inspect(value)}\t{class_name(value)}{in_record}"


def _function(template: Template) -> str:
    """Return the generated function without the code that binds it to a tag."""
    body, _, _ = template.source.partition("    def value(record, time):")
    return textwrap.dedent(body.partition("\n")[2]).rstrip()


def _point_at(problem: ExpressionError, expression: str, before: int, program: str) -> None:
    """Print the problem, with a caret under its place."""
    hint = f"; {problem.hint}" if problem.hint else ""
    print(f"{program}: {problem}{hint}", file=sys.stderr)
    offset = min(max((problem.offset or 0) - before, 0), len(expression))
    start = expression.rfind("\n", 0, offset) + 1
    print(f"  {expression[start:].partition(chr(10))[0]}\n  {' ' * (offset - start)}^", file=sys.stderr)
