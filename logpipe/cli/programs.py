"""Fluentd's programs, flags and signals beside ours: `docs/reference/programs.tsv` lists the former.

Each line of the list has a program (`program`, `signal` and `rpc` for these themselves), a name, versions (1, 0.12),
what it does in Fluentd and a note, between tabs. A name is a flag with its short form, as in `-s, --setup`, or a word
that the program takes. A note is empty, `no effect: REASON`, `refused: REASON`, `absent: REASON` or
`other: DIFFERENCE`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Final, NamedTuple

from logpipe.cli import COMMANDS, COMPANIONS, ENGINES, run
from logpipe.cli.arguments import Parser
from logpipe.supervisor import rpc

SIGNALS: Final = {
    "TERM": "stops gracefully: what is on its way is delivered; a second one stops at once",
    "INT": "as TERM",
    "QUIT": "stops at once: undelivered events stay in their source or on disk",
    "HUP": "reads the configuration again, and goes on as before if it has errors",
    "USR1": "queues all that is staged, and opens the log's file again",
    "USR2": "the program takes its own place, if it and the configuration are good: a restart that refuses nobody",
    "WINCH": "ends with_source_only, and delivers what it has kept",
    "CONT": "writes buffers and tasks to the log",
}
"""What each signal does here; all others do nothing."""

_DUMPS: Final = {
    rpc.DUMP: "writes the configuration in use to the log, secrets masked",
    rpc.GET_DUMP: "answers with the configuration in use, secrets masked, with enable_get_dump",
}

_NOTES: Final = ("no effect: ", "refused: ", "absent: ", "other: ")


class Line(NamedTuple):
    """Something of Fluentd's."""

    program: str
    name: str
    versions: str
    there: str
    note: str


@dataclass(frozen=True, slots=True)
class Compared:
    """The same, beside ours."""

    line: Line
    status: str
    """yes, no effect, refused, absent, other; or unknown: we lack it and nothing says why."""
    here: str


def read_lines(text: str) -> list[Line]:
    """Return the list's lines.

    Raises:
        ValueError: a line has another number of columns, or a note of another form.
    """
    lines = [Line(*row.split("\t")) for row in text.splitlines()[1:]]
    for line in lines:
        if line.note and not line.note.startswith(_NOTES):
            raise ValueError(f"{line.program} {line.name}: a note begins with one of {', '.join(_NOTES)}")
    return lines


def compare(lines: Iterable[Line]) -> list[Compared]:
    """Return each line with what is here in its place."""
    return [_compared(line) for line in lines]


def _compared(line: Line) -> Compared:
    status, _, reason = line.note.partition(": ")
    found = _here(line)
    if found is None:
        return Compared(line, status if status in {"absent", "refused"} else "unknown", reason)
    if status == "absent":
        return Compared(line, "unknown", "it is here: remove its note")
    return Compared(line, status or "yes", reason or found)


def _here(line: Line) -> str | None:
    """Return what ours says of itself; None where there is none."""
    if line.program == "signal":
        return SIGNALS.get(line.name)
    if line.program == "rpc":
        names = [number.name.removeprefix("SIG") for number in rpc.SIGNALS.get(line.name, ())]
        return ", then ".join(names) or _DUMPS.get(line.name)
    if line.program == "program":
        return "runs a configuration" if line.name in ENGINES else _purpose(line.name)
    words = {word.split("=")[0].split()[0] for word in line.name.split(", ")}
    options = _words(_parser(line.program))
    known = {word: said for word, said in options if word in words}
    return next(iter(known.values())) if known.keys() == words else None


def _purpose(program: str) -> str | None:
    command = COMPANIONS.get(program)
    return None if command is None else f"`logpipe {command}`: {COMMANDS[command]}" if command in COMMANDS else ""


def _parser(program: str) -> Parser:
    if program in ENGINES:
        return run.run_parser(program)
    made: Parser = import_module(f"logpipe.cli.companions.{COMPANIONS[program]}").parser(program)
    return made


def _words(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yield each flag, and each word of a choice, with what is said of it."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        said = "" if action.help in {None, argparse.SUPPRESS} else str(action.help)
        yield from ((flag, said) for flag in action.option_strings)
        if not action.option_strings:
            yield from ((str(choice), said) for choice in action.choices or ())
        if isinstance(action.choices, dict):
            for choice in action.choices.values():
                if isinstance(choice, argparse.ArgumentParser):
                    yield from _words(choice)


def page(compared: Iterable[Compared]) -> str:
    """Return the page that shows the comparison."""
    lines = [
        "# Fluentd's programs and ours\n",
        "Every program that comes with Fluentd 1.19.3 and 0.12, its flags, the signals and the commands over HTTP; "
        "settings are in [fluentd.md](fluentd.md). *Other* does something else, for the reason given. What `logpipe "
        "companions install` makes links for is in [companions.md](../companions.md).\n",
    ]
    before = ""
    for each in compared:
        line = each.line
        if line.program != before:
            title = {"program": "Programs", "signal": "Signals", "rpc": "Paths of `rpc_endpoint`"}.get(
                line.program, f"`{line.program}`"
            )
            lines += ([""] if before else []) + [
                f"## {title}\n",
                "| | fluentd | there | here | |",
                "|---|---|---|---|---|",
            ]
            before = line.program
        row = (f"`{line.name}`", line.versions, line.there, each.status, each.here)
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |")
    return "\n".join(lines) + "\n"
