"""`logpipe check`: reports what is wrong with configuration files, without running them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from logpipe.cli.arguments import file_parser, settings_from
from logpipe.config.diagnostic import Diagnostic, render_all
from logpipe.supervisor import Checked, Settings, check


def main(program: str, arguments: list[str]) -> int:
    """Exit status: 0 all can run, 1 one cannot, 2 warnings under --strict."""
    parser = file_parser(program, "check")
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="configuration files, each checked by itself")
    add("--strict", action="store_true", help="exit with 2 if there are warnings")
    add(
        "--verbose", action="store_true", help="show hints, and which of 0.12's parameters are read as which of today's"
    )
    add("--format", choices=["text", "json"], default="text", help="json: one object a line, for editors")
    given = parser.parse(arguments)
    every = [settings_from(path, given) for path in given.files]
    return check_files(every, as_json=given.format == "json", verbose=given.verbose, strict=given.strict)


def check_files(
    every: Sequence[Settings], *, as_json: bool = False, verbose: bool = False, strict: bool = False
) -> int:
    """Check each file by itself; also `logpipe --dry-run`."""
    worst = 0
    for settings in every:
        found = check(settings)
        if not verbose:
            found = replace(found, diagnostics=[each for each in found.diagnostics if each.severity != "hint"])
        if as_json:
            _print_json(found.diagnostics)
        else:
            _print_text(settings.config, found, verbose=verbose)
        worst = 1 if found.errors or worst == 1 else 2 if strict and found.warnings else worst
    return worst


def _print_text(path: Path, found: Checked, *, verbose: bool) -> None:
    for text in render_all(found.diagnostics):
        print(text, file=sys.stderr)
    for rewrite in found.rewrites if verbose else ():
        print(rewrite)
    verdict = "not usable" if found.errors else "ok"
    print(f"{path}: {verdict}, {_counted(found.errors, 'error')}, {_counted(found.warnings, 'warning')}")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _print_json(diagnostics: Sequence[Diagnostic]) -> None:
    for diagnostic in diagnostics:
        place = diagnostic.position
        fields = {"file": place.file, "line": place.line, "column": place.column, "severity": diagnostic.severity}
        fields |= {"code": diagnostic.code, "message": diagnostic.message, "hint": diagnostic.hint}
        fields["included_from"] = [str(line) for line in diagnostic.included_from]
        print(json.dumps(fields))
