"""`logpipe check`: reports what is wrong with configuration files, without running them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from logpipe.cli.arguments import file_parser, settings_from
from logpipe.config.diagnostic import Diagnostic, render_all
from logpipe.supervisor import Checked, Settings, check, try_connecting


def main(program: str, arguments: list[str]) -> int:
    """Exit status: 0 all can run, 1 one cannot, 2 warnings under --strict, 3 a peer refuses under --connect."""
    parser = file_parser(program, "check")
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="configuration files, each checked by itself")
    add("--strict", action="store_true", help="exit with 2 if there are warnings")
    add(
        "--verbose", action="store_true", help="show hints, and which of 0.12's parameters are read as which of today's"
    )
    add("--format", choices=["text", "json"], default="text", help="json: one object a line, for editors")
    add("--connect", action="store_true", help="try each peer that outputs send to; exit with 3 if one refuses")
    given = parser.parse(arguments)
    every = [settings_from(path, given) for path in given.files]
    as_json = given.format == "json"
    status = check_files(every, as_json=as_json, verbose=given.verbose, strict=given.strict)
    if given.connect and status != 1:
        refused = [connect(settings, as_json=as_json) for settings in every]
        status = 3 if any(refused) else status
    return status


def connect(settings: Settings, *, as_json: bool) -> bool:
    """Try the peers of a configuration, and print what came of each; returns whether one would refuse events."""
    found = try_connecting(settings)
    for tried in found:
        verdict, said, place = "refused" if tried.is_refused else "ok", tried.said, tried.place
        if as_json:
            fields = {"file": place.file, "line": place.line, "section": tried.section, "peer": tried.peer}
            print(json.dumps({**fields, "connect": verdict, "message": said}))
        else:
            name = f" {tried.peer}" if tried.peer else ""
            print(f"{place.file}:{place.line}: {tried.section}{name}: {verdict}{f': {said}' if said else ''}")
    if not found and not as_json:
        print(f"{settings.config}: no output says which peers it has")
    return any(tried.is_refused for tried in found)


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
